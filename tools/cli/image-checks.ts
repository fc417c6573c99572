import { FactoryError } from "../../components/lib/errors";
import type { LogFindings } from "./log";
import {
  allHeld,
  bestOf,
  type Check,
  checkLog,
  checkProvenance,
  checkRevocation,
  type Expectations,
  unsignedImage,
} from "./provenance";
import {
  type AttachedSbom,
  fetchAttestations,
  fetchSboms,
  type ImageReference,
  type Registry,
  STATEMENTS_READ,
} from "./registry";
import { type LogEntry, parseAttestation, type SignedStatement } from "./signature";

/**
 * Checks the signed statements beside an image, and asks the log about those of which all else holds; the others are not
 * worth the question. A log that did not only grow ends it: no other statement makes up for that.
 *
 * @param ask asks the log about an entry
 */
export const checkStatements = async (
  statements: readonly SignedStatement[],
  expected: Expectations,
  ask: (entry: LogEntry) => Promise<LogFindings>,
): Promise<Check[]> => {
  if (statements.length === 0) return [unsignedImage()];
  const results: Check[][] = [];
  for (const statement of statements) {
    const checks = checkProvenance(statement, expected);
    if (allHeld(checks) && statement.entry !== undefined) {
      const findings = await ask(statement.entry);
      checks.push(...checkLog(findings));
      if (allHeld(checks) || findings.growth.fault !== undefined) return checks;
    }
    results.push(checks);
  }
  return bestOf(results);
};

/** What an image must have, apart from what only the registry says about it. */
export type ImageExpectations = Omit<Expectations, "image" | "sboms">;

/** What trust repository and registry say about an image. */
export interface Evidence {
  image: ImageReference;
  /** Whether the image itself is revoked; when it is, the registry was not asked. */
  revocation: Check;
  /** The newest first. */
  statements: SignedStatement[];
  /** How many older statements were not read. */
  unread: number;
  sboms: AttachedSbom[];
}

/**
 * Reads what the registry says about an image that is not revoked, one thing after the other.
 *
 * @param revokedAt when an image was revoked, by its digest as `sha256:<hex>`; undefined when it was not
 * @throws FactoryError when it does not answer, or has more of it than anybody needs
 */
export const fetchEvidence = async (
  registry: Registry,
  image: ImageReference,
  revokedAt: (digest: string) => string | undefined,
): Promise<Evidence> => {
  const revocation = checkRevocation(revokedAt(image.digest));
  if (!revocation.held) return { image, revocation, statements: [], unread: 0, sboms: [] };
  const { newest, unread } = await fetchAttestations(registry, image);
  const statements = newest.map(parseAttestation).filter((statement) => statement !== undefined);
  return { image, revocation, statements, unread, sboms: await fetchSboms(registry, image) };
};

/**
 * Checks everything that trust repository, registry and log say about an image.
 *
 * @param ask asks the log about an entry
 * @throws FactoryError when the log does not answer
 */
export const checkEvidence = async (
  { image: { host, path, digest }, revocation, statements, sboms }: Evidence,
  expected: ImageExpectations,
  ask: (entry: LogEntry) => Promise<LogFindings>,
): Promise<Check[]> => {
  if (!revocation.held) return [revocation];
  const about = { ...expected, image: { name: `${host}/${path}`, digest }, sboms };
  return [...(await checkStatements(statements, about, ask)), revocation];
};

/**
 * The last word on an image.
 *
 * @throws FactoryError `SSF-VERIFY-010` when nothing held, but an older statement than those that were read might
 */
export const conclude = ({ image: { host, path, digest }, unread }: Evidence, checks: Check[]): Check[] => {
  if (allHeld(checks) || unread === 0) return checks;
  const failed = checks.filter(({ held }) => !held).map(({ code, detail }) => `${detail} (${code})`);
  throw new FactoryError({
    code: "SSF-VERIFY-010",
    path: `${host}/${path}@${digest}`,
    given: `${unread + STATEMENTS_READ} signed statements, of which none of the newest ${STATEMENTS_READ} holds: ${failed.join("; ")}`,
    rule: `Of the statements beside an image the newest ${STATEMENTS_READ} are read, lest reading them keep the verifier from other images.`,
    fix: "Build the commit once more: the newest statement is then a good one.",
  });
};

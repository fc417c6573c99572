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
import { fetchAttestations, fetchSboms, type ImageReference, type Registry } from "./registry";
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
export interface ImageExpectations extends Omit<Expectations, "image" | "sboms"> {
  /** When an image was revoked, by its digest as `sha256:<hex>`; undefined when it was not. */
  revokedAt: (digest: string) => string | undefined;
}

/**
 * Checks everything that registry and log say about an image.
 *
 * @param ask asks the log about an entry
 * @throws FactoryError when one of them does not answer
 */
export const checkImage = async (
  image: ImageReference,
  registry: Registry,
  { revokedAt, ...expected }: ImageExpectations,
  ask: (entry: LogEntry) => Promise<LogFindings>,
): Promise<Check[]> => {
  const { host, path, digest } = image;
  const revocation = checkRevocation(revokedAt(digest));
  if (!revocation.held) return [revocation];
  const attestations = await fetchAttestations(registry, image);
  const statements = attestations.map(parseAttestation).filter((statement) => statement !== undefined);
  const sboms = await fetchSboms(registry, image);
  const about = { ...expected, image: { name: `${host}/${path}`, digest }, sboms };
  return [...(await checkStatements(statements, about, ask)), revocation];
};

import { createPublicKey, X509Certificate } from "node:crypto";
import { sha256 } from "../../components/lib/digest";
import { FactoryError } from "../../components/lib/errors";
import { fingerprints, signersAt, type Trust, writeTargets } from "../../trust";
import type { LogEntry, SignatureTrust } from "./signature";

/** What a repository's trust means for the images of one builder. */
export interface Trusted {
  signature: SignatureTrust;
  /** Changes whenever anything else is trusted, or nothing more. */
  version: string;
  /** Public key of the log that is in use, as PEM. */
  logPublicKeyPem: string;
  /** Public keys that the log had before and that still count for what they signed, as PEM, the newest first. */
  formerLogPublicKeysPem: string[];
  /** When an image was revoked, by its digest as `sha256:<hex>`, in ISO 8601; undefined when it was not. */
  revokedAt: (digest: string) => string | undefined;
  /** Those of the given images by digest that are signed as images of the factory, present or former. */
  signedImages: (images: readonly string[]) => string[];
}

interface Period {
  start?: Date;
  end?: Date;
}

const includes = ({ start, end }: Period, time: Date): boolean =>
  (start === undefined || start <= time) && (end === undefined || time <= end);

const keyPem = (der: Buffer): string =>
  createPublicKey({ key: der, format: "der", type: "spki" }).export({ type: "spki", format: "pem" }).toString();

const policiesAt = ({ trustedRoot, ...trust }: Trust, builderId: string, { logId, integratedTime }: LogEntry) => {
  const time = new Date(integratedTime * 1000);
  const logs = trustedRoot.tlogs.filter(
    (log) => fingerprints.log(log) === logId && includes(log.publicKey?.validFor ?? {}, time),
  );
  const authorities = trustedRoot.certificateAuthorities.filter(({ validFor }) => includes(validFor ?? {}, time));
  return logs.flatMap(({ publicKey }) =>
    authorities.flatMap(({ certChain }) =>
      signersAt(trust, builderId, time).map((signer) => ({
        ...signer,
        certificateAuthorityPem: (certChain?.certificates ?? [])
          .map(({ rawBytes }) => new X509Certificate(rawBytes).toString())
          .join(""),
        logPublicKeyPem: keyPem(publicKey?.rawBytes ?? Buffer.alloc(0)),
      })),
    ),
  );
};

/**
 * Whose signatures count for a builder. What was replaced counts for what it signed before; what was revoked for nothing.
 *
 * @throws FactoryError `SSF-TRUST-012` when no log is in use
 */
export const trustedFor = (trust: Trust, builderId: string): Trusted => {
  const log = trust.trustedRoot.tlogs.find(({ publicKey }) => publicKey?.validFor?.end === undefined);
  if (log?.publicKey?.rawBytes === undefined)
    throw new FactoryError({
      code: "SSF-TRUST-012",
      path: "target trusted_root.json",
      given: "no log in use",
      rule: "The trust repository names the log that the factory uses.",
      fix: "Run ./factory trust sign, then bring the factory's stack up.",
    });
  const images = new Set(trust.images.map(fingerprints.image));
  const former = trust.trustedRoot.tlogs
    .flatMap(({ publicKey }) => publicKey ?? [])
    .filter(({ validFor }) => validFor?.end !== undefined)
    .sort((one, other) => Number(other.validFor?.end) - Number(one.validFor?.end));
  return {
    version: sha256(JSON.stringify(writeTargets(trust))),
    formerLogPublicKeysPem: former.map(({ rawBytes }) => keyPem(rawBytes ?? Buffer.alloc(0))),
    revokedAt: (digest) => trust.revoked.find(({ sha256: id }) => digest === `sha256:${id}`)?.at,
    signedImages: (given) => given.filter((reference) => images.has(fingerprints.image({ reference }))),
    signature: (entry) => policiesAt(trust, builderId, entry),
    logPublicKeyPem: keyPem(log.publicKey.rawBytes),
  };
};

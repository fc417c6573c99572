import { createHash, createPublicKey, type KeyObject, X509Certificate } from "node:crypto";

import { type CertificateAuthority, HashAlgorithm, PublicKeyDetails, TrustedRoot } from "@sigstore/protobuf-specs";
import { z } from "zod";

import { FactoryError } from "../components/lib/errors";
import { sha256 } from "../components/lib/digest";

const text = z.string().min(1);
const digest = z.string().regex(/^[0-9a-f]{64}$/);
const imageReference = z.string().regex(/^\S+@sha256:[0-9a-f]{64}$/, "must be an image by digest");

/** A rule of admission or of the gate by kind and name, and the SHA-256 of what it says; see `policies/admission/bundle.ts`. */
export const ruleDigestSchema = z.object({ path: text, sha256: digest });

/** What a running factory signs with, as its stack says it; nothing in it is secret. */
export const factoryTrustSchema = z.object({
  /** What provenance names as the builder. */
  builderId: text,
  /** The certificate authority (Fulcio): its address, and its chain as PEM, issuing certificate first. */
  authority: z.object({ url: text, chainPem: text }),
  /** The transparency log (Rekor): its address, and its public key as SPKI PEM. */
  log: z.object({ url: text, publicKeyPem: text }),
  /** Who signs provenance: the identity in its certificate, and who vouched for that identity. */
  signer: z.object({ identity: text, issuer: text }),
  /** Images that the factory runs and gives to stages, by digest. */
  images: z.array(imageReference),
  /** The rules that it enforces. @default those that are signed, since an older program does not say them */
  policy: z.array(ruleDigestSchema).optional(),
});

/** See {@link factoryTrustSchema}. */
export type FactoryTrust = z.infer<typeof factoryTrustSchema>;

const time = z.iso.datetime();

const builderSchema = z.object({
  builderId: text,
  signer: z.object({ identity: text, issuer: text }),
  validFor: z.object({ start: time, end: time.optional() }),
});

const buildersSchema = z.object({
  schema: z.literal(1),
  builders: z.array(builderSchema),
  revoked: z.array(z.object({ sha256: digest, at: time, image: imageReference.optional() })),
});

const imagesSchema = z.object({
  schema: z.literal(1),
  images: z.array(z.object({ reference: imageReference, validFor: z.object({ start: time, end: time.optional() }) })),
});

const policySchema = z.object({
  schema: z.literal(1),
  files: z.array(ruleDigestSchema),
});

/** Whose provenance counts for a builder, and for runs of which time. Times are ISO 8601 in UTC, both ends included. */
export type Builder = z.infer<typeof builderSchema>;

/** An image of the factory, and when the factory ran it. Times are ISO 8601 in UTC, both ends included. */
export type FactoryImage = z.infer<typeof imagesSchema>["images"][number];

/** A rule of the policy bundle. */
export type PolicyFile = z.infer<typeof policySchema>["files"][number];

/** Everything that verifiers take from the trust repository. */
export interface Trust {
  /** Authorities and logs, present and former, in Sigstore's own form. */
  trustedRoot: TrustedRoot;
  builders: Builder[];
  /** Images of the factory, present and former: what was built in a former one may still run. */
  images: FactoryImage[];
  /**
   * Keys, signers and images that count for nothing any more, by {@link fingerprints}; no later signing takes them in again.
   * What the factory has built is named as well, since nothing else here names it.
   */
  revoked: { sha256: string; at: string; image?: string }[];
  policy: PolicyFile[];
}

/** Names of the targets. */
export const TARGETS = {
  trustedRoot: "trusted_root.json",
  builders: "builders.json",
  images: "images.json",
  policy: "policy.json",
} as const;

const MEDIA_TYPE = "application/vnd.dev.sigstore.trustedroot+json;version=0.1";

const refused = (path: string, given: string, rule: string): FactoryError =>
  new FactoryError({
    code: "SSF-TRUST-008",
    path,
    given,
    rule,
    fix: "Bring the factory's stack up again, or mend the file that was given by --from.",
  });

/**
 * Checks what a factory says about its keys.
 *
 * @param path where it was said, for messages
 * @throws FactoryError `SSF-TRUST-008`
 */
export const parseFactoryTrust = (path: string, value: unknown): FactoryTrust => {
  const parsed = factoryTrustSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw refused(
    [path, ...(issue?.path ?? [])].join("."),
    issue?.message ?? "not what it must be",
    "A factory names its builder, certificate authority, log, signer and images.",
  );
};

const certificates = (path: string, pem: string): [X509Certificate, ...X509Certificate[]] => {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g) ?? [];
  let chain: X509Certificate[];
  try {
    chain = blocks.map((block) => new X509Certificate(block));
  } catch {
    throw refused(path, "a certificate that cannot be read", "It must be PEM.");
  }
  const [issuing, ...above] = chain;
  const isChain = chain.every(
    (one, index) => one.ca && (chain[index + 1] === undefined || isIssued(one, chain[index + 1])),
  );
  if (issuing !== undefined && isChain) return [issuing, ...above];
  throw refused(
    path,
    `${chain.length} certificates that are no chain of authorities`,
    "The chain starts with the certificate that issues, and each one is issued by the next.",
  );
};

const isIssued = (certificate: X509Certificate, issuer: X509Certificate | undefined): boolean =>
  issuer !== undefined && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);

const CURVES: Readonly<Record<string, PublicKeyDetails>> = {
  prime256v1: PublicKeyDetails.PKIX_ECDSA_P256_SHA_256,
  secp384r1: PublicKeyDetails.PKIX_ECDSA_P384_SHA_384,
};

const keyDetails = (path: string, key: KeyObject): PublicKeyDetails => {
  const { namedCurve = "" } = key.asymmetricKeyDetails ?? {};
  const details = key.asymmetricKeyType === "ed25519" ? PublicKeyDetails.PKIX_ED25519 : CURVES[namedCurve];
  if (details !== undefined) return details;
  throw refused(
    path,
    `a key of type ${key.asymmetricKeyType ?? "unknown"}`,
    "It must be ECDSA P-256, P-384 or Ed25519.",
  );
};

const subjectPart = (certificate: X509Certificate, name: string): string =>
  certificate.subject
    .split("\n")
    .find((line) => line.startsWith(`${name}=`))
    ?.slice(name.length + 1) ?? "";

type LogInstance = TrustedRoot["tlogs"][number];

const authorityOf = ({ url, chainPem }: FactoryTrust["authority"]): CertificateAuthority => {
  const chain = certificates("authority.chainPem", chainPem);
  return {
    subject: { organization: subjectPart(chain[0], "O"), commonName: subjectPart(chain[0], "CN") },
    uri: url,
    certChain: { certificates: chain.map(({ raw }) => ({ rawBytes: raw })) },
    // Of a chain, the part of time in which every certificate is valid.
    validFor: {
      start: new Date(Math.max(...chain.map(({ validFrom }) => Date.parse(validFrom)))),
      end: undefined,
    },
    operator: "",
  };
};

const logOf = ({ url, publicKeyPem }: FactoryTrust["log"], start: Date): LogInstance => {
  const path = "log.publicKeyPem";
  let key: KeyObject;
  try {
    key = createPublicKey(publicKeyPem);
  } catch {
    throw refused(path, "no public key", "It must be SPKI PEM.");
  }
  const rawBytes = key.export({ type: "spki", format: "der" });
  return {
    baseUrl: url,
    hashAlgorithm: HashAlgorithm.SHA2_256,
    publicKey: { rawBytes, keyDetails: keyDetails(path, key), validFor: { start, end: undefined } },
    logId: { keyId: createHash("sha256").update(rawBytes).digest() },
    checkpointKeyId: undefined,
    operator: "",
  };
};

/** The SHA-256 digests, in hex, by which keys, signers and images are shown and revoked. */
export const fingerprints = {
  /** Of an authority: that of its issuing certificate. */
  authority: ({ certChain }: CertificateAuthority): string =>
    sha256(certChain?.certificates[0]?.rawBytes ?? Buffer.alloc(0)),
  /** Of a log: that of its public key, which is also its log id. */
  log: ({ publicKey }: LogInstance): string => sha256(publicKey?.rawBytes ?? Buffer.alloc(0)),
  /** Of a builder's signer: that of builder id, identity and issuer, a line each. */
  builder: ({ builderId, signer }: Pick<Builder, "builderId" | "signer">): string =>
    sha256([builderId, signer.identity, signer.issuer].join("\n")),
  /** Of an image: its own. */
  image: ({ reference }: Pick<FactoryImage, "reference">): string => reference.slice(-64),
};

/** The entries with the factory's present ones open, and every other one that was open closed. */
const succeed = <T>(
  entries: readonly T[],
  present: readonly T[],
  fingerprint: (entry: T) => string,
  isOpen: (entry: T) => boolean,
  close: (entry: T) => T,
): T[] => {
  const ids = new Set(present.map(fingerprint));
  const former = entries.filter((entry) => !ids.has(fingerprint(entry)));
  const known = new Map(entries.filter(isOpen).map((entry) => [fingerprint(entry), entry]));
  return [
    ...former.map((entry) => (isOpen(entry) ? close(entry) : entry)),
    ...present.map((entry) => known.get(fingerprint(entry)) ?? entry),
  ];
};

/** What changes the trust of a repository. */
export interface TrustChange {
  /** What the repository says so far. @default nothing */
  previous?: Trust;
  /** What the factory signs with now. */
  current: FactoryTrust;
  /**
   * What counts for nothing from now on, whenever it was used: fingerprints of what is known here, and images by digest,
   * whoever built them. @default none
   */
  revoke?: readonly string[];
  /** Content of the policy bundle's files, by path. @default what the factory says of its rules */
  policy?: Readonly<Record<string, string | Buffer>>;
  now: Date;
}

/**
 * The trust that follows: what the factory uses now is open, what it used before ends now and still verifies what is
 * older, and what is revoked is gone. The same change twice gives the same trust.
 *
 * @throws FactoryError `SSF-TRUST-008` when the factory's values are no certificates or keys
 * @throws FactoryError `SSF-TRUST-009` when a fingerprint is unknown, or the factory still uses what is revoked
 */
export const updateTrust = ({ previous, current, revoke = [], policy, now }: TrustChange): Trust => {
  const authority = authorityOf(current.authority);
  const start = authority.validFor?.start;
  const known = {
    authorities: previous?.trustedRoot.certificateAuthorities ?? [],
    logs: previous?.trustedRoot.tlogs ?? [],
    builders: previous?.builders ?? [],
    images: previous?.images ?? [],
  };
  // A log may get its new key before the authority has its own, and then has entries by the former authority.
  const starts = [authority, ...known.authorities].flatMap(({ validFor }) => validFor?.start ?? []);
  const log = logOf(current.log, new Date(Math.min(...starts.map(Number))));
  const builder: Builder = {
    builderId: current.builderId,
    signer: current.signer,
    validFor: { start: (start ?? now).toISOString() },
  };
  const images: FactoryImage[] = [...new Set(current.images)].sort().map((reference) => ({
    reference,
    validFor: { start: now.toISOString() },
  }));
  const present = [
    ...[fingerprints.authority(authority), fingerprints.log(log), fingerprints.builder(builder)],
    ...images.map(fingerprints.image),
  ];
  const revoked = addRevoked(previous?.revoked ?? [], revoke, known, now);
  for (const { sha256: id } of revoked) if (present.includes(id)) throw revocation(id, "in use by the factory");

  const remains = <T>(fingerprint: (entry: T) => string) => {
    const gone = new Set(revoked.map(({ sha256: id }) => id));
    return (entry: T) => !gone.has(fingerprint(entry));
  };
  const authorities = succeed(
    known.authorities,
    [authority],
    fingerprints.authority,
    ({ validFor }) => validFor?.end === undefined,
    (entry) => ({ ...entry, validFor: { start: entry.validFor?.start, end: now } }),
  );
  const logs = succeed(
    known.logs,
    [log],
    fingerprints.log,
    ({ publicKey }) => publicKey?.validFor?.end === undefined,
    ({ publicKey, ...entry }) => ({
      ...entry,
      publicKey: publicKey && { ...publicKey, validFor: { start: publicKey.validFor?.start, end: now } },
    }),
  );
  const ended = <T extends { validFor: Builder["validFor"] }>(entry: T): T => ({
    ...entry,
    validFor: { start: entry.validFor.start, end: now.toISOString() },
  });
  const builders = succeed(
    known.builders,
    [builder],
    fingerprints.builder,
    ({ validFor }) => validFor.end === undefined,
    ended,
  );

  return {
    trustedRoot: {
      mediaType: MEDIA_TYPE,
      tlogs: logs.filter(remains(fingerprints.log)),
      certificateAuthorities: authorities.filter(remains(fingerprints.authority)),
      ctlogs: [],
      timestampAuthorities: [],
    },
    builders: builders.filter(remains(fingerprints.builder)),
    images: succeed(
      known.images,
      images,
      fingerprints.image,
      ({ validFor }) => validFor.end === undefined,
      ended,
    ).filter(remains(fingerprints.image)),
    revoked,
    policy: policy === undefined ? byPath(current.policy ?? previous?.policy ?? []) : policyFiles(policy),
  };
};

const byPath = (files: readonly PolicyFile[]): PolicyFile[] =>
  [...files].sort((one, other) => (one.path < other.path ? -1 : 1));

const policyFiles = (policy: Readonly<Record<string, string | Buffer>>): PolicyFile[] =>
  byPath(Object.entries(policy).map(([path, content]) => ({ path, sha256: sha256(content) })));

const addRevoked = (
  before: Trust["revoked"],
  revoke: readonly string[],
  known: { authorities: CertificateAuthority[]; logs: LogInstance[]; builders: Builder[]; images: FactoryImage[] },
  now: Date,
): Trust["revoked"] => {
  const ids = [
    ...known.authorities.map(fingerprints.authority),
    ...known.logs.map(fingerprints.log),
    ...known.builders.map(fingerprints.builder),
    ...known.images.map(fingerprints.image),
  ];
  const named = [...new Set(revoke)].map((given) =>
    imageReference.safeParse(given).success
      ? { sha256: fingerprints.image({ reference: given }), image: given }
      : { sha256: given },
  );
  const fresh = named.filter(({ sha256: id }) => !before.some((one) => one.sha256 === id));
  for (const { sha256: id, image } of fresh)
    if (image === undefined && !ids.includes(id)) throw revocation(id, "unknown");
  return [...before, ...fresh.map((one) => ({ ...one, at: now.toISOString() }))];
};

const revocation = (id: string, given: string): FactoryError =>
  new FactoryError({
    code: "SSF-TRUST-009",
    path: `--revoke ${id}`,
    given,
    rule: "What is revoked is an authority, log, signer or image of the repository that the factory does not use any more, or an image by digest that it has built.",
    fix: "Take the fingerprint from ./factory trust show, or write <repository>@sha256:<64 hexadecimal digits>; give the factory another before you revoke its present one.",
  });

const json = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`;

/** The targets that say this trust: content by name. */
export const writeTargets = ({ trustedRoot, builders, images, revoked, policy }: Trust): Record<string, string> => ({
  [TARGETS.trustedRoot]: json(TrustedRoot.toJSON(trustedRoot)),
  [TARGETS.builders]: json({ schema: 1, builders, revoked }),
  [TARGETS.images]: json({ schema: 1, images }),
  [TARGETS.policy]: json({ schema: 1, files: policy }),
});

/**
 * The trust that targets say.
 *
 * @param contents content of each target by its name
 * @throws FactoryError `SSF-TRUST-012` when a target is missing or has another form
 */
export const parseTargets = (contents: Readonly<Record<string, string>>): Trust => {
  const trustedRoot = read(contents, TARGETS.trustedRoot, (value) => TrustedRoot.fromJSON(value));
  const { builders, revoked } = read(contents, TARGETS.builders, (value) => buildersSchema.parse(value));
  // What an older program signed names no images.
  const { images } =
    contents[TARGETS.images] === undefined
      ? { images: [] }
      : read(contents, TARGETS.images, (value) => imagesSchema.parse(value));
  const { files } = read(contents, TARGETS.policy, (value) => policySchema.parse(value));
  return { trustedRoot, builders, images, revoked, policy: files };
};

const read = <T>(contents: Readonly<Record<string, string>>, name: string, parse: (value: unknown) => T): T => {
  const content = contents[name];
  try {
    if (content !== undefined) return parse(JSON.parse(content));
  } catch {
    // Told below, like a target that is not there.
  }
  throw new FactoryError({
    code: "SSF-TRUST-012",
    path: `target ${name}`,
    given: content === undefined ? "not there" : "of a form that this program does not know",
    rule: `The trust repository has the targets ${Object.values(TARGETS).join(", ")}.`,
    fix: "Run ./factory trust sign with this version of the program, then bring the factory's stack up.",
  });
};

/** The signers whose provenance counted for a builder at a time; the log's own time of an entry, for instance. */
export const signersAt = ({ builders }: Pick<Trust, "builders">, builderId: string, at: Date): Builder["signer"][] =>
  builders
    .filter((builder) => builder.builderId === builderId)
    .filter(({ validFor: { start, end } }) => new Date(start) <= at && (end === undefined || at <= new Date(end)))
    .map(({ signer }) => signer);

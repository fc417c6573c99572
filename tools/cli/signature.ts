import { createPublicKey, X509Certificate } from "node:crypto";
import { toDSSEBundle, type TransparencyLogEntry } from "@sigstore/bundle";
import { X509Certificate as AuthorityCertificate, crypto, json } from "@sigstore/core";
import { type SignedEntity, type Signer, toSignedEntity, type TrustMaterial, Verifier } from "@sigstore/verify";
import { z } from "zod";
import type { Attestation } from "./registry";

/** Payload type of an in-toto statement. */
export const statementPayloadType = "application/vnd.in-toto+json";

/** Whose signature counts, who says so, and which log must have it. */
export interface SignaturePolicy {
  /** SPIFFE ID that the signer's certificate must be for: exactly this one, and no other name beside it. */
  identity: string;
  /** Issuer of the token for which the certificate was given, as a URL. */
  issuer: string;
  /** Certificates of the authority, from the one that signs down to its self-signed root, as PEM. */
  certificateAuthorityPem: string;
  /** Public key of the log, as PEM. */
  logPublicKeyPem: string;
}

/** The policies that count for an entry of the log, by its log and its time; none where nothing does. */
export type SignatureTrust = (entry: LogEntry) => readonly SignaturePolicy[];

const envelopeSchema = z.object({
  payloadType: z.string(),
  payload: z.base64(),
  signatures: z.array(z.object({ keyid: z.string().optional(), sig: z.base64() })).length(1),
});

/** A signed statement, as it lies in the registry. */
export type Envelope = z.infer<typeof envelopeSchema>;

/** An entry of the log, with the log's promise to include it. */
export interface LogEntry {
  body: Buffer;
  /** When the log took it, in seconds since 1970. */
  integratedTime: number;
  logIndex: number;
  /** SHA-256 of the log's public key, in hexadecimal. */
  logId: string;
  /** The log's signature over all of the above. */
  signedEntryTimestamp: Buffer;
}

/** A signed statement, and what lies beside it. */
export interface SignedStatement {
  envelope: Envelope;
  /** The envelope's bytes, of which the log keeps the digest. */
  bytes: Buffer;
  /** Certificate of the key that signed it. */
  certificate?: X509Certificate;
  entry?: LogEntry;
}

const bundleSchema = z.object({
  SignedEntryTimestamp: z.base64(),
  Payload: z.object({
    body: z.base64(),
    integratedTime: z.int().nonnegative(),
    logIndex: z.int().nonnegative(),
    logID: z.string(),
  }),
});

const parse = <T>(schema: z.ZodType<T>, content: Buffer | string): T | undefined => {
  try {
    return schema.safeParse(JSON.parse(content.toString())).data;
  } catch {
    return undefined;
  }
};

const parseCertificate = (pem: Buffer | string): X509Certificate | undefined => {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
};

const parseEntry = (annotation: string): LogEntry | undefined => {
  const bundle = parse(bundleSchema, annotation);
  if (bundle === undefined) return undefined;
  const { body, integratedTime, logIndex, logID } = bundle.Payload;
  return {
    body: Buffer.from(body, "base64"),
    integratedTime,
    logIndex,
    logId: logID,
    signedEntryTimestamp: Buffer.from(bundle.SignedEntryTimestamp, "base64"),
  };
};

/** The signed statement in a layer; undefined when it is none, or has not exactly one signature. */
export const parseAttestation = ({ content, annotations }: Attestation): SignedStatement | undefined => {
  const envelope = parse(envelopeSchema, content);
  if (envelope === undefined) return undefined;
  return {
    envelope,
    bytes: content,
    certificate: parseCertificate(annotations["dev.sigstore.cosign/certificate"] ?? ""),
    entry: parseEntry(annotations["dev.sigstore.cosign/bundle"] ?? ""),
  };
};

/** ID of the log with that public key, in hexadecimal. */
export const logIdOf = (publicKeyPem: string): string =>
  crypto.digest("sha256", createPublicKey(publicKeyPem).export({ type: "spki", format: "der" })).toString("hex");

/** How far two clocks may be apart, in seconds: those of the log, of the cluster's nodes, and of whoever verifies. */
export const CLOCK_TOLERANCE_SECONDS = 60;

const promiseFault = (
  { body, integratedTime, logIndex, logId, signedEntryTimestamp }: LogEntry,
  logPublicKeyPem: string,
): string | undefined => {
  const expected = logIdOf(logPublicKeyPem);
  if (logId !== expected) return `it was entered in log ${logId}, not in the factory's, ${expected}`;
  const promised = json.canonicalize({ body: body.toString("base64"), integratedTime, logIndex, logID: logId });
  return crypto.verify(Buffer.from(promised), createPublicKey(logPublicKeyPem), signedEntryTimestamp)
    ? undefined
    : "the promise to include it is not signed by the factory's log";
};

/** When the log took an entry, as text. */
export const timeOf = ({ integratedTime }: LogEntry): string => new Date(integratedTime * 1000).toISOString();

/** An entry that says it comes from the future would keep its certificate, and what is trusted at that time, in force. */
const clockFault = (entry: LogEntry): string | undefined =>
  entry.integratedTime * 1000 <= Date.now() + CLOCK_TOLERANCE_SECONDS * 1000
    ? undefined
    : `its log entry is of ${timeOf(entry)}, which is later than now, ${new Date().toISOString()}`;

const sha256Schema = z.object({ algorithm: z.literal("sha256"), value: z.hash("sha256") });
const intotoSchema = z.object({
  kind: z.literal("intoto"),
  apiVersion: z.literal("0.0.1"),
  spec: z.object({
    content: z.object({ hash: sha256Schema, payloadHash: sha256Schema }),
    publicKey: z.base64(),
  }),
});

const sha256 = (content: Buffer): string => crypto.digest("sha256", content).toString("hex");

/**
 * Compares an entry of Rekor's type `intoto` 0.0.1, which cosign 2 writes for Chains, with what it must be about.
 * `@sigstore/verify` knows no version of that type but 0.0.2.
 */
const entryFault = (
  { envelope, bytes }: SignedStatement,
  certificate: X509Certificate,
  body: Buffer,
): string | undefined => {
  const entry = parse(intotoSchema, body);
  if (entry === undefined) return "its log entry is none of type intoto 0.0.1";
  const { content, publicKey } = entry.spec;
  if (
    content.hash.value !== sha256(bytes) ||
    content.payloadHash.value !== sha256(Buffer.from(envelope.payload, "base64"))
  )
    return "its log entry is about another statement";
  return parseCertificate(Buffer.from(publicKey, "base64"))?.raw.equals(certificate.raw) === true
    ? undefined
    : "its log entry is about another certificate";
};

const always = { start: new Date(0), end: new Date(8.64e15) };

const trustOnly = (certificateAuthorityPem: string): TrustMaterial => ({
  certificateAuthorities: [
    {
      certChain: (
        certificateAuthorityPem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
      ).map((pem) => AuthorityCertificate.parse(pem)),
      validFor: always,
    },
  ],
  timestampAuthorities: [],
  tlogs: [],
  ctlogs: [],
  publicKey: () => {
    throw new Error("no key counts without a certificate");
  },
});

const toEntity = ({ envelope }: SignedStatement, certificate: X509Certificate, entry: LogEntry): SignedEntity => {
  const bundle = toDSSEBundle({
    artifact: Buffer.from(envelope.payload, "base64"),
    artifactType: envelope.payloadType,
    signature: Buffer.from(envelope.signatures[0]?.sig ?? "", "base64"),
    certificate: certificate.raw,
  });
  const tlogEntry: TransparencyLogEntry = {
    logIndex: String(entry.logIndex),
    logId: { keyId: Buffer.from(entry.logId, "hex") },
    kindVersion: { kind: "intoto", version: "0.0.1" },
    integratedTime: String(entry.integratedTime),
    inclusionPromise: { signedEntryTimestamp: entry.signedEntryTimestamp },
    inclusionProof: undefined,
    canonicalizedBody: entry.body,
  };
  return { ...toSignedEntity(bundle), timestamps: [{ $case: "transparency-log", tlogEntry }] };
};

const codeSigning = "1.3.6.1.5.5.7.3.3";

const identityFault = (certificate: X509Certificate, signer: Signer, policy: SignaturePolicy): string | undefined => {
  if (!certificate.keyUsage.includes(codeSigning)) return "its certificate is not for signing code";
  const name = `URI:${policy.identity}`;
  if (certificate.subjectAltName !== name)
    return `expected a certificate for ${name}, found ${certificate.subjectAltName ?? "no name"}`;
  const issuer = signer.identity?.extensions?.issuer;
  return issuer === policy.issuer
    ? undefined
    : `expected an identity by ${policy.issuer}, found ${issuer ?? "no issuer"}`;
};

/**
 * Checks who signed a statement, and when: the log's promise proves the time at which the certificate must have been valid.
 *
 * @returns what is wrong with it; undefined when it holds
 */
export const signatureFault = (statement: SignedStatement, policy: SignaturePolicy): string | undefined => {
  const { certificate, entry } = statement;
  if (certificate === undefined) return "no certificate of the signer lies beside it";
  if (entry === undefined) return "no log entry lies beside it";
  const entered =
    promiseFault(entry, policy.logPublicKeyPem) ?? clockFault(entry) ?? entryFault(statement, certificate, entry.body);
  if (entered !== undefined) return entered;
  const verifier = new Verifier(trustOnly(policy.certificateAuthorityPem), {
    tlogThreshold: 0,
    ctlogThreshold: 0,
    timestampThreshold: 1,
  });
  try {
    const signer = verifier.verify(toEntity(statement, certificate, entry));
    return identityFault(certificate, signer, policy);
  } catch (error) {
    const { message, cause } = error as Error;
    const { validFrom, validTo } = certificate;
    return cause instanceof Error
      ? `the certificate, valid from ${validFrom} to ${validTo}, at ${timeOf(entry)}: ${cause.message}`
      : message;
  }
};

/** What is wrong with a signature, or under whose name it holds. */
export type SignatureFinding = { fault: string } | { fault: undefined; policy: SignaturePolicy };

/** Checks a statement by the policies that count for its entry; it holds when it holds by one of them. */
export const checkSignature = (statement: SignedStatement, trust: SignatureTrust): SignatureFinding => {
  const { certificate, entry } = statement;
  if (certificate === undefined) return { fault: "no certificate of the signer lies beside it" };
  if (entry === undefined) return { fault: "no log entry lies beside it" };
  const faults: string[] = [];
  for (const policy of trust(entry)) {
    const fault = signatureFault(statement, policy);
    if (fault === undefined) return { fault, policy };
    faults.push(fault);
  }
  return {
    fault: faults[0] ?? `nothing that is trusted counts for an entry of log ${entry.logId} at ${timeOf(entry)}`,
  };
};

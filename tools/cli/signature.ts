import { createPublicKey } from "node:crypto";
import { toDSSEBundle } from "@sigstore/bundle";
import { type TrustMaterial, toSignedEntity, Verifier } from "@sigstore/verify";
import { z } from "zod";

/** Payload type of an in-toto statement. */
export const statementPayloadType = "application/vnd.in-toto+json";

/** Whose signature counts, and what must stand beside it. */
export interface SignaturePolicy {
  /** Public key of the factory's provenance, as PEM. */
  publicKeyPem: string;
  /** Entries of a transparency log that must be there. */
  logEntries: number;
}

const envelopeSchema = z.object({
  payloadType: z.string(),
  payload: z.base64(),
  signatures: z.array(z.object({ keyid: z.string().optional(), sig: z.base64() })).length(1),
});

/** A signed statement, as it lies in the registry. */
export type Envelope = z.infer<typeof envelopeSchema>;

/** The envelope in a blob; undefined when it is none, or has not exactly one signature. */
export const parseEnvelope = (blob: Buffer): Envelope | undefined => {
  try {
    return envelopeSchema.safeParse(JSON.parse(blob.toString())).data;
  } catch {
    return undefined;
  }
};

const trustOnly = (publicKeyPem: string): TrustMaterial => ({
  certificateAuthorities: [],
  timestampAuthorities: [],
  tlogs: [],
  ctlogs: [],
  publicKey: () => ({ publicKey: createPublicKey(publicKeyPem), validFor: () => true }),
});

/**
 * Checks the envelope's signature.
 *
 * @returns what is wrong with it; undefined when it holds
 */
export const signatureFault = (envelope: Envelope, policy: SignaturePolicy): string | undefined => {
  const bundle = toDSSEBundle({
    artifact: Buffer.from(envelope.payload, "base64"),
    artifactType: envelope.payloadType,
    signature: Buffer.from(envelope.signatures[0]?.sig ?? "", "base64"),
    keyHint: "factory",
  });
  const verifier = new Verifier(trustOnly(policy.publicKeyPem), {
    tlogThreshold: policy.logEntries,
    ctlogThreshold: 0,
    timestampThreshold: 0,
  });
  try {
    verifier.verify(toSignedEntity(bundle));
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
};

import * as crypto from "node:crypto";
import { p256 } from "@noble/curves/nist.js";
import { FactoryError } from "../components/lib/errors";
import { definitionChecksum, signatureAnnotation, type TektonObject } from "./canonical";

/** Whoever signs definitions: a key here, or one that is known only later, or a service that holds it. */
export interface DefinitionSigner<Text = string> {
  /** The key that Tekton verifies with, as SPKI PEM. */
  publicKeyPem: Text;
  /** Signs a definition's 32-byte checksum; the same checksum always gets the same signature, in base64. */
  sign(checksum: Buffer, definition: TektonObject): Text;
}

/** A definition with its signature among its annotations. */
export type Signed<T extends TektonObject, Text = string> = Omit<T, "metadata"> & {
  metadata: Omit<TektonObject["metadata"], "annotations"> & { annotations: Record<string, string | Text> };
};

/** Whether definitions may be signed with such a key, public or private. */
export const signsDefinitions = (key: crypto.KeyObject): boolean =>
  key.asymmetricKeyType === "ed25519" || key.asymmetricKeyDetails?.namedCurve === "prime256v1";

/** A signer from an Ed25519 or ECDSA P-256 private key in PKCS #8 PEM. */
export const definitionSigner = (privateKeyPem: string): DefinitionSigner => {
  const key = readPrivateKey(privateKeyPem);
  return {
    publicKeyPem: crypto.createPublicKey(key).export({ type: "spki", format: "pem" }) as string,
    sign: (checksum) => signatureOf(checksum, key).toString("base64"),
  };
};

/** Node's own ECDSA takes a new random number each time; this one takes it from key and message (RFC 6979). */
const signatureOf = (checksum: Uint8Array, key: crypto.KeyObject): Buffer => {
  if (key.asymmetricKeyType === "ed25519") return crypto.sign(null, checksum, key);
  const scalar = Buffer.from(key.export({ format: "jwk" }).d ?? "", "base64url");
  return Buffer.from(p256.sign(checksum, scalar, { prehash: true, lowS: false }).toBytes("der"));
};

const readPrivateKey = (pem: string): crypto.KeyObject => {
  let given = "text that is no private key";
  try {
    const key = crypto.createPrivateKey(pem);
    if (signsDefinitions(key)) return key;
    given = `a key of type ${String(key.asymmetricKeyType)}`;
  } catch {
    // The message of the parser could hold parts of the key.
  }
  throw new FactoryError({
    code: "SSF-PIPELINE-014",
    path: "privateKeyPem",
    given,
    rule: "Definitions are signed by an Ed25519 or ECDSA P-256 key.",
    fix: "Give the PKCS #8 PEM of such a private key, for instance from: openssl genpkey -algorithm ed25519",
  });
};

/** The definition with its signature in the annotation that Tekton reads. Nothing may be added to it afterwards. */
export const signDefinition = <T extends TektonObject, Text = string>(
  definition: T,
  signer: DefinitionSigner<Text>,
): Signed<T, Text> => ({
  ...definition,
  metadata: {
    ...definition.metadata,
    annotations: {
      ...definition.metadata.annotations,
      [signatureAnnotation]: signer.sign(definitionChecksum(definition), definition),
    },
  },
});

/** Whether the definition carries a signature of this key over what it is now. */
export const verifyDefinition = (definition: TektonObject, publicKeyPem: string): boolean => {
  const signature = definition.metadata.annotations?.[signatureAnnotation];
  return signature !== undefined && verifyChecksum(definitionChecksum(definition), signature, publicKeyPem);
};

/** Whether the signature, in base64, is this key's over a definition's checksum. */
export const verifyChecksum = (checksum: Buffer, signature: string, publicKeyPem: string): boolean => {
  const key = crypto.createPublicKey(publicKeyPem);
  const hash = key.asymmetricKeyType === "ed25519" ? null : "sha256";
  return crypto.verify(hash, checksum, key, Buffer.from(signature, "base64"));
};

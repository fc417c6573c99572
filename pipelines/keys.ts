import * as crypto from "node:crypto";
import { FactoryError } from "../components/lib/errors";

/** A key pair as PEM text: PKCS #8 and SPKI, as Tekton, Chains and cosign read them. */
export interface KeyPair {
  /** The private key, unencrypted; keep it secret. */
  privateKeyPem: string;
  /** The public key. */
  publicKeyPem: string;
}

const seedLength = 32;
/** What PKCS #8 puts before the 32 bytes of an Ed25519 private key (RFC 8410, section 7). */
const ed25519Prefix = Buffer.from("302e020100300506032b657004220420", "hex");
const p256Order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

const seedBytes = (seedBase64: string): Buffer => {
  const seed = Buffer.from(seedBase64, "base64");
  if (seed.length === seedLength && seed.toString("base64") === seedBase64) return seed;
  throw new FactoryError({
    code: "SSF-PIPELINE-014",
    path: "seed",
    given: `${seed.length} bytes`,
    rule: `A key is made from exactly ${seedLength} random bytes in standard base64.`,
    fix: `Give base64 of ${seedLength} bytes, for instance from random.RandomBytes.`,
  });
};

const keyPair = (privateKey: crypto.KeyObject): KeyPair => ({
  privateKeyPem: privateKey.export({ type: "pkcs8", format: "pem" }) as string,
  publicKeyPem: crypto.createPublicKey(privateKey).export({ type: "spki", format: "pem" }) as string,
});

/** The Ed25519 key pair of a seed: 32 random bytes in base64. It signs definitions. */
export const ed25519KeyPair = (seedBase64: string): KeyPair =>
  keyPair(
    crypto.createPrivateKey({
      key: Buffer.concat([ed25519Prefix, seedBytes(seedBase64)]),
      format: "der",
      type: "pkcs8",
    }),
  );

/**
 * The ECDSA P-256 key pair of a seed: 32 random bytes in base64. It is for Chains, whose `x509.pem` must be ECDSA:
 * any other kind of key ends its controller.
 */
export const ecdsaKeyPair = (seedBase64: string): KeyPair => {
  const wide = crypto.createHash("sha512").update("ecdsa-p256\0").update(seedBytes(seedBase64)).digest("hex");
  const scalar = (BigInt(`0x${wide}`) % (p256Order - 1n)) + 1n;
  const d = Buffer.from(scalar.toString(16).padStart(64, "0"), "hex");
  const curve = crypto.createECDH("prime256v1");
  curve.setPrivateKey(d);
  const point = curve.getPublicKey();
  const key = {
    kty: "EC",
    crv: "P-256",
    d: d.toString("base64url"),
    x: point.subarray(1, 33).toString("base64url"),
    y: point.subarray(33).toString("base64url"),
  };
  return keyPair(crypto.createPrivateKey({ key, format: "jwk" }));
};

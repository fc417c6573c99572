import * as crypto from "node:crypto";

import { canonicalize } from "@tufjs/canonical-json";
import { Key, Signature } from "@tufjs/models";

import { FactoryError } from "../components/lib/errors";
import { sha256 } from "../components/lib/digest";

/** A key that can sign metadata, while it is in memory. */
export interface SigningKey {
  /** Key id of TUF 1.0, section 4.2: SHA-256 of the public key's canonical JSON, in hex. */
  id: string;
  /** The public key as it stands in root metadata. */
  publicKey: Key;
  /** Signs bytes with Ed25519. */
  sign: (data: Buffer) => Signature;
}

/** A key that was just made: it signs, and can be written down once. */
export interface NewKey extends SigningKey {
  /** PKCS #8 PEM, encrypted with a passphrase (AES-256-CBC, PBKDF2). */
  encrypt: (passphrase: string) => string;
}

/** Fewest characters of a passphrase, as NIST SP 800-63B-4 asks of one that stands alone. */
export const MINIMUM_PASSPHRASE = 15;

const ENCRYPTED = "-----BEGIN ENCRYPTED PRIVATE KEY-----";

const signingKey = (privateKey: crypto.KeyObject): SigningKey => {
  const { x = "" } = crypto.createPublicKey(privateKey).export({ format: "jwk" });
  const keyVal = { public: Buffer.from(x, "base64url").toString("hex") };
  const id = sha256(canonicalize({ keytype: "ed25519", scheme: "ed25519", keyval: keyVal }));
  return {
    id,
    publicKey: new Key({ keyID: id, keyType: "ed25519", scheme: "ed25519", keyVal }),
    sign: (data) => new Signature({ keyID: id, sig: crypto.sign(null, data, privateKey).toString("hex") }),
  };
};

/** Makes an Ed25519 key. */
export const newKey = (): NewKey => {
  const { privateKey } = crypto.generateKeyPairSync("ed25519");
  return {
    ...signingKey(privateKey),
    encrypt: (passphrase) =>
      privateKey.export({
        type: "pkcs8",
        format: "pem",
        cipher: "aes-256-cbc",
        passphrase: requirePassphrase(passphrase),
      }) as string,
  };
};

/**
 * Checks that a passphrase is long enough.
 *
 * @throws FactoryError `SSF-TRUST-002`
 */
export const requirePassphrase = (passphrase: string): string => {
  if (passphrase.length >= MINIMUM_PASSPHRASE) return passphrase;
  throw new FactoryError({
    code: "SSF-TRUST-002",
    path: "passphrase",
    given: `${passphrase.length} characters`,
    rule: `The passphrase of the keys has at least ${MINIMUM_PASSPHRASE} characters.`,
    fix: "Choose a longer one, such as five words that a machine picked.",
  });
};

/**
 * Reads an encrypted key.
 *
 * @param path where the key lies, for messages
 * @throws FactoryError `SSF-TRUST-003` when it is not encrypted, not Ed25519, or the passphrase is another one
 */
export const decryptKey = (path: string, pem: string, passphrase: string): SigningKey => {
  if (!pem.startsWith(ENCRYPTED)) throw unreadable(path, "no encrypted key (PKCS #8 PEM)");
  let privateKey: crypto.KeyObject;
  try {
    privateKey = crypto.createPrivateKey({ key: pem, format: "pem", passphrase });
  } catch {
    throw unreadable(path, "a key that this passphrase does not open");
  }
  if (privateKey.asymmetricKeyType !== "ed25519")
    throw unreadable(path, `a key of type ${privateKey.asymmetricKeyType ?? "unknown"}`);
  return signingKey(privateKey);
};

const unreadable = (path: string, given: string): FactoryError =>
  new FactoryError({
    code: "SSF-TRUST-003",
    path,
    given,
    rule: "It must be an Ed25519 key that the ceremony wrote, and the passphrase must be its own.",
    fix: "Give the passphrase of the ceremony, or move what is no such key out of the directory.",
  });

import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Directory of the program that serves keys named `testkms://`; it belongs on `PATH`. */
export const kmsPrograms = join(__dirname, "kms");

/** A key of the test's own service. */
export interface ServiceKey {
  /** Name of the key, as Sigstore writes it. */
  reference: string;
  /** The file in which the service keeps it. */
  file: string;
  /** SPKI PEM. */
  publicKeyPem: string;
  /** How many signatures the service has made with it. */
  signatures: () => number;
}

const keyPair = (type: KeyType): { privateKey: KeyObject; publicKey: KeyObject } => {
  if (type === "ed25519") return generateKeyPairSync("ed25519");
  if (type === "rsa") return generateKeyPairSync("rsa", { modulusLength: 2048 });
  return generateKeyPairSync("ec", { namedCurve: type });
};

/** Kinds of keys that the service can hold. */
export type KeyType = "ed25519" | "prime256v1" | "rsa" | "secp384r1";

let keys = 0;

/** Makes a new key, kept in a file of that directory. */
export const serviceKey = (directory: string, type: KeyType): ServiceKey => {
  const { privateKey, publicKey } = keyPair(type);
  const file = join(directory, `${type}-${++keys}.pem`);
  writeFileSync(file, privateKey.export({ type: "pkcs8", format: "pem" }));
  const calls = () => (existsSync(`${file}.calls`) ? readFileSync(`${file}.calls`, "utf8").split("\n") : []);
  return {
    reference: `testkms://${file}`,
    file,
    publicKeyPem: publicKey.export({ type: "spki", format: "pem" }) as string,
    signatures: () => calls().filter((method) => method === "signMessage").length,
  };
};

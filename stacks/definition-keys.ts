import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";

import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";

import { FactoryError } from "../components/lib/errors";
import { definitionSigner, ed25519KeyPair } from "../pipelines";
import type { FactoryConfig } from "./config";

/** The key that signs definitions, and those that did so before and still verify. */
export interface DefinitionKeys {
  /** PKCS #8 PEM; secret. */
  privateKeyPem: pulumi.Input<string>;
  /** SPKI PEM. */
  publicKeyPem: pulumi.Input<string>;
  /** SPKI PEM, newest first. */
  formerPublicKeysPem: pulumi.Input<string>[];
}

/** The keys that the settings ask for: one an epoch, made here and kept in the state; or a file's. */
export const definitionKeys = (config: FactoryConfig): DefinitionKeys => {
  const listed = config.definitionsFormerKeysFile === undefined ? [] : formerKeys(config.definitionsFormerKeysFile);
  if (config.definitionsKeyFile !== undefined) {
    const privateKeyPem = read("definitionsKeyFile", config.definitionsKeyFile);
    const { publicKeyPem } = definitionSigner(privateKeyPem);
    return { privateKeyPem: pulumi.secret(privateKeyPem), publicKeyPem, formerPublicKeysPem: listed };
  }
  const newest = config.definitionsKeyEpoch;
  const oldest = config.definitionsOldestKeyEpoch || Math.max(1, newest - 1);
  const former = Array.from({ length: newest - oldest }, (_, index) => keyOfEpoch(newest - 1 - index));
  const current = keyOfEpoch(newest);
  return {
    privateKeyPem: pulumi.secret(current.privateKeyPem),
    publicKeyPem: pulumi.unsecret(current.publicKeyPem),
    formerPublicKeysPem: [...former.map(({ publicKeyPem }) => pulumi.unsecret(publicKeyPem)), ...listed],
  };
};

const keyOfEpoch = (epoch: number) => {
  const seed = new random.RandomBytes(`definitions-key-${epoch}`, { length: 32 });
  return pulumi.secret(seed.base64).apply(ed25519KeyPair);
};

const formerKeys = (file: string): string[] => {
  const blocks = read("definitionsFormerKeysFile", file).match(/-----BEGIN [^]*?-----END [^-]*-----/g) ?? [];
  try {
    return blocks.map((pem) => createPublicKey(pem).export({ type: "spki", format: "pem" }) as string);
  } catch {
    throw unreadable("definitionsFormerKeysFile", `${file} holds something else than public keys`);
  }
};

const read = (key: string, file: string): string => {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw unreadable(key, error instanceof Error ? error.message : String(error));
  }
};

const unreadable = (key: string, given: string): FactoryError =>
  new FactoryError({
    code: "SSF-CONFIG-005",
    path: `config ${key}`,
    given,
    rule: "It must be the path of a PEM file that this machine can read.",
    fix: `Name such a file, or leave the key out: pulumi config rm ${key}`,
  });

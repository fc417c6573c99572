import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";

import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";

import { FactoryError } from "../components/lib/errors";
import { KmsSignature } from "../components/lib/kms-signature";
import { definitionSigner, type DefinitionSigner, ed25519KeyPair } from "../pipelines";
import type { TeamConfig } from "./config";
import { kmsPublicKey, kmsSignature } from "./kms";
import type { StackOutputs } from "./outputs";

/** Keys whose signatures hold. */
interface VerifyingKeys {
  /** SPKI PEM. */
  publicKeyPem: pulumi.Input<string>;
  /** SPKI PEM, newest first. */
  formerPublicKeysPem: pulumi.Input<string>[];
}

/** A key that is at hand. */
interface OwnKey extends VerifyingKeys {
  /** PKCS #8 PEM; secret. */
  privateKeyPem: pulumi.Input<string>;
}

/** A key that stays in a key management service. */
interface ReferredKey extends VerifyingKeys {
  /** Name of the key, as Sigstore writes it; no secret. */
  keyReference: string;
}

/** The key that signs a team's definitions, and those that did so before and still verify. */
export type DefinitionKeys = OwnKey | ReferredKey;

/** The keys that the settings ask for: one an epoch, made here and kept in the state; a file's; or a service's. */
export const definitionKeys = (config: TeamConfig, bin: string): DefinitionKeys => {
  const listed = config.definitionsFormerKeysFile === undefined ? [] : formerKeys(config.definitionsFormerKeysFile);
  if (config.definitionsKeyReference !== undefined) {
    const keyReference = config.definitionsKeyReference;
    return { keyReference, publicKeyPem: kmsPublicKey(bin, keyReference), formerPublicKeysPem: listed };
  }
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

/** Signs definitions for a stack; a service's signatures are made once and kept in the stack's state. */
export const stackSigner = (keys: DefinitionKeys): DefinitionSigner<pulumi.Input<string>> => {
  const { publicKeyPem } = keys;
  if ("privateKeyPem" in keys) {
    const signer = pulumi.secret(keys.privateKeyPem).apply(definitionSigner);
    return {
      publicKeyPem,
      sign: (checksum, definition) => pulumi.unsecret(signer.apply((own) => own.sign(checksum, definition))),
    };
  }
  const { keyReference } = keys;
  return {
    publicKeyPem,
    sign: (checksum, { kind, metadata }) =>
      new KmsSignature(`signature-${kind.toLowerCase()}-${metadata.name}`, {
        checksum: checksum.toString("hex"),
        keyReference,
        publicKeyPem,
      }).signature,
  };
};

/** Signs definitions at once and outside a stack, so that a service gives another signature each time. */
export const promptSigner = (keys: StackOutputs["team"]["definitions"], bin: string): DefinitionSigner =>
  "privateKeyPem" in keys
    ? definitionSigner(keys.privateKeyPem)
    : { publicKeyPem: keys.publicKeyPem, sign: (checksum) => kmsSignature(bin, keys, checksum) };

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

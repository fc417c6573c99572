import { spawnSync } from "node:child_process";
import { createPublicKey } from "node:crypto";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

import { FactoryError } from "../components/lib/errors";
import { signsDefinitions, verifyChecksum } from "../pipelines";

/** Services that cosign speaks with by itself; any other is served by a program on `PATH`. */
const BUILT_IN = ["awskms", "azurekms", "gcpkms", "hashivault", "openbao"];

/** How long one answer of a service may take. */
const PATIENCE_MS = 60_000;

/** A key of a key management service. */
export interface KmsKey {
  /** Name of the key, as Sigstore writes it. */
  keyReference: string;
  /** The key that its signatures hold for, as SPKI PEM. */
  publicKeyPem: string;
}

/**
 * Asks the service for the public half of a key, as SPKI PEM.
 *
 * @param bin directory of the pinned programs, which holds cosign
 * @throws FactoryError `SSF-KMS-001`, `-002` or `-005` when the service cannot be asked, `-003` when the key is of
 * another kind
 */
export const kmsPublicKey = (bin: string, keyReference: string): string => {
  const key = createPublicKey(cosign(bin, keyReference, ["public-key"]));
  if (signsDefinitions(key)) return key.export({ type: "spki", format: "pem" }) as string;
  const { asymmetricKeyType: type = "unknown", asymmetricKeyDetails: details } = key;
  throw refusal(
    "SSF-KMS-003",
    `${keyReference} is a key of type ${[type, details?.namedCurve].filter(Boolean).join(" ")}`,
    "Definitions are signed by an Ed25519 or ECDSA P-256 key.",
    "Make such a key in the service, and set its name.",
  );
};

/** Flags that make cosign give the signature alone, and tell nobody but the service: no log, no timestamp, no trust root. */
const SIGNATURE_ALONE = ["--tlog-upload=false", "--use-signing-config=false", "--new-bundle-format=false", "--yes"];

/**
 * Lets the service sign a definition's checksum; the signature is in base64, and another one each time for most keys.
 *
 * @param bin directory of the pinned programs, which holds cosign
 * @throws FactoryError `SSF-KMS-001`, `-002` or `-005` when the service cannot be asked, `-004` when the signature does
 * not hold
 */
export const kmsSignature = (bin: string, { keyReference, publicKeyPem }: KmsKey, checksum: Buffer): string => {
  const signature = cosign(bin, keyReference, ["sign-blob", ...SIGNATURE_ALONE, "-"], checksum).trim();
  if (verifyChecksum(checksum, signature, publicKeyPem)) return signature;
  throw refusal(
    "SSF-KMS-004",
    `the signature of ${keyReference} does not hold for the public key that the team's stack knows`,
    "The team's stack must know the key that signs now.",
    "If the key was rotated, bring the team's stack up, with the old public key in definitionsFormerKeysFile.",
  );
};

const cosign = (bin: string, keyReference: string, args: string[], input?: Buffer): string => {
  requireClient(keyReference);
  const program = join(bin, "cosign");
  if (!existsSync(program))
    throw refusal(
      "SSF-KMS-005",
      `${keyReference}, and no program ${program}`,
      "Services are asked by the pinned cosign, which make up does not build, for no other factory needs it.",
      "Run make toolchain once.",
    );
  const { error, status, stdout, stderr } = spawnSync(program, [...args, "--key", keyReference], {
    encoding: "utf8",
    env: process.env,
    timeout: PATIENCE_MS,
    input: input ?? "",
  });
  if (status === 0) return stdout;
  const said = error?.message ?? /^Error: (.*)$/m.exec(stderr)?.[1] ?? `cosign ended with code ${String(status)}`;
  throw refusal(
    "SSF-KMS-002",
    `${keyReference}: ${said}`,
    "The service must know the key, and give its public half and signatures to whoever brings the stacks up.",
    "Mend what the message names: the key's name, or the credentials that the service's own tools read from this environment.",
  );
};

/** Refuses what cosign would take for the name of a file, or for a key that is no service's. */
const requireClient = (keyReference: string): void => {
  const [scheme = ""] = keyReference.split("://");
  const program = `sigstore-kms-${scheme}`;
  const directories = (process.env["PATH"] ?? "").split(delimiter);
  if (BUILT_IN.includes(scheme) || directories.some((directory) => existsSync(join(directory, program)))) return;
  throw refusal(
    "SSF-KMS-001",
    `${keyReference}, and no program ${program} on PATH`,
    `The service is one of ${BUILT_IN.join(", ")}, or a program of that name serves it.`,
    "Install the program where PATH finds it, or correct the key's name.",
  );
};

const refusal = (code: string, given: string, rule: string, fix: string): FactoryError =>
  new FactoryError({ code, path: "config definitionsKeyReference", given, rule, fix });

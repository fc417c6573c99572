import { execFileSync } from "node:child_process";
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Bundle } from "@sigstore/bundle";
import { json } from "@sigstore/core";
import type { TrustedRoot } from "@sigstore/protobuf-specs";
import { DSSEBundleBuilder, type Signature, type Witness } from "@sigstore/sign";
import { type Signer, toSignedEntity, toTrustMaterial, Verifier } from "@sigstore/verify";
import type { FactoryTrust } from "../../../trust";

/** An authority that issues certificates for signers, as Fulcio does. */
export interface Authority {
  chainPem: string;
  /** A certificate of a day for a SPIFFE identity, and its key. */
  issue: (identity: string) => { certificatePem: string; key: KeyObject };
}

/** A transparency log's key. */
export interface Log {
  publicKeyPem: string;
  privateKey: KeyObject;
}

const pem = (key: KeyObject, type: "pkcs8" | "spki") => key.export({ type, format: "pem" }) as string;

const openssl = (directory: string, ...args: string[]) =>
  execFileSync("openssl", args, { cwd: directory, stdio: ["ignore", "pipe", "ignore"] });

const inDirectory = <T>(run: (directory: string) => T): T => {
  const directory = mkdtempSync(join(tmpdir(), "ssf-sigstore-"));
  try {
    return run(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
};

export const newAuthority = (name: string): Authority => {
  const subject = `/O=example/CN=${name}`;
  const { caKey, chainPem } = inDirectory((directory) => {
    const ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key"];
    const extensions = ["-addext", "keyUsage=critical,keyCertSign"];
    openssl(directory, "req", "-x509", ...ec, "-days", "3650", "-subj", subject, ...extensions, "-out", "ca.pem");
    return {
      caKey: readFileSync(join(directory, "ca.key"), "utf8"),
      chainPem: readFileSync(join(directory, "ca.pem"), "utf8"),
    };
  });
  return {
    chainPem,
    issue: (identity) =>
      inDirectory((directory) => {
        const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
        writeFileSync(join(directory, "ca.key"), caKey, { mode: 0o600 });
        writeFileSync(join(directory, "ca.pem"), chainPem);
        writeFileSync(join(directory, "key"), pem(privateKey, "pkcs8"), { mode: 0o600 });
        writeFileSync(
          join(directory, "extensions"),
          `subjectAltName=critical,URI:${identity}\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=codeSigning\n`,
        );
        openssl(directory, "req", "-new", "-key", "key", "-subj", "/", "-out", "request");
        openssl(
          directory,
          ...["x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"],
          ...["-days", "3650", "-extfile", "extensions", "-out", "certificate"],
        );
        return { certificatePem: readFileSync(join(directory, "certificate"), "utf8"), key: privateKey };
      }),
  };
};

export const newLog = (): Log => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return { publicKeyPem: pem(publicKey, "spki"), privateKey };
};

export const identity = "spiffe://factory.example/ns/tekton-chains/sa/tekton-chains-controller";
export const issuer = "https://oidc.example";
export const builderId = "https://factory.example/builder/v1";

/** What a factory with this authority and log says about itself. */
export const factoryTrust = (authority: Authority, log: Log): FactoryTrust => ({
  builderId,
  authority: { url: "https://fulcio.example", chainPem: authority.chainPem },
  log: { url: "https://rekor.example", publicKeyPem: log.publicKeyPem },
  signer: { identity, issuer },
  images: [],
});

const digest = (content: Buffer) => createHash("sha256").update(content).digest();

/** Enters signatures in a log, at a time of the test's choosing. */
const witness = (log: Log, at: Date): Witness => ({
  testify: (content, certificatePem) => {
    if (content.$case !== "dsseEnvelope") throw new Error(`no envelope: ${content.$case}`);
    const { payload, signatures } = content.dsseEnvelope;
    const verifier = Buffer.from(certificatePem).toString("base64");
    const body = Buffer.from(
      JSON.stringify({
        apiVersion: "0.0.1",
        kind: "dsse",
        spec: {
          payloadHash: { algorithm: "sha256", value: digest(payload).toString("hex") },
          signatures: signatures.map(({ sig }) => ({ signature: sig.toString("base64"), verifier })),
        },
      }),
    );
    const logId = digest(createPublicKey(log.publicKeyPem).export({ type: "spki", format: "der" }));
    const integratedTime = Math.floor(at.getTime() / 1000);
    const promised = { body: body.toString("base64"), integratedTime, logIndex: 7, logID: logId.toString("hex") };
    const entry = {
      logIndex: "7",
      logId: { keyId: logId },
      kindVersion: { kind: "dsse", version: "0.0.1" },
      integratedTime: String(integratedTime),
      inclusionPromise: {
        signedEntryTimestamp: sign("sha256", Buffer.from(json.canonicalize(promised)), log.privateKey),
      },
      inclusionProof: undefined,
      canonicalizedBody: body,
    };
    return Promise.resolve({ tlogEntries: [entry] });
  },
});

/** A statement signed under an authority, with an entry of a log made at a time. */
export const signedStatement = (authority: Authority, log: Log, at: Date): Promise<Bundle> => {
  const { certificatePem, key } = authority.issue(identity);
  const signer = {
    sign: (data: Buffer): Promise<Signature> =>
      Promise.resolve({
        signature: sign("sha256", data, key),
        key: { $case: "x509Certificate", certificate: certificatePem },
      }),
  };
  const data = Buffer.from(JSON.stringify({ _type: "https://in-toto.io/Statement/v1" }));
  const builder = new DSSEBundleBuilder({ signer, witnesses: [witness(log, at)] });
  return builder.create({ data, type: "application/vnd.in-toto+json" });
};

/** Verifies as `factory verify` does with a trusted root: one entry of a log, whose time counts. */
export const verifyWith = async (trustedRoot: TrustedRoot, bundle: Promise<Bundle>): Promise<Signer> =>
  new Verifier(toTrustMaterial(trustedRoot), { tlogThreshold: 1, timestampThreshold: 1, ctlogThreshold: 0 }).verify(
    toSignedEntity(await bundle),
  );

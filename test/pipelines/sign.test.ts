import * as crypto from "node:crypto";
import * as fc from "fast-check";
import {
  definitionSigner,
  ecdsaKeyPair,
  ed25519KeyPair,
  signatureAnnotation,
  signDefinition,
  teamPipeline,
  verifyDefinition,
} from "../../pipelines";
import { teamArgs, testKeys, testSigner } from "./fixtures";
import { problemsOf } from "./problems";

const seed = Buffer.alloc(32, 7).toString("base64");
const { tasks, pipeline } = teamPipeline({ ...teamArgs(), signer: testSigner });
const definitions = [...tasks, pipeline];

describe("keys", () => {
  test("Ed25519 keys follow from the seed alone (first test of RFC 8032)", () => {
    const known = Buffer.from("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "hex");
    const { publicKeyPem } = ed25519KeyPair(known.toString("base64"));
    const spki = crypto.createPublicKey(publicKeyPem).export({ type: "spki", format: "der" });
    expect(spki.subarray(-32).toString("hex")).toBe("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  });

  test("ECDSA keys follow from the seed alone, are PKCS #8 and work", () => {
    const keys = ecdsaKeyPair(seed);
    expect(ecdsaKeyPair(seed)).toEqual(keys);
    expect(keys.privateKeyPem).toMatch(/^-----BEGIN PRIVATE KEY-----\n/);
    expect(crypto.createPrivateKey(keys.privateKeyPem).asymmetricKeyDetails).toEqual({ namedCurve: "prime256v1" });
    const signature = crypto.sign("sha256", Buffer.from("message"), keys.privateKeyPem);
    expect(crypto.verify("sha256", Buffer.from("message"), keys.publicKeyPem, signature)).toBe(true);
  });

  test("every seed makes both keys", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
        const base64 = Buffer.from(bytes).toString("base64");
        expect(ecdsaKeyPair(base64).publicKeyPem).not.toBe(ed25519KeyPair(base64).publicKeyPem);
      }),
    );
  });

  test.each(["", "AA==", Buffer.alloc(33).toString("base64"), seed.replace("=", ""), "not base64!"])(
    "refuse seed %j",
    (bad) => {
      expect(problemsOf(() => ed25519KeyPair(bad))).toEqual(["SSF-PIPELINE-014 seed"]);
      expect(problemsOf(() => ecdsaKeyPair(bad))).toEqual(["SSF-PIPELINE-014 seed"]);
    },
  );

  test("a signer refuses other kinds of keys, without showing them", () => {
    const { privateKey } = crypto.generateKeyPairSync("ec", { namedCurve: "secp384r1" });
    const privateKeyPem = privateKey.export({ type: "pkcs8", format: "pem" }) as string;
    expect(problemsOf(() => definitionSigner(privateKeyPem))).toEqual(["SSF-PIPELINE-014 privateKeyPem"]);
    expect(() => definitionSigner("secret text")).toThrow(/given|no private key/);
    expect(() => definitionSigner("secret text")).not.toThrow(/secret text/);
  });
});

describe("signatures", () => {
  test("hold for every definition, and only with the right key", () => {
    for (const definition of definitions) {
      expect(verifyDefinition(definition, testKeys.publicKeyPem)).toBe(true);
      expect(verifyDefinition(definition, ed25519KeyPair(Buffer.alloc(32, 8).toString("base64")).publicKeyPem)).toBe(
        false,
      );
    }
  });

  test("are the same each time, also over a signed definition", () => {
    for (const definition of definitions) {
      expect(signDefinition(definition, testSigner)).toEqual(definition);
    }
  });

  test.each(["labels", "annotations"] as const)("do not hold after something was added to the %s", (field) => {
    const [task] = tasks;
    if (task === undefined) throw new Error("no task");
    const changed = { ...task, metadata: { ...task.metadata, [field]: { ...task.metadata[field], more: "x" } } };
    expect(verifyDefinition(changed, testKeys.publicKeyPem)).toBe(false);
  });

  test("do not hold after one character of a script changed, or in another namespace", () => {
    for (const task of tasks) {
      const steps = task.spec.steps.map((step) => ({ ...step, script: step.script.replace("set -eu", "set -e") }));
      expect(verifyDefinition({ ...task, spec: { ...task.spec, steps } }, testKeys.publicKeyPem)).toBe(false);
      const moved = { ...task, metadata: { ...task.metadata, namespace: "team-b" } };
      expect(verifyDefinition(moved, testKeys.publicKeyPem)).toBe(false);
    }
  });

  test("by an ECDSA key are the same each time, and hold for that key only", () => {
    const keys = ecdsaKeyPair(seed);
    const signer = definitionSigner(keys.privateKeyPem);
    for (const definition of definitions) {
      const signed = signDefinition(definition, signer);
      expect(signDefinition(definition, signer)).toEqual(signed);
      expect(verifyDefinition(signed, keys.publicKeyPem)).toBe(true);
      expect(verifyDefinition(signed, ecdsaKeyPair(Buffer.alloc(32, 8).toString("base64")).publicKeyPem)).toBe(false);
    }
  });

  test("are missing from an unsigned definition", () => {
    expect(Object.keys(pipeline.metadata.annotations)).toEqual([signatureAnnotation]);
    const bare = { ...pipeline, metadata: { ...pipeline.metadata, annotations: {} } };
    expect(verifyDefinition(bare, testKeys.publicKeyPem)).toBe(false);
  });
});

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";

import * as pulumi from "@pulumi/pulumi";

import { ecdsaKeyPair, signDefinition, unsignedTeamPipeline, verifyDefinition } from "../../pipelines";
import { type TeamConfig, parseConfig } from "../../stacks/config";
import { type DefinitionKeys, definitionKeys, promptSigner } from "../../stacks/definition-keys";
import { teamArgs } from "../pipelines/fixtures";
import { kmsPrograms, type ServiceKey, serviceKey } from "../support/kms";
import { describeWith, programPath } from "../support/programs";
import { render, valueOf } from "../support/render";

const bin = dirname(programPath("cosign") ?? "");

const settings = (more: Record<string, string> = {}) => parseConfig({ kind: "team", team: "a", ...more }) as TeamConfig;

const keysOf = async (config: TeamConfig) => {
  const keys: DefinitionKeys[] = [];
  const rendering = await render(() => Promise.resolve(void keys.push(definitionKeys(config, bin))));
  const [values] = await valueOf(pulumi.unsecret(pulumi.output(keys)));
  if (values === undefined) throw new Error("no keys");
  const made = rendering.resources.map(({ name }) => name).filter((name) => name.startsWith("definitions-key-"));
  return { ...values, made: made.sort() };
};

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "ssf-keys-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const file = (name: string, text: string): string => {
  writeFileSync(join(directory, name), text);
  return join(directory, name);
};

test("the first epoch has one key", async () => {
  expect(await keysOf(settings())).toMatchObject({ made: ["definitions-key-1"], formerPublicKeysPem: [] });
});

test("a new epoch signs with a new key, and the one before still verifies", async () => {
  const second = await keysOf(settings({ definitionsKeyEpoch: "2" }));
  expect(second.made).toEqual(["definitions-key-1", "definitions-key-2"]);
  expect(second.formerPublicKeysPem).toHaveLength(1);
  const third = await keysOf(settings({ definitionsKeyEpoch: "3" }));
  expect(third.made).toEqual(["definitions-key-2", "definitions-key-3"]);
});

test("the oldest epoch says how far back keys verify", async () => {
  const alone = await keysOf(settings({ definitionsKeyEpoch: "3", definitionsOldestKeyEpoch: "3" }));
  expect(alone).toMatchObject({ made: ["definitions-key-3"], formerPublicKeysPem: [] });
  const all = await keysOf(settings({ definitionsKeyEpoch: "3", definitionsOldestKeyEpoch: "1" }));
  expect(all.formerPublicKeysPem).toHaveLength(2);
  expect(() => settings({ definitionsKeyEpoch: "3", definitionsOldestKeyEpoch: "4" })).toThrow(
    /SSF-CONFIG-004 config definitionsOldestKeyEpoch/,
  );
});

test("a key of a file signs, with the former keys of another", async () => {
  const [own, former] = [1, 2].map((byte) => ecdsaKeyPair(Buffer.alloc(32, byte).toString("base64")));
  const config = settings({
    definitionsKeyFile: file("own.pem", own?.privateKeyPem ?? ""),
    definitionsFormerKeysFile: file("former.pem", former?.publicKeyPem ?? ""),
  });
  expect(await keysOf(config)).toEqual({ ...own, formerPublicKeysPem: [former?.publicKeyPem], made: [] });
});

test("files that hold no such keys are refused, without showing them", () => {
  const secret = "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n";
  const refused = (config: TeamConfig, message: RegExp) => {
    expect(() => definitionKeys(config, bin)).toThrow(message);
    expect(() => definitionKeys(config, bin)).not.toThrow(/secret/);
  };
  refused(settings({ definitionsKeyFile: "/gone.pem" }), /SSF-CONFIG-005 config definitionsKeyFile/);
  refused(settings({ definitionsKeyFile: file("bad.pem", secret) }), /SSF-PIPELINE-014/);
  refused(settings({ definitionsFormerKeysFile: file("bad.pem", secret) }), /definitionsFormerKeysFile/);
});

test.each([
  ["a path", { definitionsKeyReference: "/run/keys/definitions.pem" }],
  ["no name", { definitionsKeyReference: "awskms://" }],
  ["a second key", { definitionsKeyReference: "awskms:///alias/definitions", definitionsKeyFile: "/run/keys/own.pem" }],
])("a reference with %s is refused", (_, given) => {
  expect(() => settings(given)).toThrow(
    /SSF-CONFIG-004 config definitionsKeyReference: "[^]*rule: [^]*and definitionsKeyFile must not be set/,
  );
  expect(settings({ definitionsKeyReference: "awskms:///alias/definitions" })).toMatchObject({
    definitionsKeyReference: "awskms:///alias/definitions",
  });
});

describeWith("cosign")("a key of a service", () => {
  const environment = process.env;
  beforeEach(() => {
    process.env = { ...environment, PATH: [kmsPrograms, environment.PATH].join(delimiter) };
  });
  afterEach(() => {
    process.env = environment;
  });
  const { pipeline } = unsignedTeamPipeline(teamArgs());
  const keysOfService = ({ reference }: ServiceKey) =>
    definitionKeys(settings({ definitionsKeyReference: reference }), bin);
  const signed = (key: ServiceKey, publicKeyPem = key.publicKeyPem) =>
    signDefinition(pipeline, promptSigner({ keyReference: key.reference, publicKeyPem, formerPublicKeysPem: [] }, bin));

  test.each(["prime256v1", "ed25519"] as const)("of type %s is known by its public half, and signs", (type) => {
    const key = serviceKey(directory, type);
    expect(keysOfService(key)).toEqual({
      keyReference: key.reference,
      publicKeyPem: key.publicKeyPem,
      formerPublicKeysPem: [],
    });
    expect(verifyDefinition(signed(key), key.publicKeyPem)).toBe(true);
    expect(verifyDefinition(signed(key), serviceKey(directory, type).publicKeyPem)).toBe(false);
  });

  test("is told to nobody else", async () => {
    let connections = 0;
    const proxy = createServer((socket) => {
      connections += 1;
      socket.destroy();
    });
    await new Promise<void>((resume) => proxy.listen(0, "127.0.0.1", resume));
    const { port } = proxy.address() as { port: number };
    const address = `http://127.0.0.1:${port}`;
    Object.assign(process.env, { HTTP_PROXY: address, HTTPS_PROXY: address, HOME: directory, TUF_ROOT: directory });
    const key = serviceKey(directory, "prime256v1");
    keysOfService(key);
    signed(key);
    await new Promise((resume) => setTimeout(resume, 100));
    proxy.close();
    expect(connections).toBe(0);
  });

  test.each(["secp384r1", "rsa"] as const)("of type %s is refused", (type) => {
    expect(() => keysOfService(serviceKey(directory, type))).toThrow(
      /SSF-KMS-003 config definitionsKeyReference: .* is a key of type (ec secp384r1|rsa)\n  rule: .*Ed25519 or ECDSA P-256/,
    );
    expect(() => keysOfService(serviceKey(directory, "prime256v1"))).not.toThrow();
  });

  test("is refused where nothing serves it, or its service does not know it", () => {
    const key = serviceKey(directory, "prime256v1");
    const named = (reference: string) => () => keysOfService({ ...key, reference });
    expect(named(key.reference)).not.toThrow();
    expect(named(key.reference.replace("testkms", "nokms"))).toThrow(
      /SSF-KMS-001 config definitionsKeyReference: .*, and no program sigstore-kms-nokms on PATH\n  rule: /,
    );
    expect(named("https://keys.test/definitions.pem")).toThrow(/SSF-KMS-001 .*sigstore-kms-https/);
    expect(named(`${key.reference}-gone`)).toThrow(
      /SSF-KMS-002 config definitionsKeyReference: .*-gone: .*ENOENT.*\n  rule: /,
    );
  });

  test("is asked for by the pinned cosign only", () => {
    const { reference: definitionsKeyReference } = serviceKey(directory, "prime256v1");
    const config = settings({ definitionsKeyReference });
    expect(() => definitionKeys(config, directory)).toThrow(/SSF-KMS-005 [^]*fix: .*make toolchain/);
    expect(() => definitionKeys(config, bin)).not.toThrow();
  });

  test("that the team's stack does not know yet gives no signature", () => {
    const [key, other] = [serviceKey(directory, "prime256v1"), serviceKey(directory, "prime256v1")];
    expect(() => signed(key, other.publicKeyPem)).toThrow(/SSF-KMS-004 .* does not hold .*\n  rule: /);
    expect(() => signed(key)).not.toThrow();
  });
});

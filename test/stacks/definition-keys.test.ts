import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import * as pulumi from "@pulumi/pulumi";

import { ecdsaKeyPair } from "../../pipelines";
import { type FactoryConfig, parseConfig } from "../../stacks/config";
import { type DefinitionKeys, definitionKeys } from "../../stacks/definition-keys";
import { render, valueOf } from "../support/render";

const settings = (more: Record<string, string> = {}) => parseConfig({ kind: "factory", ...more }) as FactoryConfig;

const keysOf = async (config: FactoryConfig) => {
  const keys: DefinitionKeys[] = [];
  const rendering = await render(() => Promise.resolve(void keys.push(definitionKeys(config))));
  const [values] = await valueOf(pulumi.unsecret(pulumi.output(keys)));
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
  const refused = (config: FactoryConfig, message: RegExp) => {
    expect(() => definitionKeys(config)).toThrow(message);
    expect(() => definitionKeys(config)).not.toThrow(/secret/);
  };
  refused(settings({ definitionsKeyFile: "/gone.pem" }), /SSF-CONFIG-005 config definitionsKeyFile/);
  refused(settings({ definitionsKeyFile: file("bad.pem", secret) }), /SSF-PIPELINE-014/);
  refused(settings({ definitionsFormerKeysFile: file("bad.pem", secret) }), /definitionsFormerKeysFile/);
});

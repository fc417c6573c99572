import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import type { Server } from "node:https";
import { join } from "node:path";
import { Metadata, MetadataKind, Root } from "@tufjs/models";
import {
  directoryFiles,
  type Files,
  httpsFiles,
  newestRoot,
  newKey,
  type NewKey,
  readTrust,
  type Role,
  rotateKeys,
  signRepository,
  updateTrust,
  writeFiles,
  writeTargets,
} from "../../trust";
import { certificateFor, listen } from "../cli/support/tls";
import { builderId, factoryTrust, newAuthority, newLog } from "./support/sigstore";
import { ceremony, inDays, temporaryDirectories } from "./support/world";

const temporary = temporaryDirectories();
const tls = certificateFor("tuf.example");
const authority = newAuthority("first");
const trust = updateTrust({ current: factoryTrust(authority, newLog()), now: new Date() });

/** What the server has at the moment; tests play the attacker who controls it. */
let served: Files = {};
let server: Server;
let port: number;

beforeAll(async () => {
  ({ server, port } = await listen(tls, (request, response) => {
    const content = served[(request.url ?? "").slice("/trust/".length)];
    response.writeHead(content === undefined ? 404 : 200).end(content);
  }));
});
afterAll(() => void server.close());

const { keys, all, files: empty } = ceremony();
const signed = signRepository({ files: empty, keys: all, now: new Date() }, writeTargets(trust)).files;
const rootJson = newestRoot(signed);
const later = (days: number, files = signed, targets = writeTargets(trust)) =>
  signRepository({ files, keys: all, now: inDays(days) }, targets).files;

const read = (directory: string, root = rootJson) =>
  readTrust({
    rootJson: root,
    directory,
    read: httpsFiles({ url: "https://tuf.example/trust", caPem: tls.certificatePem, localPort: port }),
  });

/** The repository with one file replaced by a changed copy. */
const tampered = (files: Files, name: string, change: (text: string) => string): Files => ({
  ...files,
  [name]: change(files[name] ?? ""),
});

it("reads what was signed, and reads it again from what it kept", async () => {
  served = signed;
  const directory = temporary();
  for (let count = 0; count < 2; count++) {
    const found = await read(directory);
    expect(writeTargets(found)).toEqual(writeTargets(trust));
    expect(found.builders[0]?.builderId).toBe(builderId);
  }
});

it("reads the same from a directory", async () => {
  const directory = temporary();
  writeFiles(directory, signed);
  const found = await readTrust({ rootJson, directory: temporary(), read: directoryFiles(directory) });
  expect(writeTargets(found)).toEqual(writeTargets(trust));
});

it("says that no factory's keys were signed yet", async () => {
  served = empty;
  await expect(read(temporary())).rejects.toThrow("SSF-TRUST-012 target trusted_root.json: not there");
});

it("takes nothing from a server that does not answer or is another one", async () => {
  served = signed;
  const reads = [
    httpsFiles({ url: "https://tuf.example/trust", caPem: tls.certificatePem, localPort: 1 }),
    httpsFiles({
      url: "https://tuf.example/trust",
      caPem: certificateFor("tuf.example").certificatePem,
      localPort: port,
    }),
    httpsFiles({ url: "https://other.example/trust", caPem: tls.certificatePem, localPort: port }),
  ];
  for (const readFile of reads)
    await expect(readTrust({ rootJson, directory: temporary(), read: readFile })).rejects.toThrow("SSF-TRUST-010");
});

it("refuses a repository of other keys", async () => {
  served = signed;
  await expect(read(temporary(), newestRoot(ceremony().files))).rejects.toThrow("SSF-TRUST-011");
});

it("refuses an expired timestamp, and takes the next one", async () => {
  served = signRepository({ files: ceremony(inDays(-8)).files, keys: [], now: inDays(-8) }).files;
  await expect(read(temporary(), newestRoot(served))).rejects.toThrow(/SSF-TRUST-011[^]*expired/);
  const old = ceremony(inDays(-8));
  const directory = temporary();
  served = signRepository({ files: old.files, keys: old.all, now: inDays(-7.5) }, writeTargets(trust)).files;
  await expect(read(directory, newestRoot(served))).rejects.toThrow("expired");
  served = signRepository({ files: served, keys: old.keys.timestamp, now: new Date() }).files;
  await expect(read(directory, newestRoot(served))).resolves.toBeDefined();
});

it("refuses a freeze: the old files over and over, once they expire", async () => {
  const old = ceremony(inDays(-6.9));
  const frozen = signRepository({ files: old.files, keys: old.all, now: inDays(-6.9) }, writeTargets(trust)).files;
  const directory = temporary();
  served = frozen;
  await expect(read(directory, newestRoot(frozen))).resolves.toBeDefined();
  jest.useFakeTimers({
    now: inDays(0.2),
    doNotFake: [
      "nextTick",
      "setImmediate",
      "setTimeout",
      "clearTimeout",
      "queueMicrotask",
      "setInterval",
      "clearInterval",
    ],
  });
  try {
    await expect(read(directory, newestRoot(frozen))).rejects.toThrow(/SSF-TRUST-011[^]*expired/);
  } finally {
    jest.useRealTimers();
  }
});

it("refuses a rollback: files that are older than what it has seen", async () => {
  const directory = temporary();
  served = later(5);
  expect(served["timestamp.json"]).not.toBe(signed["timestamp.json"]);
  await read(directory);
  served = signed;
  await expect(read(directory)).rejects.toThrow(/SSF-TRUST-011[^]*version 2 is less than current version 3/);
});

it("refuses an older snapshot under the newest timestamp", async () => {
  const next = later(1, signed, writeTargets({ ...trust, policy: [{ path: "p", sha256: "0".repeat(64) }] }));
  expect(next["3.snapshot.json"]).toBeDefined();
  served = { ...next, "3.snapshot.json": next["2.snapshot.json"] ?? "" };
  await expect(read(temporary())).rejects.toThrow("SSF-TRUST-011");
  served = next;
  await expect(read(temporary())).resolves.toMatchObject({ policy: [{ path: "p" }] });
});

it("refuses a target whose bytes are not the signed ones", async () => {
  const name = Object.keys(signed).find((file) => file.endsWith(".trusted_root.json")) ?? "";
  served = tampered(signed, name, (text) => text.replace("fulcio.example", "falcio.example"));
  await expect(read(temporary())).rejects.toThrow(/SSF-TRUST-011[^]*hash/);
});

it.each(["timestamp.json", "2.snapshot.json", "2.targets.json"])("refuses %s with a changed byte", async (name) => {
  served = tampered(signed, name, (text) =>
    text.replace(/"expires": "20(..)/, (_, year) => `"expires": "20${Number(year) + 1}`),
  );
  await expect(read(temporary())).rejects.toThrow("SSF-TRUST-011");
});

it("refuses a root that fewer keys signed than must", async () => {
  const rotated = rotateKeys({ files: signed, keys: all, now: new Date() }, "timestamp", [newKey()]).files;
  served = rotated;
  await expect(read(temporary())).resolves.toBeDefined();
  const root = Metadata.fromJSON(MetadataKind.Root, JSON.parse(rotated["2.root.json"] ?? "") as never);
  root.signatures = Object.fromEntries(Object.entries(root.signatures).slice(0, 1));
  served = { ...rotated, "2.root.json": JSON.stringify(root.toJSON()) };
  await expect(read(temporary())).rejects.toThrow("root was signed by 1/2 keys");
});

/** The same root in its next version, signed by these keys. */
const nextRoot = (text: string, signers: NewKey[]): string => {
  const { signed: document } = Metadata.fromJSON(MetadataKind.Root, JSON.parse(text) as never);
  const json = { ...document.toJSON(), version: document.version + 1 };
  const next = new Metadata(Root.fromJSON(json));
  for (const key of signers) next.sign(key.sign);
  return JSON.stringify(next.toJSON());
};

it("starts anew from the given root when its kept one was torn", async () => {
  served = signed;
  const directory = temporary();
  await read(directory);
  const [cache = ""] = readdirSync(directory);
  const file = join(directory, cache, "root.json");
  writeFileSync(file, readFileSync(file, "utf8").slice(0, 100));
  await expect(read(directory)).resolves.toBeDefined();
});

describe.each<Role>(["root", "targets", "snapshot", "timestamp"])("a drill: new keys for %s", (role) => {
  const fresh = keys[role].map(() => newKey());
  const rotated = rotateKeys({ files: signed, keys: all, now: new Date() }, role, fresh).files;
  const present = [...all.filter(({ id }) => !keys[role].some((old) => old.id === id)), ...fresh];

  it("a client with the old root follows", async () => {
    const directory = temporary();
    served = signed;
    await read(directory);
    served = rotated;
    expect(writeTargets(await read(directory))).toEqual(writeTargets(trust));
    expect(writeTargets(await read(temporary()))).toEqual(writeTargets(trust));
  });

  it("the new keys sign, and the client takes it", async () => {
    served = signRepository({ files: rotated, keys: present, now: inDays(170) }, writeTargets(trust)).files;
    if (role !== "root") expect(served["timestamp.json"]).not.toBe(rotated["timestamp.json"]);
    await expect(read(temporary())).resolves.toBeDefined();
    served = rotateKeys({ files: rotated, keys: present, now: new Date() }, "timestamp", [newKey()]).files;
    await expect(read(temporary())).resolves.toBeDefined();
  });

  it("what the old keys sign is refused", async () => {
    const directory = temporary();
    served = rotated;
    await read(directory);
    // Whoever has the old keys signs twice, so that it is newer than the repository, and controls the server.
    served =
      role === "root"
        ? { ...rotated, "3.root.json": nextRoot(rotated["2.root.json"] ?? "", keys.root) }
        : { ...later(2, later(1, signed, {}), writeTargets(trust)), "2.root.json": rotated["2.root.json"] ?? "" };
    const refusal = `${role} was signed by 0/`;
    await expect(read(directory)).rejects.toThrow(refusal);
    await expect(read(temporary())).rejects.toThrow(refusal);
    if (role !== "root") return;
    served = { ...rotated, "3.root.json": nextRoot(rotated["2.root.json"] ?? "", fresh) };
    await expect(read(directory)).resolves.toBeDefined();
  });
});

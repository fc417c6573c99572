import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  decryptKey,
  type Files,
  makeRepository,
  newestRoot,
  newKey,
  openRepository,
  readFiles,
  type Role,
  roleStates,
  rotateKeys,
  signRepository,
  writeFiles,
} from "../../trust";
import { ceremony, inDays, temporaryDirectories } from "./support/world";

const temporary = temporaryDirectories();
const passphrase = "a passphrase of five words";
const { keys, all, files: empty } = ceremony();
const contents = { "trusted_root.json": "{}\n" };
const { files } = signRepository({ files: empty, keys: all, now: inDays(0) }, contents);

const versions = (of: Files): Record<Role, number> =>
  Object.fromEntries(roleStates(openRepository(of), inDays(0)).map(({ role, version }) => [role, version])) as never;

describe("keys", () => {
  const key = newKey();
  const pem = key.encrypt(passphrase);

  it("are read with their passphrase, and sign as before", () => {
    const read = decryptKey("root.pem", pem, passphrase);
    expect(read.id).toBe(key.id);
    expect(read.sign(Buffer.from("x")).sig).toBe(key.sign(Buffer.from("x")).sig);
  });

  it("are not read with another one, nor when they lie there unencrypted", () => {
    expect(() => decryptKey("root.pem", pem, `${passphrase}!`)).toThrow("SSF-TRUST-003 root.pem");
    expect(() => decryptKey("root.pem", "-----BEGIN PRIVATE KEY-----\n", passphrase)).toThrow("SSF-TRUST-003");
    expect(() => decryptKey("root.pem", "", passphrase)).toThrow("SSF-TRUST-003");
  });

  it("take no short passphrase", () => {
    expect(() => newKey().encrypt("fourteen chars")).toThrow("SSF-TRUST-002 passphrase: 14 characters");
    expect(newKey().encrypt("fifteen chars..")).toContain("ENCRYPTED");
  });

  it("have the ids that the specification computes", () => {
    expect(key.publicKey.toJSON()).toEqual({
      keytype: "ed25519",
      scheme: "ed25519",
      keyval: { public: expect.stringMatching(/^[0-9a-f]{64}$/) as string },
    });
    expect(key.id).toMatch(/^[0-9a-f]{64}$/);
  });
});

describe("a new repository", () => {
  it("has the four roles, with times in whole seconds", () => {
    expect(Object.keys(empty)).toEqual(["1.root.json", "1.snapshot.json", "1.targets.json", "timestamp.json"]);
    for (const text of Object.values(empty))
      expect(text).toMatch(/"expires": "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"/);
    const [root] = roleStates(openRepository(empty), inDays(0));
    expect(root).toMatchObject({ role: "root", version: 1, threshold: 2, isExpired: false });
    expect(root?.keyIds).toEqual(keys.root.map(({ id }) => id));
  });

  it.each([0, 1.5, 4])("takes no threshold of %d for three keys", (threshold) => {
    const one = { keys: [newKey()], threshold: 1 };
    const make = (root: number) =>
      makeRepository(
        { root: { keys: keys.root, threshold: root }, targets: one, snapshot: one, timestamp: one },
        inDays(0),
      );
    expect(() => make(threshold)).toThrow("SSF-TRUST-004 role root");
    expect(() => make(3)).not.toThrow();
  });
});

describe("signing", () => {
  it("changes nothing when nothing changed", () => {
    const again = signRepository({ files, keys: all, now: inDays(1) }, contents);
    expect(again).toEqual({ files, changed: [], due: [] });
  });

  it("signs what expires soon with the keys at hand, and names what it has no key for", () => {
    const online = [...keys.snapshot, ...keys.timestamp];
    const renewed = signRepository({ files, keys: online, now: inDays(5) });
    expect(renewed).toMatchObject({ changed: ["timestamp"], due: [] });
    const late = signRepository({ files, keys: online, now: inDays(130) });
    expect(late).toMatchObject({ changed: ["snapshot", "timestamp"], due: ["targets"] });
    const latest = signRepository({ files, keys: [...online, ...keys.targets], now: inDays(250) });
    expect(latest).toMatchObject({ changed: ["targets", "snapshot", "timestamp"], due: ["root"] });
    const whole = signRepository({ files, keys: all, now: inDays(250) });
    expect(whole.changed).toEqual(["root", "targets", "snapshot", "timestamp"]);
    expect(versions(whole.files).root).toBe(2);
  });

  it("refuses when a key is missing that it cannot do without", () => {
    const online = [...keys.snapshot, ...keys.timestamp];
    expect(() => signRepository({ files, keys: online, now: inDays(0) }, { "a.json": "{}" })).toThrow(
      "SSF-TRUST-005 role targets",
    );
    expect(() => signRepository({ files, keys: online, now: inDays(181) })).toThrow("SSF-TRUST-005 role targets");
    expect(() => signRepository({ files, keys: [], now: inDays(8) })).toThrow("SSF-TRUST-005 role timestamp");
  });

  it("keeps all roots, and only the newest two of everything else", () => {
    let last = files;
    for (const content of ["1", "2", "3"])
      last = signRepository({ files: last, keys: all, now: inDays(0) }, { "trusted_root.json": content }).files;
    const names = Object.keys(last);
    expect(names.filter((name) => name.endsWith(".targets.json"))).toEqual(["4.targets.json", "5.targets.json"]);
    expect(names.filter((name) => name.endsWith(".snapshot.json"))).toEqual(["4.snapshot.json", "5.snapshot.json"]);
    expect(names.filter((name) => name.endsWith(".trusted_root.json"))).toHaveLength(2);
    expect(() => openRepository(last)).not.toThrow();
  });
});

describe("what was changed by another hand is never signed", () => {
  it.each(Object.keys(files))("%s", (name) => {
    const change = (text: string) =>
      text.replace(/[0-9](?=[^0-9]*$)/, (digit) => String((Number(digit) + 1) % 10)).replace("{}", "[]");
    // The former targets and snapshot stay for clients only; nothing is taken from them.
    const isFormer = ["1.targets.json", "1.snapshot.json"].includes(name);
    const sign = () =>
      signRepository({ files: { ...files, [name]: change(files[name] ?? "") }, keys: all, now: inDays(0) });
    if (isFormer) expect(sign).not.toThrow();
    else expect(sign).toThrow("SSF-TRUST-006");
  });

  it("nor is a repository with a file missing", () => {
    for (const name of ["1.root.json", "timestamp.json", "2.targets.json"]) {
      const missing = Object.fromEntries(Object.entries(files).filter(([file]) => file !== name));
      expect(() => openRepository(missing)).toThrow(`SSF-TRUST-006 ${name}`);
    }
    expect(() => openRepository(files)).not.toThrow();
  });
});

describe("rotation", () => {
  it("replaces one key of a role and leaves the others", () => {
    const [lost, ...kept] = keys.root;
    const fresh = newKey();
    const rotated = rotateKeys({ files, keys: kept, now: inDays(0) }, "root", [fresh], [lost?.id ?? ""]);
    expect(rotated.changed).toEqual(["root"]);
    const [root] = roleStates(openRepository(rotated.files), inDays(0));
    expect(root?.keyIds).toEqual([...kept, fresh].map(({ id }) => id));
    expect(newestRoot(rotated.files)).toBe(rotated.files["2.root.json"]);
  });

  it("signs anew what the old keys vouched for", () => {
    const rotated = rotateKeys({ files, keys: all, now: inDays(0) }, "targets", [newKey()]);
    expect(rotated.changed).toEqual(["root", "targets", "snapshot", "timestamp"]);
    expect(openRepository(rotated.files).contents).toEqual(contents);
  });

  it("refuses another number of keys, a key of another role, and too few root keys", () => {
    const rotate = (role: Role, count: number, retired?: string[], hands = all) =>
      rotateKeys({ files, keys: hands, now: inDays(0) }, role, Array.from({ length: count }, newKey), retired);
    expect(() => rotate("root", 2)).toThrow("SSF-TRUST-014 role root");
    expect(() => rotate("root", 1, [keys.targets[0]?.id ?? ""])).toThrow("SSF-TRUST-014");
    expect(() => rotate("timestamp", 1, undefined, all.slice(2))).toThrow("SSF-TRUST-005 role root");
    expect(() => rotate("root", 3)).not.toThrow();
  });
});

describe("a directory", () => {
  it("holds the repository's files and is not asked about others", () => {
    const directory = join(temporary(), "metadata");
    writeFiles(directory, { ...files, "7.snapshot.json": "former" });
    writeFileSync(join(directory, "README.md"), "mine");
    mkdirSync(join(directory, ".git"));
    writeFiles(directory, files);
    expect(readFiles(directory)).toEqual(files);
    expect(readdirSync(directory).sort()).toEqual([".git", "README.md", ...Object.keys(files)].sort());
  });

  it("is not written to when nothing changed", () => {
    const directory = temporary();
    writeFiles(directory, files);
    const before = statSync(join(directory, "timestamp.json")).ino;
    writeFiles(directory, files);
    expect(statSync(join(directory, "timestamp.json")).ino).toBe(before);
  });
});

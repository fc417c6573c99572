import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { openRepository, readFiles, type Role, roleStates, TARGETS } from "../../trust";
import {
  type Ceremony,
  holdCeremony,
  type Keyring,
  readKeys,
  requireApart,
  rotateTrust,
  signTrust,
} from "../../tools/cli/ceremony";
import { factoryTrust, newAuthority, newLog } from "../trust/support/sigstore";
import { inDays, temporaryDirectories } from "../trust/support/world";

const temporary = temporaryDirectories();
const passphrase = "a passphrase of five words";
const current = factoryTrust(newAuthority("first"), newLog());

const hold = (options: Partial<Ceremony> = {}) => {
  const place = temporary();
  const [keys, metadata] = [join(place, "keys"), join(place, "metadata")];
  const root = { keys: 3, threshold: 2 };
  const written = holdCeremony({ keys, metadata, root, passphrase, now: inDays(0), ...options });
  return { keys, metadata, written };
};

const keyring = (directory: string): Promise<Keyring> => readKeys([directory], () => Promise.resolve(passphrase));

const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);

/** Everything that somebody with the public files sees. */
const publicText = (metadata: string) =>
  readdirSync(metadata)
    .map((name) => readFileSync(join(metadata, name), "utf8"))
    .join("\n");

describe("a ceremony", () => {
  it("writes keys that only their owner reads, and public files without a secret", () => {
    const { keys, metadata, written } = hold();
    expect(written.map((file) => basename(file).split("-")[0])).toEqual([
      ...["root", "root", "root", "targets", "snapshot", "timestamp"],
    ]);
    expect(modeOf(keys)).toBe("700");
    for (const file of written) {
      expect(modeOf(file)).toBe("600");
      expect(readFileSync(file, "utf8")).toMatch(/^-----BEGIN ENCRYPTED PRIVATE KEY-----\n/);
    }
    expect(publicText(metadata)).not.toMatch(/PRIVATE|passphrase/);
    const [root] = roleStates(openRepository(readFiles(metadata)), inDays(0));
    expect(root).toMatchObject({ threshold: 2, keyIds: { length: 3 } });
  });

  it("makes a directory private that was there and is empty", () => {
    const keys = temporary();
    mkdirSync(join(keys, "medium"), { mode: 0o755 });
    hold({ keys: join(keys, "medium") });
    expect(modeOf(join(keys, "medium"))).toBe("700");
  });

  it("is never held over another one", () => {
    const { keys, metadata } = hold();
    const before = readFiles(metadata);
    expect(() => hold({ keys })).toThrow(`SSF-TRUST-001 ${keys}: not empty`);
    expect(() => hold({ metadata })).toThrow(`SSF-TRUST-007 ${metadata}`);
    expect(readFiles(metadata)).toEqual(before);
  });

  it.each<[string, Partial<Ceremony>]>([
    ["SSF-TRUST-002", { passphrase: "short" }],
    ["SSF-TRUST-004", { root: { keys: 2, threshold: 3 } }],
  ])("refused with %s, it writes nothing", (code, options) => {
    const place = temporary();
    const [keys, metadata] = [join(place, "keys"), join(place, "metadata")];
    expect(() => hold({ keys, metadata, ...options })).toThrow(code);
    expect(readdirSync(place)).toEqual([]);
  });
});

describe("keys lie apart", () => {
  const place = temporary();
  const [checkout, metadata] = [join(place, "checkout"), join(place, "metadata")];
  mkdirSync(checkout);
  symlinkSync(checkout, join(place, "link"));
  const check = (keys: string, files = metadata) => requireApart(keys, files, { "the checkout": checkout });

  it.each(["checkout", "checkout/keys", "link/keys", "checkout/../checkout/a/b", "metadata", "metadata/keys"])(
    "not in %s",
    (keys) => {
      expect(() => check(join(place, keys))).toThrow("SSF-TRUST-001");
    },
  );

  it("nor with the public files below them", () => {
    expect(() => check(join(place, "keys"), join(place, "keys/public"))).toThrow("SSF-TRUST-001");
  });

  it.each(["keys", "checkout-keys", "..keys"])("but in %s", (keys) => {
    expect(() => check(join(place, keys))).not.toThrow();
  });
});

describe("signing", () => {
  it("takes in what the factory signs with; the same again writes nothing", async () => {
    const { keys, metadata } = hold();
    const ring = await keyring(keys);
    const first = signTrust({ metadata, keyring: ring, current, now: inDays(0) });
    expect(first.changed).toEqual(["targets", "snapshot", "timestamp"]);
    const before = readFiles(metadata);
    expect(signTrust({ metadata, keyring: ring, current, now: inDays(1) })).toMatchObject({ changed: [], due: [] });
    expect(readFiles(metadata)).toEqual(before);
  });

  it("with the keys of snapshot and timestamp alone, renews and takes nothing in", async () => {
    const { keys, metadata, written } = hold();
    signTrust({ metadata, keyring: await keyring(keys), current, now: inDays(0) });
    const online = temporary();
    for (const file of written.filter((name) => /(snapshot|timestamp)-/.test(name)))
      writeFileSync(join(online, basename(file)), readFileSync(file));
    const ring = await keyring(online);
    expect(signTrust({ metadata, keyring: ring, now: inDays(5) }).changed).toEqual(["timestamp"]);
    const other = factoryTrust(newAuthority("second"), newLog());
    expect(() => signTrust({ metadata, keyring: ring, current: other, now: inDays(5) })).toThrow(
      "SSF-TRUST-005 role targets",
    );
  });

  it("never signs what another hand wrote", async () => {
    const { keys, metadata } = hold();
    const ring = await keyring(keys);
    signTrust({ metadata, keyring: ring, current, now: inDays(0) });
    const [name = ""] = readdirSync(metadata).filter((file) => file.endsWith(".builders.json"));
    const honest = readFileSync(join(metadata, name), "utf8");
    writeFileSync(join(metadata, name), honest.replace("spiffe://factory.example", "spiffe://attacker.example"));
    expect(() => signTrust({ metadata, keyring: ring, current, now: inDays(0) })).toThrow(`SSF-TRUST-006 ${name}`);
    writeFileSync(join(metadata, name), honest);
    expect(() => signTrust({ metadata, keyring: ring, current, now: inDays(0) })).not.toThrow();
  });
});

describe("keys", () => {
  it("are asked for directory by directory, each with its passphrase", async () => {
    const { keys, written } = hold();
    const other = hold({ passphrase: `${passphrase} and two more` });
    const asked: string[] = [];
    const ring = await readKeys([keys, other.keys], (directory) => {
      asked.push(directory);
      return Promise.resolve(directory === keys ? passphrase : `${passphrase} and two more`);
    });
    expect(asked).toEqual([keys, other.keys]);
    expect(ring.keys.map(({ file }) => file)).toEqual([...written.sort(), ...other.written.sort()]);
    expect(ring).toMatchObject({ directory: keys, passphrase });
  });

  it("are not read with another passphrase, nor from a directory without any", async () => {
    const { keys } = hold();
    await expect(readKeys([keys], () => Promise.resolve("another passphrase"))).rejects.toThrow("SSF-TRUST-003");
    await expect(keyring(temporary())).rejects.toThrow(/SSF-TRUST-003 [^]*no keys/);
    await expect(keyring(join(keys, "missing"))).rejects.toThrow("SSF-TRUST-003");
  });
});

describe("rotation", () => {
  it.each<[Role, number]>([
    ["root", 3],
    ["targets", 1],
    ["snapshot", 1],
    ["timestamp", 1],
  ])("of %s writes its %d new keys, and names the files of the old ones", async (role, count) => {
    const { keys, metadata, written } = hold();
    signTrust({ metadata, keyring: await keyring(keys), current, now: inDays(0) });
    const rotated = rotateTrust({ metadata, keyring: await keyring(keys), role, now: inDays(0) });
    expect(rotated.written).toHaveLength(count);
    for (const file of rotated.written) expect(modeOf(file)).toBe("600");
    expect(rotated.retired.sort()).toEqual(written.filter((file) => basename(file).startsWith(role)).sort());
    const { contents } = openRepository(readFiles(metadata));
    expect(Object.keys(contents)).toHaveLength(Object.keys(TARGETS).length);
    expect(publicText(metadata)).not.toMatch(/PRIVATE|passphrase/);
    expect(signTrust({ metadata, keyring: await keyring(keys), current, now: inDays(1) }).changed).toEqual([]);
  });

  it("replaces one lost key by the others", async () => {
    const { keys, metadata, written } = hold();
    const ring = await keyring(keys);
    const [lost] = ring.keys.filter(({ file }) => file === written[0]);
    const others = { ...ring, keys: ring.keys.filter((key) => key !== lost) };
    const rotate = (only: string) => rotateTrust({ metadata, keyring: others, role: "root", only, now: inDays(0) });
    expect(() => rotate("not-hex")).toThrow("SSF-TRUST-014 role root");
    expect(rotate(lost?.id.slice(0, 12) ?? "")).toMatchObject({
      changed: ["root"],
      retired: [],
      written: { length: 1 },
    });
  });

  it("writes new keys into a directory that it makes, which is its owner's alone", async () => {
    const { keys, metadata } = hold();
    const directory = join(temporary(), "new/keys");
    const ring = { ...(await keyring(keys)), directory, passphrase: `${passphrase} and two more` };
    const { written } = rotateTrust({ metadata, keyring: ring, role: "root", now: inDays(0) });
    expect([modeOf(directory), readdirSync(directory).length]).toEqual(["700", written.length]);
    await expect(readKeys([directory], () => Promise.resolve(ring.passphrase))).resolves.toMatchObject({
      keys: { length: 3 },
    });
  });

  it("writes nothing when it is refused", async () => {
    const { keys, metadata } = hold();
    const ring = await keyring(keys);
    const before = [readFiles(metadata), readdirSync(keys)];
    const tooFew = { ...ring, keys: ring.keys.filter(({ file }) => !basename(file).startsWith("root")) };
    expect(() => rotateTrust({ metadata, keyring: tooFew, role: "targets", now: inDays(0) })).toThrow("SSF-TRUST-005");
    const weak = { ...ring, passphrase: "short" };
    expect(() => rotateTrust({ metadata, keyring: weak, role: "targets", now: inDays(0) })).toThrow("SSF-TRUST-002");
    expect([readFiles(metadata), readdirSync(keys)]).toEqual(before);
    expect(() => rotateTrust({ metadata, keyring: ring, role: "targets", now: inDays(0) })).not.toThrow();
  });
});

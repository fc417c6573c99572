import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { openRepository, parseTargets, readRepository } from "../../trust";
import { holdCeremony, rotateTrust } from "../../tools/cli/ceremony";
import { developmentKeys, ensureTrust, signDevelopmentTrust, trustDirectory } from "../../tools/cli/trust";
import { openWorkspace, removeState, type Workspace } from "../../tools/cli/workspace";
import { factoryTrust, newAuthority, newLog } from "../trust/support/sigstore";
import { temporaryDirectories } from "../trust/support/world";

const temporary = temporaryDirectories();
const passphrase = "a passphrase of five words";
const current = factoryTrust(newAuthority("first"), newLog());

const workspaceIn = (state: string, config: string[] = []): Workspace =>
  openWorkspace({ config }, { SSF_STATE: state });

describe("without a ceremony of an operator", () => {
  it("a development one is held once, and signs what the factory signs with", async () => {
    const workspace = workspaceIn(temporary());
    const made = await ensureTrust(workspace);
    expect(made).toMatchObject({ isDevelopment: true, isNew: true });
    await expect(ensureTrust(workspace)).resolves.toEqual({ ...made, isNew: false });
    const first = await signDevelopmentTrust(workspace, current);
    expect(first?.changed).toEqual(["targets", "snapshot", "timestamp"]);
    await expect(signDevelopmentTrust(workspace, current)).resolves.toMatchObject({ changed: [] });
    expect(Object.keys(readRepository(made.metadata))).toContain("2.targets.json");
  });

  it("its root key signs once, and is written nowhere", async () => {
    const workspace = workspaceIn(temporary());
    const { metadata } = await ensureTrust(workspace);
    const keys = readdirSync(join(workspace.state, "trust/development/keys"));
    expect(keys.map((name) => name.split("-")[0]).sort()).toEqual(["snapshot", "targets", "timestamp"]);
    const keyring = await developmentKeys(workspace);
    if (keyring === undefined) throw new Error("a ceremony was held");
    const rotate = () => rotateTrust({ metadata, keyring, role: "targets", now: new Date() });
    expect(rotate).toThrow("SSF-TRUST-005 role root: 0 of the keys");
  });

  it("its keys and their passphrase are the owner's alone, and go with the state", async () => {
    const workspace = workspaceIn(temporary());
    await ensureTrust(workspace);
    const directory = join(workspace.state, "trust/development");
    for (const path of [directory, join(directory, "keys"), join(directory, "passphrase")])
      expect(statSync(path).mode & 0o077).toBe(0);
    await removeState(workspace);
    expect(existsSync(workspace.state)).toBe(false);
  });

  it("what a killed run left half made is made anew", async () => {
    const workspace = workspaceIn(temporary());
    mkdirSync(join(workspace.state, "trust/development/keys"), { recursive: true });
    writeFileSync(join(workspace.state, "trust/development/keys/root-0123456789ab.pem"), "torn");
    await expect(ensureTrust(workspace)).resolves.toMatchObject({ isNew: true });
    await expect(developmentKeys(workspace)).resolves.toMatchObject({ keys: { length: 3 } });
  });

  it("nothing is made up for a directory that the operator named", async () => {
    const missing = join(temporary(), "missing");
    const workspace = workspaceIn(temporary(), [`dev:trustDirectory=${missing}`]);
    await expect(trustDirectory(workspace)).resolves.toEqual({ metadata: missing, isDevelopment: false });
    await expect(ensureTrust(workspace)).rejects.toThrow(`SSF-TRUST-006 ${missing}`);
    await expect(signDevelopmentTrust(workspace, current)).resolves.toBeUndefined();
  });
});

describe("./factory trust", () => {
  jest.setTimeout(300_000);
  const place = temporary();
  const state = join(place, "state");
  writeFileSync(join(place, "trust.json"), JSON.stringify(current));

  const factory = (args: string[], variables: NodeJS.ProcessEnv = { SSF_TRUST_PASSPHRASE: passphrase }) =>
    new Promise<{ code: number; stdout: string; stderr: string }>((done) => {
      const child = execFile(
        resolve(__dirname, "../../factory"),
        ["trust", ...args],
        { cwd: place, env: { ...process.env, SSF_TRUST_PASSPHRASE: undefined, ...variables, SSF_STATE: state } },
        (error, stdout, stderr) => done({ code: typeof error?.code === "number" ? error.code : 0, stdout, stderr }),
      );
      child.stdin?.end();
    });

  it.each(["init", "sign", "rotate", "show", "policy"])("helps with %s", async (name) => {
    const { code, stdout } = await factory([name, "--help"]);
    expect([code, stdout.startsWith(`Usage: factory trust ${name}`)]).toEqual([0, true]);
    expect(stdout).toContain("--json");
  });

  it("leads from a ceremony to new keys, and prints no secret", async () => {
    const said: string[] = [];
    const json = async (...args: string[]) => {
      const { code, stdout, stderr } = await factory([...args, "--json"]);
      said.push(stdout, stderr);
      expect([args[0], code, stderr]).toEqual([args[0], 0, ""]);
      return JSON.parse(stdout) as Record<string, never>;
    };
    const init = await json("init", "--keys", "keys");
    expect(init).toMatchObject({ metadata: join(state, "trust/metadata"), keys: { length: 6 } });
    const sign = ["sign", "--keys", "keys", "--from", "trust.json"];
    await expect(json(...sign)).resolves.toMatchObject({ changed: ["targets", "snapshot", "timestamp"], due: [] });
    await expect(json(...sign)).resolves.toMatchObject({ changed: [] });
    mkdirSync(join(place, "policy/rules"), { recursive: true });
    writeFileSync(join(place, "policy/rules/a.yaml"), "a");
    await json(...sign, "--policy", "policy");
    const { contents } = openRepository(readRepository(join(state, "trust/metadata")));
    expect(parseTargets(contents).policy).toMatchObject([{ path: "rules/a.yaml" }]);
    await expect(json("rotate", "timestamp", "--keys", "keys")).resolves.toMatchObject({
      changed: ["root", "timestamp"],
      written: { length: 1 },
      retired: { length: 1 },
    });
    await expect(json("rotate", "root", "--keys", "keys", "--new-keys", "new")).resolves.toMatchObject({
      changed: ["root"],
      written: [expect.stringContaining(join(place, "new/root-")), expect.anything(), expect.anything()],
    });
    await expect(json("sign", "--renew", "--keys", "keys")).resolves.toMatchObject({ changed: [] });
    await expect(json("show")).resolves.toMatchObject({
      held: true,
      roles: [
        { role: "root", version: 3, threshold: 2 },
        { role: "targets" },
        { role: "snapshot" },
        { role: "timestamp" },
      ],
      trusted: [{ kind: "authority" }, { kind: "log" }, { kind: "signer" }],
    });
    const shown = await factory(["show"]);
    expect(shown.stdout).toMatch(/^root version 3, expires 20\S+Z, 2 of 3: /);
    expect(shown.stdout).toMatch(/\nlog [0-9a-f]{64} https:\/\/rekor\.example from \S+Z\n/);
    expect(said.join("")).not.toContain(passphrase);
    expect(said.join("")).not.toContain("PRIVATE KEY");
  });

  it("refuses a ceremony in the checkout or the state, or over another", async () => {
    for (const keys of [resolve(__dirname, "keys"), join(state, "keys")]) {
      const { code, stderr } = await factory(["init", "--keys", keys]);
      expect([code, stderr.split(" ")[0]]).toEqual([2, "SSF-TRUST-001"]);
      expect(existsSync(keys)).toBe(false);
    }
    const inCheckout = ["rotate", "root", "--keys", "keys", "--new-keys", resolve(__dirname, "keys")];
    expect((await factory(inCheckout)).stderr).toContain("SSF-TRUST-001");
    const again = await factory(["init", "--keys", "others"]);
    expect([again.code, again.stderr.split(" ")[0]]).toEqual([2, "SSF-TRUST-007"]);
    expect(readdirSync(place)).not.toContain("others");
  });

  it.each([
    ["SSF-TRUST-002", ["init", "--keys", "others", "--metadata", "other"], {}],
    ["SSF-TRUST-003", ["sign", "--keys", "keys", "--renew"], { SSF_TRUST_PASSPHRASE: "another passphrase" }],
    ["SSF-TRUST-004", ["init", "--keys", "others", "--metadata", "other", "--threshold", "0"], undefined],
    ["SSF-TRUST-008", ["sign", "--keys", "keys"], undefined],
    ["SSF-TRUST-009", ["sign", "--keys", "keys", "--from", "trust.json", "--revoke", "0".repeat(64)], undefined],
    ["SSF-TRUST-015", ["sign", "--renew"], undefined],
  ])("refuses with %s", async (expected, args, variables) => {
    const { code, stderr } = await factory(args, variables);
    expect([code, stderr.split(" ")[0]]).toEqual([2, expected]);
  });

  it("takes a role that there is, and no contradiction", async () => {
    expect((await factory(["rotate", "mirror", "--keys", "keys"])).code).toBe(2);
    expect((await factory(["sign", "--renew", "--from", "trust.json"])).code).toBe(2);
  });

  it("shows with exit code 1 that something expired", async () => {
    const past = join(place, "past");
    holdCeremony({
      keys: join(place, "past-keys"),
      metadata: past,
      root: { keys: 1, threshold: 1 },
      passphrase,
      now: new Date(Date.now() - 8 * 86_400_000),
    });
    const { code, stdout } = await factory(["show", "--metadata", past]);
    expect([code, stdout.includes("timestamp version 1, EXPIRED")]).toEqual([1, true]);
  });
});

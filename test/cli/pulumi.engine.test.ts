import { spawn } from "node:child_process";
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Toolchain } from "../../stacks/toolchain";
import { describeChanges } from "../../tools/cli/engine-events";
import { existingStacks, readyStack, removeStack, stackOutputs, stackState, update } from "../../tools/cli/pulumi";
import { type PlannedStack, project } from "../../tools/cli/stack-plan";
import { hasState, prepareState, pulumiEnvironment, removeState, type Workspace } from "../../tools/cli/workspace";
import { processesWhere } from "../support/processes";
import { describeWithEngine, engineBin } from "./support/engine";

const base = mkdtempSync(join(tmpdir(), "ssf-pulumi-"));
const mockToolchain = { bin: engineBin() ?? "", plugins: join(base, "plugins") };
jest.mock("../../stacks/toolchain", () => ({ readToolchain: () => mockToolchain }));

const program = join(base, "program");
const committed = `config:\n  ${project}:text: committed\n  ${project}:replaced: before\n`;

/** Exports its configuration; fails, or waits in a resource that takes long, where that says so. */
const source = `
const pulumi = require("@pulumi/pulumi");
const random = require("@pulumi/random");
const config = new pulumi.Config();
if (config.get("fail")) throw Object.assign(new pulumi.RunError("SSF-CONFIG-001 the configuration is refused"), { stack: "" });
class Slow extends pulumi.dynamic.Resource {
  constructor(name) {
    super({ create: async () => (await new Promise((end) => setTimeout(end, 10_000)), { id: "slow" }) }, name, {});
  }
}
class Part extends pulumi.ComponentResource {
  constructor(name, args) {
    super("test:index:Part", name, args);
    new random.RandomPassword(name + "-child", { length: 12, keepers: args }, { parent: this });
  }
}
new Part("part", { text: config.get("part") ?? "" });
const password = new random.RandomPassword("password", { length: 12, keepers: { text: config.get("part") ?? "" } });
if (config.get("slow")) new Slow("slow");
exports.text = config.require("text");
exports.replaced = config.require("replaced");
exports.password = password.result;
`;

const planned = (overrides: Record<string, unknown> = {}): PlannedStack => ({
  name: "second",
  role: "factory",
  pattern: "dev",
  overrides: { replaced: "after", ...overrides },
});

describeWithEngine("stacks under the real engine", () => {
  jest.setTimeout(180_000);
  const workspace: Workspace = { state: join(base, "state"), stacks: [planned()], program };
  const launchers = join(base, "launchers");
  const path = process.env.PATH;
  const passphrase = process.env.PULUMI_CONFIG_PASSPHRASE;

  const up = async (stack = planned(), onProgress: () => void = () => undefined) =>
    update(workspace, await readyStack(workspace, stack), { operation: "up", onProgress });

  beforeAll(async () => {
    delete process.env.PULUMI_CONFIG_PASSPHRASE;
    for (const directory of [program, launchers, mockToolchain.plugins]) await mkdir(directory);
    symlinkSync(resolve(__dirname, "../../node_modules"), join(program, "node_modules"));
    const runtime = "{ name: nodejs, options: { typescript: false } }";
    writeFileSync(join(program, "Pulumi.yaml"), `name: ${project}\nruntime: ${runtime}\nmain: program.js\n`);
    writeFileSync(join(program, "package.json"), '{ "dependencies": { "@pulumi/pulumi": "*" } }');
    writeFileSync(join(program, "program.js"), source);
    writeFileSync(join(program, "Pulumi.dev.yaml"), committed);
    const launcher = `#!/bin/sh\nexec node "$(node -p 'require.resolve("@pulumi/pulumi/cmd/dynamic-provider")')" "$@"\n`;
    writeFileSync(join(launchers, "pulumi-resource-pulumi-nodejs"), launcher, { mode: 0o755 });
    process.env.PATH = `${launchers}:${path ?? ""}`;
    await prepareState(workspace, mockToolchain as unknown as Toolchain);
  });
  afterAll(() => {
    process.env.PATH = path;
    if (passphrase !== undefined) process.env.PULUMI_CONFIG_PASSPHRASE = passphrase;
    rmSync(base, { recursive: true, force: true });
  });

  it("brings a stack up from another's configuration, and changes nothing the second time", async () => {
    expect(describeChanges((await up()).changes)).toBe("4 created");
    const outputs = (await stackOutputs(workspace, "second")) as Record<string, string>;
    expect(outputs).toMatchObject({ text: "committed", replaced: "after" });
    expect(outputs.password).toHaveLength(12);
    expect(describeChanges((await up()).changes)).toBe("no changes");
    expect(await stackOutputs(workspace, "other")).toBeUndefined();
  });

  it("updates one component with all that is in it, and nothing else", async () => {
    const changed = planned({ part: "changed" });
    const ready = await readyStack(workspace, changed);
    const one = await update(workspace, ready, { operation: "up", component: "Part", onProgress: () => undefined });
    expect(describeChanges(one.changes)).toBe("1 updated, 1 replaced");
    expect(describeChanges((await up(changed)).changes)).toBe("1 replaced");
    expect(describeChanges((await up()).changes)).toBe("1 updated, 2 replaced");
  });

  it("leaves the committed files alone and its passphrase to this user", async () => {
    expect((await readdir(program)).filter((name) => name.startsWith("Pulumi"))).toEqual([
      "Pulumi.dev.yaml",
      "Pulumi.yaml",
    ]);
    expect(readFileSync(join(program, "Pulumi.dev.yaml"), "utf8")).toBe(committed);
    expect(statSync(join(workspace.state, "passphrase")).mode & 0o777).toBe(0o600);
    expect(statSync(workspace.state).mode & 0o777).toBe(0o700);
  });

  it("finds the salt again when the state's configuration was lost", async () => {
    rmSync(join(workspace.state, "config"), { recursive: true });
    rmSync(join(workspace.state, "scratch"), { recursive: true });
    await prepareState(workspace, mockToolchain as unknown as Toolchain);
    expect(describeChanges((await up()).changes)).toBe("no changes");
  });

  it("shows the program's own refusal", async () => {
    await expect(up(planned({ fail: "yes" }))).rejects.toThrow("SSF-CONFIG-001 the configuration is refused");
  });

  it("refuses a stack that a living process holds", async () => {
    const lock = join(workspace.state, "backend/.pulumi/locks/organization", project, "second/test.json");
    await mkdir(join(lock, ".."), { recursive: true });
    const { hostname } = await import("node:os");
    const owner = { username: "u", hostname: hostname(), timestamp: "2026-01-01T00:00:00Z" };
    writeFileSync(lock, JSON.stringify({ ...owner, pid: process.pid }));
    await expect(up()).rejects.toThrow(`SSF-RUN-002 stack second: locked by process ${process.pid}`);
    writeFileSync(lock, JSON.stringify({ ...owner, pid: 2 ** 22 - 1 }));
    expect(describeChanges((await up()).changes)).toBe("no changes");
    expect(existsSync(lock)).toBe(false);
  });

  it("goes on after a run that was killed in the middle of a resource", async () => {
    const ready = await readyStack(workspace, planned({ slow: "yes" }));
    const args = ["up", "--stack", "second", "--config-file", ready.configFile, "--yes", "--skip-preview"];
    const child = spawn("pulumi", ["--non-interactive", ...args], {
      cwd: program,
      env: pulumiEnvironment(workspace),
      stdio: "ignore",
      detached: true,
    });
    const ended = new Promise((resume) => child.on("close", resume));
    for (let tries = 0; tries < 240 && (await stackState(workspace, "second"))?.pending.length === 0; tries++)
      await new Promise((resume) => setTimeout(resume, 250));
    expect((await stackState(workspace, "second"))?.pending).toHaveLength(1);
    child.kill("SIGKILL");
    await ended;
    const left = () => processesWhere((shown) => readlinkSync(`${shown}/cwd`) === program);
    const ours = () => left().filter(({ command }) => command.includes("tools/plugins"));
    for (let tries = 0; tries < 60 && ours().length > 0; tries++)
      await new Promise((resume) => setTimeout(resume, 250));
    expect(ours()).toEqual([]);
    // The engine's own programs stay: its language host for minutes, its dynamic provider for good.
    for (const { pid } of left()) process.kill(pid);
    const again = await readyStack(workspace, planned());
    expect(again.mended).toEqual([
      "released the lock of a run that was killed",
      "dropped 1 unfinished operations of a run that was killed",
    ]);
    expect((await stackState(workspace, "second"))?.pending).toEqual([]);
    expect(describeChanges((await up()).changes)).toBe("no changes");
  });

  it("ends after the operation at hand when it is interrupted, and goes on from there", async () => {
    let interrupted = false;
    const run = update(workspace, await readyStack(workspace, planned({ slow: "yes" })), {
      operation: "up",
      onProgress: ({ active }) => {
        if (interrupted || !active.some(({ name }) => name === "slow")) return;
        interrupted = true;
        process.emit("SIGINT");
      },
    });
    await expect(run).rejects.toThrow("SSF-RUN-004 stack second: interrupted");
    expect(process.listenerCount("SIGINT")).toBe(0);
    const again = await readyStack(workspace, planned());
    expect(again.mended).toEqual([]);
    await update(workspace, again, { operation: "up", onProgress: () => undefined });
    expect(describeChanges((await up()).changes)).toBe("no changes");
  });

  it("removes the stack, and what it made of the state directory, and nothing else", async () => {
    const ready = await readyStack(workspace, planned());
    const { changes } = await update(workspace, ready, { operation: "destroy", onProgress: () => undefined });
    expect(describeChanges(changes)).toBe("4 deleted");
    await removeStack(workspace, "second", false);
    expect(await existingStacks(workspace)).toEqual([]);
    writeFileSync(join(workspace.state, "of-the-user"), "");
    await removeState(workspace);
    expect(hasState(workspace)).toBe(false);
    expect(await readdir(workspace.state)).toEqual(["of-the-user"]);
  });
});

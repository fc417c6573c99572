import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { FactoryError } from "../../components/lib/errors";
import { errorText } from "../../tools/cli/main";
import { DidNotHold, exitCodeOf } from "../../tools/cli/outcome";

const launcher = resolve(__dirname, "../../factory");
const state = mkdtempSync(join(tmpdir(), "ssf-main-"));
afterAll(() => rmSync(state, { recursive: true, force: true }));

const factory = (args: string[], cwd = state) =>
  new Promise<{ code: number; stdout: string; stderr: string }>((done) => {
    const env = { ...process.env, SSF_STATE: join(state, "none") };
    execFile(launcher, args, { cwd, env }, (error, stdout, stderr) =>
      done({ code: typeof error?.code === "number" ? error.code : 0, stdout, stderr }),
    );
  });

const problem = { code: "SSF-X-001", path: "p", given: "g", rule: "R.", fix: "F." };

it("tells what did not hold from what could not be checked", () => {
  expect(exitCodeOf(new DidNotHold(problem))).toBe(1);
  expect(exitCodeOf(new FactoryError(problem))).toBe(2);
  expect(exitCodeOf(new Error("x"))).toBe(2);
});

it("shows a stack trace only where it is asked for", () => {
  expect(errorText(new FactoryError(problem), false)).toBe("SSF-X-001 p: g\n  rule: R.\n  fix:  F.");
  expect(errorText(new Error("x"), false)).toBe("Error: x");
  expect(errorText(new Error("x"), true)).toContain("at ");
});

describe("the launcher, from any directory", () => {
  jest.setTimeout(60_000);

  it.each(["up", "down", "build", "verify", "attack", "graph", "status", "alerts", "env", "toolchain"])(
    "helps with %s",
    async (verb) => {
      const { code, stdout } = await factory([verb, "--help"]);
      expect([code, stdout.startsWith(`Usage: factory ${verb}`)]).toEqual([0, true]);
      expect(stdout).toContain("--json");
    },
  );

  it.each(["new", "list", "remove"])("helps with team %s", async (verb) => {
    const { code, stdout } = await factory(["team", verb, "--help"]);
    expect([code, stdout.startsWith(`Usage: factory team ${verb}`)]).toEqual([0, true]);
    expect(stdout).toContain("--json");
  });

  it("ends with 2 for a wrong command line and for an image by tag", async () => {
    expect((await factory(["unknown"])).code).toBe(2);
    const { code, stderr } = await factory(["verify", "registry/app:latest"]);
    expect([code, stderr.split(" ")[0]]).toEqual([2, "SSF-VERIFY-001"]);
  });

  it("finds nothing up, and nothing to take down", async () => {
    const status = await factory(["status", "--json"]);
    expect(status.code).toBe(1);
    expect(JSON.parse(status.stdout)).toMatchObject({ held: false, cluster: "not there" });
    expect(await factory(["down"])).toMatchObject({ code: 0, stdout: "Nothing was up.\n" });
  });

  it("shows no alerts of a factory that is not up, and refuses a wrong span", async () => {
    const { code, stderr } = await factory(["alerts"]);
    expect([code, stderr.split(" ")[0]]).toEqual([2, "SSF-CLI-005"]);
    const wrong = await factory(["alerts", "--since", "yesterday"]);
    expect([wrong.code, wrong.stderr.split(" ")[0]]).toEqual([2, "SSF-ALERTS-002"]);
  });

  it("lists the attacks without a factory, and refuses one that is not there", async () => {
    const { code, stdout } = await factory(["attack", "--list", "--json"]);
    expect([code, (JSON.parse(stdout) as unknown[]).length > 10]).toEqual([0, true]);
    const unknown = await factory(["attack", "unknown"]);
    expect([unknown.code, unknown.stderr.split(" ")[0]]).toEqual([2, "SSF-ATTACK-001"]);
  });

  it("draws the default pipeline without a factory, and refuses one that is not there", async () => {
    const drawn = await factory(["graph", "--output", "go.svg"]);
    expect([drawn.code, drawn.stdout]).toEqual([0, ""]);
    expect(readFileSync(join(state, "go.svg"), "utf8")).toContain('<title id="title">Pipeline go</title>');
    const unknown = await factory(["graph", "--pipeline", "cobol"]);
    expect([unknown.code, unknown.stderr.includes("SSF-CLI-008 --pipeline")]).toEqual([2, true]);
    expect(unknown.stderr).toContain("Give one of go, npm, pip.");
  });

  it.each(["npm", "pip"])("draws the default pipeline for %s", async (name) => {
    const { code, stdout } = await factory(["graph", "--pipeline", name, "--format", "mermaid"]);
    expect([code, stdout.split("\n")[1]]).toEqual([0, `  accTitle: Pipeline ${name}`]);
  });

  it("reads a directory from where the person stands, and refuses one that is no repository", async () => {
    const { code, stderr } = await factory(["build", "."]);
    expect([code, stderr.split(":")[0]]).toEqual([2, `SSF-BUILD-001 ${state}`]);
    expect((await factory(["build", "missing"])).stderr).toContain("SSF-BUILD-007");
  });
});

import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Toolchain } from "../../stacks/toolchain";
import { shellWord } from "../../tools/cli/verbs/env";
import { checkpointFile, ownClusters, pulumiVariables, removeState, stateDirectory } from "../../tools/cli/workspace";

const base = mkdtempSync(join(tmpdir(), "ssf-workspace-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));
const toolchain = { bin: "/toolchain/bin", plugins: join(base, "plugins") } as Toolchain;

it("keeps the state where the person says, relative to where the person stands", () => {
  expect(stateDirectory({ SSF_STATE: "/a" })).toBe("/a");
  expect(stateDirectory({ SSF_STATE: "a", SSF_CALLER_DIRECTORY: "/there" })).toBe("/there/a");
  expect(stateDirectory({ XDG_STATE_HOME: "/s" })).toBe("/s/secure-software-factory");
});

it("takes backend and passphrase of the person before its own", () => {
  const own = pulumiVariables("/s", toolchain, { PATH: "/bin" });
  expect(own).toMatchObject({
    SSF_STATE: "/s",
    PULUMI_HOME: "/s/pulumi",
    PULUMI_BACKEND_URL: "file:///s/backend?metadata=skip",
    PULUMI_CONFIG_PASSPHRASE_FILE: "/s/passphrase",
  });
  const given = pulumiVariables("/s", toolchain, { PULUMI_BACKEND_URL: "s3://b", PULUMI_CONFIG_PASSPHRASE: "x" });
  expect(given.PULUMI_BACKEND_URL).toBe("s3://b");
  expect(Object.keys(given).filter((name) => name.includes("PASSPHRASE"))).toEqual([]);
});

it("serves only those packages by itself that the toolchain has no plugin for", async () => {
  const served = () => pulumiVariables("/s", toolchain, { PATH: "/bin" }).PATH;
  expect(served()).toMatch(/tools\/plugins\/random:\/toolchain\/bin:\/bin$/);
  await mkdir(join(toolchain.plugins, "resource-random-v4.21.2"), { recursive: true });
  expect(served()).not.toContain("plugins/random");
  expect(served()).toContain("plugins/kind");
});

it("finds clusters that were made and not deleted", async () => {
  const workspace = { state: join(base, "state"), stacks: [], program: base };
  expect(ownClusters(workspace)).toEqual([]);
  await mkdir(join(workspace.state, "clusters/second"), { recursive: true });
  expect(ownClusters(workspace)).toEqual(["second"]);
});

it("forgets the checkpoints that it saw of logs when it is removed, and leaves what is not its own", async () => {
  const workspace = { state: join(base, "removed"), stacks: [], program: base };
  const file = checkpointFile(workspace, "a".repeat(64));
  await mkdir(file, { recursive: true });
  await mkdir(join(workspace.state, "other"));
  await removeState(workspace);
  expect(readdirSync(workspace.state)).toEqual(["other"]);
});

it("prints words that a shell reads back unchanged", () => {
  const value = `a 'quoted' "word" $HOME \`x\` \\ end`;
  expect(execFileSync("sh", ["-c", `printf %s ${shellWord(value)}`], { encoding: "utf8" })).toBe(value);
});

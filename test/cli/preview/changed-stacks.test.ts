import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { changedStacks, judging, readChange } from "../../../tools/cli/preview/changed-stacks";
import { planStacks } from "../../../tools/cli/stack-plan";

const stacks = planStacks("cluster,dev,team-a,team-b", []);
const touched = (...files: string[]) => changedStacks(files, stacks).map(({ name }) => name);

describe("the stacks that a change touches", () => {
  it.each([
    [["Pulumi.cluster.yaml"], ["cluster", "dev", "team-a", "team-b"]],
    [["Pulumi.dev.yaml"], ["dev", "team-a", "team-b"]],
    [["Pulumi.team-b.yaml"], ["team-b"]],
    [["Pulumi.team-a.yaml"], ["team-a", "team-b"]],
    [["components/tekton.ts"], ["cluster", "dev", "team-a", "team-b"]],
    [
      ["package-lock.json", "Pulumi.team-b.yaml"],
      ["cluster", "dev", "team-a", "team-b"],
    ],
    [["README.md", "docs/guides/gate.md", "test/cli/main.test.ts", ".github/workflows/preview.yml"], []],
    [["something-new"], ["cluster", "dev", "team-a", "team-b"]],
    [[], []],
  ])("%j touches %j", (files, expected) => expect(touched(...files)).toEqual(expected));

  it("names the files that judge the change itself", () => {
    expect(judging(["policies/preview/pack.ts", "pipelines/graph.ts", "components/tekton.ts"])).toEqual([
      "policies/preview/pack.ts",
      "pipelines/graph.ts",
    ]);
  });
});

describe("what a checkout changes", () => {
  const directory = mkdtempSync(join(tmpdir(), "ssf-change-"));
  const git = (...args: string[]) =>
    execFileSync("git", ["-C", directory, "-c", "user.name=t", "-c", "user.email=t@example.com", ...args], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  const write = (name: string, text = name) => writeFileSync(join(directory, name), text);
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it("is what is committed since the base, what is not committed yet, and nothing that the base got meanwhile", async () => {
    git("init", "--initial-branch=main");
    write("kept");
    write("removed");
    git("add", ".");
    git("commit", "--message=first");
    const first = git("rev-parse", "HEAD");
    git("checkout", "-b", "change");
    write("committed");
    git("add", ".");
    git("rm", "removed");
    git("commit", "--message=change");
    git("checkout", "main");
    write("of-the-base");
    git("add", ".");
    git("commit", "--message=second");
    git("checkout", "change");
    write("kept", "changed");
    write("unknown");
    expect(await readChange(directory)).toEqual({ commit: first, files: ["committed", "kept", "removed", "unknown"] });
  });

  it("refuses a base that is not there", async () => {
    await expect(readChange(directory, "nowhere")).rejects.toThrow(
      "SSF-CLI-009 --base: fatal: Not a valid object name",
    );
  });
});

import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parse } from "yaml";
import { previewScript } from "./scripts";

const root = resolve(__dirname, "../../..");
const read = (file: string) => readFileSync(join(root, file), "utf8");

interface Job {
  permissions: Record<string, string>;
  steps: { uses?: string; run?: string; with?: Record<string, unknown>; env?: Record<string, string> }[];
}

interface Workflow {
  on: Record<string, unknown>;
  permissions: Record<string, string>;
  jobs: Record<string, Job>;
}

const workflow = (name: string) => parse(read(`.github/workflows/${name}.yml`)) as Workflow;

describe("workflows for pull requests", () => {
  it.each(["preview", "preview-comment"])("%s pins each action by commit, beside its version", (name) => {
    const uses = read(`.github/workflows/${name}.yml`)
      .split("\n")
      .filter((line) => line.includes("uses:"));
    expect(uses.length).toBeGreaterThan(0);
    for (const line of uses) expect(line).toMatch(/uses: actions\/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
  });

  it("runs a pull request's code without a secret, and with no right but to read", () => {
    const { on, permissions, jobs } = workflow("preview");
    expect(Object.keys(on)).toEqual(["pull_request", "push"]);
    expect(permissions).toEqual({});
    expect(Object.values(jobs).map((job) => job.permissions)).toEqual([{ contents: "read" }]);
    expect(read(".github/workflows/preview.yml")).not.toMatch(/secrets\.|github\.token/);
    const [checkout] = jobs.preview?.steps ?? [];
    expect(checkout?.with).toMatchObject({ "persist-credentials": false });
  });

  it("comments with the right to, and with nothing of the pull request but text", () => {
    const { on, permissions, jobs } = workflow("preview-comment");
    expect(on).toEqual({ workflow_run: { workflows: ["preview"], types: ["completed"] } });
    expect(permissions).toEqual({});
    expect(jobs.comment?.permissions).toEqual({ actions: "read", "pull-requests": "write" });
    const steps = jobs.comment?.steps ?? [];
    expect(steps.some(({ uses }) => uses?.startsWith("actions/checkout@"))).toBe(false);
    for (const { run = "" } of steps) expect(run).not.toContain("${{");
  });

  it("runs in GitLab what it runs in GitHub, each against the commit that it would be merged into", () => {
    const { script } = (parse(read(".gitlab-ci.yml")) as { preview: { script: string[] } }).preview;
    const steps = workflow("preview").jobs.preview?.steps.flatMap(({ run = [] }) => run) ?? [];
    const made = (lines: string[]) =>
      lines.filter((line) => line.startsWith("make ")).map((line) => line.replace(/BASE=\S+/, "BASE=x"));
    expect(made(steps)).toEqual(["make toolchain", "make preview BASE=x COMMENT=preview.md"]);
    expect(made(script)).toEqual(made(steps));
    expect(previewScript()).toBe("make preview BASE=HEAD^1 COMMENT=preview.md");
  });

  it("keeps the toolchain by what it is made from", () => {
    const cached = workflow("preview").jobs.preview?.steps.find(({ uses }) => uses?.startsWith("actions/cache@"));
    const paths = String(cached?.with?.key).match(/'([^']+)\/\*\*'/g) ?? [];
    expect(paths).toHaveLength(2);
    for (const path of paths) expect(existsSync(join(root, path.slice(1, -4)))).toBe(true);
  });
});

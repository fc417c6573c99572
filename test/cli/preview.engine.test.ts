import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseOutputs } from "../../stacks/outputs";
import { standInOutputs } from "../../stacks/stand-ins";
import { readToolchain } from "../../stacks/toolchain";
import { execute } from "../../tools/process";
import { whatIsMissing } from "../../tools/cli/preview/basis";
import { startStandInCluster } from "../../tools/cli/preview/stand-in-cluster";
import { importOutputs, readyStack } from "../../tools/cli/pulumi";
import { openWorkspace, prepareState, type Workspace } from "../../tools/cli/workspace";
import { blocksOf } from "../guides/blocks";
import { cloneCheckout } from "../support/checkout";
import { previewScript } from "./preview/scripts";
import { describeWithEngine } from "./support/engine";

jest.setTimeout(20 * 60_000);

const directory = mkdtempSync(join(tmpdir(), "ssf-preview-test-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describeWithEngine("a preview of a branch, as the workflow runs it", () => {
  const clone = join(directory, "clone");
  const git = (...args: string[]) =>
    execFileSync("git", ["-C", clone, "-c", "user.name=t", "-c", "user.email=t@example.com", ...args]);

  /** Changes a file on a branch of its own, and runs the workflow's line there. */
  const previewOf = async (branch: string, file: string, change: (content: string) => string) => {
    git("checkout", "--quiet", "-B", branch, "base");
    const path = join(clone, file);
    const before = readFileSync(path, "utf8");
    const after = change(before);
    if (after === before) throw new Error(`${file} has not what the test changes`);
    writeFileSync(path, after);
    git("commit", "--quiet", "--all", `--message=${branch}`);
    rmSync(join(clone, "preview.md"), { force: true });
    const { code, stdout, stderr } = await execute("sh", ["-e", "-c", previewScript()], {
      cwd: clone,
      env: { ...process.env, SSF_STATE: join(directory, "none") },
    });
    const comment = existsSync(join(clone, "preview.md")) ? readFileSync(join(clone, "preview.md"), "utf8") : "";
    return { code, stdout, stderr, comment };
  };

  beforeAll(() => {
    cloneCheckout(clone);
    git("checkout", "--quiet", "-B", "base");
  });

  it("lets a good one through, and says first that there is no cluster", async () => {
    const { code, stdout, comment } = await previewOf("good", "Pulumi.team-a.yaml", (text) =>
      text.replace("config:\n", "config:\n  secure-software-factory:quotaPods: 61\n"),
    );
    expect(stdout.split("\n").filter((line) => !/^(make|\.\/factory)/.test(line))[0]).toMatch(
      /^Without a cluster: no cluster is there/,
    );
    expect(stdout).toContain("stack team-a: 1 updated");
    expect(stdout).toContain("! update core/v1:ResourceQuota team-quota");
    expect(stdout).toContain('spec.hard.pods: "61"');
    expect(stdout).not.toContain("stack dev:");
    expect(stdout).toContain("The change held.");
    expect(code).toBe(0);
    expect(comment).toContain("## Preview: the change held");
    expect(comment).toContain('["team<br/>~1"]:::changed');
  });

  it("refuses one that opens a jail, and names rule and resource", async () => {
    const { code, stdout, stderr, comment } = await previewOf("opened", "components/team.ts", (text) =>
      text.replace(
        'spec: { podSelector: {}, policyTypes: ["Ingress", "Egress"] }',
        'spec: { podSelector: {}, policyTypes: ["Ingress", "Egress"], egress: [{}] }',
      ),
    );
    expect(stdout).toContain("SSF-PREVIEW-051 kubernetes:networking.k8s.io/v1:NetworkPolicy team-deny (stack team-a)");
    expect(stdout).toContain("+     spec.egress: [{}]");
    expect(stdout).toContain("The change did not hold.");
    expect(stderr).toContain("preview] Error 1");
    expect(code).not.toBe(0);
    expect(comment).toContain("## Preview: the change did not hold");
    expect(comment).toContain("SSF-PREVIEW-051 kubernetes:networking.k8s.io/v1:NetworkPolicy team-deny");
  });

  it("refuses one that the program itself refuses, with the program's words", async () => {
    const { stdout, stderr } = await previewOf("refused", "Pulumi.team-a.yaml", (text) =>
      text.replace("config:\n", "config:\n  secure-software-factory:quotaPods: 0\n"),
    );
    expect(stdout).toMatch(/Violations\n {2}SSF-CONFIG-\d+ the program \(stack team-a\)/);
    expect(stderr).toContain("preview] Error 1");
  });

  it("is asked for as the guide says", async () => {
    git("checkout", "--quiet", "-B", "told", "base");
    for (const message of ["one", "two", "three"]) {
      writeFileSync(join(clone, "README.md"), message);
      git("commit", "--quiet", "--all", `--message=${message}`);
    }
    const env = { ...process.env, SSF_STATE: join(directory, "none") };
    const [block] = blocksOf("pull-requests");
    const { code, stdout } = await execute("sh", ["-e", "-c", block?.script ?? ""], { cwd: clone, env });
    expect(code).toBe(0);
    expect(stdout.match(/The change since [0-9a-f]+ touches no stack\.[^]*?The change held\./g)).toHaveLength(3);
    expect(readFileSync(join(clone, "preview.md"), "utf8")).toContain("## Preview: the change held");
  });

  it("ends where the pack is gone", async () => {
    git("checkout", "--quiet", "-B", "gone", "base");
    rmSync(join(clone, "policies/preview"), { recursive: true });
    const ended = await execute("./factory", ["preview"], { cwd: clone });
    git("checkout", "--quiet", "--", "policies");
    expect([ended.code, ended.stderr]).toEqual([2, expect.stringContaining("SSF-CLI-010")]);
  });

  it("asks no engine where no stack is touched", async () => {
    const { code, stdout } = await previewOf("words", "README.md", (text) => `${text}\nMore.\n`);
    expect(stdout).toMatch(/The change since [0-9a-f]+ touches no stack\./);
    expect(code).toBe(0);
  });
});

describeWithEngine("what a preview has in place of a cluster", () => {
  it("has outputs of the form that the stacks read", () => {
    const outputs = standInOutputs("kubeconfig", readToolchain());
    expect(parseOutputs("cluster", "cluster", outputs.cluster)).toEqual(outputs.cluster);
    expect(parseOutputs("factory", "dev", outputs.factory)).toEqual(outputs.factory);
  });

  it("says what is missing: state, a stack, or a cluster that answers", async () => {
    const state = join(directory, "state");
    const env = { ...process.env, PULUMI_BACKEND_URL: undefined };
    const workspace: Workspace = { ...openWorkspace({}), state, env };
    expect(await whatIsMissing(workspace)).toBe("no cluster is there: this machine has no state of a factory");
    const toolchain = readToolchain();
    await prepareState(workspace, toolchain);
    expect(await whatIsMissing(workspace)).toBe("the factory is not up: there is no stack cluster");

    const cluster = await startStandInCluster();
    for (const stack of workspace.stacks) await readyStack(workspace, stack);
    await importOutputs(workspace, "cluster", standInOutputs(cluster.kubeconfig, toolchain).cluster);
    await cluster.close();
    expect(await whatIsMissing(workspace)).toMatch(/^the cluster of stack cluster cannot be reached: .*refused/);
  });
});

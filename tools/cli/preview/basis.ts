import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { standInOutputs } from "../../../stacks/stand-ins";
import { readToolchain } from "../../../stacks/toolchain";
import { execute, run } from "../../process";
import { withDirectory } from "../directory";
import { kubeconfigProblem } from "../preflight";
import { existingStacks, importOutputs, readyStack, stackOutputs, stackState } from "../pulumi";
import { ensureTrust } from "../trust";
import { hasState, knownSalt, prepareState, repository, type Workspace, writeConfigFile } from "../workspace";
import type { ReadyStack } from "../pulumi";
import { startStandInCluster } from "./stand-in-cluster";

/** Why the factory's own state and cluster cannot be asked; undefined when both answer. */
export const whatIsMissing = async (workspace: Workspace): Promise<string | undefined> => {
  if (!hasState(workspace)) return "no cluster is there: this machine has no state of a factory";
  const existing = await existingStacks(workspace);
  for (const { name } of workspace.stacks)
    if (!existing.includes(name)) return `the factory is not up: there is no stack ${name}`;
  const cluster = workspace.stacks[0]?.name ?? "";
  const { kubeconfig } = ((await stackOutputs(workspace, cluster)) ?? {}) as { kubeconfig?: unknown };
  if (typeof kubeconfig !== "string") return `the factory is not up: stack ${cluster} names no cluster`;
  return withDirectory(async (directory) => {
    const file = join(directory, "kubeconfig");
    await writeFile(file, kubeconfig, { mode: 0o600 });
    const problem = await kubeconfigProblem(file, readToolchain().bin);
    return problem && `the cluster of stack ${cluster} cannot be reached: ${problem.given}`;
  });
};

/** The stack of a factory that is up, for a preview: nothing of it is made or mended. */
export const standingStack = async (workspace: Workspace, stack: Workspace["stacks"][number]): Promise<ReadyStack> => {
  const { types = [], salt = await knownSalt(workspace, stack.name) } = (await stackState(workspace, stack.name)) ?? {};
  return { stack, configFile: await writeConfigFile(workspace, stack, salt), resources: types.length, mended: [] };
};

/** Whatever says where a factory's own state is has no part in a preview that does without it. */
const withoutPulumi = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith("PULUMI_")));

/**
 * Runs `use` with a workspace of stand-ins, which is gone afterwards: a backend in a directory, the outputs that stacks read
 * of each other, a development ceremony, and something that answers like an empty cluster.
 */
export const withStandIns = (
  { stacks, program }: Workspace,
  use: (workspace: Workspace) => Promise<void>,
): Promise<void> =>
  withDirectory(async (state) => {
    const cluster = await startStandInCluster();
    try {
      const kubeconfig = join(state, "kubeconfig");
      const env = { ...withoutPulumi(process.env), SSF_PREVIEW_KUBECONFIG: kubeconfig };
      const workspace: Workspace = { state, stacks, program, env };
      const toolchain = readToolchain();
      await prepareState(workspace, toolchain);
      await writeFile(kubeconfig, cluster.kubeconfig);
      const outputs: Partial<Record<string, object>> = standInOutputs(cluster.kubeconfig, toolchain);
      for (const stack of stacks) {
        await readyStack(workspace, stack);
        await importOutputs(workspace, stack.name, { ...outputs[stack.role] });
      }
      await ensureTrust(workspace);
      await use(workspace);
    } finally {
      await cluster.close();
    }
  });

/** Lays out a commit as a program of its own beside the checkout's packages and toolchain. */
export const layOut = async (commit: string, directory: string): Promise<string> => {
  const program = join(directory, "base");
  const archive = join(directory, "base.tar");
  await mkdir(program);
  await run("git", ["-C", repository, "archive", `--output=${archive}`, commit]);
  await run("tar", ["--extract", `--file=${archive}`, `--directory=${program}`]);
  for (const name of ["node_modules", "toolchain.lock.json"])
    await symlink(join(repository, name), join(program, name));
  return program;
};

/** Short name of a commit. */
export const shortName = async (commit: string): Promise<string> =>
  (await execute("git", ["-C", repository, "rev-parse", "--short", commit])).stdout.trim() || commit;

import { readToolchain } from "../../../stacks/toolchain";
import { KindCluster } from "../../plugins/kind/cluster";
import { describeChanges, describeProgress } from "../engine-events";
import { exitCode, type ExitCode } from "../outcome";
import { existingStacks, readyStack, releaseDeadLocks, removeStack, update } from "../pulumi";
import type { PlannedStack } from "../stack-plan";
import { displayFor, runSteps, type Step } from "../steps";
import {
  hasState,
  openWorkspace,
  ownClusters,
  prepareState,
  removeState,
  type Workspace,
  type WorkspaceOptions,
} from "../workspace";

/** What lives in a cluster that is about to go need not answer any more. */
const unreachableIsGone = { PULUMI_K8S_DELETE_UNREACHABLE: "true" };

/** The step that removes all that is in a stack, and the stack. */
export const destroyStep = (workspace: Workspace, stack: PlannedStack, env: Record<string, string> = {}): Step => ({
  title: `stack ${stack.name}`,
  run: async ({ note, status }) => {
    status("reading its state");
    const ready = await readyStack(workspace, stack);
    ready.mended.forEach(note);
    const { changes } = await update(workspace, ready, {
      operation: "destroy",
      env,
      onProgress: (progress) => status(describeProgress(progress, ready.resources)),
    });
    await removeStack(workspace, stack.name, false);
    return describeChanges(changes);
  },
});

const forgetStep = (workspace: Workspace, stack: PlannedStack): Step => ({
  title: `stack ${stack.name}`,
  run: async () => {
    await releaseDeadLocks(workspace, stack.name);
    await removeStack(workspace, stack.name, true);
    return "gone with its cluster";
  },
});

/** Removes clusters that no stack knows, since the run that made them was killed before it could tell. */
const strayClustersStep = (workspace: Workspace, bin: string): Step => ({
  title: "clusters",
  run: async ({ status }) => {
    const names = ownClusters(workspace);
    for (const name of names) {
      status(`deleting ${name}`);
      const unused = { nodeImage: "", nodeArchive: "", imageArchive: "", config: "", files: {} };
      await new KindCluster({ name, bin, ...unused }).delete();
    }
    return names.length === 0 ? "none left" : `deleted ${names.join(", ")}, left by a run that was killed`;
  },
});

/**
 * The steps that leave nothing. Stacks in a cluster that the factory made are not taken apart object by object: the
 * cluster goes first, and then what is recorded of them. In a cluster that was there before, every object is deleted.
 */
const stepsFor = async (workspace: Workspace, bin: string): Promise<Step[]> => {
  const existing = await existingStacks(workspace);
  const stacks = workspace.stacks.filter(({ name }) => existing.includes(name));
  if (ownClusters(workspace).length === 0) return stacks.toReversed().map((stack) => destroyStep(workspace, stack));
  const forgotten = stacks.filter(({ role }) => role !== "cluster").toReversed();
  return [
    ...stacks.filter(({ role }) => role === "cluster").map((stack) => destroyStep(workspace, stack, unreachableIsGone)),
    strayClustersStep(workspace, bin),
    ...forgotten.map((stack) => forgetStep(workspace, stack)),
  ];
};

/** Removes everything that `up` made, but the caches. A second run finds nothing to do. */
export const down = async (options: WorkspaceOptions & { json: boolean }): Promise<ExitCode> => {
  const workspace = openWorkspace(options);
  const display = displayFor(options.json);
  const removed: string[] = [];
  if (hasState(workspace)) {
    const toolchain = readToolchain();
    await prepareState(workspace, toolchain);
    process.env.SSF_STATE = workspace.state;
    const steps = await stepsFor(workspace, toolchain.bin);
    await runSteps(steps, display);
    removed.push(...steps.map(({ title }) => title));
    if ((await existingStacks(workspace)).length === 0) await removeState(workspace);
  }
  if (options.json) console.log(JSON.stringify({ removed }, undefined, 2));
  else display.write(removed.length === 0 ? "Nothing was up." : "The factory is down; nothing but its caches is left.");
  return exitCode.held;
};

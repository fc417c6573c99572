import { describeChanges, describeProgress } from "../engine-events";
import { exitCode, type ExitCode } from "../outcome";
import { existingStacks, readyStack, releaseDeadLocks, removeStack, stackState, update } from "../pulumi";
import { readToolchain } from "../../../stacks/toolchain";
import type { PlannedStack } from "../stack-plan";
import { displayFor, runSteps, type Step } from "../steps";
import {
  hasState,
  openWorkspace,
  prepareState,
  removeState,
  type Workspace,
  type WorkspaceOptions,
} from "../workspace";

/** Type of a cluster that the factory made itself, whose end is the end of everything in it. */
const ownCluster = "kind:index:Cluster";

const destroyStep = (workspace: Workspace, stack: PlannedStack): Step => ({
  title: `stack ${stack.name}`,
  run: async ({ note, status }) => {
    status("reading its state");
    const ready = await readyStack(workspace, stack);
    ready.mended.forEach(note);
    const { changes } = await update(workspace, ready, {
      operation: "destroy",
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

/**
 * The steps that leave nothing. Stacks in a cluster that the factory made are not taken apart object by object: the
 * cluster goes first, and then what is recorded of them. In a cluster that was there before, every object is deleted.
 */
const stepsFor = async (workspace: Workspace): Promise<Step[]> => {
  const existing = await existingStacks(workspace);
  const stacks = workspace.stacks.filter(({ name }) => existing.includes(name));
  const [cluster, ...others] = stacks;
  if (cluster?.role !== "cluster" || !(await stackState(workspace, cluster.name)).types.includes(ownCluster))
    return stacks.toReversed().map((stack) => destroyStep(workspace, stack));
  return [destroyStep(workspace, cluster), ...others.toReversed().map((stack) => forgetStep(workspace, stack))];
};

/** Removes everything that `up` made, but the caches. A second run finds nothing to do. */
export const down = async (options: WorkspaceOptions & { json: boolean }): Promise<ExitCode> => {
  const workspace = openWorkspace(options);
  const display = displayFor(options.json);
  const removed: string[] = [];
  if (hasState(workspace)) {
    await prepareState(workspace, readToolchain());
    const steps = await stepsFor(workspace);
    await runSteps(steps, display);
    removed.push(...steps.map(({ title }) => title));
    if ((await existingStacks(workspace)).length === 0) await removeState(workspace);
  }
  if (options.json) console.log(JSON.stringify({ removed }, undefined, 2));
  else display.write(removed.length === 0 ? "Nothing was up." : "The factory is down; nothing but its caches is left.");
  return exitCode.held;
};

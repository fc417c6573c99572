import { readToolchain } from "../../../stacks/toolchain";
import { describeChanges, describeProgress } from "../engine-events";
import { exitCode, type ExitCode } from "../outcome";
import { requireKubeconfig } from "../preflight";
import { readyStack, update } from "../pulumi";
import type { PlannedStack } from "../stack-plan";
import { displayFor, duration, runSteps, type Step } from "../steps";
import { toolchainStep } from "../toolchain-step";
import { openWorkspace, prepareState, stackConfiguration, type Workspace, type WorkspaceOptions } from "../workspace";

/** What came of one stack. */
interface StackResult {
  stack: string;
  /** Resources by operation. */
  changes: Record<string, number>;
  seconds: number;
}

const stackStep = (workspace: Workspace, stack: PlannedStack, results: StackResult[]): Step => ({
  title: `stack ${stack.name}`,
  run: async ({ note, status }) => {
    const started = Date.now();
    status("reading its state");
    const ready = await readyStack(workspace, stack);
    ready.mended.forEach(note);
    status("starting the engine");
    const { changes, warnings } = await update(workspace, ready, {
      operation: "up",
      onProgress: (progress) => status(describeProgress(progress, ready.resources)),
    });
    [...new Set(warnings)].forEach(note);
    results.push({ stack: stack.name, changes, seconds: (Date.now() - started) / 1000 });
    return describeChanges(changes);
  },
});

/** Brings up everything: toolchain, cluster, factory, teams. A second run changes nothing. */
export const up = async (options: WorkspaceOptions & { json: boolean }): Promise<ExitCode> => {
  const started = Date.now();
  const workspace = openWorkspace(options);
  const display = displayFor(options.json);
  const results: StackResult[] = [];
  const prepare: Step = {
    title: "state",
    run: async () => {
      const toolchain = readToolchain();
      await prepareState(workspace, toolchain);
      for (const stack of workspace.stacks)
        await requireKubeconfig(await stackConfiguration(workspace, stack), toolchain.bin);
      return workspace.state;
    },
  };
  const stacks = workspace.stacks.map((stack) => stackStep(workspace, stack, results));
  await runSteps([toolchainStep({ extras: false }), prepare, ...stacks], display);
  const seconds = (Date.now() - started) / 1000;
  if (options.json) console.log(JSON.stringify({ stacks: results, seconds }, undefined, 2));
  else {
    const changed = results.filter(({ changes }) => describeChanges(changes) !== "no changes");
    const summary = changed.map(({ stack, changes }) => `${stack}: ${describeChanges(changes)}`).join("; ");
    display.write(`The factory is up: ${summary || "no changes"} (${duration(seconds * 1000)}).`);
    display.write("Next: ./factory build examples/go-service");
  }
  return exitCode.held;
};

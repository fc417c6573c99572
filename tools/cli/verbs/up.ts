import { readToolchain } from "../../../stacks/toolchain";
import { describeChanges, describeProgress } from "../engine-events";
import { exitCode, type ExitCode } from "../outcome";
import { kubeconfigOf, requireAnswer, requireKubeconfig } from "../preflight";
import { type ReadyStack, readyStack, update } from "../pulumi";
import { readSettings } from "../settings";
import type { PlannedStack } from "../stack-plan";
import { displayFor, duration, type Report, runSteps, type Step } from "../steps";
import { developmentWarning, ensureTrust, readFactoryTrust, signDevelopmentTrust } from "../trust";
import { toolchainStep } from "../toolchain-step";
import { openWorkspace, prepareState, type Workspace, type WorkspaceOptions } from "../workspace";

/** What came of one stack. */
interface StackResult {
  stack: string;
  /** Resources by operation. */
  changes: Record<string, number>;
  seconds: number;
}

/**
 * Signs what a factory signs with, once it is known, and publishes it; only where the keys for that are development keys, and
 * only what is not signed yet.
 */
const publishTrust = async (workspace: Workspace, ready: ReadyStack, { note, status }: Report): Promise<void> => {
  status("signing what it signs with");
  const signed = await signDevelopmentTrust(workspace, await readFactoryTrust(workspace));
  if (signed === undefined || signed.changed.length === 0) return;
  status("publishing what it signs with");
  await update(workspace, ready, {
    operation: "up",
    component: "TufRepository",
    onProgress: (progress) => status(describeProgress(progress, ready.resources)),
  });
  note(developmentWarning);
};

const stackStep = (workspace: Workspace, stack: PlannedStack, results: StackResult[]): Step => ({
  title: `stack ${stack.name}`,
  run: async (report) => {
    const { note, status } = report;
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
    if (stack.role === "factory") await publishTrust(workspace, ready, report);
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
  // Nothing is made, on this machine or elsewhere, for settings that cannot hold.
  const kubeconfig = kubeconfigOf(await readSettings(workspace));
  if (kubeconfig !== undefined) await requireAnswer(kubeconfig);
  const prepare: Step = {
    title: "state",
    run: async () => {
      const toolchain = readToolchain();
      if (kubeconfig !== undefined) await requireKubeconfig(kubeconfig, toolchain.bin);
      await prepareState(workspace, toolchain);
      await ensureTrust(workspace);
      return workspace.state;
    },
  };
  const stacks = workspace.stacks.map((stack) => stackStep(workspace, stack, results));
  await runSteps([toolchainStep({ extras: false, hasCluster: kubeconfig !== undefined }), prepare, ...stacks], display);
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

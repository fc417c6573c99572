import { policySpec } from "../../components/lib/admission-policy";
import { pipelineRun, type PipelineModel, type PipelineRun, signDefinition } from "../../pipelines";
import { pipelineOf, runTemplateOf, stageTask } from "../../pipelines/tekton";
import { teamRuns, type RunnablePipeline } from "../../policies/admission";
import { promptSigner } from "../../stacks/definition-keys";
import type { StackOutputs } from "../../stacks/outputs";
import { readToolchain } from "../../stacks/toolchain";
import type { ApiServer } from "../../tools/cli/api-server";
import type { Kubectl } from "../../tools/cli/kubectl";
import { pipelineRunSchema } from "../../tools/cli/watch-run";
import { pause } from "../attacks/support";

/** A factory that is up, and one of its teams. */
export interface ProbeContext {
  kubectl: Kubectl;
  api: ApiServer;
  team: StackOutputs["team"];
  shared: StackOutputs["factory"];
}

/** What came of a probe. */
export interface Probed {
  /** Name of its run. */
  run: string;
  succeeded: boolean;
  results: Record<string, string>;
}

/**
 * Lets the team's rule admit another pipeline beside the team's own; only the start of a run is compared with it.
 * @returns what puts the rule back as it was
 */
const admit = async ({ kubectl, team }: ProbeContext, probe: RunnablePipeline): Promise<() => Promise<void>> => {
  const own = Object.values(team.pipelines) as unknown as RunnablePipeline[];
  const rule = teamRuns({ team: team.team, namespace: team.namespace }, [...own, probe]);
  const name = ["validatingadmissionpolicy", rule.name];
  const write = async (spec: unknown): Promise<void> => {
    await kubectl.text(["patch", ...name, "--type=merge", `--patch=${JSON.stringify({ spec })}`]);
  };
  const { spec: before } = (await kubectl.json(["get", ...name])) as { spec: unknown };
  await write(policySpec(rule));
  return () => write(before);
};

/** Starts the run once the API server has read the changed rule, which takes it a moment. */
const start = async (context: ProbeContext, run: PipelineRun, tries = 30): Promise<string> => {
  try {
    return pipelineRunSchema.parse(await context.api.create(run)).metadata.name;
  } catch (error) {
    if (tries === 1 || !String(error).includes("SSF-ADMISSION-070")) throw error;
    await pause();
    return start(context, run, tries - 1);
  }
};

/** Where the API server has the runs of the team. */
export const runsPath = ({ team }: ProbeContext): string =>
  `/apis/tekton.dev/v1/namespaces/${team.namespace}/pipelineruns`;

const ended = async (context: ProbeContext, run: string): Promise<Probed> => {
  for (let tries = 0; tries < 150; tries++) {
    const { status } = pipelineRunSchema.parse(await context.api.read(`${runsPath(context)}/${run}`));
    const outcome = status.conditions.find(({ type }) => type === "Succeeded")?.status ?? "Unknown";
    if (outcome !== "Unknown")
      return {
        run,
        succeeded: outcome === "True",
        results: Object.fromEntries(status.results.map(({ name, value }) => [name, String(value)])),
      };
    await pause();
  }
  throw new Error(`run ${run} has not ended`);
};

/** Starts a run of the pipeline with these parameters, and gives its name. */
export type StartRun = (params: Record<string, string>) => Promise<string>;

/**
 * Uses a pipeline that the team's stack does not have, signed by the team's key, as if the stack had it. One at a
 * time: each changes the team's rule for as long as it is used. Each has a name of its own, since the API server may
 * know the rule of the one before for a moment longer.
 */
export const withPipeline = async <T>(
  context: ProbeContext,
  model: PipelineModel,
  use: (start: StartRun) => Promise<T>,
): Promise<T> => {
  const { api, team, shared } = context;
  const placement = { team: team.team, namespace: team.namespace };
  const signer = promptSigner(team.definitions, readToolchain().bin);
  const definitions = [
    ...model.stages.map((stage) => stageTask(model, stage, placement)),
    pipelineOf(model, placement),
  ].map((definition) => signDefinition(definition, signer));
  const runTemplate = runTemplateOf(model, placement, { runtimeClasses: shared.runtimeClasses, timeout: "10m0s" });
  for (const definition of definitions) await api.create(definition);
  try {
    const putBack = await admit(context, { name: model.name, runTemplate, params: model.params });
    try {
      return await use((params) => start(context, pipelineRun(runTemplate, params)));
    } finally {
      await putBack();
    }
  } finally {
    for (const definition of definitions) await api.remove(definition);
  }
};

/** Runs a pipeline that the team's stack does not have, once, to its end. */
export const probe = (context: ProbeContext, model: PipelineModel): Promise<Probed> =>
  withPipeline(context, model, async (run) => ended(context, await run({})));

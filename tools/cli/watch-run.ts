import { z } from "zod";

const condition = z.object({
  type: z.string(),
  status: z.string(),
  reason: z.string().default(""),
  message: z.string().default(""),
});

const status = {
  conditions: z.array(condition).default([]),
  startTime: z.string().optional(),
  completionTime: z.string().optional(),
};

const taskRunSchema = z.object({
  metadata: z.object({ name: z.string(), labels: z.record(z.string(), z.string()).default({}) }),
  status: z
    .object({
      ...status,
      podName: z.string().default(""),
      steps: z
        .array(
          z.object({
            name: z.string(),
            container: z.string().optional(),
            terminated: z.object({ exitCode: z.number(), reason: z.string().default("") }).optional(),
          }),
        )
        .default([]),
    })
    .default({ conditions: [], podName: "", steps: [] }),
});

export const pipelineRunSchema = z.object({
  metadata: z.object({ name: z.string(), annotations: z.record(z.string(), z.string()).default({}) }),
  status: z
    .object({ ...status, results: z.array(z.object({ name: z.string(), value: z.unknown().optional() })).default([]) })
    .default({ conditions: [], results: [] }),
});

export const pipelineRunList = z.object({ items: z.array(pipelineRunSchema) });
export const taskRunList = z.object({ items: z.array(taskRunSchema) });

export type TaskRun = z.infer<typeof taskRunSchema>;
export type PipelineRun = z.infer<typeof pipelineRunSchema>;

/** How far a stage is. */
export interface StageState {
  name: string;
  state: "waiting" | "running" | "succeeded" | "failed";
  /** Time from start to end, or to now. */
  milliseconds: number;
}

const succeeded = ({ conditions }: { conditions: z.infer<typeof condition>[] }) =>
  conditions.find(({ type }) => type === "Succeeded");

/** The stages of a run in the order of the pipeline. */
export const stageStates = (stages: readonly string[], taskRuns: readonly TaskRun[], now: number): StageState[] =>
  stages.map((name) => {
    const taskRun = taskRuns.find(({ metadata }) => metadata.labels["tekton.dev/pipelineTask"] === name);
    const start = taskRun?.status.startTime;
    if (taskRun === undefined || start === undefined) return { name, state: "waiting", milliseconds: 0 };
    const end = taskRun.status.completionTime;
    const milliseconds = (end === undefined ? now : Date.parse(end)) - Date.parse(start);
    const outcome = succeeded(taskRun.status)?.status;
    const state = outcome === "True" ? "succeeded" : outcome === "False" ? "failed" : "running";
    return { name, state, milliseconds: Math.max(0, milliseconds) };
  });

/** How a run stands: still going, done, signed and in the log, or what is wrong. */
export type RunState =
  | { state: "running" | "signing"; detail: string }
  | { state: "signed"; image: string }
  | { state: "failed"; detail: string };

const result = (run: PipelineRun, name: string): string | undefined => {
  const value = run.status.results.find((candidate) => candidate.name === name)?.value;
  return typeof value === "string" ? value.trim() : undefined;
};

/**
 * What Chains' annotations say: the run is signed and in the log, Chains will not try again by itself, or it has not answered.
 * A run that it tried more than once is not signed yet: the entry in the log may come from a try that stored no statement.
 */
export const signature = ({ metadata: { annotations } }: PipelineRun): "logged" | "given up" | "awaited" => {
  const mark = (name: string) => annotations[`chains.tekton.dev/${name}`];
  if (mark("signed") === undefined) return "awaited";
  const isLogged = mark("signed") === "true" && mark("transparency") !== undefined && mark("retries") === undefined;
  return isLogged ? "logged" : "given up";
};

/** What the run's conditions and the annotations of Chains say. */
export const runState = (run: PipelineRun): RunState => {
  const outcome = succeeded(run.status);
  if (outcome?.status === "False") return { state: "failed", detail: `${outcome.reason}: ${outcome.message}` };
  if (outcome?.status !== "True") return { state: "running", detail: outcome?.reason ?? "Pending" };
  const [url, digest] = [result(run, "IMAGE_URL"), result(run, "IMAGE_DIGEST")];
  if (url === undefined || digest === undefined)
    return { state: "failed", detail: "the run ended without the results IMAGE_URL and IMAGE_DIGEST" };
  const made = signature(run);
  if (made === "logged") return { state: "signed", image: `${url}@${digest}` };
  return {
    state: "signing",
    detail:
      made === "awaited"
        ? "waiting for the signature"
        : "waiting for the signature: Fulcio, the log or the registry did not answer; it is tried again when they do",
  };
};

/** The container whose step ended a stage, and its pod: where to read why. */
export const failedStep = (
  taskRuns: readonly TaskRun[],
): { stage: string; step: string; pod: string; container: string } | undefined => {
  for (const { metadata, status } of taskRuns) {
    const step = status.steps.find(({ terminated }) => terminated !== undefined && terminated.exitCode !== 0);
    if (step === undefined || succeeded(status)?.status !== "False") continue;
    const stage = metadata.labels["tekton.dev/pipelineTask"] ?? metadata.name;
    return { stage, step: step.name, pod: status.podName, container: step.container ?? `step-${step.name}` };
  }
  return undefined;
};

/** Why the first failed stage failed, where it has no failed step: its pod was refused, or its definition not verified. */
export const failedStage = (taskRuns: readonly TaskRun[]): string | undefined => {
  for (const { metadata, status } of taskRuns) {
    const outcome = succeeded(status);
    if (outcome?.status === "False")
      return `stage ${metadata.labels["tekton.dev/pipelineTask"] ?? metadata.name}: ${outcome.reason}: ${outcome.message}`;
  }
  return undefined;
};

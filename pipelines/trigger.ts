import { FactoryError, type Problem } from "../components/lib/errors";
import { TRIGGER_LABEL } from "../components/lib/labels";
import type { RunParam } from "./model";
import { pipelineRun, type PipelineRun } from "./tekton";

/** What started a run, as parameters of the run, because provenance records those. */
export const triggerParams: RunParam[] = [
  {
    name: "trigger",
    description: "what started the run: manual, push or schedule.",
    pattern: "manual|push|schedule",
    default: "manual",
  },
  {
    name: "event",
    description:
      "what it started on: the first 24 hexadecimal digits of the SHA-256 of a push's webhook, the number of a schedule's time, or none.",
    pattern: "none|[0-9a-f]{24}|[0-9]{1,12}",
    default: "none",
  },
];

/** What an event says, and nothing else: the rest of a run is fixed. */
export const EVENT_FIELDS = ["commit", "trigger", "event"] as const;

/** A run with places for {@link EVENT_FIELDS}, as a TriggerTemplate holds it. */
export interface TriggeredRun {
  apiVersion: PipelineRun["apiVersion"];
  kind: PipelineRun["kind"];
  metadata: {
    /** Made of the event, so that an event that arrives twice names a run that exists already. */
    name: string;
    namespace: string;
    labels: Record<string, string>;
  };
  spec: PipelineRun["spec"];
}

/** An event that holds every pattern, to check the other parameters with. */
const sample = { commit: "0".repeat(40), trigger: "push", event: "0".repeat(24) };

/**
 * What a trigger runs: the template for one repository, with places for what an event says.
 * @param repository - https address of the repository
 * @param fixed - every other parameter without a default but those of the event
 */
export const triggeredRun = (
  runTemplate: PipelineRun,
  repository: string,
  fixed: Readonly<Record<string, string>>,
): TriggeredRun => {
  const own = ["repository", ...EVENT_FIELDS];
  const [first, ...others] = own
    .filter((name) => name in fixed)
    .map((name): Problem => ({
      code: "SSF-TRIGGER-001",
      path: `params.${name}`,
      given: `"${fixed[name] ?? ""}"`,
      rule: "The repository has a setting of its own, and what an event says is not fixed beforehand.",
      fix: `Leave out ${own.join(", ")}.`,
    }));
  if (first !== undefined) throw new FactoryError(first, ...others);
  const { metadata, ...run } = pipelineRun(runTemplate, { ...fixed, repository, ...sample });
  const place = (name: string) => `$(tt.params.${name})`;
  const isFromEvent = (name: string) => EVENT_FIELDS.some((field) => field === name);
  return {
    ...run,
    metadata: {
      name: `${metadata.generateName}${place("trigger")}-${place("event")}`,
      namespace: metadata.namespace,
      labels: { ...metadata.labels, [TRIGGER_LABEL]: place("trigger") },
    },
    spec: {
      ...run.spec,
      params: (run.spec.params ?? []).map(({ name, value }) => ({
        name,
        value: isFromEvent(name) ? place(name) : value,
      })),
    },
  };
};

import * as pulumi from "@pulumi/pulumi";

import { FactoryError, type Problem } from "../components/lib/errors";
import { TeamTrigger } from "../components/team-trigger";
import { EVENT_FIELDS, type PipelineRun, triggeredRun, type TriggeredRun } from "../pipelines";
import type { TeamConfig } from "./config";
import type { StackOutputs } from "./outputs";

/** A pipeline, as a trigger needs it. */
export interface TriggeredPipeline {
  /** Name of the pipeline. */
  name: string;
  /** A run without its parameters. */
  runTemplate: PipelineRun;
}

/** What {@link makeTrigger} needs beside the settings. */
export interface TriggerContext {
  factory: Pick<StackOutputs["factory"], "clusterCidrs" | "forge" | "stageImages">;
  /** All pipelines of the team. */
  pipelines: readonly TriggeredPipeline[];
  /** Authorities to trust outside the cluster, as PEM. @default those of the image */
  caBundlePem: string | undefined;
}

/** What starts the team's runs by itself, with its outputs; undefined when the settings ask for nothing. */
export const makeTrigger = (
  config: TeamConfig,
  { factory, pipelines, caBundlePem }: TriggerContext,
  opts: pulumi.ComponentResourceOptions,
): pulumi.Output<StackOutputs["team"]["trigger"]> | undefined => {
  const { triggerRepository: repository, triggerBranch: branch } = config;
  if (repository === undefined) return undefined;
  const isOurs = repository.startsWith(`${factory.forge.url}/`);
  const { url, secret } = new TeamTrigger(
    "trigger",
    {
      team: config.team,
      image: factory.stageImages["stage-trigger"] ?? "",
      repository,
      branch,
      run: configuredRun(config, repository, pipelines),
      eventFields: [...EVENT_FIELDS],
      schedule: config.schedule,
      clusterCidrs: factory.clusterCidrs,
      caPem: factory.forge.caPem,
      repositoryCaPem: isOurs ? factory.forge.caPem : caBundlePem,
    },
    opts,
  );
  return pulumi.output({ url, repository, branch, secret });
};

/** What an event runs, by the settings; a wrong parameter is refused under the name of its key. */
export const configuredRun = (
  { triggerPipeline, triggerParams = "" }: Pick<TeamConfig, "triggerPipeline" | "triggerParams">,
  repository: string,
  pipelines: readonly TriggeredPipeline[],
): TriggeredRun => {
  const pipeline = pipelines.find(({ name }) => name === triggerPipeline);
  if (pipeline === undefined) {
    throw new FactoryError({
      code: "SSF-TRIGGER-004",
      path: "config triggerPipeline",
      given: `"${triggerPipeline}"`,
      rule: "It must be one of the team's pipelines.",
      fix: `Take one of ${pipelines.map(({ name }) => name).join(", ")}.`,
    });
  }
  const given = triggerParams === "" ? [] : triggerParams.split(",").map(splitPair);
  try {
    return triggeredRun(pipeline.runTemplate, repository, Object.fromEntries(given));
  } catch (error) {
    if (!(error instanceof FactoryError)) throw error;
    const [first, ...others] = error.problems.map((problem): Problem => ({
      ...problem,
      path: `config triggerParams, ${problem.path}`,
    }));
    throw first === undefined ? error : new FactoryError(first, ...others);
  }
};

/** Name and value of `<name>=<value>`. */
export const splitPair = (pair: string): [string, string] => {
  const [name = "", ...value] = pair.split("=");
  return [name, value.join("=")];
};

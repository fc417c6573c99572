import { variableName, type RunResult, type Stage, type Workspace } from "../model";

const workspace = "reproduced";

/** The workspace that {@link reproduce} fills. */
export const reproducedWorkspace = (storage: string): Workspace => ({
  name: workspace,
  description: "The output of the second build.",
  storage,
});

/**
 * A second build: the stage that fills workspace `output`, once more, jailed and into a workspace of its own. Only that
 * workspace's path differs, so an output that holds its own path differs too.
 */
export const reproduce = (stage: Stage): Stage => ({
  ...stage,
  name: "reproduce",
  description: `Runs stage ${stage.name} a second time, to compare.`,
  script: stage.script.replaceAll(variableName("WORKSPACE", "output"), variableName("WORKSPACE", workspace)),
  writes: workspace,
  network: "none",
});

/** What {@link reproduce} leaves for whoever verifies a run. */
export const reproduceResults: RunResult[] = [
  {
    name: "reproduced-digest",
    description: "Digest of the output of the second build; the run has failed when it differs.",
    from: { stage: "reproduce", result: "digest" },
  },
];

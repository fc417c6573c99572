import type { StackOutputs } from "../../stacks/outputs";
import type { Kubectl } from "./kubectl";
import { pipelineRunList, runState } from "./watch-run";

/** An image that a pipeline of the team built, and that is signed and in the log. */
export const builtImage = async (kubectl: Kubectl, team: StackOutputs["team"]): Promise<string | undefined> => {
  const names = Object.values(team.pipelines).map(({ name }) => name);
  const selector = `tekton.dev/pipeline in (${names.join(",")})`;
  const args = ["get", "pipelineruns.tekton.dev", `--namespace=${team.namespace}`, `--selector=${selector}`];
  const { items } = pipelineRunList.parse(await kubectl.json(args));
  return items.map(runState).find((state) => state.state === "signed")?.image;
};

import { openApiServer } from "../../tools/cli/api-server";
import { builtImage } from "../../tools/cli/built-image";
import { openKubectl } from "../../tools/cli/kubectl";
import { factoryStack, readOutputs, readTeam } from "../../tools/cli/outputs";
import { openWorkspace } from "../../tools/cli/workspace";
import { measureAdmission } from "./admission";
import { measureLog } from "./log";
import { measureMemory } from "./memory";
import { measureSigning } from "./signing";

/** Measures the factory that is up on this machine, and prints a table for each measure. */
const main = async (): Promise<void> => {
  const workspace = openWorkspace({});
  const shared = await readOutputs(workspace, "factory", factoryStack(workspace));
  const team = await readTeam(workspace);
  const kubectl = openKubectl(shared.kubeconfig);
  const api = await openApiServer(shared.kubeconfig);
  const built = await builtImage(kubectl, team);
  if (built === undefined) throw new Error("nothing is built yet: run ./factory build examples/go-service first");
  const subject = {
    namespace: team.namespace,
    image: shared.stageImages["stage-go"] ?? "",
    runtimeClass: shared.runtimeClasses?.jailed,
  };
  const measures: [string, () => Promise<string[]>][] = [
    ["admission", () => measureAdmission({ api, kubectl, team: subject, built })],
    ["signing", () => measureSigning({ kubectl, api, team, shared })],
    ["log", () => measureLog(kubectl, shared.provenance)],
    ["memory", () => measureMemory(kubectl)],
  ];
  for (const [name, measure] of measures) {
    console.error(`measuring: ${name}`);
    console.log([...(await measure()), ""].join("\n"));
  }
};

void main();

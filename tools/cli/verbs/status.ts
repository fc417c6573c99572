import { readToolchain } from "../../../stacks/toolchain";
import { allReady, describeInside, type Inside, lookInside } from "../components";
import { openKubectl } from "../kubectl";
import { exitCode, type ExitCode } from "../outcome";
import { factoryStack, readOutputs } from "../outputs";
import { stackState } from "../pulumi";
import { hasState, openWorkspace, type WorkspaceOptions } from "../workspace";

/** How a stack stands. */
interface StackStatus {
  stack: string;
  role: string;
  isUp: boolean;
  resources: number;
  /** Operations that a killed run left unfinished. */
  unfinished: number;
}

const apiServer = async (workspace: ReturnType<typeof openWorkspace>, stack: string): Promise<string> => {
  try {
    const { kubeconfig } = await readOutputs(workspace, "cluster", stack);
    await openKubectl(kubeconfig).text(["get", "--raw=/readyz"]);
    return "ready";
  } catch {
    return "no answer";
  }
};

const inside = async (workspace: ReturnType<typeof openWorkspace>): Promise<Inside | undefined> => {
  try {
    const factory = await readOutputs(workspace, "factory", factoryStack(workspace));
    return await lookInside(openKubectl(factory.kubeconfig), factory, readToolchain().images);
  } catch {
    return undefined;
  }
};

/** Whether every stack is up and whole, the cluster answers, and all that was seen inside is ready. */
export const allUp = (cluster: string, stacks: readonly StackStatus[], found: Inside | undefined): boolean =>
  cluster === "ready" &&
  stacks.every(({ isUp, unfinished }) => isUp && unfinished === 0) &&
  found !== undefined &&
  allReady(found);

/** Says what is up and how its parts stand; holds when all is up and ready. */
export const status = async (options: WorkspaceOptions & { json: boolean }): Promise<ExitCode> => {
  const workspace = openWorkspace(options);
  const stacks: StackStatus[] = [];
  for (const { name, role } of workspace.stacks) {
    const state = hasState(workspace) ? await stackState(workspace, name) : undefined;
    const resources = state?.types.length ?? 0;
    stacks.push({ stack: name, role, isUp: resources > 0, resources, unfinished: state?.pending.length ?? 0 });
  }
  const [first] = stacks;
  const cluster = first?.isUp ? await apiServer(workspace, first.stack) : "not there";
  const found = cluster === "ready" ? await inside(workspace) : undefined;
  const held = allUp(cluster, stacks, found);
  if (options.json) console.log(JSON.stringify({ held, cluster, stacks, ...found }, undefined, 2));
  else {
    for (const { stack, role, isUp, resources, unfinished } of stacks) {
      const state = isUp ? `${resources} resources` : "not up";
      console.log(`${stack} (${role}): ${state}${unfinished > 0 ? `, ${unfinished} operations unfinished` : ""}`);
    }
    console.log(`cluster: ${cluster}`);
    if (found) for (const line of describeInside(found)) console.log(line);
    else if (cluster === "ready") console.log("components: no answer");
    if (!held) console.log("Next: ./factory up");
  }
  return held ? exitCode.held : exitCode.didNotHold;
};

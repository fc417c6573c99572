import { FactoryError } from "../../components/lib/errors";
import type { StackKind } from "../../stacks/config";
import { parseOutputs, type StackOutputs } from "../../stacks/outputs";
import { stackOutputs } from "./pulumi";
import { hasState, type Workspace } from "./workspace";

const notUp = (stack: string): FactoryError =>
  new FactoryError({
    code: "SSF-CLI-005",
    path: `stack ${stack}`,
    given: "not up",
    rule: "The factory must be up.",
    fix: "Run ./factory up.",
  });

/** The outputs of one of the factory's stacks. */
export const readOutputs = async <K extends StackKind>(
  workspace: Workspace,
  kind: K,
  stack: string,
): Promise<StackOutputs[K]> => {
  if (!hasState(workspace)) throw notUp(stack);
  const values = await stackOutputs(workspace, stack);
  if (values === undefined) throw notUp(stack);
  return parseOutputs(kind, stack, values as Record<string, unknown>);
};

/** Name of the workspace's stack of kind factory. */
export const factoryStack = ({ stacks }: Workspace): string =>
  stacks.find(({ role }) => role === "factory")?.name ?? "dev";

/**
 * The outputs of a team's stack.
 *
 * @param team name of the team or of its stack. @default the first team
 */
export const readTeam = async (workspace: Workspace, team?: string): Promise<StackOutputs["team"]> => {
  const names = workspace.stacks.filter(({ role }) => role === "team").map(({ name }) => name);
  if (team === undefined || names.includes(team)) return readOutputs(workspace, "team", team ?? names[0] ?? "team-a");
  for (const name of names) {
    const outputs = await readOutputs(workspace, "team", name);
    if (outputs.team === team) return outputs;
  }
  throw new FactoryError({
    code: "SSF-CLI-006",
    path: "--team",
    given: `"${team}"`,
    rule: "The team must have a stack.",
    fix: `Give one of ${names.join(", ")}.`,
  });
};

/** The outputs of the first team that is another one; undefined when there is none. */
export const readOtherTeam = async (
  workspace: Workspace,
  { team }: StackOutputs["team"],
): Promise<StackOutputs["team"] | undefined> => {
  for (const { name } of workspace.stacks.filter(({ role }) => role === "team")) {
    const outputs = await readOutputs(workspace, "team", name);
    if (outputs.team !== team) return outputs;
  }
  return undefined;
};

import { FactoryError } from "../../components/lib/errors";
import type { StackKind } from "../../stacks/config";
import { parseOutputs, type StackOutputs } from "../../stacks/outputs";
import { type NamedTeam, namedTeam } from "../../stacks/named-teams";
import { stackOutputs } from "./pulumi";
import { type PlannedStack, project } from "./stack-plan";
import { hasState, stackConfiguration, type Workspace } from "./workspace";

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

const teamStacks = ({ stacks }: Workspace): PlannedStack[] => stacks.filter(({ role }) => role === "team");

/** The teams of the workspace by their settings, whether they are up or not. */
export const workspaceTeams = async (workspace: Workspace): Promise<NamedTeam[]> => {
  const teams = await Promise.all(
    teamStacks(workspace).map(async (stack) =>
      namedTeam(stack.name, project, await stackConfiguration(workspace, stack)),
    ),
  );
  return teams.filter((team) => team !== undefined);
};

/** The outputs of every team's stack that is up. */
export const readTeams = async (workspace: Workspace): Promise<StackOutputs["team"][]> => {
  if (!hasState(workspace)) return [];
  const teams = teamStacks(workspace).map(async ({ name }) => {
    const values = (await stackOutputs(workspace, name)) ?? {};
    return Object.keys(values).length === 0 ? undefined : parseOutputs("team", name, values as Record<string, unknown>);
  });
  return (await Promise.all(teams)).filter((team) => team !== undefined);
};

/**
 * The outputs of a team's stack.
 *
 * @param team name of the team or of its stack. @default the first team
 */
export const readTeam = async (workspace: Workspace, team?: string): Promise<StackOutputs["team"]> => {
  const teams = await workspaceTeams(workspace);
  const found = team === undefined ? teams[0] : teams.find((one) => one.team === team || one.stack === team);
  if (found !== undefined) return readOutputs(workspace, "team", found.stack);
  throw new FactoryError({
    code: "SSF-CLI-006",
    path: "--team",
    given: team === undefined ? "no team at all" : `"${team}"`,
    rule: "The team must have a stack.",
    fix:
      teams.length === 0
        ? "Run ./factory team new <name>, then ./factory up."
        : `Give one of ${teams.map(({ team: name }) => name).join(", ")}.`,
  });
};

/** The outputs of another team that is up; undefined when there is none. */
export const readOtherTeam = async (
  workspace: Workspace,
  { team }: StackOutputs["team"],
): Promise<StackOutputs["team"] | undefined> => (await readTeams(workspace)).find((one) => one.team !== team);

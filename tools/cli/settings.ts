import { FactoryError, type Problem } from "../../components/lib/errors";
import { type Config, parseConfig } from "../../stacks/config";
import { requireDistinctTeams } from "../../stacks/named-teams";
import { workspaceTeams } from "./outputs";
import { type PlannedStack, project } from "./stack-plan";
import { stackConfiguration, type Workspace } from "./workspace";

/** A stack's settings as the program gets them: text, by key without the project's name. */
const rawSettings = (config: Readonly<Record<string, unknown>>): Record<string, string> => {
  const own = Object.entries(config).flatMap(([key, value]): [string, string][] => {
    // Pulumi takes a key without the project's name for one of the project.
    const name = key.startsWith(`${project}:`) ? key.slice(project.length + 1) : key;
    if (name.includes(":")) return [];
    return [[name, typeof value === "string" ? value : JSON.stringify(value)]];
  });
  return Object.fromEntries(own);
};

/** The problems of one stack's settings, with the stack's name; or what they say. */
const parseStack = async (
  workspace: Workspace,
  stack: PlannedStack,
): Promise<{ config?: Config; problems: Problem[] }> => {
  const settings = await stackConfiguration(workspace, stack);
  // Only the engine can read a setting that is kept as a secret; then the program alone parses it.
  const encrypted = Object.entries(settings)
    .filter(([, value]) => typeof value === "object" && value !== null && "secure" in value)
    .map(([key]) => `config ${key.slice(key.indexOf(":") + 1)}`);
  try {
    return { config: parseConfig(rawSettings(settings)), problems: [] };
  } catch (error) {
    if (!(error instanceof FactoryError)) throw error;
    const problems = error.problems.filter(({ path }) => !encrypted.includes(path));
    return { problems: problems.map((one) => ({ ...one, path: `stack ${stack.name}: ${one.path}` })) };
  }
};

/**
 * The settings of every stack of a workspace, in the workspace's order. The program parses its stack's settings again;
 * this is before anything is made for it.
 *
 * @throws FactoryError with the problems of all stacks at once, as `parseConfig` names them; `SSF-TEAM-001`
 */
export const readSettings = async (workspace: Workspace): Promise<Config[]> => {
  const parsed = await Promise.all(workspace.stacks.map((stack) => parseStack(workspace, stack)));
  const [first, ...others] = parsed.flatMap(({ problems }) => problems);
  if (first !== undefined) throw new FactoryError(first, ...others);
  requireDistinctTeams(await workspaceTeams(workspace));
  return parsed.flatMap(({ config }) => config ?? []);
};

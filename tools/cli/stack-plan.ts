import { FactoryError } from "../../components/lib/errors";
import { namedTeams } from "../../stacks/named-teams";

/** Pulumi project of the factory. */
export const project = "secure-software-factory";

/** What a stack is for; the committed file of the first stack of a role is the pattern for others. */
export type Role = "cluster" | "factory" | "team";

/** One stack of the factory that the command works on. */
export interface PlannedStack {
  name: string;
  role: Role;
  /** Stack whose committed configuration it starts from. */
  pattern: string;
  /** Configuration keys, without the project's name, that replace the pattern's. */
  overrides: Record<string, unknown>;
}

const patterns: Record<Role, string> = { cluster: "cluster", factory: "dev", team: "team-a" };

/** The stacks that a directory has configuration for, in the order in which they are brought up; the teams by name. */
export const defaultStacks = (directory: string): string => {
  const teams = namedTeams(directory, project).filter(
    ({ stack, factoryStack }) => stack.startsWith("team-") && factoryStack === patterns.factory,
  );
  return [patterns.cluster, patterns.factory, ...teams.map(({ stack }) => stack)].join(",");
};

const roleAt = (index: number): Role => (index === 0 ? "cluster" : index === 1 ? "factory" : "team");

/** Keys by which a stack names the stack that it builds on. */
const references: Record<Role, string | undefined> = {
  cluster: undefined,
  factory: "clusterStack",
  team: "factoryStack",
};

const stackName = /^[A-Za-z0-9_.-]{1,100}$/;

const namesIn = (list: string): string[] => {
  const names = list.split(",").map((name) => name.trim());
  const good = names.length >= 2 && new Set(names).size === names.length && names.every((name) => stackName.test(name));
  if (good) return names;
  throw new FactoryError({
    code: "SSF-CLI-002",
    path: "--stacks",
    given: `"${list}"`,
    rule: "Two or more different stack names: the cluster's, the factory's, and those of the teams.",
    fix: "Write for instance --stacks cluster,dev,team-a.",
  });
};

const override = /^([^:=]+):([A-Za-z][A-Za-z0-9_.-]*)=(.*)$/s;

const valueOf = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
};

/**
 * The stacks to work on.
 *
 * @param list names joined by commas: cluster, factory, and the teams
 * @param configuration `<stack>:<key>=<value>` each; the value is JSON, or else text
 */
export const planStacks = (list: string, configuration: readonly string[]): PlannedStack[] => {
  const names = namesIn(list);
  const [cluster, factory] = names;
  const stacks = names.map((name, index): PlannedStack => {
    const role = roleAt(index);
    const key = references[role];
    const target = role === "factory" ? cluster : factory;
    const usual = role === "factory" ? patterns.cluster : patterns.factory;
    return {
      name,
      role,
      pattern: patterns[role],
      overrides: key === undefined || target === usual ? {} : { [key]: target },
    };
  });
  for (const entry of configuration) {
    const [, name, key, value] = override.exec(entry) ?? [];
    const stack = stacks.find((candidate) => candidate.name === name);
    if (stack === undefined || key === undefined || value === undefined)
      throw new FactoryError({
        code: "SSF-CLI-003",
        path: "--config",
        given: `"${entry}"`,
        rule: `It must read <stack>:<key>=<value>, with one of the stacks ${names.join(", ")}.`,
        fix: `Write for instance --config ${names[0] ?? "cluster"}:clusterName=second.`,
      });
    stack.overrides[key] = valueOf(value);
  }
  return stacks;
};

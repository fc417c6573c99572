import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { parse } from "yaml";
import { z } from "zod";

import { FactoryError, type Problem } from "../components/lib/errors";

/** A team, as the settings of a stack name it. */
export interface NamedTeam {
  /** Stack that makes the team. */
  stack: string;
  /** Name of the team. */
  team: string;
  /** Stack of the factory that serves it. */
  factoryStack: string;
}

const stackFile = /^Pulumi\.([A-Za-z0-9_.-]{1,100})\.yaml$/;
const settingsSchema = z.object({ config: z.record(z.string(), z.unknown()).nullish() }).nullish();

/** The team that the settings of a stack name; undefined when they are of no team. */
export const namedTeam = (
  stack: string,
  project: string,
  settings: Readonly<Record<string, unknown>>,
): NamedTeam | undefined => {
  // Pulumi takes a key without the project's name for one of the project.
  const text = (key: string, missing: string): string => {
    const value = settings[`${project}:${key}`] ?? settings[key];
    return (typeof value === "string" || typeof value === "number") && value !== "" ? String(value) : missing;
  };
  const team = text("team", "");
  return text("kind", "") === "team" && team !== ""
    ? { stack, team, factoryStack: text("factoryStack", "dev") }
    : undefined;
};

const readSettings = (file: string): Record<string, unknown> => {
  try {
    return settingsSchema.parse(parse(readFileSync(file, "utf8")))?.config ?? {};
  } catch (error) {
    throw new FactoryError({
      code: "SSF-TEAM-002",
      path: file,
      given: (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "",
      rule: "It must hold the settings of a stack, since no two stacks make the same team.",
      fix: "Mend the file, or remove it.",
    });
  }
};

/**
 * The teams that the stack files of a directory name, sorted by stack.
 *
 * @param project name of the project, with which keys of settings begin
 * @throws FactoryError `SSF-TEAM-002` when one of the files cannot be read
 */
export const namedTeams = (directory: string, project: string): NamedTeam[] =>
  readdirSync(directory)
    .sort()
    .flatMap((name) => {
      const [, stack] = stackFile.exec(name) ?? [];
      if (stack === undefined) return [];
      return namedTeam(stack, project, readSettings(join(directory, name))) ?? [];
    });

/**
 * Refuses teams of one factory that have the same name, all of them at once: the second would change what the first made.
 *
 * @throws FactoryError `SSF-TEAM-001`
 */
export const requireDistinctTeams = (teams: readonly NamedTeam[]): void => {
  const [first, ...others] = teams.flatMap((one): Problem[] => {
    const namesakes = teams.filter(({ team, factoryStack }) => team === one.team && factoryStack === one.factoryStack);
    const [oldest, second] = namesakes;
    if (oldest !== one || second === undefined) return [];
    return [
      {
        code: "SSF-TEAM-001",
        path: "config team",
        given: `"${one.team}" in the stacks ${namesakes.map(({ stack }) => stack).join(" and ")}`,
        rule: `Every team of the factory ${one.factoryStack} has a name of its own.`,
        fix: `Give one of them another name: pulumi config set team <name> --stack ${second.stack}; or remove its file.`,
      },
    ];
  });
  if (first !== undefined) throw new FactoryError(first, ...others);
};

/**
 * Refuses a team whose name another stack file of the directory gives to a team of the same factory.
 *
 * @throws FactoryError `SSF-TEAM-001`, or `-002` when a stack file cannot be read
 */
export const requireOwnName = (own: NamedTeam, directory: string, project: string): void => {
  const namesakes = namedTeams(directory, project).filter(
    ({ stack, team, factoryStack }) => stack !== own.stack && team === own.team && factoryStack === own.factoryStack,
  );
  requireDistinctTeams([own, ...namesakes]);
};

import { existsSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline/promises";
import { FactoryError } from "../../../components/lib/errors";
import { type ConfigKey, configKeys, parseConfig } from "../../../stacks/config";
import { type NamedTeam, namedTeams, requireDistinctTeams } from "../../../stacks/named-teams";
import { readToolchain } from "../../../stacks/toolchain";
import { columns } from "../columns";
import { exitCode, type ExitCode } from "../outcome";
import { factoryStack, workspaceTeams } from "../outputs";
import { existingStacks } from "../pulumi";
import { type PlannedStack, project } from "../stack-plan";
import { displayFor, runSteps, type Step } from "../steps";
import { hasState, openWorkspace, prepareState, type Workspace, type WorkspaceOptions } from "../workspace";
import { destroyStep } from "./down";

/** Options of every part of the verb. */
export interface TeamOptions extends WorkspaceOptions {
  json: boolean;
}

/** Options of {@link teamRemove}. */
export interface TeamRemoveOptions extends TeamOptions {
  yes?: boolean;
}

/** Where Debian keeps the authorities that a machine trusts. */
const authorities = "/etc/ssl/certs/ca-certificates.crt";

/** Keys that a team usually sets, in the order in which a file shows them. */
const usualKeys = [
  ...["languages", "forges", "registries", "sources", "triggerRepository", "allowedSignersFile"],
  ...["deniedPackages", "deniedLicenses", "reproduce", "quotaCpu", "quotaMemory"],
];

const stackOf = (team: string): string => `team-${team}`;

const fileOf = ({ program }: Workspace, stack: string): string => join(program, `Pulumi.${stack}.yaml`);

/** The name, when the schema of the settings takes it. */
const requireTeamName = (name: string): string => {
  try {
    parseConfig({ kind: "team", team: name });
    return name;
  } catch (error) {
    if (!(error instanceof FactoryError)) throw error;
    const [first, ...others] = error.problems.map((problem) => ({
      ...problem,
      path: "<name>",
      given: `"${name}"`,
      fix: "Write for instance ./factory team new payments.",
    }));
    throw first === undefined ? error : new FactoryError(first, ...others);
  }
};

const commented = ({ name, description, example }: ConfigKey): string[] => [
  `  # ${description}`,
  `  # ${project}:${name}: ${example}`,
];

/** The settings of a new team as a stack file: what it needs, and in comments what a team usually sets. */
export const teamFile = ({ team, factoryStack: factory }: NamedTeam): string => {
  const keys = configKeys();
  return [
    "config:",
    `  ${project}:kind: team`,
    `  ${project}:team: ${JSON.stringify(team)}`,
    ...(factory === "dev" ? [] : [`  ${project}:factoryStack: ${factory}`]),
    ...(existsSync(authorities)
      ? [
          "  # What this machine trusts, its stages trust: a network with an authority of its own works as it is.",
          `  ${project}:caBundleFile: ${authorities}`,
        ]
      : []),
    "  pulumi:disable-default-providers:",
    "    - kubernetes",
    "  # What a team usually sets; docs/reference/config.md has every key.",
    ...usualKeys.flatMap((name) => keys.filter((key) => key.name === name).flatMap(commented)),
    "",
  ].join("\n");
};

/** Writes the settings of a new team; nothing is made in a cluster. */
export const teamNew = async (name: string, options: TeamOptions): Promise<ExitCode> => {
  const workspace = openWorkspace(options);
  const team = requireTeamName(name);
  const made = { stack: stackOf(team), team, factoryStack: factoryStack(workspace) };
  const file = fileOf(workspace, made.stack);
  if (existsSync(file))
    throw new FactoryError({
      code: "SSF-TEAM-003",
      path: file,
      given: "there is such a file",
      rule: "A new team has no settings yet.",
      fix: `Choose another name; or edit the file, or remove the team: ./factory team remove ${team}.`,
    });
  requireDistinctTeams([...namedTeams(workspace.program, project), made]);
  await writeFile(file, teamFile(made), { flag: "wx" });
  const next = `./factory up; or plain: pulumi stack init ${made.stack} && pulumi up --stack ${made.stack}`;
  if (options.json) console.log(JSON.stringify({ ...made, file, next }, undefined, 2));
  else console.log(`${file} holds the settings of team ${team}: edit and commit it.\nNext: ${next}`);
  return exitCode.held;
};

const stacksUp = async (workspace: Workspace): Promise<string[]> =>
  hasState(workspace) ? existingStacks(workspace) : [];

/** Says which teams have settings, and which of them have a stack. */
export const teamList = async (options: TeamOptions): Promise<ExitCode> => {
  const workspace = openWorkspace(options);
  const existing = await stacksUp(workspace);
  const teams = namedTeams(workspace.program, project).map((team) => ({
    ...team,
    isUp: existing.includes(team.stack),
  }));
  if (options.json) console.log(JSON.stringify(teams, undefined, 2));
  else if (teams.length === 0) console.log("No team has settings. Next: ./factory team new <name>");
  else
    for (const line of columns([
      ["team", "stack", "factory", "state"],
      ...teams.map(({ team, stack, factoryStack: factory, isUp }) => [team, stack, factory, isUp ? "up" : "not up"]),
    ]))
      console.log(line);
  return exitCode.held;
};

/** Whether a person at a terminal says yes. */
const confirmed = async (question: string): Promise<boolean> => {
  if (!process.stdin.isTTY) return false;
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `)).trim());
  } finally {
    terminal.close();
  }
};

/** Removes a team: all that is in its stack, the stack, and its settings. */
export const teamRemove = async (name: string, options: TeamRemoveOptions): Promise<ExitCode> => {
  const workspace = openWorkspace(options);
  const factory = factoryStack(workspace);
  const teams = [...(await workspaceTeams(workspace)), ...namedTeams(workspace.program, project)];
  const stack = teams.find((one) => one.team === name && one.factoryStack === factory)?.stack ?? stackOf(name);
  const isUp = (await stacksUp(workspace)).includes(stack);
  const file = fileOf(workspace, stack);
  if (!isUp && !existsSync(file))
    throw new FactoryError({
      code: "SSF-TEAM-004",
      path: "<name>",
      given: `"${name}"`,
      rule: "The team has settings or a stack.",
      fix: "Give a team that ./factory team list shows.",
    });
  if (options.yes !== true && !(await confirmed(`Remove team ${name} with stack ${stack} and ${file}?`)))
    throw new FactoryError({
      code: "SSF-TEAM-005",
      path: `team ${name}`,
      given: "nobody said yes",
      rule: "A team is removed when somebody confirms it.",
      fix: `Answer y at a terminal, or run ./factory team remove ${name} --yes.`,
    });
  const steps: Step[] = [];
  if (isUp) {
    await prepareState(workspace, readToolchain());
    const plain: PlannedStack = { name: stack, role: "team", pattern: stack, overrides: {} };
    steps.push(destroyStep(workspace, workspace.stacks.find((one) => one.name === stack) ?? plain));
  }
  steps.push({ title: "settings", run: () => rm(file, { force: true }).then(() => `${file} is gone`) });
  const display = displayFor(options.json);
  await runSteps(steps, display);
  if (options.json) console.log(JSON.stringify({ removed: { team: name, stack, file } }, undefined, 2));
  else display.write(`Team ${name} is gone.`);
  return exitCode.held;
};

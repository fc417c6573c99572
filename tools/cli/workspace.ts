import { randomBytes } from "node:crypto";
import { existsSync, lstatSync, readdirSync, readlinkSync } from "node:fs";
import { chmod, mkdir, readFile, rm, rmdir, symlink, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { parse, stringify } from "yaml";
import { FactoryError } from "../../components/lib/errors";
import { readToolchain, type Toolchain } from "../../stacks/toolchain";
import { defaultStacks, type PlannedStack, planStacks, project } from "./stack-plan";

/** Root of the checkout. */
export const repository = resolve(__dirname, "../..");

/** Where a factory keeps its state, and which stacks it is made of. */
export interface Workspace {
  /** Directory with passphrase, Pulumi's home, configuration with salts and, by default, the state itself. */
  state: string;
  stacks: PlannedStack[];
  /** Directory of the Pulumi program and its committed configuration. */
  program: string;
  /** Environment of its Pulumi commands. @default this process's */
  env?: NodeJS.ProcessEnv;
}

/** Options that every verb has. */
export interface WorkspaceOptions {
  stacks?: string;
  config?: string[];
}

/** The state directory: `SSF_STATE`, relative to where the person stands, or a directory of the user's own. */
export const stateDirectory = (env: NodeJS.ProcessEnv = process.env): string =>
  resolve(
    env.SSF_CALLER_DIRECTORY ?? ".",
    env.SSF_STATE ?? join(env.XDG_STATE_HOME ?? join(homedir(), ".local/state"), project),
  );

/** The workspace that options and environment name; nothing is created yet. */
export const openWorkspace = (options: WorkspaceOptions, env: NodeJS.ProcessEnv = process.env): Workspace => ({
  state: stateDirectory(env),
  program: repository,
  stacks: planStacks(options.stacks ?? env.SSF_STACKS ?? defaultStacks(repository), [
    ...(env.SSF_CONFIG?.split("\n").filter((line) => line !== "") ?? []),
    ...(options.config ?? []),
  ]),
});

const passphraseFile = (state: string) => join(state, "passphrase");
const pulumiHome = (state: string) => join(state, "pulumi");
const scratch = (state: string) => join(state, "scratch");

/** The state's own configuration file of a stack: the committed one with overrides and the salt of its secrets. */
export const configFile = (workspace: Workspace, stack: string): string =>
  join(workspace.state, "config", `Pulumi.${stack}.yaml`);

/** Directory with nothing but the project's name, in which stacks are created. */
export const scratchDirectory = (workspace: Workspace): string => scratch(workspace.state);

/** File with the last checkpoint that was seen of the log with that ID. */
export const checkpointFile = ({ state }: Workspace, logId: string): string => join(state, "checkpoints", logId);

const ownsPassphrase = (env: NodeJS.ProcessEnv): boolean =>
  env.PULUMI_CONFIG_PASSPHRASE === undefined && env.PULUMI_CONFIG_PASSPHRASE_FILE === undefined;

/** A directory as a backend, without the digests that Pulumi would write beside each file and never reads. */
const directoryBackend = (directory: string): string => `file://${directory}?metadata=skip`;

/** Variables that make a plain `pulumi` work on the factory's stacks; none of them is a secret. */
export const pulumiVariables = (
  state: string,
  toolchain: Toolchain,
  env: NodeJS.ProcessEnv = process.env,
): Record<string, string> => ({
  PATH: [...ownPlugins(toolchain), toolchain.bin, env.PATH ?? ""].join(delimiter),
  SSF_STATE: state,
  PULUMI_HOME: pulumiHome(state),
  PULUMI_BACKEND_URL: env.PULUMI_BACKEND_URL ?? directoryBackend(join(state, "backend")),
  PULUMI_SKIP_UPDATE_CHECK: "true",
  PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
  ...(ownsPassphrase(env) ? { PULUMI_CONFIG_PASSPHRASE_FILE: passphraseFile(state) } : {}),
});

/** Directories of the repository's own providers, of those that the toolchain has no plugin for. */
const ownPlugins = (toolchain: Toolchain): string[] => {
  const installed = existsSync(toolchain.plugins) ? readdirSync(toolchain.plugins) : [];
  return readdirSync(join(repository, "tools/plugins"))
    .filter((name) => !installed.some((plugin) => plugin.startsWith(`resource-${name}-v`)))
    .map((name) => join(repository, "tools/plugins", name));
};

/** Growth of the engine's memory, in percent, before it collects garbage: it writes the whole state after every step. */
const engineGarbage = "400";

/** This process's environment with {@link pulumiVariables}, as every Pulumi command gets it. */
export const pulumiEnvironment = ({ state, env = process.env }: Workspace): NodeJS.ProcessEnv => ({
  ...env,
  ...pulumiVariables(state, readToolchain(), env),
  PULUMI_DEBUG_COMMANDS: "true",
  GOGC: engineGarbage,
});

const writePrivate = async (file: string, content: string): Promise<void> => {
  await writeFile(file, content, { mode: 0o600 });
  await chmod(file, 0o600);
};

/** Points `link` at `target`, whatever it pointed at before. */
const pointAt = async (link: string, target: string): Promise<void> => {
  const existing = lstatSync(link, { throwIfNoEntry: false });
  if (existing?.isSymbolicLink() && readlinkSync(link) === target) return;
  await rm(link, { recursive: true, force: true });
  await symlink(target, link);
};

/** Creates what is missing of the state directory: passphrase, backend, Pulumi's home, scratch project. */
export const prepareState = async (workspace: Workspace, toolchain: Toolchain): Promise<void> => {
  const { state, env = process.env } = workspace;
  for (const directory of [state, pulumiHome(state), join(state, "backend"), join(state, "config"), scratch(state)])
    await mkdir(directory, { recursive: true, mode: 0o700 });
  if (ownsPassphrase(env) && !existsSync(passphraseFile(state)))
    await writePrivate(passphraseFile(state), randomBytes(32).toString("base64url"));
  await pointAt(join(pulumiHome(state), "plugins"), toolchain.plugins);
  await writeFile(join(scratch(state), "Pulumi.yaml"), stringify({ name: project, runtime: "nodejs" }));
};

interface StackFile {
  config?: Record<string, unknown>;
  encryptionsalt?: string;
}

const readStackFile = async (file: string): Promise<StackFile> =>
  existsSync(file) ? ((parse(await readFile(file, "utf8")) as StackFile | null) ?? {}) : {};

/** The salt that stack creation, or an earlier run, left in the state's own configuration. */
export const knownSalt = async (workspace: Workspace, stack: string): Promise<string | undefined> =>
  (await readStackFile(configFile(workspace, stack))).encryptionsalt ??
  (await readStackFile(join(scratchDirectory(workspace), `Pulumi.${stack}.yaml`))).encryptionsalt;

/** The committed configuration of the stack, or of the stack that it is patterned on, with the overrides. */
export const stackConfiguration = async (
  { program }: Workspace,
  stack: PlannedStack,
): Promise<Record<string, unknown>> => {
  const files = [stack.name, stack.pattern].map((name) => join(program, `Pulumi.${name}.yaml`));
  const file = files.find((candidate) => existsSync(candidate));
  if (file === undefined)
    throw new FactoryError({
      code: "SSF-CLI-004",
      path: files[0] ?? "",
      given: "not there",
      rule: "Every stack has a configuration file in the repository, or is patterned on one that has.",
      fix: `Restore the file, or name other stacks by --stacks.`,
    });
  const { config = {} } = await readStackFile(file);
  const overrides = Object.entries(stack.overrides).map(([key, value]) => [`${project}:${key}`, value] as const);
  return { ...config, ...Object.fromEntries(overrides) };
};

/** Writes the state's own configuration file of a stack; the committed file is only read. */
export const writeConfigFile = async (
  workspace: Workspace,
  stack: PlannedStack,
  salt: string | undefined,
): Promise<string> => {
  const file = configFile(workspace, stack.name);
  const content: StackFile = { config: await stackConfiguration(workspace, stack) };
  if (salt !== undefined) content.encryptionsalt = salt;
  await writePrivate(file, stringify(content));
  return file;
};

/** Whether the factory's state is on this machine and its directory is there. */
export const hasState = (workspace: Workspace): boolean => existsSync(pulumiHome(workspace.state));

/** Removes what {@link prepareState} and a development ceremony made, and the directory when nothing else is in it; only for a factory without stacks. */
export const removeState = async ({ state }: Workspace): Promise<void> => {
  const directories = [
    "pulumi",
    "backend",
    "config",
    "scratch",
    "logs",
    "checkpoints",
    "trust/development",
    "trust/cache",
  ];
  const own = [passphraseFile(state), ...directories.map((name) => join(state, name))];
  for (const path of own) await rm(path, { recursive: true, force: true });
  for (const directory of [clusters(state), join(state, "trust"), state])
    if (existsSync(directory) && readdirSync(directory).length === 0) await rmdir(directory);
};

/** Where the provider of clusters keeps the files of each cluster that it has made and not deleted. */
const clusters = (state: string) => join(state, "clusters");

/** Names of the clusters on this machine that belong to the state, also of those that a killed run left half made. */
export const ownClusters = ({ state }: Workspace): string[] =>
  existsSync(clusters(state)) ? readdirSync(clusters(state)) : [];

import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { FactoryError } from "../../components/lib/errors";
import {
  directoryFiles,
  type FactoryTrust,
  ownRepository,
  parseFactoryTrust,
  type Periods,
  readFiles,
  readTrust,
  type Signed,
  stateRepository,
  type Trust,
} from "../../trust";
import { holdCeremony, type Keyring, readKeys, signTrust } from "./ceremony";
import { factoryStack } from "./outputs";
import { stackOutputs } from "./pulumi";
import { project } from "./stack-plan";
import { hasState, stackConfiguration, type Workspace } from "./workspace";

/** Said whenever keys of a development ceremony are made or used. */
export const developmentWarning =
  "the trust repository's keys are development keys, kept on this machine: hold a ceremony before others rely on this factory (docs/guides/trust.md)";

/** Nothing signs a development repository every day, so all of it holds as long as its root. */
const developmentPeriods: Periods = { root: 365, targets: 365, snapshot: 365, timestamp: 365 };

const developmentPaths = (state: string) => {
  const directory = join(state, "trust/development");
  return {
    directory,
    keys: join(directory, "keys"),
    passphrase: join(directory, "passphrase"),
  };
};

/** Where {@link readTrust} keeps what it has seen. */
export const trustCache = ({ state }: Workspace): string => join(state, "trust/cache");

/**
 * What the factory's repository says, read as by any client: from its first root on, and never older than before.
 *
 * @throws FactoryError `SSF-TRUST-006` when there is no repository
 */
export const readOwnTrust = async (workspace: Workspace): Promise<Trust> => {
  const { metadata } = await trustDirectory(workspace);
  const rootJson = readFiles(metadata)["1.root.json"];
  if (rootJson === undefined) throw noRepository(metadata);
  return readTrust({ rootJson, read: directoryFiles(metadata), directory: trustCache(workspace) });
};

const noRepository = (metadata: string): FactoryError =>
  new FactoryError({
    code: "SSF-TRUST-006",
    path: metadata,
    given: "no trust repository",
    rule: "A factory has the public files of a ceremony, which say whose signatures count.",
    fix: `Run ./factory up, which holds a development ceremony; or ./factory trust init --keys <directory> --metadata ${metadata}.`,
  });

/** Which repository a factory has. */
export interface TrustDirectory {
  /** Directory of its public files; they may not be there yet. */
  metadata: string;
  /** Whether its keys are those of a development ceremony. */
  isDevelopment: boolean;
}

/** The operator's directory that config `trustDirectory` of the factory's stack names; undefined where it names none. */
const configuredDirectory = async (workspace: Workspace): Promise<string | undefined> => {
  const stack = workspace.stacks.find(({ role }) => role === "factory");
  const configuration = stack === undefined ? {} : await stackConfiguration(workspace, stack);
  const configured = configuration[`${project}:trustDirectory`];
  return typeof configured === "string" && configured !== "" ? resolve(workspace.program, configured) : undefined;
};

/** Where a ceremony of an operator puts the public files, unless it is told otherwise. */
export const operatorDirectory = async (workspace: Workspace): Promise<string> =>
  (await configuredDirectory(workspace)) ?? ownRepository(workspace.state);

/**
 * The repository's directory: `trustDirectory` of the factory's stack, else the state's own, else that of a development
 * ceremony, where nothing is as long as none was held.
 */
export const trustDirectory = async (workspace: Workspace): Promise<TrustDirectory> => {
  const configured = await configuredDirectory(workspace);
  if (configured !== undefined) return { metadata: configured, isDevelopment: false };
  const metadata = stateRepository(workspace.state);
  return { metadata, isDevelopment: metadata !== ownRepository(workspace.state) };
};

/**
 * The directory of the factory's repository, after a development ceremony where there was none at all.
 *
 * @returns `isNew` when the ceremony was held now
 * @throws FactoryError `SSF-TRUST-006` when the stack's `trustDirectory` holds no repository
 */
export const ensureTrust = async (workspace: Workspace): Promise<TrustDirectory & { isNew: boolean }> => {
  const found = await trustDirectory(workspace);
  if (Object.keys(readFiles(found.metadata)).length > 0) return { ...found, isNew: false };
  if (!found.isDevelopment) throw noRepository(found.metadata);
  const { metadata } = found;
  const { directory, keys, passphrase: file } = developmentPaths(workspace.state);
  // What a killed run left is no ceremony: without public files nobody relies on it.
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const passphrase = randomBytes(32).toString("base64url");
  writeFileSync(file, passphrase, { mode: 0o600 });
  holdCeremony({
    keys,
    metadata,
    root: { keys: 1, threshold: 1 },
    kept: ["targets", "snapshot", "timestamp"],
    passphrase,
    now: new Date(),
    periods: developmentPeriods,
  });
  return { metadata, isDevelopment: true, isNew: true };
};

/** The keys of the development ceremony; undefined when none was held. */
export const developmentKeys = async ({ state }: Workspace): Promise<Keyring | undefined> => {
  const { keys, passphrase } = developmentPaths(state);
  if (!existsSync(passphrase)) return undefined;
  const keyring = await readKeys([keys], () => Promise.resolve(readFileSync(passphrase, "utf8")));
  return { ...keyring, periods: developmentPeriods };
};

/**
 * Signs what the factory signs with, where the keys for that are development keys.
 *
 * @returns undefined when the factory's repository is an operator's
 */
export const signDevelopmentTrust = async (
  workspace: Workspace,
  current: FactoryTrust,
): Promise<Signed | undefined> => {
  const { metadata, isDevelopment } = await trustDirectory(workspace);
  const keyring = isDevelopment ? await developmentKeys(workspace) : undefined;
  return keyring && signTrust({ metadata, keyring, current, now: new Date() });
};

/**
 * What the factory signs with, as its stack says it, or a file with the same JSON.
 *
 * @throws FactoryError `SSF-TRUST-008` when it is not said
 */
export const readFactoryTrust = async (workspace: Workspace, file?: string): Promise<FactoryTrust> => {
  if (file !== undefined) return parseFactoryTrust(file, parseJson(file));
  const stack = factoryStack(workspace);
  const outputs = hasState(workspace) ? await stackOutputs(workspace, stack) : undefined;
  const { trust } = (outputs ?? {}) as { trust?: unknown };
  return parseFactoryTrust(`stack ${stack}, output trust`, trust);
};

const parseJson = (file: string): unknown => {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return undefined;
  }
};

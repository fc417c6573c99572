import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { FactoryError } from "../../components/lib/errors";
import { type FactoryTrust, parseFactoryTrust, type Periods, readFiles, type Signed } from "../../trust";
import { holdCeremony, type Keyring, readKeys, signTrust } from "./ceremony";
import { factoryStack } from "./outputs";
import { stackOutputs } from "./pulumi";
import { hasState, project, stackConfiguration, type Workspace } from "./workspace";

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
    metadata: join(directory, "metadata"),
    passphrase: join(directory, "passphrase"),
  };
};

const isRepository = (directory: string): boolean => Object.keys(readFiles(directory)).length > 0;

/** Where {@link readTrust} keeps what it has seen. */
export const trustCache = ({ state }: Workspace): string => join(state, "trust/cache");

/** Which repository a factory has. */
export interface TrustDirectory {
  /** Directory of its public files; they may not be there yet. */
  metadata: string;
  /** Whether its keys are those of a development ceremony. */
  isDevelopment: boolean;
}

/**
 * The repository's directory: `trustDirectory` of the factory's stack, else the state's own, else that of a development
 * ceremony, if there was one.
 */
export const trustDirectory = async (workspace: Workspace): Promise<TrustDirectory> => {
  const stack = workspace.stacks.find(({ role }) => role === "factory");
  const configuration = stack === undefined ? {} : await stackConfiguration(workspace, stack);
  const configured = configuration[`${project}:trustDirectory`];
  if (typeof configured === "string" && configured !== "")
    return { metadata: resolve(workspace.program, configured), isDevelopment: false };
  const own = join(workspace.state, "trust/metadata");
  const { metadata } = developmentPaths(workspace.state);
  const isDevelopment = !isRepository(own) && isRepository(metadata);
  return { metadata: isDevelopment ? metadata : own, isDevelopment };
};

/**
 * The directory of the factory's repository, after a development ceremony where there was none at all.
 *
 * @returns `isNew` when the ceremony was held now
 * @throws FactoryError `SSF-TRUST-006` when the stack's `trustDirectory` holds no repository
 */
export const ensureTrust = async (workspace: Workspace): Promise<TrustDirectory & { isNew: boolean }> => {
  const found = await trustDirectory(workspace);
  if (isRepository(found.metadata)) return { ...found, isNew: false };
  if (found.metadata !== join(workspace.state, "trust/metadata"))
    throw new FactoryError({
      code: "SSF-TRUST-006",
      path: found.metadata,
      given: "no trust repository",
      rule: "The directory that config trustDirectory names holds the public files of a ceremony.",
      fix: `Run ./factory trust init --keys <directory> --metadata ${found.metadata}, or leave the key out.`,
    });
  const { directory, keys, metadata, passphrase: file } = developmentPaths(workspace.state);
  // What a killed run left is no ceremony: without public files nobody relies on it.
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const passphrase = randomBytes(32).toString("base64url");
  writeFileSync(file, passphrase, { mode: 0o600 });
  holdCeremony({
    keys,
    metadata,
    root: { keys: 1, threshold: 1 },
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

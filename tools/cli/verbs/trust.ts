import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { FactoryError } from "../../../components/lib/errors";
import {
  fingerprints,
  openRepository,
  parseTargets,
  readFiles,
  type Role,
  roleStates,
  type Trust,
} from "../../../trust";
import { holdCeremony, type Keyring, readKeys, requireApart, rotateTrust, signTrust } from "../ceremony";
import { openKubectl } from "../kubectl";
import { exitCode, type ExitCode } from "../outcome";
import { factoryStack, readOutputs, readTeams } from "../outputs";
import { readPassphrase } from "../passphrase";
import { compareRules, readRules, ruleFiles } from "../self-policy";
import { developmentKeys, developmentWarning, operatorDirectory, readFactoryTrust, trustDirectory } from "../trust";
import { openWorkspace, repository, type Workspace, type WorkspaceOptions } from "../workspace";

/** Options that every part of the verb has. */
export interface TrustOptions extends WorkspaceOptions {
  json: boolean;
  metadata?: string;
}

/** Options of {@link trustInit}. */
export interface TrustInitOptions extends TrustOptions {
  keys: string;
  rootKeys: string;
  threshold: string;
}

/** Options of {@link trustSign}. */
export interface TrustSignOptions extends TrustOptions {
  keys?: string[];
  from?: string;
  policy?: string;
  revoke?: string[];
  renew?: boolean;
}

/** Options of {@link trustPolicy}. */
export interface TrustPolicyOptions extends TrustOptions {
  output?: string;
}

/** Options of {@link trustRotate}. */
export interface TrustRotateOptions extends TrustOptions {
  keys?: string[];
  key?: string;
  newKeys?: string;
}

const here = (path: string): string => resolve(process.env.SSF_CALLER_DIRECTORY ?? ".", path);

const metadataOf = async (workspace: Workspace, { metadata }: TrustOptions): Promise<string> =>
  metadata === undefined ? (await trustDirectory(workspace)).metadata : here(metadata);

/** The keys in the named directories, or those of the development ceremony where that is the one. */
const openKeyring = async (workspace: Workspace, options: TrustOptions & { keys?: string[] }): Promise<Keyring> => {
  const [first, ...others] = options.keys?.map(here) ?? [];
  if (first !== undefined)
    return readKeys([first, ...others], (directory) => readPassphrase(`the keys in ${directory}`));
  const { isDevelopment } = await trustDirectory(workspace);
  const keyring = isDevelopment && options.metadata === undefined ? await developmentKeys(workspace) : undefined;
  if (keyring === undefined)
    throw new FactoryError({
      code: "SSF-TRUST-015",
      path: "--keys",
      given: "nothing",
      rule: "Signing takes the keys of a ceremony, which only its keepers have.",
      fix: "Name the directories that hold them, each by --keys.",
    });
  console.error(`warning: ${developmentWarning}`);
  return keyring;
};

const report = (options: TrustOptions, result: object, lines: string[]): ExitCode => {
  if (options.json) console.log(JSON.stringify(result, undefined, 2));
  else lines.forEach((line) => console.log(line));
  return exitCode.held;
};

const listed = (roles: readonly Role[]): string => (roles.length === 0 ? "nothing" : roles.join(", "));

const wholeNumber = (option: string, value: string): number => {
  if (/^[1-9][0-9]?$/.test(value)) return Number(value);
  throw new FactoryError({
    code: "SSF-TRUST-004",
    path: option,
    given: `"${value}"`,
    rule: "It must be a whole number from 1 to 99.",
    fix: `Write for instance ${option} 2.`,
  });
};

/** Holds a ceremony: keys into a directory of the operator's choosing, public files into that of the repository. */
export const trustInit = async (options: TrustInitOptions): Promise<ExitCode> => {
  const workspace = openWorkspace(options);
  const keys = here(options.keys);
  const metadata = options.metadata === undefined ? await operatorDirectory(workspace) : here(options.metadata);
  const root = {
    keys: wholeNumber("--root-keys", options.rootKeys),
    threshold: wholeNumber("--threshold", options.threshold),
  };
  requireApart(keys, metadata, { "the checkout": repository, "the state": workspace.state });
  const passphrase = await readPassphrase(`the new keys in ${keys}`, { isNew: true });
  const written = holdCeremony({ keys, metadata, root, passphrase, now: new Date() });
  return report(options, { metadata, keys: written }, [
    ...written.map((file) => `key: ${file}`),
    `public files: ${metadata}`,
    `Give the root keys to different keepers, and keep them and the targets key offline: ${root.threshold} of ${root.keys} change the roots of trust.`,
    "Next: ./factory up, then ./factory trust sign --keys <directory>",
  ]);
};

const policyFiles = (directory: string): Record<string, Buffer> =>
  Object.fromEntries(
    readdirSync(directory, { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((file) => [file.slice(directory.length + 1), readFileSync(file)]),
  );

/** Signs what the factory signs with, and whatever expires soon; the same again changes nothing. */
export const trustSign = async (options: TrustSignOptions): Promise<ExitCode> => {
  const workspace = openWorkspace(options);
  const metadata = await metadataOf(workspace, options);
  const from = options.from === undefined ? undefined : here(options.from);
  const current = options.renew === true ? undefined : await readFactoryTrust(workspace, from);
  const policy = options.policy === undefined ? undefined : policyFiles(here(options.policy));
  const keyring = await openKeyring(workspace, options);
  const { changed, due } = signTrust({ metadata, keyring, current, revoke: options.revoke, policy, now: new Date() });
  return report(options, { metadata, changed, due }, [
    `signed anew: ${listed(changed)}`,
    ...(due.length > 0 ? [`expires soon, and no key of it was given: ${listed(due)}`] : []),
    ...(changed.length > 0 ? ["Next: ./factory up, which publishes it"] : []),
  ]);
};

/** The same keys, with another directory for those that will be made. */
const placeNewKeys = async (
  workspace: Workspace,
  metadata: string,
  keyring: Keyring,
  path: string,
): Promise<Keyring> => {
  const directory = here(path);
  requireApart(directory, metadata, { "the checkout": repository, "the state": workspace.state });
  return { ...keyring, directory, passphrase: await readPassphrase(`the new keys in ${directory}`, { isNew: true }) };
};

/** Replaces the keys of a role. */
export const trustRotate = async (role: Role, options: TrustRotateOptions): Promise<ExitCode> => {
  const workspace = openWorkspace(options);
  const metadata = await metadataOf(workspace, options);
  const opened = await openKeyring(workspace, options);
  const keyring =
    options.newKeys === undefined ? opened : await placeNewKeys(workspace, metadata, opened, options.newKeys);
  const { changed, written, retired } = rotateTrust({ metadata, keyring, role, only: options.key, now: new Date() });
  return report(options, { metadata, changed, written, retired }, [
    ...written.map((file) => `new key: ${file}`),
    ...retired.map((file) => `counts for nothing any more, destroy it: ${file}`),
    `signed anew: ${listed(changed)}`,
    "Next: ./factory up, which publishes it",
  ]);
};

/** What a script takes of the trust that is signed. */
const entries = ({ trustedRoot, builders, images, revoked }: Trust) => [
  ...trustedRoot.certificateAuthorities.map((one) => ({
    kind: "authority",
    sha256: fingerprints.authority(one),
    name: one.uri,
    start: one.validFor?.start?.toISOString(),
    end: one.validFor?.end?.toISOString(),
  })),
  ...trustedRoot.tlogs.map((one) => ({
    kind: "log",
    sha256: fingerprints.log(one),
    name: one.baseUrl,
    start: one.publicKey?.validFor?.start?.toISOString(),
    end: one.publicKey?.validFor?.end?.toISOString(),
  })),
  ...builders.map((one) => ({
    kind: "signer",
    sha256: fingerprints.builder(one),
    name: `${one.signer.identity} for ${one.builderId}`,
    ...one.validFor,
  })),
  ...images.map((one) => ({
    kind: "image",
    sha256: fingerprints.image(one),
    name: one.reference,
    ...one.validFor,
  })),
  ...revoked.map(({ sha256, at, image = "" }) => ({ kind: "revoked", sha256, name: image, start: undefined, end: at })),
];

/**
 * Compares the rules that the cluster enforces with those that are signed; holds when they are the same. What the cluster has
 * can be written as files, so that a person reads them before `trust sign --policy` signs these very bytes.
 */
export const trustPolicy = async (options: TrustPolicyOptions): Promise<ExitCode> => {
  const workspace = openWorkspace(options);
  const metadata = await metadataOf(workspace, options);
  const { contents } = openRepository(readFiles(metadata));
  const signed = Object.keys(contents).length === 0 ? [] : parseTargets(contents).policy;
  const { kubeconfig } = await readOutputs(workspace, "factory", factoryStack(workspace));
  const live = await readRules(openKubectl(kubeconfig));
  const teams = (await readTeams(workspace)).flatMap(({ ruleDigests }) => ruleDigests);
  const rules = compareRules(live, signed, teams);
  const held = signed.length > 0 && rules.every(({ fault }) => fault === undefined);
  if (options.output !== undefined)
    for (const [path, content] of Object.entries(ruleFiles(live, teams))) {
      const file = join(here(options.output), path);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, content);
    }
  report(
    options,
    { held, metadata, rules },
    rules.map(
      ({ path, sha256, fault }) =>
        `${fault === undefined ? "signed" : "DIFFERS"} ${sha256} ${path}${fault === undefined ? "" : `: ${fault}`}`,
    ),
  );
  return held ? exitCode.held : exitCode.didNotHold;
};

/** Says how the roles stand and what is signed; holds when every signature does, and nothing is expired. */
export const trustShow = async (options: TrustOptions): Promise<ExitCode> => {
  const workspace = openWorkspace(options);
  const metadata = await metadataOf(workspace, options);
  const opened = openRepository(readFiles(metadata));
  const roles = roleStates(opened, new Date());
  const trust = Object.keys(opened.contents).length === 0 ? undefined : parseTargets(opened.contents);
  const trusted = trust === undefined ? [] : entries(trust);
  const policy = trust?.policy ?? [];
  const images = trusted.filter(({ kind }) => kind === "image");
  const others = trusted.filter(({ kind }) => kind !== "image");
  const former = images.filter(({ end }) => end !== undefined).length;
  const held = roles.every(({ isExpired }) => !isExpired);
  report(options, { held, metadata, roles, trusted, policy }, [
    ...roles.map(
      ({ role, version, expires, isExpired, threshold, keyIds }) =>
        `${role} version ${version}, ${isExpired ? "EXPIRED" : "expires"} ${expires}, ${threshold} of ${keyIds.length}: ${keyIds.map((id) => id.slice(0, 12)).join(", ")}`,
    ),
    ...others.map(
      ({ kind, sha256, name, start, end }) =>
        `${kind} ${sha256} ${[name, start && `from ${start}`, end && `until ${end}`].filter(Boolean).join(" ")}`,
    ),
    ...(images.length > 0 ? [`${images.length} images, ${former} of them former: --json lists them`] : []),
    ...(policy.length > 0 ? [`${policy.length} rules: ./factory trust policy compares them with those in force`] : []),
    ...(trusted.length === 0 ? ["no factory's keys are signed yet: ./factory trust sign"] : []),
  ]);
  return held ? exitCode.held : exitCode.didNotHold;
};

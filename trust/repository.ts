import { isDeepStrictEqual } from "node:util";

import { Key, Metadata, MetadataKind, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp } from "@tufjs/models";

import { FactoryError } from "../components/lib/errors";
import { sha256 } from "../components/lib/digest";
import type { SigningKey } from "./keys";

/** The top-level roles of TUF 1.0, in the order in which they vouch for each other. */
export const ROLES = ["root", "targets", "snapshot", "timestamp"] as const;

/** One of {@link ROLES}. */
export type Role = (typeof ROLES)[number];

/** The public files of a repository by name, all in one directory: metadata, and targets under their digests. */
export type Files = Readonly<Record<string, string>>;

/** For how many days a signature of each role holds. */
export type Periods = Readonly<Record<Role, number>>;

/** Periods of an operator's repository: short where a job signs, long where a person must fetch a key. */
export const PERIODS: Periods = { root: 365, targets: 180, snapshot: 30, timestamp: 7 };

/** Names that a file of a repository has; anything else in the directory is none of it. */
export const isRepositoryFile = (name: string): boolean =>
  /^([1-9][0-9]*\.(root|targets|snapshot)\.json|timestamp\.json|[0-9a-f]{64}\.[a-z][a-z0-9_-]*\.json)$/.test(name);

const SPECIFICATION = "1.0.31";
const DAY = 24 * 60 * 60 * 1000;
/** A signature is made anew once less than this part of its period is left. */
const RENEWAL = 1 / 3;

type Document = Root | Targets | Snapshot | Timestamp;

/** A repository whose every signature and digest holds; expiry is another question. */
export interface Repository {
  root: Metadata<Root>;
  targets: Metadata<Targets>;
  snapshot: Metadata<Snapshot>;
  timestamp: Metadata<Timestamp>;
  /** Content of each target, by its name. */
  contents: Readonly<Record<string, string>>;
}

/** What signing came to. */
export interface Signed {
  /** All files that the repository has now. */
  files: Files;
  /** Roles with new metadata. */
  changed: Role[];
  /** Roles whose metadata expires soon, and whose keys were not at hand. */
  due: Role[];
}

/** The bytes of a metadata file. */
const write = (metadata: Metadata<Document>): string => `${JSON.stringify(metadata.toJSON(), undefined, 2)}\n`;

const fileName = (role: Role, version: number): string =>
  role === "timestamp" ? "timestamp.json" : `${version}.${role}.json`;

const metaFile = (text: string, version: number): MetaFile =>
  new MetaFile({ version, length: Buffer.byteLength(text), hashes: { sha256: sha256(text) } });

const targetFile = (path: string, text: string): TargetFile =>
  new TargetFile({ path, length: Buffer.byteLength(text), hashes: { sha256: sha256(text) } });

/** Time in the only form that TUF 1.0 has: UTC, whole seconds. */
const after = (now: Date, days: number): string =>
  new Date(now.getTime() + days * DAY).toISOString().replace(/\.[0-9]+Z$/, "Z");

const common = (version: number, expires: string) => ({ version, expires, specVersion: SPECIFICATION });

const broken = (path: string, given: string): FactoryError =>
  new FactoryError({
    code: "SSF-TRUST-006",
    path,
    given,
    rule: "Every signature and digest of the trust repository must hold before anything is signed or published.",
    fix: "Restore the directory from its last good copy; ./factory trust init makes a new one where there was none.",
  });

/** What is wrong with metadata under the root that should vouch for it; undefined when nothing is. */
const fault = (root: Metadata<Root>, role: Role, metadata: Metadata<Document>): string | undefined => {
  try {
    root.verifyDelegate(role, metadata);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
};

const parse = <T>(files: Files, name: string, read: (json: Record<string, never>) => T): T => {
  const text = files[name];
  if (text === undefined) throw broken(name, "not there");
  try {
    return read(JSON.parse(text) as Record<string, never>);
  } catch (error) {
    throw broken(name, error instanceof Error ? error.message : String(error));
  }
};

const parseRoot = (files: Files, version: number): Metadata<Root> => {
  const name = fileName("root", version);
  const root = parse(files, name, (json) => Metadata.fromJSON(MetadataKind.Root, json));
  if (root.signed.version !== version) throw broken(name, `version ${root.signed.version}`);
  return root;
};

const rootVersions = (files: Files): number[] =>
  Object.keys(files)
    .flatMap((name) => /^([0-9]+)\.root\.json$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);

/** The newest root, after a walk from the oldest through every one between. */
const walkRoots = (files: Files): Metadata<Root> => {
  const [oldest, ...others] = rootVersions(files);
  if (oldest === undefined) throw broken("1.root.json", "not there");
  let root = parseRoot(files, oldest);
  const self = fault(root, "root", root);
  if (self !== undefined) throw broken(fileName("root", oldest), self);
  for (const version of others) {
    const next = parseRoot(files, root.signed.version + 1);
    const problem = fault(root, "root", next) ?? fault(next, "root", next);
    if (problem !== undefined) throw broken(fileName("root", version), problem);
    root = next;
  }
  return root;
};

/** The root metadata that clients of these files should start from, as text: the newest. */
export const newestRoot = (files: Files): string => files[fileName("root", walkRoots(files).signed.version)] ?? "";

/**
 * Reads a repository and checks all of it but the expiry.
 *
 * @throws FactoryError `SSF-TRUST-006` that names the first file that does not hold
 */
export const openRepository = (files: Files): Repository => {
  const root = walkRoots(files);
  const timestamp = parse(files, "timestamp.json", (json) => Metadata.fromJSON(MetadataKind.Timestamp, json));
  const { snapshotMeta } = timestamp.signed;
  const snapshotName = fileName("snapshot", snapshotMeta.version);
  const snapshot = parse(files, snapshotName, (json) => Metadata.fromJSON(MetadataKind.Snapshot, json));
  const targetsMeta = snapshot.signed.meta["targets.json"];
  if (targetsMeta === undefined) throw broken(snapshotName, "no targets.json in it");
  const targetsName = fileName("targets", targetsMeta.version);
  const targets = parse(files, targetsName, (json) => Metadata.fromJSON(MetadataKind.Targets, json));

  const require = (name: string, role: Role, metadata: Metadata<Document>, meta?: MetaFile) => {
    const problem = fault(root, role, metadata) ?? mismatch(files[name] ?? "", meta);
    if (problem !== undefined) throw broken(name, problem);
  };
  require("timestamp.json", "timestamp", timestamp);
  require(snapshotName, "snapshot", snapshot, snapshotMeta);
  require(targetsName, "targets", targets, targetsMeta);
  const contents = Object.entries(targets.signed.targets).map(([path, target]) => {
    const name = `${target.hashes.sha256 ?? ""}.${path}`;
    const text = files[name];
    if (text === undefined || sha256(text) !== target.hashes.sha256) throw broken(name, "not there, or changed");
    return [path, text] as const;
  });
  return { root, targets, snapshot, timestamp, contents: Object.fromEntries(contents) };
};

const mismatch = (text: string, meta: MetaFile | undefined): string | undefined =>
  meta === undefined || meta.hashes?.sha256 === sha256(text) ? undefined : "another digest than its signed one";

/** Who signs a role, and how many of them it takes. */
export interface RoleKeys {
  keys: readonly SigningKey[];
  threshold: number;
}

/** Ids of each role's keys, and how many of them must sign. */
type RoleTable = Readonly<Record<Role, { keyIDs: readonly string[]; threshold: number }>>;

const tableOf = (entry: (role: Role) => RoleTable[Role]): RoleTable => ({
  root: entry("root"),
  targets: entry("targets"),
  snapshot: entry("snapshot"),
  timestamp: entry("timestamp"),
});

const makeRoot = (table: RoleTable, keys: readonly Key[], version: number, expires: string): Root => {
  const used = keys.filter(({ keyID }) => ROLES.some((role) => table[role].keyIDs.includes(keyID)));
  const roles = ROLES.map((role) => [role, { keyids: [...table[role].keyIDs], threshold: table[role].threshold }]);
  // The library makes a role from nothing but JSON.
  return Root.fromJSON({
    spec_version: SPECIFICATION,
    version,
    expires,
    consistent_snapshot: true,
    keys: Object.fromEntries(used.map((key) => [key.keyID, key.toJSON()])),
    roles: Object.fromEntries(roles) as Record<string, { keyids: string[]; threshold: number }>,
  });
};

const roleOf = (root: Metadata<Root>, role: Role) => {
  const found = root.signed.roles[role];
  if (found === undefined) throw broken(fileName("root", root.signed.version), `no role ${role}`);
  return found;
};

const holders = (root: Metadata<Root>, role: Role, keys: readonly SigningKey[]): SigningKey[] =>
  keys.filter(({ id }) => roleOf(root, role).keyIDs.includes(id));

const canSign = (root: Metadata<Root>, role: Role, keys: readonly SigningKey[]): boolean =>
  holders(root, role, keys).length >= roleOf(root, role).threshold;

/** Signs with every key of the role that is at hand, for each root whose threshold must be met. */
const sign = <T extends Document>(
  roots: readonly Metadata<Root>[],
  role: Role,
  document: T,
  keys: readonly SigningKey[],
): Metadata<T> => {
  const metadata = new Metadata(document);
  for (const root of roots) {
    const { keyIDs, threshold } = roleOf(root, role);
    const signers = holders(root, role, keys);
    if (signers.length < threshold)
      throw new FactoryError({
        code: "SSF-TRUST-005",
        path: `role ${role}`,
        given: `${signers.length} of the keys ${keyIDs.map((id) => id.slice(0, 12)).join(", ")}`,
        rule: `New metadata of this role needs signatures by ${threshold} of its keys.`,
        fix: "Give the directories that hold them, each by --keys.",
      });
    for (const signer of signers) metadata.sign(signer.sign);
  }
  return metadata;
};

const selfSigned = (before: readonly Metadata<Root>[], root: Root, keys: readonly SigningKey[]): Metadata<Root> =>
  sign([...before, new Metadata(root)], "root", root, keys);

/** How much of its period a document has left. */
const isDue = (document: Document, days: number, now: Date): boolean =>
  new Date(document.expires).getTime() - now.getTime() < days * DAY * RENEWAL;

/** What to sign, by whom, and from when on it holds. */
interface SigningArgs {
  files: Files;
  /** Keys at hand, of whatever role. */
  keys: readonly SigningKey[];
  now: Date;
  /** @default {@link PERIODS} */
  periods?: Periods;
}

/**
 * A new repository without targets. All keys are at hand, as only a ceremony has them.
 *
 * @throws FactoryError `SSF-TRUST-004` when a threshold is no number from 1 to that of the keys
 */
export const makeRepository = (
  roles: Readonly<Record<Role, RoleKeys>>,
  now: Date,
  periods: Periods = PERIODS,
): Files => {
  for (const role of ROLES) {
    const { keys, threshold } = roles[role];
    if (!Number.isInteger(threshold) || threshold < 1 || threshold > keys.length)
      throw new FactoryError({
        code: "SSF-TRUST-004",
        path: `role ${role}`,
        given: `threshold ${threshold} of ${keys.length} keys`,
        rule: "The threshold of a role is a whole number from 1 to the number of its keys.",
        fix: "Ask for more keys, or for a lower threshold.",
      });
  }
  const keys = ROLES.flatMap((role) => roles[role].keys);
  const table = tableOf((role) => ({ keyIDs: roles[role].keys.map(({ id }) => id), threshold: roles[role].threshold }));
  const publicKeys = keys.map(({ publicKey }) => publicKey);
  const root = selfSigned([], makeRoot(table, publicKeys, 1, after(now, periods.root)), keys);
  return signBelow(root, undefined, { files: { "1.root.json": write(root) }, keys, now, periods }, {}).files;
};

/**
 * Signs what has changed, what no key of the newest root vouches for, and what expires soon; nothing else, so that
 * signing the same content twice changes nothing.
 *
 * @param targets content of each target by its name. @default those that the repository has
 * @throws FactoryError `SSF-TRUST-005` when keys of a role that must be signed are not at hand
 */
export const signRepository = (args: SigningArgs, targets?: Readonly<Record<string, string>>): Signed => {
  const { files, keys, now, periods = PERIODS } = args;
  const before = openRepository(files);
  const { root } = before;
  if (!isDue(root.signed, periods.root, now)) return signBelow(root, before, args, targets ?? before.contents);
  if (!canSign(root, "root", keys) && new Date(root.signed.expires) > now) {
    const signed = signBelow(root, before, args, targets ?? before.contents);
    return { ...signed, due: ["root", ...signed.due] };
  }
  const { version, keys: publicKeys } = root.signed;
  const table = tableOf((role) => roleOf(root, role));
  const renewed = makeRoot(table, Object.values(publicKeys), version + 1, after(now, periods.root));
  const next = selfSigned([root], renewed, keys);
  const signed = signBelow(next, before, withRoot(args, next), targets ?? before.contents);
  return { ...signed, changed: ["root", ...signed.changed] };
};

const withRoot = (args: SigningArgs, root: Metadata<Root>): SigningArgs => ({
  ...args,
  files: { ...args.files, [fileName("root", root.signed.version)]: write(root) },
});

/**
 * Replaces keys of a role: a new root names the new ones, and whatever the old ones vouched for is signed anew.
 *
 * @param role whose keys
 * @param fresh the new keys, which are at hand
 * @param retired ids of the keys that go. @default all of the role
 * @throws FactoryError `SSF-TRUST-014` when a retired key is none of the role's, or another number goes than comes
 * @throws FactoryError `SSF-TRUST-005` when too few root keys are at hand, or too few of a role to sign anew
 */
export const rotateKeys = (
  args: SigningArgs,
  role: Role,
  fresh: readonly SigningKey[],
  retired?: readonly string[],
): Signed => {
  const { files, now, periods = PERIODS } = args;
  const before = openRepository(files);
  const { root } = before;
  const { keyIDs, threshold } = roleOf(root, role);
  const gone = retired ?? keyIDs;
  if (gone.length !== fresh.length || gone.some((id) => !keyIDs.includes(id)))
    throw new FactoryError({
      code: "SSF-TRUST-014",
      path: `role ${role}`,
      given: `${fresh.length} new keys for ${gone.map((id) => id.slice(0, 12)).join(", ")}`,
      rule: "Each new key takes the place of one key of the role.",
      fix: `Name keys of the role: ${keyIDs.join(", ")}.`,
    });
  const keys = [...args.keys, ...fresh];
  const kept = keyIDs.filter((id) => !gone.includes(id));
  const replaced = { keyIDs: [...kept, ...fresh.map(({ id }) => id)], threshold };
  const table = tableOf((name) => (name === role ? replaced : roleOf(root, name)));
  const publicKeys = [...Object.values(root.signed.keys), ...fresh.map(({ publicKey }) => publicKey)];
  const rotated = makeRoot(table, publicKeys, root.signed.version + 1, after(now, periods.root));
  const next = selfSigned([root], rotated, keys);
  const signed = signBelow(next, before, withRoot({ ...args, keys }, next), before.contents);
  return { ...signed, changed: ["root", ...signed.changed] };
};

/** Signs targets, snapshot and timestamp below a root, as far as they need it. */
const signBelow = (
  root: Metadata<Root>,
  before: Repository | undefined,
  { files, keys, now, periods = PERIODS }: SigningArgs,
  contents: Readonly<Record<string, string>>,
): Signed => {
  const changed: Role[] = [];
  const due: Role[] = [];
  const written: Record<string, string> = { ...files };

  /** The role's document: the present one where that still does, else the next version, signed. */
  const renew = <T extends Document>(
    role: Role,
    present: Metadata<T> | undefined,
    isSame: (document: T) => boolean,
    make: (options: ReturnType<typeof common>) => T,
  ): { metadata: Metadata<T>; text: string } => {
    const version = (present?.signed.version ?? 0) + 1;
    if (present !== undefined && isSame(present.signed) && fault(root, role, present) === undefined) {
      const isValid = new Date(present.signed.expires) > now;
      const soon = isDue(present.signed, periods[role], now);
      if (soon && isValid && !canSign(root, role, keys)) due.push(role);
      if (!soon || (isValid && !canSign(root, role, keys)))
        return { metadata: present, text: files[fileName(role, version - 1)] ?? "" };
    }
    const metadata = sign([root], role, make(common(version, after(now, periods[role]))), keys);
    const text = write(metadata);
    written[fileName(role, version)] = text;
    changed.push(role);
    return { metadata, text };
  };

  const listed = Object.fromEntries(Object.entries(contents).map(([path, text]) => [path, targetFile(path, text)]));
  for (const [path, text] of Object.entries(contents)) written[`${sha256(text)}.${path}`] = text;
  const targets = renew(
    "targets",
    before?.targets,
    (document) => isDeepStrictEqual(document.targets, listed),
    (options) => new Targets({ ...options, targets: listed }),
  );
  const targetsMeta = metaFile(targets.text, targets.metadata.signed.version);
  const snapshot = renew(
    "snapshot",
    before?.snapshot,
    (document) => document.meta["targets.json"]?.equals(targetsMeta) === true,
    (options) => new Snapshot({ ...options, meta: { "targets.json": targetsMeta } }),
  );
  const snapshotMeta = metaFile(snapshot.text, snapshot.metadata.signed.version);
  renew(
    "timestamp",
    before?.timestamp,
    (document) => document.snapshotMeta.equals(snapshotMeta),
    (options) => new Timestamp({ ...options, snapshotMeta }),
  );
  return { files: prune(written, targets.metadata, snapshot.metadata, before?.targets), changed, due };
};

/** All roots, and of the rest what a client needs that began to read just before the change. */
const prune = (
  files: Files,
  targets: Metadata<Targets>,
  snapshot: Metadata<Snapshot>,
  former: Metadata<Targets> | undefined,
): Files => {
  const kept = new Set(["timestamp.json"]);
  for (const age of [0, 1]) {
    kept.add(fileName("targets", targets.signed.version - age));
    kept.add(fileName("snapshot", snapshot.signed.version - age));
  }
  for (const [path, { hashes }] of [targets, former].flatMap((one) => Object.entries(one?.signed.targets ?? {})))
    kept.add(`${hashes.sha256 ?? ""}.${path}`);
  const names = Object.keys(files).filter((name) => name.endsWith(".root.json") || kept.has(name));
  return Object.fromEntries(names.sort().map((name) => [name, files[name] ?? ""]));
};

/** How a role stands. */
export interface RoleState {
  role: Role;
  version: number;
  /** ISO 8601, UTC. */
  expires: string;
  isExpired: boolean;
  threshold: number;
  /** Ids of its keys. */
  keyIds: string[];
}

/** How every role of a repository stands at a time. */
export const roleStates = (repository: Repository, now: Date): RoleState[] =>
  ROLES.map((role) => {
    const { version, expires } = repository[role].signed;
    const { keyIDs, threshold } = roleOf(repository.root, role);
    return { role, version, expires, isExpired: new Date(expires) <= now, threshold, keyIds: [...keyIDs] };
  });

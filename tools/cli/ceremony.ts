import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { FactoryError } from "../../components/lib/errors";
import {
  decryptKey,
  type FactoryTrust,
  makeRepository,
  newKey,
  type NewKey,
  openRepository,
  parseTargets,
  type Periods,
  readFiles,
  requirePassphrase,
  type Role,
  ROLES,
  rotateKeys,
  type Signed,
  type SigningKey,
  signRepository,
  type TrustChange,
  updateTrust,
  writeFiles,
  writeTargets,
} from "../../trust";

/** What a ceremony makes, and where. */
export interface Ceremony {
  /** Directory for the private keys: new or empty, and of its owner alone. */
  keys: string;
  /** Directory for the public files. */
  metadata: string;
  /** How many root keys there are, and how many of them must sign. Every other role has one key. */
  root: { keys: number; threshold: number };
  /** Roles whose private keys are written; those of the others are gone when the ceremony ends. @default all */
  kept?: readonly Role[];
  passphrase: string;
  now: Date;
  periods?: Periods;
}

/** The path without symbolic links, also of what does not exist yet. */
const realPath = (path: string): string =>
  existsSync(path) ? realpathSync(path) : join(realPath(dirname(path)), basename(path));

const isWithin = (path: string, directory: string): boolean => {
  const step = relative(realPath(resolve(directory)), realPath(resolve(path)));
  return step !== ".." && !step.startsWith("../");
};

const misplaced = (path: string, given: string, rule: string, fix: string): FactoryError =>
  new FactoryError({ code: "SSF-TRUST-001", path, given, rule, fix });

/**
 * Checks that private keys would lie apart from whatever is copied, published or kept on the factory's machine.
 *
 * @param places directories that keys may not lie in, by what they are
 * @throws FactoryError `SSF-TRUST-001`
 */
export const requireApart = (keys: string, metadata: string, places: Readonly<Record<string, string>>): void => {
  for (const [what, directory] of Object.entries({ ...places, "the public metadata": metadata }))
    if (isWithin(keys, directory))
      throw misplaced(
        keys,
        `inside ${what}, ${directory}`,
        "Private keys lie apart from the checkout, the state and the public files.",
        "Name a directory on a medium that you can put away.",
      );
  if (isWithin(metadata, keys))
    throw misplaced(
      metadata,
      `inside the directory of the keys, ${keys}`,
      "Public files are published, so they lie apart from private keys.",
      "Name another directory by --metadata.",
    );
};

const keyFile = (role: Role, { id }: SigningKey): string => `${role}-${id.slice(0, 12)}.pem`;

const isKeyFile = (name: string): boolean => /^(root|targets|snapshot|timestamp)-[0-9a-f]{12}\.pem$/.test(name);

const writeKey = (directory: string, role: Role, key: NewKey, passphrase: string): string => {
  const file = join(directory, keyFile(role, key));
  writeFileSync(file, key.encrypt(passphrase), { mode: 0o600, flag: "wx" });
  return file;
};

/**
 * Holds a ceremony: makes keys for all roles, and a repository without targets that they sign.
 *
 * @returns files of the private keys
 * @throws FactoryError `SSF-TRUST-001`, `SSF-TRUST-002`, `SSF-TRUST-004` or `SSF-TRUST-007`, before anything is written
 */
export const holdCeremony = (ceremony: Ceremony): string[] => {
  const { keys: directory, metadata, root, kept = ROLES, passphrase, now, periods } = ceremony;
  requirePassphrase(passphrase);
  if (existsSync(directory) && readdirSync(directory).length > 0)
    throw misplaced(
      directory,
      "not empty",
      "A ceremony writes its keys into a new or empty directory, and never over others.",
      "Name another directory, or replace the keys that are there: ./factory trust rotate <role>.",
    );
  if (Object.keys(readFiles(metadata)).length > 0)
    throw new FactoryError({
      code: "SSF-TRUST-007",
      path: metadata,
      given: "a trust repository",
      rule: "A ceremony makes a new repository, and never over another, which clients hold on to.",
      fix: "Replace its keys by ./factory trust rotate <role>, or name another directory by --metadata.",
    });
  const keys: Record<Role, NewKey[]> = {
    root: Array.from({ length: root.keys }, newKey),
    targets: [newKey()],
    snapshot: [newKey()],
    timestamp: [newKey()],
  };
  const one = (role: Role) => ({ keys: keys[role], threshold: 1 });
  const files = makeRepository(
    {
      root: { keys: keys.root, threshold: root.threshold },
      targets: one("targets"),
      snapshot: one("snapshot"),
      timestamp: one("timestamp"),
    },
    now,
    periods,
  );
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  chmodSync(directory, 0o700);
  const written = kept.flatMap((role) => keys[role].map((key) => writeKey(directory, role, key, passphrase)));
  writeFiles(metadata, files);
  return written;
};

/** A key that was read, and the file that it lies in. */
export interface KeyAtHand extends SigningKey {
  file: string;
}

/** Keys at hand. */
export interface Keyring {
  keys: KeyAtHand[];
  /** Where new keys go, and with which passphrase: into the first directory that was named, unless said otherwise. */
  directory: string;
  passphrase: string;
  /** For how long their signatures hold. @default that of an operator's keys */
  periods?: Periods;
}

/**
 * Reads every key of the ceremony that lies in the directories.
 *
 * @param passphraseOf is asked for each directory, since each may have another keeper
 * @throws FactoryError `SSF-TRUST-003` when a directory or a key cannot be read
 */
export const readKeys = async (
  directories: readonly [string, ...string[]],
  passphraseOf: (directory: string) => Promise<string>,
): Promise<Keyring> => {
  const [first, ...others] = directories;
  const passphrase = await passphraseOf(first);
  const keys = readDirectory(first, passphrase);
  for (const directory of others) keys.push(...readDirectory(directory, await passphraseOf(directory)));
  return { keys, directory: first, passphrase };
};

const readDirectory = (directory: string, passphrase: string): KeyAtHand[] => {
  const names = existsSync(directory) ? readdirSync(directory).filter(isKeyFile).sort() : [];
  if (names.length === 0)
    throw new FactoryError({
      code: "SSF-TRUST-003",
      path: directory,
      given: "no keys in it",
      rule: "It must be a directory with keys that the ceremony wrote, such as timestamp-0123456789ab.pem.",
      fix: "Name such a directory by --keys.",
    });
  return names
    .map((name) => join(directory, name))
    .map((file) => ({ ...decryptKey(file, readFileSync(file, "utf8"), passphrase), file }));
};

/** What to sign. */
export interface SigningOptions {
  /** Directory of the public files. */
  metadata: string;
  keyring: Keyring;
  /** What the factory signs with. @default nothing: only what expires soon is signed anew */
  current?: FactoryTrust;
  /** Fingerprints of what counts for nothing any more. @default none */
  revoke?: readonly string[];
  /** Content of the policy bundle's files by path. @default as before */
  policy?: TrustChange["policy"];
  now: Date;
}

/** Signs what is new or expires soon, and writes it; what was changed by another hand is refused, not signed. */
export const signTrust = ({ metadata, keyring, current, revoke, policy, now }: SigningOptions): Signed => {
  const files = readFiles(metadata);
  const { contents } = openRepository(files);
  const previous = Object.keys(contents).length === 0 ? undefined : parseTargets(contents);
  const targets =
    current === undefined ? undefined : writeTargets(updateTrust({ previous, current, revoke, policy, now }));
  const signed = signRepository({ files, now, keys: keyring.keys, periods: keyring.periods }, targets);
  writeFiles(metadata, signed.files);
  return signed;
};

/** Which keys to replace. */
export interface Rotation {
  /** Directory of the public files. */
  metadata: string;
  keyring: Keyring;
  role: Role;
  /** Beginning of the id of the one key that goes. @default all keys of the role */
  only?: string;
  now: Date;
}

/** What a rotation came to. */
export interface Rotated extends Signed {
  /** Files of the new keys. */
  written: string[];
  /** Files at hand of the keys that went. */
  retired: string[];
}

/** Makes new keys for a role, has the root name them, and writes both; the old keys' files stay as they are. */
export const rotateTrust = ({ metadata, keyring, role, only, now }: Rotation): Rotated => {
  const { keys, directory, passphrase, periods } = keyring;
  const files = readFiles(metadata);
  const { root } = openRepository(files);
  const { keyIDs = [] } = root.signed.roles[role] ?? {};
  const named = only === undefined ? keyIDs : keyIDs.filter((id) => id.startsWith(only));
  const gone = only !== undefined && named.length !== 1 ? [only] : named;
  const fresh = gone.map(newKey);
  const signed = rotateKeys({ files, keys, now, periods }, role, fresh, gone);
  requirePassphrase(passphrase);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const written = fresh.map((key) => writeKey(directory, role, key, passphrase));
  writeFiles(metadata, signed.files);
  return { ...signed, written, retired: keys.filter(({ id }) => gone.includes(id)).map(({ file }) => file) };
};

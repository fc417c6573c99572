import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Files, makeRepository, newKey, type NewKey, type Role, ROLES } from "../../../trust";

/** A moment that lies so many days after now. */
export const inDays = (days: number): Date => new Date(Date.now() + days * 24 * 60 * 60 * 1000);

/** Keys of every role: three for root, of which two must sign, and one for each other role. */
export const ceremony = (now = new Date()): { keys: Record<Role, NewKey[]>; all: NewKey[]; files: Files } => {
  const keys: Record<Role, NewKey[]> = {
    root: [newKey(), newKey(), newKey()],
    targets: [newKey()],
    snapshot: [newKey()],
    timestamp: [newKey()],
  };
  const files = makeRepository(
    {
      root: { keys: keys.root, threshold: 2 },
      targets: { keys: keys.targets, threshold: 1 },
      snapshot: { keys: keys.snapshot, threshold: 1 },
      timestamp: { keys: keys.timestamp, threshold: 1 },
    },
    now,
  );
  return { keys, all: ROLES.flatMap((role) => keys[role]), files };
};

/** Temporary directories that are removed after the tests of a file. */
export const temporaryDirectories = (): (() => string) => {
  const made: string[] = [];
  afterAll(() => made.forEach((directory) => rmSync(directory, { recursive: true, force: true })));
  return () => {
    const directory = mkdtempSync(join(tmpdir(), "ssf-trust-"));
    made.push(directory);
    return directory;
  };
};

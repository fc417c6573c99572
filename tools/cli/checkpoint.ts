import { createPublicKey } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { crypto } from "@sigstore/core";
import { FactoryError } from "../../components/lib/errors";
import type { TreeHead } from "./merkle";
import { logIdOf } from "./signature";

/** What a log says about itself at one time. */
export interface Checkpoint extends TreeHead {
  /** Name of the log, in Rekor's form `<host> - <tree>`. */
  origin: string;
  /** The signed text. */
  note: string;
}

const form = /^([^\n]+)\n(0|[1-9][0-9]{0,14})\n([A-Za-z0-9+/]{43}=)\n(?:[^\n]+\n)*\n((?:\u2014 \S+ \S+\n)+)$/;

/**
 * Reads a checkpoint: a note in the form of golang.org/x/mod/sumdb/note, whose key hints in Rekor are the first four bytes
 * of the log's ID.
 *
 * @returns undefined unless the key with that PEM signed it
 */
export const openCheckpoint = (note: string, publicKeyPem: string): Checkpoint | undefined => {
  const [, origin, size, root, lines] = form.exec(note) ?? [];
  if (origin === undefined || size === undefined || root === undefined || lines === undefined) return undefined;
  const signed = Buffer.from(note.slice(0, -lines.length - 1));
  const hint = Buffer.from(logIdOf(publicKeyPem).slice(0, 8), "hex");
  const isSigned = lines.split("\n").some((line) => {
    const signature = Buffer.from(line.split(" ")[2] ?? "", "base64");
    return (
      signature.subarray(0, 4).equals(hint) &&
      crypto.verify(signed, createPublicKey(publicKeyPem), signature.subarray(4))
    );
  });
  return isSigned ? { origin, size: Number(size), rootHash: Buffer.from(root, "base64"), note } : undefined;
};

/** Where the last checkpoint that was seen of a log is kept. */
export interface CheckpointMemory {
  /** The last checkpoint seen; undefined before the first contact. */
  read: () => Promise<Checkpoint | undefined>;
  write: (checkpoint: Checkpoint) => Promise<void>;
}

/** A key of a log, and the file that keeps the last checkpoint that was seen under it. */
export interface KeptKey {
  file: string;
  publicKeyPem: string;
}

/**
 * A checkpoint as it was remembered.
 *
 * @param place where it was kept
 * @throws FactoryError `SSF-VERIFY-006` when it is anything else
 */
export const rememberedCheckpoint = (note: string, publicKeyPem: string, place: string): Checkpoint => {
  const checkpoint = openCheckpoint(note, publicKeyPem);
  if (checkpoint !== undefined) return checkpoint;
  throw new FactoryError({
    code: "SSF-VERIFY-006",
    path: place,
    given: "no checkpoint that the factory's log signed",
    rule: "The last checkpoint of the log that was seen must stay as it was, or nothing shows that the log only grew.",
    fix: "Restore it from a backup; where it is removed, the log is next taken as it then is.",
  });
};

/**
 * Keeps checkpoints of the log with that key in a file, as the log signed them. A log that was given another key must still
 * grow out of what it was: as long as nothing is kept under its key, what was kept under the last one counts.
 *
 * @param former keys that the log had before, the newest first
 * @throws FactoryError `SSF-VERIFY-006`, on reading, when the file holds anything else
 */
export const checkpointMemory = (
  file: string,
  publicKeyPem: string,
  former: readonly KeptKey[] = [],
): CheckpointMemory => ({
  read: async () => {
    if (existsSync(file)) return rememberedCheckpoint(await readFile(file, "utf8"), publicKeyPem, file);
    const [last, ...older] = former;
    return last && checkpointMemory(last.file, last.publicKeyPem, older).read();
  },
  write: async ({ note }) => {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    const written = `${file}.${process.pid}`;
    await writeFile(written, note, { mode: 0o600 });
    await rename(written, file);
  },
});

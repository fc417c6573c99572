import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { link, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { run } from "../process";
import { cache, discarded, keptGigabytes, store, work } from "./paths";

/** Hex SHA-256 of the parts, each with its length so that no two lists collide. */
export const digestOf = (...parts: (string | Buffer)[]): string => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(`${Buffer.byteLength(part)}:`).update(part);
  return hash.digest("hex");
};

/** Paths of all files below a directory, relative to it, in byte order. */
export const filesBelow = async (directory: string): Promise<string[]> => {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
    .sort();
};

/** Hex SHA-256 over names and contents of all files below a directory. */
export const digestOfTree = async (directory: string): Promise<string> => {
  const files = await filesBelow(directory);
  return digestOf(...files, ...(await Promise.all(files.map((file) => readFile(join(directory, file))))));
};

/** Where the output with that name and key is, or will be. */
export const outputPath = (name: string, key: string): string => join(store, `${name}-${key.slice(0, 16)}`);

/** Whether the output is finished. */
export const isStored = (name: string, key: string): boolean => existsSync(outputPath(name, key));

/**
 * The output with that name and key, made by `make` when it is not there yet. It is made in a directory of its own and
 * moved into place at the end, so that an interrupted run leaves the store as it was.
 *
 * @returns the output's directory
 */
export const stored = async (
  name: string,
  key: string,
  make: (directory: string) => Promise<void>,
): Promise<string> => {
  const output = outputPath(name, key);
  if (!existsSync(output)) {
    await mkdir(store, { recursive: true });
    const directory = await workDirectory(name);
    await make(directory);
    await rename(directory, output).catch(async (error: unknown) => {
      if (!existsSync(output)) throw error;
      await rm(directory, { recursive: true });
    });
  }
  const now = new Date();
  await utimes(output, now, now);
  return output;
};

/** A new empty directory on the store's file system. */
export const workDirectory = async (name: string): Promise<string> => {
  await mkdir(work, { recursive: true });
  return mkdtemp(join(work, `${name}-`));
};

/** When a process began, in the kernel's clock ticks: tells it from a later one with the same identifier. */
const startOf = (pid: string): Promise<string | undefined> =>
  readFile(`/proc/${pid}/stat`, "utf8").then(
    (stat) => stat.slice(stat.lastIndexOf(")")).split(" ")[20],
    () => undefined,
  );

/**
 * Makes this process the only one that builds in the cache, as soon as no other does.
 *
 * @returns what gives the cache free again; the death of the process does so, too
 */
export const lockCache = async (): Promise<() => Promise<void>> => {
  const lock = join(cache, "building");
  const own = `${lock}-${process.pid}`;
  await writeFile(own, `${process.pid} ${(await startOf("self")) ?? ""}`);
  try {
    for (;;) {
      // A link is there whole or not at all, unlike a file that the disk has no room for.
      const isOurs = await link(own, lock).then(
        () => true,
        (error: unknown) => {
          if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
          throw error;
        },
      );
      if (isOurs) return () => rm(lock, { force: true });
      const [pid = "", start] = (await readFile(lock, "utf8").catch(() => "")).split(" ");
      if (pid !== "" && (await startOf(pid)) !== start) await rm(lock, { force: true });
      else await new Promise((resume) => setTimeout(resume, 1000));
    }
  } finally {
    await rm(own, { force: true });
  }
};

/** Removes outputs that no finished build has asked for in that many days. */
export const removeUnused = async (days: number): Promise<void> => {
  const oldest = Date.now() - days * 86_400_000;
  for (const entry of await readdir(store)) {
    const path = join(store, entry);
    if ((await stat(path)).mtimeMs < oldest) await rm(path, { recursive: true, force: true });
  }
};

/** Bytes on disk of a directory; what has several names counts once. */
const sizeOf = async (directory: string): Promise<number> =>
  Number.parseInt(await run("du", ["--summarize", "--block-size=1", directory]), 10);

/**
 * Removes outputs that another has taken the place of, for what is large and quickly made again. Those that a build has
 * asked for within a day are another checkout's, whose lock file names them: of these only the longest unused go, while
 * the store is larger than the finished cache may be.
 *
 * @param current outputs that stay, by name
 * @param limit bytes
 */
export const removeReplaced = async (
  current: Readonly<Record<string, string>>,
  limit = keptGigabytes * 1e9,
): Promise<void> => {
  const yesterday = Date.now() - 86_400_000;
  const replaced: { path: string; used: number }[] = [];
  for (const entry of await readdir(store)) {
    const [, name = ""] = /^(.+)-[0-9a-f]{16}$/.exec(entry) ?? [];
    const path = join(store, entry);
    if (current[name] !== undefined && current[name] !== path)
      replaced.push({ path, used: (await stat(path)).mtimeMs });
  }
  for (const { path, used } of replaced.sort((one, other) => one.used - other.used))
    if (used < yesterday || (await sizeOf(store)) > limit) await rm(path, { recursive: true });
};

/**
 * Takes a directory out of the way at once. A process of its own removes it, which takes minutes for a million files; what such
 * a process left that was killed goes with the next.
 */
export const discard = async (directory: string): Promise<void> => {
  await mkdir(discarded, { recursive: true });
  if (existsSync(directory)) await rename(directory, await mkdtemp(join(discarded, "x")));
  spawn("rm", ["-rf", discarded], { detached: true, stdio: "ignore" }).unref();
};

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { type Files, isRepositoryFile, openRepository } from "./repository";

/** The repository's files in a directory; whatever else lies there is left out. */
export const readFiles = (directory: string): Files => {
  const names = existsSync(directory) ? readdirSync(directory).filter(isRepositoryFile) : [];
  return Object.fromEntries(names.sort().map((name) => [name, readFileSync(join(directory, name), "utf8")]));
};

/** Directory of an operator's repository in a factory's state. */
export const ownRepository = (state: string): string => join(state, "trust/metadata");

/** Directory of the repository in a factory's state: the operator's where there is one, else that of a development ceremony. */
export const stateRepository = (state: string): string => {
  const own = ownRepository(state);
  return Object.keys(readFiles(own)).length > 0 ? own : join(state, "trust/development/metadata");
};

/**
 * Makes a directory hold exactly these files of a repository. The timestamp goes last, so that a client never reads of
 * what is not there yet; files that nobody needs any more go after it.
 */
export const writeFiles = (directory: string, files: Files): void => {
  mkdirSync(directory, { recursive: true });
  const before = readFiles(directory);
  const changed = Object.keys(files).filter((name) => files[name] !== before[name]);
  for (const name of changed.sort((a, b) => Number(a === "timestamp.json") - Number(b === "timestamp.json"))) {
    const file = join(directory, name);
    writeFileSync(`${file}.new`, files[name] ?? "", { mode: 0o644 });
    renameSync(`${file}.new`, file);
  }
  for (const name of Object.keys(before)) if (files[name] === undefined) rmSync(join(directory, name));
};

/**
 * The repository in a directory, to be published.
 *
 * @throws FactoryError `SSF-TRUST-006` when there is none, or not all of it holds
 */
export const readRepository = (directory: string): Files => {
  const files = readFiles(directory);
  openRepository(files);
  return files;
};

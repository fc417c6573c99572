import { existsSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";

const lock = join(__dirname, "../../toolchain.lock.json");

const toolchainPrograms = (): string[] =>
  existsSync(lock) ? [(JSON.parse(readFileSync(lock, "utf8")) as { bin: string }).bin] : [];

/** Path of a program of the toolchain, or of this machine; undefined when there is none. */
export const programPath = (name: string): string | undefined =>
  [...toolchainPrograms(), ...(process.env["PATH"] ?? "").split(delimiter)]
    .map((directory) => join(directory, name))
    .find((path) => existsSync(path));

/** `describe` where these programs are there, and `describe.skip` where the toolchain has not been built. */
export const describeWith = (...names: string[]): jest.Describe =>
  names.every((name) => programPath(name) !== undefined) ? describe : describe.skip;

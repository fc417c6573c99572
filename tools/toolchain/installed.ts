import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { execute } from "../process";
import type { InstalledSpec } from "./modules";
import { cache } from "./paths";

const isExecutable = (file: string): Promise<boolean> =>
  access(file, constants.X_OK).then(
    () => true,
    () => false,
  );

const firstAsync = async <T>(items: readonly T[], holds: (item: T) => Promise<boolean>): Promise<T | undefined> => {
  for (const item of items) if (await holds(item)) return item;
  return undefined;
};

/** The program that `PATH` finds, if any; what the toolchain itself has put there does not count. */
export const findOnPath = (program: string, path = process.env.PATH ?? ""): Promise<string | undefined> => {
  const directories = path.split(delimiter).filter((directory) => directory !== "" && !directory.startsWith(cache));
  return firstAsync(
    directories.map((directory) => join(directory, program)),
    isExecutable,
  );
};

/**
 * The directory on `PATH` that holds the program in a version that works, with all of the given programs beside it.
 * What the toolchain itself has put there does not count.
 *
 * @returns the directory and the version; undefined when the machine has no such program
 */
export const findInstalled = async (
  { program, version }: InstalledSpec,
  programs: readonly string[],
  path = process.env.PATH ?? "",
): Promise<{ directory: string; version: string } | undefined> => {
  const file = await findOnPath(program, path);
  if (file === undefined) return undefined;
  const directory = dirname(file);
  for (const name of programs) if (!(await isExecutable(join(directory, name)))) return undefined;
  const { code, stdout } = await execute(file, ["version"], { env: { PULUMI_SKIP_UPDATE_CHECK: "true" } });
  const [line = ""] = stdout.split("\n");
  return code === 0 && version.test(line) ? { directory, version: line } : undefined;
};

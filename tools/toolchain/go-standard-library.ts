import { readFileSync } from "node:fs";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { goSettings } from "../../pipelines/languages/go";
import { goReleaseKey, processorsEach } from "./go";
import { run } from "../process";
import { digestOf, filesBelow, stored } from "./store";

/** The last field of a cache's entry: when it was written, in nanoseconds, in 20 columns. */
const entryTime = /[ 0-9]{20}\n$/;
const noTime = `${"0".padStart(20)}\n`;

/**
 * Compiles packages of Go's standard library into a compile cache, as stage *build* would compile them. Its names and bytes
 * depend on release and settings alone: it holds no times, and no index of the sources, which is kept by their paths and times.
 *
 * @param release the Go release's directory
 * @param output the cache, an empty directory
 */
export const compileStandardLibrary = async (release: string, output: string, packages = "std"): Promise<void> => {
  const places = { GOROOT: release, GOCACHE: output, GOPATH: "/nonexistent" };
  const environment = { ...goSettings, ...places, GODEBUG: "goindex=0" };
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  const build = [join(release, "bin/go"), "build", "-p", processorsEach, packages];
  await run("env", ["--ignore-environment", ...variables, ...build], { cwd: output });

  for (const name of await readdir(output))
    if (!/^[0-9a-f]{2}$/.test(name)) await rm(join(output, name), { recursive: true });
  for (const file of await filesBelow(output)) {
    if (!file.endsWith("-a")) continue;
    const entry = join(output, file);
    await writeFile(entry, (await readFile(entry, "utf8")).replace(entryTime, noTime));
  }
};

/** Content key of the compiled standard library: Go release, settings, and the recipe, which is this file. */
export const goStandardLibraryKey = digestOf(
  goReleaseKey,
  JSON.stringify(goSettings),
  readFileSync(__filename, "utf8"),
);

/** Directory of the standard library that the Go build stage need not compile any more. */
export const goStandardLibrary = (release: string): Promise<string> =>
  stored("go-standard-library", goStandardLibraryKey, (output) => compileStandardLibrary(release, output));

import { copyFile, cp, mkdir, readFile, rename, rm, statfs, symlink, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { basename, dirname, join } from "node:path";
import { findInstalled } from "./installed";
import { modules, type ModuleSpec } from "./modules";
import { cache, goCaches, repository } from "./paths";
import { run } from "../process";
import { digestOf, digestOfTree, discard, stored, workDirectory } from "./store";

/** The Go release that builds everything and that the Go build stage runs, with its patch version. */
export const goVersion = "1.26.8";

/** Modules built at the same time; each gets an equal share of the processors. */
export const goBuilders = Math.min(2, availableParallelism());

/** That share, as Go's flag `-p` takes it. */
export const processorsEach = String(Math.max(1, Math.floor(availableParallelism() / goBuilders)));

/** Compile output kept on disk at most, in GiB, before it is dropped: it can be made again. */
const compileCacheLimit = 30;

const wrapper = (name: string) => join(repository, "tools/modules", name);

/** Processor architecture of this machine, as Go names it. */
export const goArchitecture = process.arch === "x64" ? "amd64" : process.arch;

/** Growth of a compiler's memory, in percent, before it collects garbage: a fifteenth less time for a tenth more memory. */
const compilerGarbage = "400";

const goEnvironment = (spec?: ModuleSpec): Record<string, string> => ({
  CGO_ENABLED: spec?.cgo ? "1" : "0",
  GOCACHE: join(goCaches, "build"),
  GOGC: compilerGarbage,
  GOFLAGS: "-mod=readonly -modcacherw -trimpath -buildvcs=false",
  GOMODCACHE: join(goCaches, "mod"),
  GOTOOLCHAIN: `go${goVersion}`,
  GOWORK: "off",
});

/** Debugging information is stripped from the programs in the end; not making it saves an eighth of all the work. */
const compileFlags = ["-gcflags=all=-dwarf=false"];
const linkFlags = ["-s", "-w", "-buildid="];

const specOf = (name: string): ModuleSpec => {
  const spec = modules[name];
  if (spec === undefined) throw new Error(`no module ${name}`);
  return spec;
};

/** Version of the upstream, from the wrapper's go.mod. */
export const moduleVersion = async (name: string): Promise<string> => {
  const { upstream } = specOf(name);
  const found = new RegExp(`^(?:require)?\\s*${upstream.replaceAll(".", "\\.")} (v\\S+)`, "m").exec(
    await readFile(join(wrapper(name), "go.mod"), "utf8"),
  );
  if (found?.[1] === undefined) throw new Error(`tools/modules/${name}/go.mod does not require ${upstream}`);
  return found[1];
};

/** What the machine has in place of a module's programs, if anything. */
const installedOf = async ({ installed, programs }: ModuleSpec) =>
  installed === undefined ? undefined : findInstalled(installed, Object.keys(programs));

/** Content key of a module's output: what the machine has in its place; or wrapper, recipe, Go release and machine. */
export const moduleKey = async (name: string): Promise<string> => {
  const spec = specOf(name);
  const found = await installedOf(spec);
  return digestOf(
    await digestOfTree(wrapper(name)),
    JSON.stringify({ ...spec, installed: undefined, published: undefined, extra: undefined }),
    JSON.stringify([compileFlags, linkFlags]),
    goVersion,
    goArchitecture,
    process.platform,
    ...(found === undefined ? [] : [found.directory, found.version]),
  );
};

/** The package that a program is built from, as Go is asked for it in the wrapper. */
const targetOf = (upstream: string, path: string): string => {
  if (path === "") return ".";
  if (path.startsWith("./")) return path;
  return path === "." ? upstream : `${upstream}/${path}`;
};

/** How Go names the program of a main package: by the last part of its path that is no major version. */
const executableName = (path: string): string => basename(path.replace(/\/v[0-9]+$/, ""));

/** Builds a module's programs into `bin/` and keeps its run-time files in `share/`. */
export const buildModule = async (name: string): Promise<string> =>
  stored(name, await moduleKey(name), async (output) => {
    const spec = specOf(name);
    const source = await workDirectory(`${name}-source`);
    await cp(wrapper(name), source, { recursive: true });
    const go = (...args: string[]) => run("go", args, { cwd: source, env: goEnvironment(spec) });

    const embed = spec.embed ?? [];
    const share = spec.share ?? [];
    if (embed.length + share.length > 0) {
      const { Dir } = JSON.parse(await go("mod", "download", "-json", spec.upstream)) as { Dir: string };
      for (const file of embed) await copyFile(join(Dir, file), join(source, basename(file)));
      for (const path of share) {
        const target = join(output, "share", path);
        await mkdir(dirname(target), { recursive: true });
        await cp(join(Dir, path), target, { recursive: true });
      }
    }

    const version = await moduleVersion(name);
    if (spec.chart !== undefined) {
      const chart = join(output, "share", spec.chart);
      const template = await readFile(join(chart, "Chart.template.yaml"), "utf8");
      await writeFile(join(chart, "Chart.yaml"), template.replace(/^(version|appVersion):.*$/gm, `$1: ${version}`));
    }
    const stamps = Object.entries(spec.stamps ?? {}).map(([variable, value]) => [
      "-X",
      `${variable}=${value.replace("${version}", version)}`,
    ]);
    const flags = [
      "-p",
      processorsEach,
      ...compileFlags,
      "-ldflags",
      [...linkFlags, ...stamps.flat()].join(" "),
      ...(spec.tags ? ["-tags", spec.tags.join(",")] : []),
    ];
    const installed = await installedOf(spec);
    if (installed !== undefined) {
      await mkdir(join(output, "bin"), { recursive: true });
      for (const program of Object.keys(spec.programs))
        await symlink(join(installed.directory, program), join(output, "bin", program));
      return rm(source, { recursive: true });
    }
    const targets = Object.entries(spec.programs).map(([program, pkg]) => ({
      program,
      target: targetOf(spec.upstream, pkg),
    }));
    const built = join(source, ".built/");
    await withCompileCache(() => go("build", ...flags, "-o", built, ...targets.map(({ target }) => target)));
    await mkdir(join(output, "bin"), { recursive: true });
    for (const { program, target } of targets)
      await rename(join(built, target === "." ? name : executableName(target)), join(output, "bin", program));
    await rm(source, { recursive: true });
  });

const goReleaseVersion = `v0.0.1-go${goVersion}.linux-${goArchitecture}`;

/** Content key of the pinned Go release. */
export const goReleaseKey = digestOf(goReleaseVersion);

/** Directory of the pinned Go release, as the module registry serves it, verified by the checksum database. */
export const goRelease = async (): Promise<string> => {
  return stored("go-release", goReleaseKey, async (output) => {
    const json = await run("go", ["mod", "download", "-json", `golang.org/toolchain@${goReleaseVersion}`], {
      cwd: cache,
      env: { ...goEnvironment(), GOFLAGS: "-modcacherw" },
    });
    await cp((JSON.parse(json) as { Dir: string }).Dir, output, { recursive: true });
    for (const part of ["test", "api", "doc", "misc"]) await rm(join(output, part), { recursive: true, force: true });
    await run("chmod", ["-R", "u+x", join(output, "bin"), join(output, "pkg/tool")]);
  });
};

/** Free space of the cache's file system in GiB. */
export const freeGibibytes = async (): Promise<number> => {
  const { bavail, bsize } = await statfs(cache);
  return (bavail * bsize) / 2 ** 30;
};

let freeAtStart: number | undefined;
let running = 0;
const waiting: (() => void)[] = [];

/** Runs a build; before it starts, drops the compile cache when it has grown too large and nobody uses it. */
const withCompileCache = async (build: () => Promise<unknown>): Promise<void> => {
  freeAtStart ??= await freeGibibytes();
  const tooLarge = async () => (freeAtStart ?? 0) - (await freeGibibytes()) > compileCacheLimit;
  while (running > 0 && (await tooLarge())) await new Promise<void>((resume) => waiting.push(resume));
  if (await tooLarge()) {
    await rm(join(goCaches, "build"), { recursive: true, force: true });
    freeAtStart = await freeGibibytes();
  }
  running++;
  try {
    await build();
  } finally {
    running--;
    waiting.splice(0).forEach((resume) => resume());
  }
};

/** Drops Go's module and compile caches. */
export const dropGoCaches = (): Promise<void> => discard(goCaches);

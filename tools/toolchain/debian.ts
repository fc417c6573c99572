import { readdir, readFile, realpath } from "node:fs/promises";
import { join } from "node:path";
import { FactoryError } from "../../components/lib/errors";
import { goArchitecture } from "./go";
import { execute, run } from "../process";
import { digestOf, stored } from "./store";

/** The Debian release that images and nodes are made of. */
const suite = "bookworm";

const isInstalled = (name: string): Promise<boolean> =>
  run("dpkg-query", ["--show", "--showformat=${db:Status-Status}", name]).then(
    (status) => status === "installed",
    () => false,
  );

/** Those of the packages that this machine lacks. */
export const missingPackages = async (names: readonly string[]): Promise<string[]> => {
  const installed = await Promise.all(names.map(isInstalled));
  return names.filter((_, index) => !installed[index]);
};

/** Whether a package of Debian's brought this file; what the machine's owner put there himself is not Debian's. */
export const isDebians = async (file: string): Promise<boolean> =>
  (await execute("dpkg-query", ["--search", await realpath(file)])).code === 0;

/**
 * Installs Debian packages on this machine.
 *
 * @throws FactoryError `SSF-HOST-010` when they are missing and this user may not install them.
 */
export const installPackages = async (names: readonly string[]): Promise<void> => {
  if (process.getuid?.() !== 0)
    throw new FactoryError({
      code: "SSF-HOST-010",
      path: "Debian packages",
      given: `missing: ${names.join(" ")}`,
      rule: "Every package that the toolchain needs is installed.",
      fix: `Run as root: apt-get install --no-install-recommends ${names.join(" ")}`,
    });
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  await run("apt-get", ["update"], { env });
  await run("apt-get", ["install", "--yes", "--no-install-recommends", ...names], { env });
};

/** The machine's own package sources of the release, in the format that mmdebstrap reads. */
const packageSources = async (): Promise<string> => {
  const directory = "/etc/apt/sources.list.d";
  const files = ["/etc/apt/sources.list", ...(await readdir(directory)).sort().map((file) => join(directory, file))];
  const texts = await Promise.all(files.map((file) => readFile(file, "utf8").catch(() => "")));
  const ofRelease = new RegExp(` ${suite}[ -]`);
  const stanzas = texts.flatMap((text) => text.split(/\n\s*\n/)).filter((stanza) => ofRelease.test(`${stanza} `));
  return stanzas.map((stanza) => stanza.trim()).join("\n\n");
};

/** A root file system: the release's essential packages, and what differs from them. */
export interface RootfsSpec {
  /** Further packages. */
  packages: string[];
  /** Shell commands that change it after the installation, with the root as `$1`. */
  customize?: string[];
}

/** Content key of a root file system: release, machine, packages. */
export const rootfsKey = (spec: RootfsSpec): string => digestOf("rootfs", suite, goArchitecture, JSON.stringify(spec));

/** A root file system as the archive `rootfs.tar`. */
export const buildRootfs = async (name: string, spec: RootfsSpec): Promise<string> =>
  stored(`rootfs-${name}`, rootfsKey(spec), async (output) => {
    await run(
      "mmdebstrap",
      [
        "--mode=root",
        "--variant=essential",
        "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
        "--dpkgopt=force-unsafe-io",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        `--include=${["usr-is-merged", ...spec.packages].join(",")}`,
        ...(spec.customize ?? []).map((command) => `--customize-hook=${command}`),
        suite,
        join(output, "rootfs.tar"),
        "-",
      ],
      { env: { SOURCE_DATE_EPOCH: "0" }, input: await packageSources() },
    );
  });

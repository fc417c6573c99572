import { existsSync } from "node:fs";
import { cp, link, mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { FactoryError } from "../../components/lib/errors";
import { IMAGE_HOST } from "../../components/lib/images";
import { dockerAnswers } from "../plugins/kind/container-engine";
import { buildRootfs, installPackages, missingPackages, rootfsKey } from "./debian";
import { buildBundle, bundleKey } from "./bundle";
import {
  buildModule,
  dropGoCaches,
  goArchitecture,
  goBuilders,
  goRelease,
  goReleaseKey,
  moduleKey,
  moduleVersion,
} from "./go";
import { bundles, images, rootfs, type ImageSpec } from "./images";
import { modules, type PluginSpec } from "./modules";
import { layOutNode } from "./node-image";
import { Layout, reproducibleTar, type Image } from "./oci";
import { cache, lockFile, work } from "./paths";
import { run } from "../process";
import {
  digestOf,
  digestOfTree,
  isStored,
  lockCache,
  outputPath,
  removeOthers,
  removeUnused,
  stored,
  workDirectory,
} from "./store";

/** One step of the build, told when it starts and when it ends. */
export interface ToolchainEvent {
  name: string;
  kind: "package" | "module" | "root file system" | "image";
  state: "cached" | "building" | "built" | "failed";
  /** Number of the step, from 1. */
  index: number;
  total: number;
  /** Wall-clock time of a step that was built or failed. */
  seconds?: number;
}

/** What the toolchain consists of; the content of the lock file. */
export interface ToolchainLock {
  /** Operating system and processor, as Go names them. */
  platform: string;
  /** Image name -> the reference by digest that nodes know it by, and its version. */
  images: Record<string, { reference: string; version: string }>;
  /** Upstream name -> directory of the manifests and files that are read at run time. */
  sources: Record<string, string>;
  /** Directory of the programs. */
  bin: string;
  /** Directory of Pulumi's plugins, laid out as below `$PULUMI_HOME/plugins`. */
  plugins: string;
  /** Archive of all images, which every node imports at its first start. */
  imageArchive: string;
  /** The image of a kind node: its name in the container engine, and the archive to load it from. */
  node: { reference: string; archive: string };
}

/** Debian packages that the builds need. */
const buildPackages = [
  ...new Set([...Object.values(modules).flatMap(({ cgo }) => cgo ?? []), "git", "mmdebstrap", "tar", "zstd"]),
];

/** Debian packages that run nodes where there is no Docker; the newer network stack lets nodes find each other by name. */
const podmanPackages = ["aardvark-dns", "iptables", "netavark", "podman"];

const pluginLaunchers: Record<string, string> = {
  "pulumi-analyzer-policy": "@pulumi/pulumi/cmd/run-policy-pack",
  "pulumi-resource-pulumi-nodejs": "@pulumi/pulumi/cmd/dynamic-provider",
};

/** The static pod sandbox program, from the source in the Kubernetes module. */
const buildPause = async (kubernetes: string): Promise<string> =>
  stored("pause", digestOf(await moduleKey("kubernetes"), "pause"), async (output) => {
    await mkdir(join(output, "bin"));
    const flags = ["-Os", "-Wall", "-static", "-DVERSION=pinned", "-Wl,--build-id=none", "-s"];
    await run("gcc", [...flags, "-o", join(output, "bin/pause"), join(kubernetes, "share/build/pause/linux/pause.c")]);
  });

/** Copies `<output>/<path>` of a step to a place in a layer; a link where that is possible. */
const place = async (outputs: Record<string, string>, from: string, to: string): Promise<void> => {
  const [module = "", ...rest] = from.split("/");
  const source = join(outputs[module] ?? "", ...rest);
  await mkdir(dirname(to), { recursive: true });
  await link(source, to).catch(() => cp(source, to, { recursive: true, verbatimSymlinks: true }));
};

const imageVersion = async ({ module }: ImageSpec): Promise<string> =>
  module === undefined ? "0.1.0" : moduleVersion(module);

const addToLayout = async (
  layout: Layout,
  name: string,
  spec: ImageSpec,
  outputs: Record<string, string>,
): Promise<Image> => {
  const root = await workDirectory(`image-${name}`);
  if (spec.rootfs === undefined) await mkdir(join(root, "tmp"), { mode: 0o1777 });
  for (const [to, from] of Object.entries(spec.files)) await place(outputs, from, join(root, to));
  const layers = spec.rootfs === undefined ? [] : [join(outputs[`rootfs-${spec.rootfs}`] ?? "", "rootfs.tar")];
  if (spec.rootfs === undefined || Object.keys(spec.files).length > 0) {
    await run("find", [root, "-name", "*.sh", "-exec", "chmod", "0755", "{}", "+"]);
    await run("chmod", ["-R", "go=u,go-w", root]);
    if (spec.rootfs === undefined) await run("chmod", ["1777", join(root, "tmp")]);
    await reproducibleTar(root, `${root}.tar`);
    layers.push(`${root}.tar`);
  }
  const image = await layout.addImage(layers, spec.config);
  await rm(root, { recursive: true });
  await rm(`${root}.tar`, { force: true });
  return image;
};

/** One archive with every image of the factory, and `images.json` with their references. */
const buildImages = async (outputs: Record<string, string>, key: string): Promise<string> =>
  stored("images", key, async (output) => {
    const directory = await workDirectory("layout");
    const layout = new Layout(directory, "zstd");
    const named: { names: string[]; image: Image }[] = [];
    const list: ToolchainLock["images"] = {};
    for (const [name, spec] of Object.entries(images)) {
      const image = await addToLayout(layout, name, spec, outputs);
      const version = await imageVersion(spec);
      const reference = `${IMAGE_HOST}/${name}@${image.manifest.digest}`;
      named.push({ names: [reference, ...(spec.named ? [`${IMAGE_HOST}/${name}:${version}`] : [])], image });
      list[name] = { reference, version };
    }
    await layout.pack(join(output, "images.tar"), named);
    await writeFile(join(output, "images.json"), JSON.stringify(list));
    await rm(directory, { recursive: true });
  });

const nodeName = "localhost/secure-software-factory/node";

/** The archive of the kind node image. */
const buildNode = async (outputs: Record<string, string>, key: string, pauseImage: string): Promise<string> =>
  stored("node", key, async (output) => {
    const root = await workDirectory("node-root");
    await layOutNode(root, outputs, pauseImage);
    await reproducibleTar(root, `${root}.tar`);
    const directory = await workDirectory("node-layout");
    const layout = new Layout(directory, "none");
    const image = await layout.addImage([join(outputs["rootfs-node"] ?? "", "rootfs.tar"), `${root}.tar`], {
      Entrypoint: ["/usr/local/bin/entrypoint", "/sbin/init"],
      Env: ["container=docker"],
      StopSignal: "SIGRTMIN+3",
    });
    const name = `${nodeName}:${image.manifest.digest.replace("sha256:", "").slice(0, 16)}`;
    const [config, ...layers] = image.blobs;
    await writeFile(
      join(directory, "manifest.json"),
      JSON.stringify([{ Config: config, RepoTags: [name], Layers: layers }]),
    );
    await layout.pack(join(output, "node.tar"), [{ names: [name], image }]);
    await writeFile(join(output, "name"), name);
    for (const path of [root, directory]) await rm(path, { recursive: true });
    await rm(`${root}.tar`);
  });

/** Pulumi plugins that are taken as published where they can be had; elsewhere the factory has its own way. */
const publishedPlugins: PluginSpec[] = [
  { name: "random", version: "4.21.2" },
  { name: "kubernetes-cert-manager", version: "0.2.0" },
];

const pluginKey = ({ name, version }: PluginSpec): string => digestOf(name, version, goArchitecture);

/** Name of a plugin's directory below `$PULUMI_HOME/plugins`. */
const pluginDirectory = ({ name, version }: PluginSpec): string => `resource-${name}-v${version}`;

/** Whether a plugin was downloaded before. */
const hasPlugin = (plugin: PluginSpec): boolean =>
  existsSync(join(outputPath(`plugin-${plugin.name}`, pluginKey(plugin)), pluginDirectory(plugin)));

/** Whether nothing is left to compile of a module. */
const isModuleThere = async (name: string): Promise<boolean> => {
  const published = modules[name]?.published;
  return (published !== undefined && hasPlugin(published)) || isStored(name, await moduleKey(name));
};

/** A published plugin, laid out as below `$PULUMI_HOME/plugins`; empty where it cannot be downloaded. */
const downloadPlugin = async (pulumi: string, { name, version }: PluginSpec): Promise<string> =>
  stored(`plugin-${name}`, pluginKey({ name, version }), async (output) => {
    const home = await workDirectory("pulumi-home");
    const install = run(pulumi, ["plugin", "install", "resource", name, `v${version}`], {
      env: { PULUMI_HOME: home, PULUMI_SKIP_UPDATE_CHECK: "true" },
    });
    await install.then(
      () => cp(join(home, "plugins"), output, { recursive: true }),
      () => undefined,
    );
    await rm(home, { recursive: true });
  });

/** The directory of all programs, and that of Pulumi's plugins. */
const linkPrograms = async (outputs: Record<string, string>): Promise<string> => {
  const pulumi = join(outputs.pulumi ?? "", "bin/pulumi");
  const builtPlugins = Object.entries(modules).flatMap(([module, { published: plugin }]) =>
    plugin === undefined ? [] : [{ module, plugin }],
  );
  const plugins = [...publishedPlugins, ...builtPlugins.map(({ plugin }) => plugin)];
  const published = await Promise.all(plugins.map((plugin) => downloadPlugin(pulumi, plugin)));
  const programs = [
    "pulumi",
    "language-nodejs",
    "kubernetes",
    "etcd",
    "kind",
    "cosign",
    "gatekeeper",
    "crane",
    "distribution",
    "syft",
    "kube-bench",
    "runc",
  ].filter((name) => outputs[name] !== undefined);
  return stored(
    "programs",
    digestOf(
      ...published,
      ...["provider-kubernetes", "tekton", ...programs].map((name) => outputs[name] ?? ""),
      JSON.stringify(pluginLaunchers),
    ),
    async (output) => {
      const bin = join(output, "bin");
      await mkdir(bin);
      for (const name of programs)
        for (const program of Object.keys(modules[name]?.programs ?? {}))
          await symlink(join(outputs[name] ?? "", "bin", program), join(bin, program));
      await symlink(join(outputs.tekton ?? "", "bin/tekton-definitions"), join(bin, "tekton-definitions"));
      for (const [launcher, entry] of Object.entries(pluginLaunchers))
        await writeFile(join(bin, launcher), `#!/bin/sh\nexec node "$(node -p 'require.resolve("${entry}")')" "$@"\n`, {
          mode: 0o755,
        });
      await mkdir(join(output, "plugins"));
      for (const directory of published)
        for (const plugin of (await readdir(directory)).filter((entry) => !entry.endsWith(".lock")))
          await symlink(join(directory, plugin), join(output, "plugins", plugin));
      for (const { module, plugin } of builtPlugins) {
        const directory = join(output, "plugins", pluginDirectory(plugin));
        if (existsSync(directory)) continue;
        await mkdir(directory);
        for (const program of Object.keys(modules[module]?.programs ?? {}))
          await symlink(join(outputs[module] ?? "", "bin", program), join(directory, program));
      }
    },
  );
};

/** The modules to build: all, or those that a factory needs and those that are there. */
const modulesFor = async (extras: boolean): Promise<string[]> => {
  const wanted = await Promise.all(
    Object.entries(modules).map(async ([name, { extra }]) => extras || !extra || (await isModuleThere(name))),
  );
  return Object.keys(modules).filter((_, index) => wanted[index]);
};

/** How many of the modules to build are not in the cache yet. */
export const modulesToCompile = async (extras: boolean): Promise<number> => {
  const there = await Promise.all((await modulesFor(extras)).map(isModuleThere));
  return there.filter((isThere) => !isThere).length;
};

/** What {@link buildToolchain} is asked for. */
export interface BuildOptions {
  /** Told about every step. */
  onEvent: (event: ToolchainEvent) => void;
  /** Whether to build the programs, too, that no running factory needs. Those that are in the cache are always there. */
  extras: boolean;
}

/**
 * Builds whatever of the toolchain is not in the cache yet, and writes the lock file. May be interrupted at any time and
 * run again: finished steps are kept, unfinished ones start anew.
 *
 * @throws FactoryError with a failed program's own last lines; `SSF-HOST-011` when the disk is full
 */
export const buildToolchain = async (options: BuildOptions): Promise<ToolchainLock> => {
  await mkdir(cache, { recursive: true });
  const release = await lockCache();
  try {
    await rm(work, { recursive: true, force: true });
    return await buildMissing(options);
  } catch (error) {
    throw isDiskFull(error) ? diskFull(String(error)) : error;
  } finally {
    await release();
  }
};

const isDiskFull = (error: unknown): boolean => /ENOSPC|no space left on device/i.test(String(error));

const diskFull = (given: string): FactoryError =>
  new FactoryError({
    code: "SSF-HOST-011",
    path: cache,
    given,
    rule: "A build from an empty cache needs up to 45 GB on this file system for a while, and keeps 12 GB.",
    fix: "Free some space, or set XDG_CACHE_HOME to a larger disk; then run the command again: finished steps are kept.",
  });

const buildMissing = async ({ onEvent, extras }: BuildOptions): Promise<ToolchainLock> => {
  const outputs: Record<string, string> = {};
  const names = await modulesFor(extras);
  const total = 1 + names.length + Object.keys(bundles).length + Object.keys(rootfs).length + 5;
  let started = 0;

  const step = async (
    kind: ToolchainEvent["kind"],
    name: string,
    isCached: boolean,
    make: () => Promise<string | undefined>,
  ) => {
    const index = ++started;
    if (!isCached) onEvent({ name, kind, state: "building", index, total });
    const begin = Date.now();
    const seconds = () => (Date.now() - begin) / 1000;
    try {
      const output = await make();
      if (output !== undefined) outputs[name] = output;
      onEvent(
        isCached
          ? { name, kind, state: "cached", index, total }
          : { name, kind, state: "built", index, total, seconds: seconds() },
      );
    } catch (error) {
      onEvent({ name, kind, state: "failed", index, total, seconds: seconds() });
      throw error;
    }
  };

  const missing = await missingPackages([...buildPackages, ...(dockerAnswers() ? [] : podmanPackages)]);
  await step("package", "Debian packages", missing.length === 0, async () =>
    missing.length > 0 ? installPackages(missing).then(() => undefined) : undefined,
  );

  let pulumiIsThere: (program: string) => void = () => undefined;
  const pulumi = new Promise<string>((resume) => (pulumiIsThere = resume));
  const make = async (name: string): Promise<string> => {
    const published = modules[name]?.published;
    if (published !== undefined) {
      const plugin = await downloadPlugin(await pulumi, published);
      if (hasPlugin(published)) return plugin;
    }
    const output = await buildModule(name);
    if (name === "pulumi") pulumiIsThere(join(output, "bin/pulumi"));
    return output;
  };
  const queue: Parameters<typeof step>[] = [
    ...(await Promise.all(
      names.map(async (name): Promise<Parameters<typeof step>> => {
        return ["module", name, await isModuleThere(name), () => make(name)];
      }),
    )),
    ["module", "go-release", isStored("go-release", goReleaseKey), goRelease],
    ...(await Promise.all(
      Object.entries(bundles).map(async ([name, entry]): Promise<Parameters<typeof step>> => {
        return ["module", name, isStored(name, await bundleKey(entry)), () => buildBundle(name, entry)];
      }),
    )),
    ...Object.entries(rootfs).map(([name, spec]): Parameters<typeof step> => [
      "root file system",
      `rootfs-${name}`,
      isStored(`rootfs-${name}`, rootfsKey(spec)),
      () => buildRootfs(name, spec),
    ]),
  ];
  const worker = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await step(...next);
  };
  await Promise.all(Array.from({ length: goBuilders }, worker));
  await step("module", "pause", isStored("pause", digestOf(await moduleKey("kubernetes"), "pause")), () =>
    buildPause(outputs.kubernetes ?? ""),
  );

  const recipe = await digestOfTree(__dirname);
  const contents = Object.entries(outputs).filter(([name]) => !modules[name]?.extra);
  const key = digestOf(recipe, JSON.stringify(contents.map(([name, path]) => [name, basename(path)]).sort()));
  await step("image", "images", isStored("images", key), () => buildImages(outputs, key));
  const imageDirectory = outputs.images ?? "";
  const list = JSON.parse(await readFile(join(imageDirectory, "images.json"), "utf8")) as ToolchainLock["images"];
  const nodeKey = digestOf(key, list.pause?.reference ?? "");
  await step("image", "node", isStored("node", nodeKey), () =>
    buildNode(outputs, nodeKey, list.pause?.reference ?? ""),
  );
  const nodeDirectory = outputs.node ?? "";
  await step("module", "programs", false, () => linkPrograms(outputs));
  const programs = outputs.programs ?? "";

  const lock: ToolchainLock = {
    platform: `linux/${goArchitecture}`,
    images: list,
    sources: Object.fromEntries(
      Object.entries(modules)
        .filter(([name, { share }]) => share !== undefined && outputs[name] !== undefined)
        .map(([name]) => [name, join(outputs[name] ?? "", "share")]),
    ),
    bin: join(programs, "bin"),
    plugins: join(programs, "plugins"),
    imageArchive: join(imageDirectory, "images.tar"),
    node: { reference: await readFile(join(nodeDirectory, "name"), "utf8"), archive: join(nodeDirectory, "node.tar") },
  };
  await writeFile(lockFile, `${JSON.stringify(lock, undefined, 2)}\n`);
  await dropGoCaches();
  await removeUnused(30);
  for (const name of ["images", "node", "programs"]) await removeOthers(name, outputs[name] ?? "");
  return lock;
};

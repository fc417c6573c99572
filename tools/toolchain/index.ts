import { existsSync } from "node:fs";
import { cp, link, mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { IMAGE_HOST } from "../../components/lib/images";
import { dockerAnswers } from "../plugins/kind/container-engine";
import { buildRootfs, installPackages, isDebians, missingPackages, rootfsKey } from "./debian";
import { buildInCache, type BuildStep, buildSteps, type ToolchainEvent } from "./build-steps";
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
import { goStandardLibrary, goStandardLibraryKey } from "./go-standard-library";
import { bundles, images, rootfs, type ImageSpec } from "./images";
import { modules, type PluginSpec } from "./modules";
import { layOutNode } from "./node-image";
import { Layout, reproducibleTar, type Image } from "./oci";
import { lockFile } from "./paths";
import { downloadedPlugin, downloadPlugin, pluginDirectory } from "./plugins";
import { findOnPath } from "./installed";
import { execute, run } from "../process";
import { digestOf, digestOfTree, isStored, removeReplaced, removeUnused, stored, workDirectory } from "./store";

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

/** Whether the machine has a container runtime that no package of Debian's may be installed over. */
const hasRuntime = async (): Promise<boolean> => {
  if (dockerAnswers()) return true;
  const podman = await findOnPath("podman");
  return podman !== undefined && !(await isDebians(podman)) && (await execute(podman, ["info"])).code === 0;
};

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

/** Whether nothing is left to compile of a module. */
const isModuleThere = async (name: string): Promise<boolean> => {
  const published = modules[name]?.published;
  return (
    (published !== undefined && downloadedPlugin(published) !== undefined) || isStored(name, await moduleKey(name))
  );
};

/** What serves as a module: the plugin as published where nothing is compiled yet and it can be had, or its programs. */
const makeModule = async (name: string, pulumi: () => string): Promise<string> => {
  const published = modules[name]?.published;
  const isWanted =
    published !== undefined && (downloadedPlugin(published) !== undefined || !isStored(name, await moduleKey(name)));
  const plugin = isWanted ? await downloadPlugin(pulumi(), published) : undefined;
  return plugin ?? buildModule(name);
};

/** The directory of all programs, and that of Pulumi's plugins. */
const linkPrograms = async (outputs: Record<string, string>): Promise<string> => {
  const pulumi = join(outputs.pulumi ?? "", "bin/pulumi");
  const builtPlugins = Object.entries(modules).flatMap(([module, { published: plugin }]) =>
    plugin === undefined ? [] : [{ module, plugin }],
  );
  const downloads = publishedPlugins.map((plugin) => downloadPlugin(pulumi, plugin));
  // None is at work any more when one has failed.
  await Promise.allSettled(downloads);
  const published = (await Promise.all(downloads)).filter((directory) => directory !== undefined);
  for (const { module, plugin } of builtPlugins)
    if (downloadedPlugin(plugin) !== undefined) published.push(outputs[module] ?? "");
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
        for (const plugin of await readdir(directory))
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

/** How many of the root file systems of images are not in the cache yet. */
export const rootfsToMake = (): number =>
  Object.entries(rootfs).filter(([name, spec]) => !isStored(`rootfs-${name}`, rootfsKey(spec))).length;

/** What {@link buildToolchain} is asked for. */
export interface BuildOptions {
  /** Told about every step. */
  onEvent: (event: ToolchainEvent) => void;
  /** Whether to build the programs, too, that no running factory needs. Those that are in the cache are always there. */
  extras: boolean;
  /** Whether a cluster is there that the factory runs on, so that this machine needs nothing to run nodes. */
  hasCluster: boolean;
}

/**
 * Builds whatever of the toolchain is not in the cache yet, and writes the lock file. May be interrupted at any time and
 * run again: finished steps are kept, unfinished ones start anew.
 *
 * @throws FactoryError with a failed program's own last lines; `SSF-HOST-011` when the disk is full
 */
export const buildToolchain = (options: BuildOptions): Promise<ToolchainLock> =>
  buildInCache(() => buildMissing(options));

const buildMissing = async ({ onEvent, extras, hasCluster }: BuildOptions): Promise<ToolchainLock> => {
  const names = await modulesFor(extras);
  const total = 1 + names.length + Object.keys(bundles).length + Object.keys(rootfs).length + 6;
  const { outputs, make } = buildSteps(total, onEvent);

  const missing = await missingPackages([
    ...buildPackages,
    ...(hasCluster || (await hasRuntime()) ? [] : podmanPackages),
  ]);
  await make([
    {
      kind: "package",
      name: "Debian packages",
      isCached: missing.length === 0,
      make: async () => (missing.length > 0 ? installPackages(missing).then(() => undefined) : undefined),
    },
  ]);

  const pulumi = () => join(outputs.pulumi ?? "", "bin/pulumi");
  const steps: BuildStep[] = [
    ...(await Promise.all(
      names.map(async (name): Promise<BuildStep> => ({
        kind: "module",
        name,
        isCached: await isModuleThere(name),
        after: modules[name]?.published === undefined ? [] : ["pulumi"],
        make: () => makeModule(name, pulumi),
      })),
    )),
    { kind: "module", name: "go-release", isCached: isStored("go-release", goReleaseKey), make: goRelease },
    {
      kind: "module",
      name: "go-standard-library",
      isCached: isStored("go-standard-library", goStandardLibraryKey),
      after: ["go-release"],
      make: () => goStandardLibrary(outputs["go-release"] ?? ""),
    },
    ...(await Promise.all(
      Object.entries(bundles).map(async ([name, entry]): Promise<BuildStep> => ({
        kind: "module",
        name,
        isCached: isStored(name, await bundleKey(entry)),
        make: () => buildBundle(name, entry),
      })),
    )),
    ...Object.entries(rootfs).map(([name, spec]): BuildStep => ({
      kind: "root file system",
      name: `rootfs-${name}`,
      isCached: isStored(`rootfs-${name}`, rootfsKey(spec)),
      make: () => buildRootfs(name, spec),
    })),
    {
      kind: "module",
      name: "pause",
      isCached: isStored("pause", digestOf(await moduleKey("kubernetes"), "pause")),
      after: ["kubernetes"],
      make: () => buildPause(outputs.kubernetes ?? ""),
    },
  ];
  await make(steps, goBuilders);

  const recipe = await digestOfTree(__dirname);
  const contents = Object.entries(outputs).filter(([name]) => !modules[name]?.extra);
  const key = digestOf(recipe, JSON.stringify(contents.map(([name, path]) => [name, basename(path)]).sort()));
  const image = (name: string, imageKey: string, build: () => Promise<string>): BuildStep => ({
    kind: "image",
    name,
    isCached: isStored(name, imageKey),
    make: build,
  });
  await make([image("images", key, () => buildImages(outputs, key))]);
  const imageDirectory = outputs.images ?? "";
  const list = JSON.parse(await readFile(join(imageDirectory, "images.json"), "utf8")) as ToolchainLock["images"];
  const nodeKey = digestOf(key, list.pause?.reference ?? "");
  await make([image("node", nodeKey, () => buildNode(outputs, nodeKey, list.pause?.reference ?? ""))]);
  const nodeDirectory = outputs.node ?? "";
  await make([{ kind: "module", name: "programs", isCached: false, make: () => linkPrograms(outputs) }]);
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
  await removeReplaced({ images: imageDirectory, node: nodeDirectory, programs });
  return lock;
};

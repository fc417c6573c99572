import { existsSync } from "node:fs";
import { readFile, statfs } from "node:fs/promises";
import { homedir, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { FactoryError, type Problem } from "../../components/lib/errors";
import type { Config } from "../../stacks/config";
import { execute } from "../process";
import { kubeconfigSilence } from "./kubeconfig-answer";
import { type BuildOptions, modulesToCompile, rootfsToMake } from "../toolchain/index";
import { buildGigabytes, cache } from "../toolchain/paths";

/** What the factory needs to know of the machine before it starts to work. */
export interface Host {
  platform: string;
  /** What the operating system calls itself: identifier and version, such as `debian 12`. */
  release: string;
  isRoot: boolean;
  /** Whether the cluster is there already, so that no nodes run on this machine. */
  hasCluster: boolean;
  /** A container runtime that answers, if any. */
  containerRuntime: "docker" | "podman" | undefined;
  /** Version of Go such as `1.26.8`, if it is there. */
  goVersion: string | undefined;
  /** Version of Node such as `20.19.0`. */
  nodeVersion: string;
  /** Modules of the toolchain that are not in the cache yet. */
  modulesToCompile: number;
  /** Root file systems of images that are not in the cache yet. */
  rootfsToMake: number;
  cacheDirectory: string;
  freeDiskGigabytes: number;
  memoryGigabytes: number;
}

const atLeast = (version: string, major: number, minor: number): boolean => {
  const [foundMajor = 0, foundMinor = 0] = version.split(".").map(Number);
  return foundMajor > major || (foundMajor === major && foundMinor >= minor);
};

/** Space for a cluster, its images and its volumes. */
const clusterGigabytes = 15;
/** Space that compiling one module takes at most, while its caches are there. */
const moduleGigabytes = 1.5;
/** Space for what a factory on another machine's cluster keeps here: its state and its logs. */
const stateGigabytes = 1;
/** The release whose packages and package sources images are made of. */
const neededRelease = "debian 12";

/** Memory in GB that the machine needs: for nodes with the factory in them, for compilers, or for Pulumi's engine alone. */
const neededMemory = ({ hasCluster, modulesToCompile: modules }: Host): number =>
  hasCluster ? (modules > 0 ? 4 : 2) : 8;

/** Space in GB that must be free: for nodes, and for what is still to be compiled. */
const neededDisk = ({ hasCluster, modulesToCompile: modules }: Host): number =>
  Math.min(buildGigabytes, Math.ceil((hasCluster ? stateGigabytes : clusterGigabytes) + modules * moduleGigabytes));

/** Everything about the machine that keeps the factory from running there, each with what mends it. */
export const hostProblems = (host: Host): Problem[] => {
  const disk = neededDisk(host);
  const memory = neededMemory(host);
  const rules: [broken: boolean, problem: Problem][] = [
    [
      host.platform !== "linux",
      {
        code: "SSF-HOST-001",
        path: "operating system",
        given: host.platform,
        rule: "The factory runs on Linux, on any architecture that Go builds for.",
        fix: "Run it on a Linux machine, or in a virtual one.",
      },
    ],
    [
      host.platform === "linux" && host.release !== neededRelease,
      {
        code: "SSF-HOST-012",
        path: "operating system",
        given: host.release,
        rule: "Images are made of Debian 12's packages, from the package sources of a machine that runs it.",
        fix: "Run it on Debian 12 (bookworm), or in a virtual machine or privileged container of it.",
      },
    ],
    [
      !host.isRoot && host.rootfsToMake > 0,
      {
        code: "SSF-HOST-013",
        path: "user",
        given: `no root, and ${host.rootfsToMake} root file systems are still to be made`,
        rule: "Only root can make root file systems of images (mmdebstrap).",
        fix: "Run the command as root.",
      },
    ],
    [
      !host.isRoot && !host.hasCluster && host.containerRuntime === undefined,
      {
        code: "SSF-HOST-002",
        path: "container runtime",
        given: "no root, and neither docker nor podman answers",
        rule: "The cluster's nodes are containers.",
        fix: "Run as root (Debian's podman is then installed by itself), or install Docker or podman and start it.",
      },
    ],
    [
      host.modulesToCompile > 0 && (host.goVersion === undefined || !atLeast(host.goVersion, 1, 26)),
      {
        code: "SSF-HOST-003",
        path: "go",
        given: host.goVersion ?? "not found on PATH",
        rule: "Go 1.26 or later builds the toolchain.",
        fix: "Install Go 1.26 and put its bin directory on PATH.",
      },
    ],
    [
      !atLeast(host.nodeVersion, 20, 19),
      {
        code: "SSF-HOST-004",
        path: "node",
        given: host.nodeVersion,
        rule: "Node 20.19 or later runs the program.",
        fix: "Install Node 20.19 or a later release.",
      },
    ],
    [
      host.freeDiskGigabytes < disk,
      {
        code: "SSF-HOST-005",
        path: host.cacheDirectory,
        given: `${Math.floor(host.freeDiskGigabytes)} GB free`,
        rule: `${disk} GB must be free while ${host.modulesToCompile} modules are still to be compiled.`,
        fix: "Free space there, or set XDG_CACHE_HOME to a directory on a larger file system.",
      },
    ],
    [
      host.memoryGigabytes < memory - 0.5,
      {
        code: "SSF-HOST-006",
        path: "memory",
        given: `${host.memoryGigabytes.toFixed(1)} GB`,
        rule: `The machine must have ${memory} GB of memory.`,
        fix: host.hasCluster
          ? "Use a larger machine."
          : "Use a larger machine, or an existing cluster: pulumi config set kubeconfig <path> --stack cluster",
      },
    ],
  ];
  return rules.filter(([broken]) => broken).map(([, problem]) => problem);
};

const answers = async (program: string): Promise<boolean> => {
  try {
    return (await execute(program, ["info"])).code === 0;
  } catch {
    return false;
  }
};

const goVersion = async (): Promise<string | undefined> => {
  try {
    const { code, stdout } = await execute("go", ["env", "GOVERSION"]);
    return code === 0 ? stdout.trim().replace(/^go/, "") : undefined;
  } catch {
    return undefined;
  }
};

const existingParent = (path: string): string => (existsSync(path) ? path : existingParent(dirname(path)));

const release = async (): Promise<string> => {
  const text = await readFile("/etc/os-release", "utf8").catch(() => "");
  const value = (name: string) => new RegExp(`^${name}="?([^"\n]*)"?$`, "m").exec(text)?.[1] ?? "";
  return `${value("ID")} ${value("VERSION_ID")}`.trim() || "a system without /etc/os-release";
};

/** What the machine is looked at for. */
export type HostUse = Omit<BuildOptions, "onEvent">;

/** Looks at the machine. */
export const inspectHost = async ({ extras, hasCluster }: HostUse): Promise<Host> => {
  const disk = await statfs(existingParent(cache));
  const [docker, podman, go] = await Promise.all([answers("docker"), answers("podman"), goVersion()]);
  return {
    platform: process.platform,
    release: await release(),
    hasCluster,
    isRoot: process.getuid?.() === 0,
    containerRuntime: docker ? "docker" : podman ? "podman" : undefined,
    goVersion: go,
    nodeVersion: process.versions.node,
    modulesToCompile: await modulesToCompile(extras),
    rootfsToMake: rootfsToMake(),
    cacheDirectory: cache,
    freeDiskGigabytes: (disk.bavail * disk.bsize) / 1e9,
    memoryGigabytes: totalmem() / 1e9,
  };
};

const unreached = (kubeconfig: string, given: string): Problem => ({
  code: "SSF-HOST-007",
  path: kubeconfig,
  given,
  rule: "The kubeconfig of an existing cluster must reach it.",
  fix: `Make kubectl --kubeconfig=${kubeconfig} get --raw=/readyz answer from this machine.`,
});

/** The problem with an existing cluster that its kubeconfig does not reach, if any. */
export const kubeconfigProblem = async (kubeconfig: string, bin: string): Promise<Problem | undefined> => {
  const ended = await execute(join(bin, "kubectl"), [
    `--kubeconfig=${kubeconfig}`,
    "--request-timeout=10s",
    "get",
    "--raw=/readyz",
  ]);
  if (ended.code === 0) return undefined;
  return unreached(kubeconfig, ended.stderr.trim().split("\n").at(-1) ?? "no answer");
};

const withHome = (path: string): string => path.replace(/^~(?=\/|$)/, homedir());

/** The kubeconfig of an existing cluster that the settings of a workspace's stacks name, if any. */
export const kubeconfigOf = (settings: readonly Config[]): string | undefined => {
  const [kubeconfig] = settings.flatMap((one) => (one.kind === "cluster" ? (one.kubeconfig ?? []) : []));
  return kubeconfig === undefined ? undefined : withHome(kubeconfig);
};

/** Refuses a kubeconfig whose API server does not answer at all; before kubectl is there. */
export const requireAnswer = async (kubeconfig: string): Promise<void> => {
  const silence = await kubeconfigSilence(kubeconfig);
  if (silence !== undefined) throw new FactoryError(unreached(kubeconfig, silence));
};

/** Refuses a kubeconfig by which kubectl does not get a cluster's word that it is ready. */
export const requireKubeconfig = async (kubeconfig: string, bin: string): Promise<void> => {
  const problem = await kubeconfigProblem(kubeconfig, bin);
  if (problem) throw new FactoryError(problem);
};

/** Refuses a machine that cannot run the factory, with all that is wrong at once. */
export const requireHost = async (use: HostUse): Promise<void> => {
  const [first, ...others] = hostProblems(await inspectHost(use));
  if (first) throw new FactoryError(first, ...others);
};

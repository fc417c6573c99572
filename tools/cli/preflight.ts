import { existsSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { homedir, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { FactoryError, type Problem } from "../../components/lib/errors";
import { execute } from "../process";
import { project } from "./stack-plan";
import { type BuildOptions, modulesToCompile } from "../toolchain/index";
import { cache } from "../toolchain/paths";

/** What the factory needs to know of the machine before it starts to work. */
export interface Host {
  platform: string;
  isRoot: boolean;
  /** A container runtime that answers, if any. */
  containerRuntime: "docker" | "podman" | undefined;
  /** Version of Go such as `1.26.8`, if it is there. */
  goVersion: string | undefined;
  /** Version of Node such as `20.19.0`. */
  nodeVersion: string;
  /** Modules of the toolchain that are not in the cache yet. */
  modulesToCompile: number;
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
const memoryGigabytes = 8;

/** Everything about the machine that keeps the factory from running there, each with what mends it. */
export const hostProblems = (host: Host): Problem[] => {
  const disk = Math.ceil(clusterGigabytes + host.modulesToCompile * moduleGigabytes);
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
      !host.isRoot && host.containerRuntime === undefined,
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
      host.memoryGigabytes < memoryGigabytes - 0.5,
      {
        code: "SSF-HOST-006",
        path: "memory",
        given: `${host.memoryGigabytes.toFixed(1)} GB`,
        rule: `The machine must have ${memoryGigabytes} GB of memory.`,
        fix: "Use a larger machine, or an existing cluster by its kubeconfig.",
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

/** Looks at the machine. */
export const inspectHost = async ({ extras }: Pick<BuildOptions, "extras">): Promise<Host> => {
  const disk = await statfs(existingParent(cache));
  const [docker, podman, go] = await Promise.all([answers("docker"), answers("podman"), goVersion()]);
  return {
    platform: process.platform,
    isRoot: process.getuid?.() === 0,
    containerRuntime: docker ? "docker" : podman ? "podman" : undefined,
    goVersion: go,
    nodeVersion: process.versions.node,
    modulesToCompile: await modulesToCompile(extras),
    cacheDirectory: cache,
    freeDiskGigabytes: (disk.bavail * disk.bsize) / 1e9,
    memoryGigabytes: totalmem() / 1e9,
  };
};

/** The problem with an existing cluster that its kubeconfig does not reach, if any. */
export const kubeconfigProblem = async (kubeconfig: string, bin: string): Promise<Problem | undefined> => {
  const ended = await execute(join(bin, "kubectl"), [
    `--kubeconfig=${kubeconfig}`,
    "--request-timeout=10s",
    "get",
    "--raw=/readyz",
  ]);
  if (ended.code === 0) return undefined;
  return {
    code: "SSF-HOST-007",
    path: kubeconfig,
    given: ended.stderr.trim().split("\n").at(-1) ?? "no answer",
    rule: "The kubeconfig of an existing cluster must reach it.",
    fix: `Make kubectl --kubeconfig=${kubeconfig} get --raw=/readyz answer from this machine.`,
  };
};

const withHome = (path: string): string => path.replace(/^~(?=\/|$)/, homedir());

/** Refuses a stack's configuration that names the kubeconfig of an existing cluster which does not answer. */
export const requireKubeconfig = async (config: Readonly<Record<string, unknown>>, bin: string): Promise<void> => {
  const kubeconfig = config[`${project}:kubeconfig`];
  if (typeof kubeconfig !== "string" || kubeconfig === "") return;
  const problem = await kubeconfigProblem(withHome(kubeconfig), bin);
  if (problem) throw new FactoryError(problem);
};

/** Refuses a machine that cannot run the factory, with all that is wrong at once. */
export const requireHost = async (build: Pick<BuildOptions, "extras">): Promise<void> => {
  const [first, ...others] = hostProblems(await inspectHost(build));
  if (first) throw new FactoryError(first, ...others);
};

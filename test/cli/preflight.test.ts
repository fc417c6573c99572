import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseConfig } from "../../stacks/config";
import { type Host, hostProblems, kubeconfigOf } from "../../tools/cli/preflight";
import { buildGigabytes, keptGigabytes } from "../../tools/toolchain/paths";

const good: Host = {
  platform: "linux",
  release: "debian 12",
  isRoot: true,
  hasCluster: false,
  containerRuntime: undefined,
  goVersion: "1.26.8",
  nodeVersion: "20.20.2",
  modulesToCompile: 21,
  rootfsToMake: 0,
  cacheDirectory: "/cache",
  freeDiskGigabytes: 60,
  memoryGigabytes: 8,
};

const codes = (changes: Partial<Host>) => hostProblems({ ...good, ...changes }).map(({ code }) => code);

it.each<[string, Partial<Host>]>([
  ["root without a container runtime", {}],
  ["a user with one", { isRoot: false, containerRuntime: "podman" }],
  ["a warm cache on little disk and without Go", { modulesToCompile: 0, freeDiskGigabytes: 15, goVersion: undefined }],
  ["root that makes file systems of images", { rootfsToMake: 4 }],
  ["what the documents ask for, however much is to be compiled", { modulesToCompile: 28, freeDiskGigabytes: 45 }],
  ["a user without container runtime whose cluster is elsewhere", { isRoot: false, hasCluster: true }],
  ["little memory where the cluster is elsewhere", { hasCluster: true, memoryGigabytes: 4 }],
  [
    "a small machine with a warm cache whose cluster is elsewhere",
    { hasCluster: true, modulesToCompile: 0, memoryGigabytes: 2, freeDiskGigabytes: 1 },
  ],
  ["less disk where the cluster is elsewhere", { hasCluster: true, freeDiskGigabytes: 33 }],
  ["later versions", { goVersion: "2.0.0", nodeVersion: "24.1.0" }],
])("takes %s", (_name, changes) => {
  expect(codes(changes)).toEqual([]);
});

it.each<[string, Partial<Host>, string]>([
  ["another operating system", { platform: "darwin" }, "SSF-HOST-001"],
  ["a user without a container runtime", { isRoot: false }, "SSF-HOST-002"],
  ["no Go", { goVersion: undefined }, "SSF-HOST-003"],
  ["an old Go", { goVersion: "1.25.9" }, "SSF-HOST-003"],
  ["an old Node", { nodeVersion: "20.18.1" }, "SSF-HOST-004"],
  ["a full disk", { freeDiskGigabytes: 44 }, "SSF-HOST-005"],
  ["a full disk and a warm cache", { modulesToCompile: 0, freeDiskGigabytes: 14 }, "SSF-HOST-005"],
  ["little memory", { memoryGigabytes: 4 }, "SSF-HOST-006"],
  ["too little to compile", { hasCluster: true, memoryGigabytes: 3 }, "SSF-HOST-006"],
  ["too little for Pulumi", { hasCluster: true, modulesToCompile: 0, memoryGigabytes: 1 }, "SSF-HOST-006"],
  ["too little disk to compile", { hasCluster: true, freeDiskGigabytes: 32 }, "SSF-HOST-005"],
  ["no room for a state", { hasCluster: true, modulesToCompile: 0, freeDiskGigabytes: 0.5 }, "SSF-HOST-005"],
  ["an older Debian", { release: "debian 11" }, "SSF-HOST-012"],
  ["another distribution", { release: "fedora 44" }, "SSF-HOST-012"],
  [
    "a user whose Docker answers, while images are to be made",
    { isRoot: false, containerRuntime: "docker", rootfsToMake: 4 },
    "SSF-HOST-013",
  ],
])("refuses %s", (_name, changes, code) => {
  expect(codes(changes)).toEqual([code]);
});

it("names all that is wrong at once", () => {
  const changes = { platform: "win32", isRoot: false, goVersion: "1.2", freeDiskGigabytes: 1, memoryGigabytes: 1 };
  expect(codes(changes)).toHaveLength(5);
});

const fixOf = (code: string, changes: Partial<Host>) =>
  hostProblems({ ...good, ...changes }).find((problem) => problem.code === code)?.fix;

it("offers an existing cluster to a machine with little memory that does not have one", () => {
  expect(fixOf("SSF-HOST-006", { memoryGigabytes: 4 })).toContain("pulumi config set kubeconfig");
  expect(fixOf("SSF-HOST-006", { memoryGigabytes: 1, hasCluster: true })).toBe("Use a larger machine.");
});

it.each(["README.md", "docs/guides/pull-requests.md"])("%s names the disk that a build asks for", (file) => {
  const text = readFileSync(join(resolve(__dirname, "../.."), file), "utf8").replace(/\s+/g, " ");
  const named = [...text.matchAll(/(\d+) GB (?:of disk on the way|afterwards|before compression)/g)].map(([, n]) =>
    Number(n),
  );
  expect(named).toEqual([buildGigabytes, keptGigabytes]);
});

it("takes the kubeconfig from the stack of kind cluster, with the user's home for ~", () => {
  const existing = { kind: "cluster", kubeconfig: "~/.kube/config", clusterCidrs: "10.0.0.0/8" };
  const settings = [parseConfig(existing), parseConfig({ kind: "factory" })];
  expect(kubeconfigOf(settings)).toMatch(/^\/.*\/\.kube\/config$/);
  expect(kubeconfigOf([parseConfig({ kind: "cluster" })])).toBeUndefined();
});

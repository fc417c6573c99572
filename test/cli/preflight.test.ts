import { type Host, hostProblems } from "../../tools/cli/preflight";

const good: Host = {
  platform: "linux",
  isRoot: true,
  containerRuntime: undefined,
  goVersion: "1.26.8",
  nodeVersion: "20.20.2",
  modulesToCompile: 21,
  cacheDirectory: "/cache",
  freeDiskGigabytes: 60,
  memoryGigabytes: 8,
};

const codes = (changes: Partial<Host>) => hostProblems({ ...good, ...changes }).map(({ code }) => code);

it.each<[string, Partial<Host>]>([
  ["root without a container runtime", {}],
  ["a user with one", { isRoot: false, containerRuntime: "podman" }],
  ["a warm cache on little disk and without Go", { modulesToCompile: 0, freeDiskGigabytes: 15, goVersion: undefined }],
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
])("refuses %s", (_name, changes, code) => {
  expect(codes(changes)).toEqual([code]);
});

it("names all that is wrong at once", () => {
  const changes = { platform: "win32", isRoot: false, goVersion: "1.2", freeDiskGigabytes: 1, memoryGigabytes: 1 };
  expect(codes(changes)).toHaveLength(5);
});

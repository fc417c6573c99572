import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import {
  containerEngine,
  hasIdleRunDirectory,
  removeIdleRunDirectory,
} from "../../tools/plugins/kind/container-engine";
import { readToolchain } from "../../stacks/toolchain";
import { processesWhere } from "../support/processes";

/** Runs a command of the container engine that the factory uses. */
export const container = (...args: string[]): string => {
  const { program, env } = containerEngine(readToolchain().bin);
  return execFileSync(program, args, {
    encoding: "utf8",
    env: { ...process.env, ...env },
    maxBuffer: 1 << 28,
    stdio: "pipe",
  });
};

const lines = (text: string): string[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .sort();

/**
 * Command lines of the programs whose environment names that state directory. Podman's name server is one for every
 * network of the machine and keeps the environment of whoever needed it first, so it counts only when it serves nobody.
 */
const processesOf = (state: string): string[] => {
  const served = lines(container("ps", "--all", "--quiet")).length > 0;
  return processesWhere((shown) => readFileSync(`${shown}/environ`, "utf8").includes(`SSF_STATE=${state}\0`))
    .map(({ command }) => command)
    .filter((commandLine) => !(served && /^\S*\/aardvark-dns /.test(commandLine)));
};

/** Everything on this machine that a factory could leave behind. */
export const hostInventory = (state: string, cluster: string) => {
  // First of all, since asking the engine makes the directory.
  const runDirectory = hasIdleRunDirectory();
  const inventory = { runDirectory, ...inventoryOf(state, cluster) };
  removeIdleRunDirectory();
  return inventory;
};

const inventoryOf = (state: string, cluster: string) => ({
  containers: lines(container("ps", "--all", "--format", "{{.Names}}")).filter((name) => name.startsWith(cluster)),
  volumes: lines(container("volume", "ls", "--quiet", "--filter", `label=io.x-k8s.kind.cluster=${cluster}`)),
  networks: lines(container("network", "ls", "--format", "{{.Name}}")).filter((name) => name.includes(cluster)),
  mounts: readFileSync("/proc/mounts", "utf8")
    .split("\n")
    .filter((line) => line.includes(state) || line.includes(cluster)),
  processes: processesOf(state),
});

import { readFileSync } from "node:fs";
import {
  containerEngine,
  hasIdleRunDirectory,
  removeIdleRunDirectory,
} from "../../tools/plugins/kind/container-engine";
import { readToolchain } from "../../stacks/toolchain";
import { run } from "../../tools/process";
import { processesWhere } from "../support/processes";

/** Runs a command of the container engine that the factory uses, and returns what it printed. */
export const container = (...args: string[]): Promise<string> => {
  const { program, env } = containerEngine(readToolchain().bin);
  return run(program, args, { env });
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
const processesOf = async (state: string): Promise<string[]> => {
  const served = lines(await container("ps", "--all", "--quiet")).length > 0;
  return processesWhere((shown) => readFileSync(`${shown}/environ`, "utf8").includes(`SSF_STATE=${state}\0`))
    .map(({ command }) => command)
    .filter((commandLine) => !(served && /^\S*\/aardvark-dns /.test(commandLine)));
};

/** Everything on this machine that a factory could leave behind. */
export const hostInventory = async (state: string, cluster: string) => {
  // First of all, since asking the engine makes the directory.
  const runDirectory = hasIdleRunDirectory();
  const inventory = { runDirectory, ...(await inventoryOf(state, cluster)) };
  removeIdleRunDirectory();
  return inventory;
};

/** What the inventory is to be in the end. */
export const nothing = { runDirectory: false, containers: [], volumes: [], networks: [], mounts: [], processes: [] };

const inventoryOf = async (state: string, cluster: string) => ({
  containers: lines(await container("ps", "--all", "--format", "{{.Names}}")).filter((name) =>
    name.startsWith(cluster),
  ),
  volumes: lines(await container("volume", "ls", "--quiet", "--filter", `label=io.x-k8s.kind.cluster=${cluster}`)),
  networks: lines(await container("network", "ls", "--format", "{{.Name}}")).filter((name) => name.includes(cluster)),
  mounts: readFileSync("/proc/mounts", "utf8")
    .split("\n")
    .filter((line) => line.includes(state) || line.includes(cluster)),
  processes: await processesOf(state),
});

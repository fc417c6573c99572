import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FactoryError } from "../../../components/lib/errors";
import { cache } from "../../toolchain/paths";

/** The program that runs nodes as containers, with the environment in which kind and we call it. */
export interface ContainerEngine {
  program: "docker" | "podman";
  env: Record<string, string>;
}

const works = (program: string, args: string[], env: Record<string, string> = {}): boolean => {
  try {
    execFileSync(program, args, { stdio: "ignore", env: { ...process.env, ...env }, timeout: 30_000 });
    return true;
  } catch {
    return false;
  }
};

/** Whether Docker's engine runs, and this user may use it. */
export const dockerAnswers = (): boolean => works("docker", ["info"]);

/** Where podman keeps what lasts no longer than containers do; every command of it makes the directory. */
const runDirectory = "/run/secure-software-factory";

/** Whether that directory is there although no container needs it. */
export const hasIdleRunDirectory = (directory = runDirectory): boolean => {
  const containers = join(directory, "containers/overlay-containers");
  return existsSync(directory) && (!existsSync(containers) || readdirSync(containers).length === 0);
};

/** Removes that directory when no container needs it. */
export const removeIdleRunDirectory = (directory = runDirectory): void => {
  if (hasIdleRunDirectory(directory)) rmSync(directory, { recursive: true });
};

/** Podman's own settings for the factory: its storage is part of the cache, and nodes may not raise their limits. */
const podmanEnvironment = (bin: string): Record<string, string> => {
  const directory = join(cache, "podman");
  mkdirSync(directory, { recursive: true });
  const containers = join(directory, "containers.conf");
  const storage = join(directory, "storage.conf");
  writeFileSync(
    containers,
    `[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
[engine.runtimes]
runc = ["${join(bin, "runc")}"]
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]
[network]
network_backend = "netavark"
network_config_dir = "${join(directory, "networks")}"
`,
  );
  writeFileSync(
    storage,
    `[storage]
driver = "overlay"
graphroot = "${join(directory, "storage")}"
runroot = "${join(runDirectory, "containers")}"
`,
  );
  return { CONTAINERS_CONF: containers, CONTAINERS_STORAGE_CONF: storage, KIND_EXPERIMENTAL_PROVIDER: "podman" };
};

/**
 * The container engine of this machine: Docker where its engine answers, else podman with settings of our own.
 *
 * @param bin directory of the pinned programs, which holds the runc that podman uses
 * @throws FactoryError `SSF-HOST-002` when there is none that works
 */
export const containerEngine = (bin: string): ContainerEngine => {
  if (dockerAnswers()) return { program: "docker", env: { KIND_EXPERIMENTAL_PROVIDER: "docker" } };
  if (works("podman", ["--version"])) {
    mkdirSync("/lib/modules", { recursive: true });
    const env = podmanEnvironment(bin);
    if (works("podman", ["info"], env)) return { program: "podman", env };
  }
  throw new FactoryError({
    code: "SSF-HOST-002",
    path: "container engine",
    given: "neither `docker info` nor `podman info` succeeds",
    rule: "A new cluster's nodes are containers of Docker or podman, run by a user who may start privileged ones.",
    fix: "Install podman as root, or start Docker, or name an existing cluster: pulumi config set kubeconfig <path> -s cluster",
  });
};

import { existsSync } from "node:fs";
import { copyFile, link, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { FactoryError } from "../../../components/lib/errors";
import { hostDirectory } from "../../../components/lib/kind-config";
import { run } from "../../process";
import { containerEngine, removeIdleRunDirectory } from "./container-engine";

/** What a cluster is made of; the inputs of the resource. */
export interface ClusterInputs {
  /** Name of the cluster, and prefix of its nodes' names. */
  name: string;
  /** Name of the node image in the container engine. */
  nodeImage: string;
  /** Archive from which that image is loaded. */
  nodeArchive: string;
  /** Archive of images that every node imports before its kubelet starts. */
  imageArchive: string;
  /** kind's configuration file. */
  config: string;
  /** Files mounted into every node, by name. */
  files: Record<string, string>;
  /** Directory of the pinned programs. */
  bin: string;
}

/** Directory of what belongs to clusters that exist: their files, and the images that their nodes import. */
const clustersDirectory = (): string =>
  join(
    process.env.SSF_STATE ??
      join(process.env.XDG_STATE_HOME ?? join(homedir(), ".local/state"), "secure-software-factory"),
    "clusters",
  );

/**
 * Loads the image of nodes where it is missing, in place of older ones that no node uses.
 *
 * @param container runs a command of the container engine
 */
export const loadNodeImage = async (
  container: (...args: string[]) => Promise<string>,
  nodeImage: string,
  archive: string,
): Promise<void> => {
  const [repository = ""] = nodeImage.split(/:(?=[^:]*$)/);
  const names = await container("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", repository);
  const loaded = names.split("\n").filter(Boolean);
  if (!loaded.includes(nodeImage)) await container("load", "--input", archive);
  for (const name of loaded) if (name !== nodeImage) await container("rmi", name).catch(() => undefined);
};

/** A kind cluster on this machine's container engine. */
export class KindCluster {
  private readonly directory: string;
  private readonly env: Record<string, string>;
  private readonly engine: string;
  private readonly network: string;

  constructor(private readonly inputs: ClusterInputs) {
    const engine = containerEngine(inputs.bin);
    this.engine = engine.program;
    this.directory = join(clustersDirectory(), inputs.name);
    this.network = `kind-${inputs.name}`;
    this.env = {
      ...engine.env,
      KIND_EXPERIMENTAL_DOCKER_NETWORK: this.network,
      KIND_EXPERIMENTAL_PODMAN_NETWORK: this.network,
      PATH: `${inputs.bin}:${process.env.PATH ?? ""}`,
    };
  }

  private kind = (...args: string[]) => run("kind", args, { env: this.env });
  private container = (...args: string[]) => run(this.engine, args, { env: this.env });

  /** Names of the nodes that exist. */
  nodes = async (): Promise<string[]> =>
    (await this.kind("get", "nodes", "--name", this.inputs.name))
      .split("\n")
      .filter((line) => line.startsWith(this.inputs.name));

  /**
   * Creates the cluster and waits until its API server answers and every kubelet has a serving certificate.
   *
   * @returns the kubeconfig of its administrator
   * @throws FactoryError `SSF-CLUSTER-002` when a cluster of that name exists that the factory did not make
   */
  async create(): Promise<string> {
    const { name, nodeImage, nodeArchive, imageArchive, config, files } = this.inputs;
    if ((await this.nodes()).length > 0) {
      if (!existsSync(this.directory))
        throw new FactoryError({
          code: "SSF-CLUSTER-002",
          path: "clusterName",
          given: name,
          rule: "The name belongs to no kind cluster that something else made.",
          fix: `Choose another clusterName, or remove that cluster: kind delete cluster --name ${name}`,
        });
      await this.delete();
    }
    await mkdir(join(this.directory, "images"), { recursive: true, mode: 0o700 });
    for (const [file, text] of Object.entries(files)) {
      const path = join(this.directory, "files", file);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, text, { mode: 0o600 });
    }
    await this.placeImages(imageArchive);
    await loadNodeImage(this.container, nodeImage, nodeArchive);

    const scratch = await mkdtemp(join(tmpdir(), "ssf-kind-"));
    try {
      const configFile = join(scratch, "kind.yaml");
      const kubeconfig = join(scratch, "kubeconfig");
      await writeFile(configFile, config.replaceAll(hostDirectory, this.directory));
      await this.kind(
        "create",
        "cluster",
        "--name",
        name,
        "--image",
        nodeImage,
        "--config",
        configFile,
        "--kubeconfig",
        kubeconfig,
      );
      await this.approveServingCertificates(kubeconfig);
      return await readFile(kubeconfig, "utf8");
    } catch (error) {
      await this.delete();
      throw error;
    } finally {
      await rm(scratch, { recursive: true });
    }
  }

  /** Brings another image archive to the running nodes. */
  async importImages(archive: string): Promise<void> {
    await this.placeImages(archive);
    for (const node of await this.nodes())
      await this.container(
        "exec",
        node,
        "ctr",
        "--namespace=k8s.io",
        "images",
        "import",
        "--no-unpack",
        "/kind/images/images.tar",
      );
  }

  /** Removes nodes, their network, the cluster's files and the engine's own of the last; succeeds when they are gone already. */
  async delete(): Promise<void> {
    await this.kind("delete", "cluster", "--name", this.inputs.name);
    const networks = await this.container("network", "ls", "--format", "{{.Name}}");
    if (networks.split("\n").includes(this.network)) await this.container("network", "rm", this.network);
    removeIdleRunDirectory();
    await rm(this.directory, { recursive: true, force: true });
  }

  private async placeImages(archive: string): Promise<void> {
    const place = join(this.directory, "images/images.tar");
    await rm(place, { force: true });
    await link(archive, place).catch(() => copyFile(archive, place));
  }

  /** Approves the serving certificates that the cluster's own kubelets ask for, once each has asked. */
  private async approveServingCertificates(kubeconfig: string): Promise<void> {
    const kubectl = (...args: string[]) => run("kubectl", ["--kubeconfig", kubeconfig, ...args], { env: this.env });
    for (const node of await this.nodes()) {
      const requests = [
        "get",
        "certificatesigningrequests",
        "--field-selector",
        "spec.signerName=kubernetes.io/kubelet-serving",
      ];
      const format = `jsonpath={range .items[?(@.spec.username=="system:node:${node}")]}{.metadata.name}{"\\n"}{end}`;
      const deadline = Date.now() + 120_000;
      let names: string[] = [];
      while (names.length === 0) {
        names = (await kubectl(...requests, "--output", format)).split("\n").filter(Boolean);
        if (names.length > 0) break;
        if (Date.now() > deadline) throw new Error(`node ${node} asked for no serving certificate within 120 s`);
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
      await kubectl("certificate", "approve", ...names);
    }
  }
}

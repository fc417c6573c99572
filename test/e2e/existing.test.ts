import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { IMAGE_HOST } from "../../components/lib/images";
import { parseOutputs } from "../../stacks/outputs";
import { readToolchain } from "../../stacks/toolchain";
import { openKubectl, type Kubectl } from "../../tools/cli/kubectl";
import { readyStack, removeStack, stackOutputs, update } from "../../tools/cli/pulumi";
import { openWorkspace, prepareState } from "../../tools/cli/workspace";
import { loadNodeImage } from "../../tools/plugins/kind/cluster";
import { containerEngine, removeIdleRunDirectory } from "../../tools/plugins/kind/container-engine";
import { run } from "../../tools/process";
import { hostInventory, nothing } from "./host";

const minutes = 60_000;

/** Ranges of the cluster's pods and services, which are not those of a cluster that the program makes. */
const ranges = { pods: "10.20.0.0/16", services: "10.21.0.0/16" };

/** What kind needs to make a node of our image: nothing of it is the program's. */
const kindFile = (): string => {
  const { images, imageArchive } = readToolchain();
  const tag = (name: string) => ({ imageRepository: IMAGE_HOST, imageTag: images[name]?.version });
  const patches = [
    { kind: "ClusterConfiguration", imageRepository: IMAGE_HOST, dns: tag("coredns"), etcd: { local: tag("etcd") } },
    { kind: "KubeletConfiguration", failCgroupV1: false },
  ];
  const mount = { hostPath: imageArchive, containerPath: "/kind/images/images.tar", readOnly: true };
  return stringify({
    kind: "Cluster",
    apiVersion: "kind.x-k8s.io/v1alpha4",
    networking: { disableDefaultCNI: true, podSubnet: ranges.pods, serviceSubnet: ranges.services },
    nodes: [{ role: "control-plane", extraMounts: [mount] }],
    kubeadmConfigPatches: patches.map((patch) => stringify(patch)),
  });
};

/** A cluster that kind made by itself, and a person would: the program has nothing in it. */
class ForeignCluster {
  private readonly directory = mkdtempSync(join(tmpdir(), "ssf-e2e-foreign-"));
  readonly kubeconfigFile = join(this.directory, "kubeconfig");
  private readonly env: Record<string, string>;
  private readonly engine: string;
  private readonly network: string;

  constructor(private readonly name: string) {
    const { bin } = readToolchain();
    const { program, env } = containerEngine(bin);
    this.engine = program;
    this.network = `kind-${name}`;
    this.env = {
      ...env,
      KIND_EXPERIMENTAL_DOCKER_NETWORK: this.network,
      KIND_EXPERIMENTAL_PODMAN_NETWORK: this.network,
      PATH: `${bin}:${process.env.PATH ?? ""}`,
    };
  }

  async create(): Promise<void> {
    const config = join(this.directory, "kind.yaml");
    writeFileSync(config, kindFile());
    const { reference, archive } = readToolchain().node;
    await loadNodeImage((...args) => run(this.engine, args, { env: this.env }), reference, archive);
    const args = ["--name", this.name, "--image", reference, "--config", config, "--kubeconfig", this.kubeconfigFile];
    await run("kind", ["create", "cluster", ...args], { env: this.env });
  }

  async delete(): Promise<void> {
    const args = ["--name", this.name, "--kubeconfig", this.kubeconfigFile];
    await run("kind", ["delete", "cluster", ...args], { env: this.env });
    await run(this.engine, ["network", "rm", "--force", this.network], { env: this.env });
    removeIdleRunDirectory();
    rmSync(this.directory, { recursive: true });
  }
}

/** Every object of a cluster, but events: kind, namespace, name and identity. */
const objectsOf = async (kubectl: Kubectl): Promise<string[]> => {
  const kinds = await kubectl.text(["api-resources", "--verbs=list", "--output=name"]);
  const lasting = kinds.split("\n").filter((kind) => kind !== "" && !kind.startsWith("events"));
  const line = '{range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name} {.metadata.uid}{"\\n"}{end}';
  const listed = await kubectl.text(["get", lasting.join(","), "--all-namespaces", `--output=jsonpath=${line}`]);
  return listed.split("\n").filter(Boolean).sort();
};

/** The same, once the cluster's own controllers have made what they make of themselves. */
const settledObjectsOf = async (kubectl: Kubectl): Promise<string[]> => {
  let before: string[] = [];
  for (;;) {
    const now = await objectsOf(kubectl);
    if (now.length > 0 && now.join() === before.join()) return now;
    before = now;
    await new Promise((resume) => setTimeout(resume, 2_000));
  }
};

describe("a cluster that the program did not make", () => {
  const cluster = `ssf-e2e-foreign-${process.pid}`;
  const home = mkdtempSync(join(tmpdir(), "ssf-e2e-"));
  const state = join(home, "state");
  const foreign = new ForeignCluster(cluster);
  const stack = "e2e-existing";
  let kubectl: Kubectl;
  let before: string[];
  let clusterCidrs: string;

  const workspaceWith = (settings: Record<string, string>) =>
    openWorkspace(
      {
        stacks: `${stack},unused-factory,unused-team`,
        config: Object.entries(settings).map(([key, value]) => `${stack}:${key}=${value}`),
      },
      { SSF_STATE: state },
    );
  const bring = async (operation: "up" | "destroy", settings: Record<string, string>) => {
    const workspace = workspaceWith(settings);
    const [planned] = workspace.stacks;
    if (planned === undefined) throw new Error("a workspace has stacks");
    const ready = await readyStack(workspace, planned);
    await update(workspace, ready, { operation, onProgress: () => undefined });
    return workspace;
  };
  const settings = (changes: Record<string, string> = {}) => ({
    kubeconfig: foreign.kubeconfigFile,
    clusterCidrs,
    jail: "network-policy",
    ...changes,
  });

  beforeAll(async () => {
    await prepareState(workspaceWith({}), readToolchain());
    await foreign.create();
    kubectl = openKubectl(readFileSync(foreign.kubeconfigFile, "utf8"));
    before = await settledObjectsOf(kubectl);
    const node = 'jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}';
    const address = await kubectl.text(["get", "nodes", `--output=${node}`]);
    clusterCidrs = [ranges.pods, ranges.services, `${address}/32`].join(",");
  }, 5 * minutes);
  afterAll(async () => {
    await foreign.delete();
    expect(await hostInventory(state, cluster)).toEqual(nothing);
    rmSync(home, { recursive: true });
  }, 2 * minutes);
  afterEach(() => removeStack(workspaceWith({}), stack, true));

  test(
    "is taken by its kubeconfig, and left as it was",
    async () => {
      const outputs = async (jail: string) => {
        const values = await stackOutputs(await bring("up", settings({ jail })), stack);
        return parseOutputs("cluster", stack, values as Record<string, unknown>);
      };
      const plain = await outputs("network-policy");
      expect(plain).toMatchObject({
        runtimeClasses: null,
        networkPolicies: "kubernetes",
        clusterCidrs: clusterCidrs.split(","),
      });
      // The API server makes an APIService of its own for each group of kinds.
      const definitions = await settledObjectsOf(kubectl);
      const kinds = definitions.filter((object) => !before.includes(object)).map((object) => object.split(" ")[0]);
      expect(new Set(kinds)).toEqual(new Set(["APIService", "CustomResourceDefinition"]));
      expect(await openKubectl(plain.kubeconfig).text(["get", "--raw=/readyz"])).toBe("ok");

      const jailed = await outputs("runtime");
      expect(jailed).toEqual({ ...plain, runtimeClasses: { jailed: "jailed", networked: "networked" } });
      const made = (await objectsOf(kubectl)).filter((object) => !definitions.includes(object));
      expect(made.map((object) => object.split(" ").slice(0, 2))).toEqual([
        ["RuntimeClass", "/jailed"],
        ["RuntimeClass", "/networked"],
      ]);
      await bring("destroy", settings({ jail: "runtime" }));
      expect(await settledObjectsOf(kubectl)).toEqual(before);
    },
    3 * minutes,
  );

  test(
    "is refused when it does not answer, or has addresses that its ranges leave out",
    async () => {
      const kubeconfig = `${foreign.kubeconfigFile}-of-nothing`;
      const text = readFileSync(foreign.kubeconfigFile, "utf8");
      writeFileSync(kubeconfig, text.replace(/server: \S+/, "server: https://127.0.0.1:9"), { mode: 0o600 });
      await expect(bring("up", settings({ kubeconfig }))).rejects.toThrow(/SSF-CLUSTER-001/);
      const known = `${ranges.pods},${ranges.services}`;
      await expect(bring("up", settings({ clusterCidrs: known }))).rejects.toThrow(/SSF-CLUSTER-003/);
      expect(await objectsOf(kubectl)).toEqual(before);
    },
    2 * minutes,
  );
});

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import * as pulumi from "@pulumi/pulumi";

import { clusterStack, identify } from "../../stacks/cluster";
import { type ClusterConfig, parseConfig } from "../../stacks/config";
import { readExisting } from "../../stacks/existing-cluster";
import { parseOutputs } from "../../stacks/outputs";
import { problemsOf } from "../pipelines/problems";
import { render, valueOf } from "../support/render";

const kubeconfig = `clusters: [{ cluster: { server: "https://127.0.0.1:6443", certificate-authority-data: Q0E= } }]`;

describe("a cluster that is made", () => {
  const withKubeconfig = {
    extra: (type: string): Record<string, unknown> => (type === "kind:index:Cluster" ? { kubeconfig } : {}),
  };
  const made = async (settings: Record<string, string>) => {
    let outputs: pulumi.Inputs = {};
    const config = parseConfig({ kind: "cluster", ...settings }) as ClusterConfig;
    const program = () => {
      outputs = clusterStack(config);
    };
    const rendering = await render(program, withKubeconfig);
    return { rendering, outputs };
  };

  test("has one provider, network, proxy and runtime classes", async () => {
    const { rendering } = await made({});
    const top = rendering.resources.filter(({ parent }) => parent === "").map(({ type }) => type);
    expect(top.sort()).toEqual([
      "pulumi:providers:kubernetes",
      "secure-software-factory:index:ClusterAdmission",
      "secure-software-factory:index:CustomResourceDefinitions",
      "secure-software-factory:index:HardenedCluster",
      "secure-software-factory:index:KubeProxy",
      "secure-software-factory:index:Network",
      "secure-software-factory:index:RuntimeClasses",
    ]);
    expect(rendering.get("cluster-kind").secrets).toEqual(["files"]);
  });

  test("has no runtime classes where network policies are the jail", async () => {
    const { rendering, outputs } = await made({ jail: "network-policy" });
    const types = rendering.resources.map(({ type }) => type);
    expect(types).not.toContain("secure-software-factory:index:RuntimeClasses");
    expect(outputs.runtimeClasses).toBeNull();
  });

  test.each([
    ["is not protected, unless it is to last", "false", []],
    ["is protected with its key when it is to last", "true", ["cluster-encryption-key", "cluster-kind"]],
  ])("%s", async (_, protectData, protectedNames) => {
    const config = parseConfig({ kind: "cluster", protectData }) as ClusterConfig;
    const program = () =>
      pulumi.runtime.runInPulumiStack(() => {
        clusterStack(config);
        return Promise.resolve({});
      });
    const rendering = await render(program, withKubeconfig);
    expect(rendering.resources.flatMap(({ name, protect }) => (protect ? [name] : []))).toEqual(protectedNames);
  });

  test("gives its kubeconfig as a secret, and in clear which cluster it is and where its addresses are", async () => {
    const { outputs } = await made({});
    const isSecret = async (name: string) => pulumi.isSecret(pulumi.output(outputs[name]));
    expect(await Promise.all(Object.keys(outputs).map(async (name) => [name, await isSecret(name)]))).toEqual(
      Object.keys(outputs).map((name) => [name, name === "kubeconfig"]),
    );
    const plain = await valueOf(pulumi.unsecret(pulumi.output(outputs)));
    expect(parseOutputs("cluster", "cluster", plain)).toMatchObject({
      kubeconfig,
      clusterIdentifier: identify(kubeconfig),
      runtimeClasses: { jailed: "jailed", networked: "networked" },
      networkPolicies: "cilium",
      clusterCidrs: ["10.244.0.0/16", "10.96.0.0/16"],
      ruleDigests: [
        { path: "ValidatingAdmissionPolicy/ssf-system-images" },
        { path: "ValidatingAdmissionPolicyBinding/ssf-system-images" },
      ],
      apiServer: "https://127.0.0.1:6443",
    });
  });
});

describe("a cluster that is there", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "existing-"));
    writeFileSync(join(directory, "kubeconfig"), kubeconfig);
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  /** Reads it with a kubectl that prints this as the addresses of pods, services and nodes. */
  const read = (told: string, ...cidrs: string[]) => {
    const script = `#!/bin/sh\ncase "$*" in *podIPs*) echo '${told}';; *config*view*) cat ${directory}/kubeconfig;; esac\n`;
    writeFileSync(join(directory, "kubectl"), script, { mode: 0o755 });
    return readExisting(join(directory, "kubeconfig"), cidrs, { bin: directory });
  };
  const cluster = "10.20.0.7  \n None \n 10.21.0.1 \n  10.20.0.0/24 192.0.2.10\nfd00::7 fd00:1::/64";

  test("is taken when every address of it is in its ranges", () => {
    expect(read(cluster, "10.20.0.0/16", "10.21.0.0/16", "192.0.2.0/24")).toBe(kubeconfig);
  });

  test.each([
    ["pods", ["10.21.0.0/16", "192.0.2.0/24"], "10.20.0.0, 10.20.0.7"],
    ["services", ["10.20.0.0/16", "192.0.2.0/24"], "10.21.0.1"],
    ["nodes", ["10.20.0.0/16", "10.21.0.0/16"], "192.0.2.10"],
  ])("is refused when the ranges leave out its %s", (_, cidrs, left) => {
    expect(problemsOf(() => read(cluster, ...cidrs))).toEqual(["SSF-CLUSTER-003 config clusterCidrs"]);
    expect(() => read(cluster, ...cidrs)).toThrow(`while the cluster has ${left}\n`);
  });

  test("is refused when its kubeconfig is not there, or it does not answer", () => {
    const unread = () => readExisting(join(directory, "gone"), ["10.0.0.0/8"], { bin: directory });
    expect(problemsOf(unread)).toEqual(["SSF-CLUSTER-001 kubeconfig"]);
    writeFileSync(join(directory, "kubectl"), "#!/bin/sh\necho refused >&2\nexit 1\n", { mode: 0o755 });
    const silent = () => readExisting(join(directory, "kubeconfig"), ["10.0.0.0/8"], { bin: directory });
    expect(silent).toThrow(/SSF-CLUSTER-001 kubeconfig: [^]*refused/);
  });
});

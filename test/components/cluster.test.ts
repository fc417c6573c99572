import * as pulumi from "@pulumi/pulumi";

import { HardenedCluster } from "../../components/hardened-cluster";
import { KubeProxy } from "../../components/kube-proxy";
import { kindConfig } from "../../components/lib/kind-config";
import { RuntimeClasses } from "../../components/runtime-classes";
import { inputAt, render, type Rendering, testImage, valueOf } from "../support/render";
import { clusterToolchain as toolchain } from "../support/toolchain";

describe("HardenedCluster", () => {
  let rendering: Rendering;
  let cluster: HardenedCluster;
  beforeAll(async () => {
    rendering = await render(
      () => {
        cluster = new HardenedCluster("cluster", { clusterName: "ssf", workers: 1, toolchain });
      },
      { extra: (type) => (type === "kind:index:Cluster" ? { kubeconfig: "KUBECONFIG" } : {}) },
    );
  });

  test("makes these objects and no others", () => {
    expect(rendering.childrenOf("cluster")).toEqual([
      "kind:index:Cluster cluster-kind",
      "random:index/randomBytes:RandomBytes cluster-encryption-key",
    ]);
    expect(inputAt(rendering.get("cluster-encryption-key"), "length")).toBe(32);
  });

  test("is the hardened configuration with a key of its own, which only the secret files have", () => {
    const encryptionKey = Buffer.alloc(32, "A").toString("base64");
    const { config, files } = kindConfig({ workers: 1, toolchain, encryptionKey });
    expect(rendering.get("cluster-kind")).toMatchObject({
      inputs: { name: "ssf", nodeImage: "ssf.local/node:1", config, files },
      secrets: ["files"],
    });
    expect(files["encryption.yaml"]).toContain(encryptionKey);
    expect(config).not.toContain(encryptionKey);
  });

  test("gives its kubeconfig as a secret", async () => {
    await expect(pulumi.isSecret(cluster.kubeconfig)).resolves.toBe(true);
    await expect(valueOf(pulumi.unsecret(cluster.kubeconfig))).resolves.toBe("KUBECONFIG");
  });
});

test("RuntimeClasses are the jail and the ordinary runtime, each under its name", async () => {
  let classes: RuntimeClasses | undefined;
  const rendering = await render(() => {
    classes = new RuntimeClasses("classes", {});
  });
  expect(rendering.childrenOf("classes")).toEqual([
    "node.k8s.io/v1:RuntimeClass classes-jailed",
    "node.k8s.io/v1:RuntimeClass classes-networked",
  ]);
  const handlers = ["jailed", "networked"].map((name) => {
    const made = rendering.get(`classes-${name}`);
    return [inputAt(made, "metadata.name"), inputAt(made, "handler")];
  });
  expect(handlers).toEqual([
    ["jailed", "jailed"],
    ["networked", "runc"],
  ]);
  if (classes === undefined) throw new Error("not made");
  await expect(valueOf(classes.jailed)).resolves.toBe("jailed");
  await expect(valueOf(classes.networked)).resolves.toBe("networked");
});

test("KubeProxy changes the image of kubeadm's own object, and nothing else", async () => {
  const rendering = await render(() => new KubeProxy("proxy", { image: testImage("kube-proxy") }));
  expect(rendering.childrenOf("proxy")).toEqual(["apps/v1:DaemonSetPatch proxy-daemon-set"]);
  expect(rendering.get("proxy-daemon-set").inputs).toEqual({
    apiVersion: "apps/v1",
    kind: "DaemonSet",
    metadata: { name: "kube-proxy", namespace: "kube-system", annotations: { "pulumi.com/patchForce": "true" } },
    spec: { template: { spec: { containers: [{ name: "kube-proxy", image: testImage("kube-proxy") }] } } },
  });
});

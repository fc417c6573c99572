import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { parse } from "yaml";
import { z } from "zod";

import { ClusterAdmission } from "../components/cluster-admission";
import { CustomResourceDefinitions } from "../components/custom-resource-definitions";
import { HardenedCluster } from "../components/hardened-cluster";
import { KubeProxy } from "../components/kube-proxy";
import { POD_CIDR, SERVICE_CIDR } from "../components/lib/kind-config";
import { NetworkPolicies } from "../components/lib/network-policies";
import { Network } from "../components/network";
import { RuntimeClasses } from "../components/runtime-classes";
import type { ClusterConfig } from "./config";
import { readExisting } from "./existing-cluster";
import { factoryImages } from "./factory-images";
import { protectData } from "./kept-data";
import { type ExportedOutputs, SCHEMA } from "./outputs";
import { image, readToolchain, source } from "./toolchain";

const kubeconfigSchema = z.object({
  clusters: z
    .array(z.object({ cluster: z.object({ server: z.string(), "certificate-authority-data": z.string().optional() }) }))
    .min(1),
});

/** A cluster: one that is made here, or one that a kubeconfig names. */
export const clusterStack = (config: ClusterConfig): ExportedOutputs<"cluster"> => {
  if (config.protectData) protectData();
  const toolchain = readToolchain();
  const { kubeconfig: existing = "", clusterCidrs = `${POD_CIDR},${SERVICE_CIDR}` } = config;
  const cidrs = clusterCidrs.split(",");
  const cluster =
    existing === ""
      ? new HardenedCluster("cluster", { clusterName: config.clusterName, workers: config.workers, toolchain })
      : undefined;
  const kubeconfig = pulumi.secret(
    standInKubeconfig() ?? cluster?.kubeconfig ?? readExisting(existing, cidrs, toolchain),
  );
  const clusterIdentifier = pulumi.unsecret(kubeconfig.apply(identify));

  const provider = new k8s.Provider("cluster", { kubeconfig, clusterIdentifier, enableServerSideApply: true });
  const opts = { providers: [provider] };
  const admission =
    cluster && new ClusterAdmission("cluster-admission", { images: factoryImages(toolchain).components }, opts);
  const admitted = { ...opts, dependsOn: admission };
  const network = cluster && new Network("network", { toolchain, podCidr: POD_CIDR }, admitted);
  if (cluster) new KubeProxy("kube-proxy", { image: image(toolchain, "kube-proxy") }, admitted);
  const definitions = new CustomResourceDefinitions(
    "crds",
    {
      certManager: source(toolchain, "cert-manager"),
      gatekeeper: source(toolchain, "gatekeeper"),
      spireControllerManager: source(toolchain, "spire-controller-manager"),
      tekton: source(toolchain, "tekton"),
      triggers: source(toolchain, "triggers"),
    },
    { ...opts, deletedWith: cluster },
  );
  const classes = config.jail === "runtime" ? new RuntimeClasses("runtime-classes", {}, opts) : undefined;

  return {
    schema: SCHEMA,
    kubeconfig,
    clusterIdentifier: pulumi
      .all([clusterIdentifier, definitions.names, network?.urn])
      .apply(([identifier]) => identifier),
    runtimeClasses: classes ? { jailed: classes.jailed, networked: classes.networked } : null,
    networkPolicies: network === undefined ? NetworkPolicies.Kubernetes : NetworkPolicies.Cilium,
    clusterCidrs: cidrs,
    ruleDigests: admission?.digests ?? [],
    apiServer: pulumi.unsecret(kubeconfig.apply((text) => clusterOf(text).server)),
  };
};

/** Kubeconfig of what `./factory preview` has in place of a cluster that does not answer; only a preview takes it. */
const standInKubeconfig = (): string | undefined => {
  const file = process.env.SSF_PREVIEW_KUBECONFIG;
  return pulumi.runtime.isDryRun() && file !== undefined ? readFileSync(file, "utf8") : undefined;
};

const clusterOf = (kubeconfig: string) => {
  const [first] = kubeconfigSchema.parse(parse(kubeconfig)).clusters;
  if (first === undefined) throw new Error("a kubeconfig names a cluster");
  return first.cluster;
};

/** What stays the same as long as it is the same cluster: its certificate authority, or else its address. */
export const identify = (kubeconfig: string): string => {
  const cluster = clusterOf(kubeconfig);
  const identity = cluster["certificate-authority-data"] ?? cluster.server;
  return createHash("sha256").update(identity).digest("hex").slice(0, 32);
};

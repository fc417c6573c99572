import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { parse } from "yaml";
import { z } from "zod";

import { ClusterAdmission } from "../components/cluster-admission";
import { HardenedCluster } from "../components/hardened-cluster";
import { KubeProxy } from "../components/kube-proxy";
import { FactoryError } from "../components/lib/errors";
import { NetworkPolicies } from "../components/lib/network-policies";
import { Network } from "../components/network";
import { RuntimeClasses } from "../components/runtime-classes";
import type { ClusterConfig } from "./config";
import { type ExportedOutputs, SCHEMA } from "./outputs";
import { factoryImages, image, readToolchain, type Toolchain } from "./toolchain";

/** Range of the pods' addresses in a cluster that we make. */
const POD_CIDR = "10.244.0.0/16";

const kubeconfigSchema = z.object({
  clusters: z
    .array(z.object({ cluster: z.object({ server: z.string(), "certificate-authority-data": z.string().optional() }) }))
    .min(1),
});

/** A cluster: one that is made here, or one that a kubeconfig names. */
export const clusterStack = (config: ClusterConfig): ExportedOutputs<"cluster"> => {
  const toolchain = readToolchain();
  const existing = config.kubeconfig;
  const cluster =
    existing === undefined
      ? new HardenedCluster("cluster", { clusterName: config.clusterName, workers: config.workers, toolchain })
      : undefined;
  const kubeconfig = pulumi.secret(
    standInKubeconfig() ?? cluster?.kubeconfig ?? readReachable(existing ?? "", toolchain),
  );
  const clusterIdentifier = pulumi.unsecret(kubeconfig.apply(identify));

  const provider = new k8s.Provider("cluster", { kubeconfig, clusterIdentifier, enableServerSideApply: true });
  const opts = { providers: [provider] };
  const admission =
    cluster && new ClusterAdmission("cluster-admission", { images: factoryImages(toolchain).components }, opts);
  const admitted = { ...opts, dependsOn: admission };
  const network = cluster && new Network("network", { toolchain, podCidr: POD_CIDR }, admitted);
  if (cluster) new KubeProxy("kube-proxy", { image: image(toolchain, "kube-proxy") }, admitted);
  const classes = config.jail === "runtime" ? new RuntimeClasses("runtime-classes", {}, opts) : undefined;

  return {
    schema: SCHEMA,
    kubeconfig,
    clusterIdentifier: pulumi.all([clusterIdentifier, network?.urn]).apply(([identifier]) => identifier),
    runtimeClasses: classes ? { jailed: classes.jailed, networked: classes.networked } : null,
    networkPolicies: network === undefined ? NetworkPolicies.Kubernetes : NetworkPolicies.Cilium,
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

/**
 * The kubeconfig in a file, once its cluster has answered.
 *
 * @throws FactoryError `SSF-CLUSTER-001` when the file cannot be read or the cluster does not answer within 10 seconds
 */
export const readReachable = (path: string, toolchain: Pick<Toolchain, "bin">): string => {
  const file = path.replace(/^~(?=\/)/, homedir());
  try {
    const text = readFileSync(file, "utf8");
    const kubectl = join(toolchain.bin, "kubectl");
    execFileSync(kubectl, ["--kubeconfig", file, "get", "--raw", "/readyz", "--request-timeout=10s"], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    return text;
  } catch (error) {
    const output = error instanceof Error && "stderr" in error ? String(error.stderr).trim() : String(error);
    throw new FactoryError({
      code: "SSF-CLUSTER-001",
      path: "kubeconfig",
      given: `${file}: ${output}`,
      rule: "The kubeconfig must be readable, and its cluster must answer within 10 seconds.",
      fix: "Start the cluster or name another kubeconfig: pulumi config set kubeconfig <path>",
    });
  }
};

import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import type { Toolchain } from "../stacks/toolchain";
import { kindConfig } from "./lib/kind-config";
import { KindCluster } from "./lib/kind-cluster";

/** Arguments of {@link HardenedCluster}. */
export interface HardenedClusterArgs {
  /** Name of the cluster, and prefix of its nodes' names. Lower-case DNS label. */
  clusterName: string;
  /** Worker nodes beside the control plane. */
  workers: number;
  /** Programs and images that the nodes are made of. */
  toolchain: Toolchain;
}

/**
 * A Kubernetes cluster on this machine, hardened as the CIS benchmark asks of what can be chosen: audit log, Secrets
 * encrypted at rest, no anonymous requests, Pod Security `restricted` by default, kubelets with certificates of the
 * cluster's own authority. It has no network until {@link Network} is installed, so no pod runs before its policies hold.
 *
 * @example
 * const cluster = new HardenedCluster("cluster", { clusterName: "ssf", workers: 0, toolchain: readToolchain() });
 * const provider = new k8s.Provider("cluster", { kubeconfig: cluster.kubeconfig });
 */
export class HardenedCluster extends pulumi.ComponentResource {
  /** Kubeconfig of the cluster's administrator; a secret. */
  public readonly kubeconfig: pulumi.Output<string>;

  constructor(name: string, args: HardenedClusterArgs, opts?: pulumi.ComponentResourceOptions) {
    super("secure-software-factory:index:HardenedCluster", name, args, opts);
    const { clusterName, toolchain, workers } = args;

    const key = new random.RandomBytes(`${name}-encryption-key`, { length: 32 }, { parent: this });
    const definition = key.base64.apply((encryptionKey) => kindConfig({ workers, toolchain, encryptionKey }));
    const cluster = new KindCluster(
      `${name}-kind`,
      {
        name: clusterName,
        nodeImage: toolchain.node.reference,
        nodeArchive: toolchain.node.archive,
        imageArchive: toolchain.imageArchive,
        bin: toolchain.bin,
        config: pulumi.unsecret(definition.config),
        files: pulumi.secret(definition.files),
      },
      { parent: this, customTimeouts: { create: "15m", delete: "5m" } },
    );

    this.kubeconfig = pulumi.secret(cluster.kubeconfig);
    this.registerOutputs({ kubeconfig: this.kubeconfig });
  }
}

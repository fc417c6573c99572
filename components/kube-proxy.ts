import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";

import { timeouts } from "./lib/timeouts";

/** Arguments of {@link KubeProxy}. */
export interface KubeProxyArgs {
  /** Image of kube-proxy, by digest. */
  image: string;
}

/**
 * The proxy of services on every node, by digest: kubeadm makes it, names its image by version, and takes no patch for it.
 *
 * @example
 * new KubeProxy("kube-proxy", { image: image(toolchain, "kube-proxy") }, { providers: [cluster] });
 */
export class KubeProxy extends pulumi.ComponentResource {
  constructor(name: string, args: KubeProxyArgs, opts?: pulumi.ComponentResourceOptions) {
    super("secure-software-factory:index:KubeProxy", name, args, opts);
    new k8s.apps.v1.DaemonSetPatch(
      `${name}-daemon-set`,
      {
        metadata: { name: "kube-proxy", namespace: "kube-system", annotations: { "pulumi.com/patchForce": "true" } },
        spec: { template: { spec: { containers: [{ name: "kube-proxy", image: args.image }] } } },
      },
      // Without the patch the DaemonSet would have no image at all; it goes with the cluster.
      { parent: this, customTimeouts: timeouts.workload, retainOnDelete: true },
    );
    this.registerOutputs({});
  }
}

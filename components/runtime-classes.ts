import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { standardLabels } from "./lib/labels";
import { timeouts } from "./lib/timeouts";

/**
 * The two ways in which a pod can run on our nodes: `jailed`, whose network ends inside the pod, and `networked`.
 *
 * @example
 * const classes = new RuntimeClasses("runtime-classes", {}, { provider });
 */
export class RuntimeClasses extends pulumi.ComponentResource {
  /** Class of pods without a network. */
  public readonly jailed: pulumi.Output<string>;
  /** Class of pods with the cluster's network. */
  public readonly networked: pulumi.Output<string>;

  constructor(name: string, args: Record<string, never>, opts?: pulumi.ComponentResourceOptions) {
    super("secure-software-factory:index:RuntimeClasses", name, args, opts);

    const runtimeClass = (className: string, handler: string): pulumi.Output<string> =>
      new k8s.node.v1.RuntimeClass(
        `${name}-${className}`,
        { metadata: { name: className, labels: standardLabels("runtime-classes") }, handler },
        { parent: this, customTimeouts: timeouts.plain },
      ).metadata.name;
    this.jailed = runtimeClass("jailed", "jailed");
    this.networked = runtimeClass("networked", "runc");

    this.registerOutputs({ jailed: this.jailed, networked: this.networked });
  }
}

import * as pulumi from "@pulumi/pulumi";

import { clusterRules } from "../policies/admission";
import { enforce } from "./lib/admission-policy";

/** Arguments of {@link ClusterAdmission}. */
export interface ClusterAdmissionArgs {
  /** Images that the cluster's own pods may run, by reference with digest. */
  images: readonly string[];
}

/**
 * The rules of a cluster whose every image is known, as ValidatingAdmissionPolicies.
 *
 * What makes pods in it comes after them: a new list of images must hold before the pods that need it.
 * @example
 * const admission = new ClusterAdmission("cluster-admission", { images: factoryImages(toolchain).components }, opts);
 */
export class ClusterAdmission extends pulumi.ComponentResource {
  /** Names of the policies, once they are bound. */
  public readonly policies: pulumi.Output<string[]>;

  constructor(name: string, args: ClusterAdmissionArgs, opts?: pulumi.ComponentResourceOptions) {
    super("secure-software-factory:index:ClusterAdmission", name, args, opts);
    const bindings = clusterRules(args.images).map((rule) =>
      enforce(`${name}-${rule.name.replace(/^ssf-/, "")}`, rule, this),
    );
    this.policies = pulumi.all(bindings.map((binding) => binding.metadata.name));
    this.registerOutputs({ policies: this.policies });
  }
}

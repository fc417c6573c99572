import * as pulumi from "@pulumi/pulumi";

import { clusterRules, ruleDigest, type RuleDigest } from "../policies/admission";
import { enforce, enforcedObjects } from "./lib/admission-policy";

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
  /** What the rules say, by digest, once they are bound. */
  public readonly digests: pulumi.Output<RuleDigest[]>;

  constructor(name: string, args: ClusterAdmissionArgs, opts?: pulumi.ComponentResourceOptions) {
    super("secure-software-factory:index:ClusterAdmission", name, args, opts);
    const rules = clusterRules(args.images);
    const bindings = rules.map((rule) => enforce(`${name}-${rule.name.replace(/^ssf-/, "")}`, rule, this));
    this.policies = pulumi.all(bindings.map((binding) => binding.metadata.name));
    this.digests = this.policies.apply(() => rules.flatMap(enforcedObjects).map(ruleDigest));
    this.registerOutputs({ policies: this.policies, digests: this.digests });
  }
}

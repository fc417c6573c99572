import * as pulumi from "@pulumi/pulumi";

import { type FactoryImages, factoryRules, ruleDigest, type RuleDigest } from "../policies/admission";
import { enforce, enforcedObjects } from "./lib/admission-policy";

/** Arguments of {@link Admission}. */
export interface AdmissionArgs {
  /** RuntimeClass whose pods have no network. @default none, NetworkPolicies alone are the jail */
  jailedRuntimeClass?: string;
  /** RuntimeClass whose pods have one. @default none */
  networkedRuntimeClass?: string;
  /** Service accounts of the stages that have a network. */
  unjailedServiceAccounts: string[];
  /** Images that may run, by reference with digest. */
  images: FactoryImages;
  /** Users who bring the stacks up. */
  stackUsers: string[];
  /** Groups whose members bring the stacks up. */
  stackGroups: string[];
}

/**
 * The rules that hold in the namespaces of all teams and of the factory itself, as ValidatingAdmissionPolicies: the API server itself enforces them,
 * whatever webhook is down, and refuses what it cannot judge.
 */
export class Admission extends pulumi.ComponentResource {
  /** Names of the policies, once they are bound. */
  public readonly policies: pulumi.Output<string[]>;
  /** What the rules say, by digest, once they are bound. */
  public readonly digests: pulumi.Output<RuleDigest[]>;

  constructor(name: string, args: AdmissionArgs, opts?: pulumi.ComponentResourceOptions) {
    super("secure-software-factory:index:Admission", name, args, opts);
    const { jailedRuntimeClass: jailed, networkedRuntimeClass: networked } = args;

    const rules = factoryRules({
      runtimeClasses: jailed === undefined || networked === undefined ? null : { jailed, networked },
      unjailedServiceAccounts: args.unjailedServiceAccounts,
      images: args.images,
      stack: { users: args.stackUsers, groups: args.stackGroups },
    });
    const bindings = rules.map((rule) => enforce(`${name}-${rule.name.replace(/^ssf-/, "")}`, rule, this));

    this.policies = pulumi.all(bindings.map((binding) => binding.metadata.name));
    this.digests = this.policies.apply(() => rules.flatMap(enforcedObjects).map(ruleDigest));
    this.registerOutputs({ policies: this.policies, digests: this.digests });
  }
}

import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";

import { standardLabels, TEAM_LABEL } from "./lib/labels";
import { timeouts } from "./lib/timeouts";

/** Arguments of {@link NetworkJail}. */
export interface NetworkJailArgs {
  /** RuntimeClass whose pods have no network. */
  jailedRuntimeClass: string;
  /** Service accounts whose pods may run without it. */
  unjailedServiceAccounts: string[];
}

const NAME = "ssf-network-jail";

/**
 * The jail as the rule: in every team's namespace the API server refuses a pod that is not jailed.
 *
 * Only the service accounts of the stages that need a network are exempt. The rule is a ValidatingAdmissionPolicy, so
 * that it holds as long as the API server does, whatever webhook is down.
 */
export class NetworkJail extends pulumi.ComponentResource {
  /** Name of the policy, once it is bound. */
  public readonly policy: pulumi.Output<string>;

  constructor(name: string, args: NetworkJailArgs, opts?: pulumi.ComponentResourceOptions) {
    super("secure-software-factory:index:NetworkJail", name, args, opts);
    const child = { parent: this, customTimeouts: timeouts.plain };
    const labels = standardLabels(NAME);

    const policy = new k8s.admissionregistration.v1.ValidatingAdmissionPolicy(
      `${name}-policy`,
      { metadata: { name: NAME, labels }, spec: jailRule(args.jailedRuntimeClass, args.unjailedServiceAccounts) },
      child,
    );
    const binding = new k8s.admissionregistration.v1.ValidatingAdmissionPolicyBinding(
      `${name}-binding`,
      {
        metadata: { name: NAME, labels },
        spec: {
          policyName: NAME,
          validationActions: ["Deny", "Audit"],
          matchResources: {
            matchPolicy: "Equivalent",
            namespaceSelector: { matchExpressions: [{ key: TEAM_LABEL, operator: "Exists" }] },
            objectSelector: {},
          },
        },
      },
      { ...child, dependsOn: [policy] },
    );

    this.policy = binding.metadata.name;
    this.registerOutputs({ policy: this.policy });
  }
}

/** The rule itself; names reach it as CEL string literals, which JSON strings are. */
export const jailRule = (runtimeClass: string, unjailed: readonly string[]) => ({
  failurePolicy: "Fail",
  matchConstraints: {
    matchPolicy: "Equivalent",
    namespaceSelector: {},
    objectSelector: {},
    resourceRules: [
      { apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE", "UPDATE"], resources: ["pods"], scope: "*" },
    ],
  },
  variables: [
    { name: "account", expression: "has(object.spec.serviceAccountName) ? object.spec.serviceAccountName : 'default'" },
    { name: "runtime", expression: "has(object.spec.runtimeClassName) ? object.spec.runtimeClassName : ''" },
  ],
  validations: [
    {
      expression: `variables.runtime == ${JSON.stringify(runtimeClass)} || variables.account in ${JSON.stringify(unjailed)}`,
      messageExpression: `"pod of service account '" + variables.account + "' has runtime class '" + variables.runtime + ${JSON.stringify(
        `'; in a team's namespace every pod is jailed: set runtimeClassName to '${runtimeClass}', or run it as the stage that needs a network (${unjailed.join(", ")})`,
      )}`,
      reason: "Forbidden",
    },
  ],
});

import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";

import {
  type AdmissionRule,
  FACTORY_NAMESPACES,
  messageOf,
  plainMessageOf,
  type RuleObject,
  type Scope,
} from "../../policies/admission";
import { standardLabels, TEAM_LABEL } from "./labels";
import { timeouts } from "./timeouts";

/** What a rule says, as a ValidatingAdmissionPolicy. Defaults are spelled out, so that a preview shows no change. */
export const policySpec = ({ matches, variables, validations }: AdmissionRule) => ({
  failurePolicy: "Fail",
  matchConstraints: {
    matchPolicy: "Equivalent",
    namespaceSelector: {},
    objectSelector: {},
    resourceRules: matches.map(({ apiGroup, apiVersions = ["*"], resources, operations }) => ({
      apiGroups: [apiGroup],
      apiVersions: [...apiVersions],
      operations: [...operations],
      resources: [...resources],
      scope: "*",
    })),
  },
  ...(variables.length === 0 ? {} : { variables: variables.map(({ name, expression }) => ({ name, expression })) }),
  validations: validations.map((validation) => ({
    expression: validation.admits,
    message: plainMessageOf(validation),
    messageExpression: messageOf(validation),
    reason: "Forbidden",
  })),
});

/** Where a rule holds, as a ValidatingAdmissionPolicyBinding. */
export const bindingSpec = ({ name, scope }: AdmissionRule) => ({
  policyName: name,
  validationActions: ["Deny", "Audit"],
  matchResources: { matchPolicy: "Equivalent", namespaceSelector: namespaceSelector(scope), objectSelector: {} },
});

const namespaceSelector = (scope: Scope) => {
  if (scope === "cluster") return {};
  if (scope === "teams") return { matchExpressions: [{ key: TEAM_LABEL, operator: "Exists" }] };
  if (scope === "factory")
    return {
      matchExpressions: [{ key: "kubernetes.io/metadata.name", operator: "In", values: [...FACTORY_NAMESPACES] }],
    };
  return { matchLabels: { "kubernetes.io/metadata.name": scope.namespace } };
};

/** The objects that {@link enforce} makes of a rule. */
export const enforcedObjects = (rule: AdmissionRule): RuleObject[] => {
  const object = { apiVersion: "admissionregistration.k8s.io/v1", metadata: { name: rule.name } };
  return [
    { ...object, kind: "ValidatingAdmissionPolicy", spec: policySpec(rule) },
    { ...object, kind: "ValidatingAdmissionPolicyBinding", spec: bindingSpec(rule) },
  ];
};

/** Makes a rule hold, after what it comes after, and returns what makes it hold. */
export const enforce = (
  name: string,
  rule: AdmissionRule,
  parent: pulumi.Resource,
  dependsOn: pulumi.Resource[] = [],
): k8s.admissionregistration.v1.ValidatingAdmissionPolicyBinding => {
  const child = { parent, customTimeouts: timeouts.plain };
  const metadata = { name: rule.name, labels: standardLabels("admission") };
  const policy = new k8s.admissionregistration.v1.ValidatingAdmissionPolicy(
    `${name}-policy`,
    { metadata, spec: policySpec(rule) },
    { ...child, dependsOn },
  );
  return new k8s.admissionregistration.v1.ValidatingAdmissionPolicyBinding(
    `${name}-binding`,
    { metadata, spec: bindingSpec(rule) },
    { ...child, dependsOn: [policy] },
  );
};

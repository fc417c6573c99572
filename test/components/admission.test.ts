import { Admission } from "../../components/admission";
import { bindingSpec, policySpec } from "../../components/lib/admission-policy";
import { CHAINS_WORKLOAD } from "../../components/chains";
import { SIGNING_HEALER } from "../../components/signing-healer";
import { TRIGGERS_NAMESPACE } from "../../components/triggers";
import { type AdmissionRule, triggerOf, users } from "../../policies/admission";
import { inputAt, render, type Rendering } from "../support/render";

const args = {
  unjailedServiceAccounts: ["publish"],
  images: {
    components: ["component@sha256:1"],
    stages: ["stage@sha256:2"],
    identityUsers: [{ namespace: "signing", serviceAccount: "signer", images: ["component@sha256:1"] }],
  },
  stackUsers: ["builder"],
  stackGroups: ["builders"],
};

const rule: AdmissionRule = {
  name: "ssf-sample",
  protects: "A sample.",
  scope: "teams",
  matches: [{ apiGroup: "example.test", resources: ["samples"], operations: ["CREATE"] }],
  variables: [{ name: "size", expression: "object.spec.size" }],
  validations: [
    {
      code: "SSF-ADMISSION-999",
      path: "spec.size",
      admits: "variables.size < 3",
      given: "string(variables.size)",
      rule: "It is small.",
      fix: "Take less.",
    },
  ],
};

describe("a rule as the API server takes it", () => {
  test("fails closed, at every version, with a message in one line and one for when that fails", () => {
    expect(policySpec(rule)).toEqual({
      failurePolicy: "Fail",
      matchConstraints: {
        matchPolicy: "Equivalent",
        namespaceSelector: {},
        objectSelector: {},
        resourceRules: [
          {
            apiGroups: ["example.test"],
            apiVersions: ["*"],
            operations: ["CREATE"],
            resources: ["samples"],
            scope: "*",
          },
        ],
      },
      variables: [{ name: "size", expression: "object.spec.size" }],
      validations: [
        {
          expression: "variables.size < 3",
          message: "SSF-ADMISSION-999 spec.size; rule: It is small. fix: Take less.",
          messageExpression:
            '"SSF-ADMISSION-999 spec.size: " + (string(variables.size)) + "; rule: It is small. fix: Take less."',
          reason: "Forbidden",
        },
      ],
    });
    expect(policySpec({ ...rule, variables: [] })).not.toHaveProperty("variables");
  });

  test.each([
    ["teams" as const, { matchExpressions: [{ key: "secure-software-factory.dev/team", operator: "Exists" }] }],
    ["cluster" as const, {}],
    [{ namespace: "team-a" }, { matchLabels: { "kubernetes.io/metadata.name": "team-a" } }],
  ])("holds in its scope: %j", (scope, namespaceSelector) => {
    expect(bindingSpec({ ...rule, scope })).toEqual({
      policyName: "ssf-sample",
      validationActions: ["Deny", "Audit"],
      matchResources: { matchPolicy: "Equivalent", namespaceSelector, objectSelector: {} },
    });
  });
});

describe("Admission", () => {
  let rendering: Rendering;
  beforeAll(async () => {
    rendering = await render(
      () => new Admission("admission", { ...args, jailedRuntimeClass: "closed", networkedRuntimeClass: "open" }),
    );
  });

  test("makes a policy and a binding for each rule, and nothing else", () => {
    const names = [
      "account-tokens",
      "child-runs",
      "definitions",
      "factory-images",
      "healed-runs",
      "identity-users",
      "network-jail",
      "network-policies",
      "pod-access",
      "pod-form",
      "pod-images",
      "pod-status",
      "registrations",
      "reserved-metadata",
      "resolution-requests",
      "run-reference",
      "run-status",
      "run-trigger",
      "runtime-classes",
      "step-actions",
      "team-namespaces",
    ];
    expect(rendering.childrenOf("admission")).toEqual(
      [
        ...names.map((name) => `admissionregistration.k8s.io/v1:ValidatingAdmissionPolicy admission-${name}-policy`),
        ...names.map(
          (name) => `admissionregistration.k8s.io/v1:ValidatingAdmissionPolicyBinding admission-${name}-binding`,
        ),
      ].sort(),
    );
  });

  test.each([
    ["network-jail", '"closed" || variables.account in ["publish"]'],
    ["definitions", 'request.userInfo.username in ["builder"]'],
    ["definitions", 'group in ["builders"]'],
    ["runtime-classes", '["closed","open"]'],
  ])("tells rule %s: %s", (name, part) => {
    expect(inputAt(rendering.get(`admission-${name}-policy`), "spec.validations.0.expression")).toContain(part);
  });
});

test("a team's trigger is known by the account that components/triggers gives it", () => {
  expect(triggerOf("a")).toBe(`system:serviceaccount:${TRIGGERS_NAMESPACE}:a`);
});

test("the healer of signatures is known by the account that components/signing-healer gives it", () => {
  expect(users.healer).toBe(`system:serviceaccount:${CHAINS_WORKLOAD.namespace}:${SIGNING_HEALER}`);
});

import { enforcedObjects } from "../../components/lib/admission-policy";
import { type AdmissionRule, factoryRules, ruleDigest, type RuleObject } from "../../policies/admission";
import { gateConstraints, gateTemplates, PROVIDER_OBJECT, providerSpec } from "../../policies/admission/gate";
import type { Kubectl } from "../../tools/cli/kubectl";
import { CONSTRAINT_RESOURCES } from "../../policies/admission/gate";
import { checkRules, readRules, ruleFiles } from "../../tools/cli/self-policy";
import { sha256 } from "../../components/lib/digest";

const rules = factoryRules({
  runtimeClasses: { jailed: "jailed", networked: "networked" },
  unjailedServiceAccounts: ["publish"],
  images: { components: ["component@sha256:1"], stages: ["stage@sha256:2"], identityUsers: [] },
  stack: { users: ["builder"], groups: [] },
});
const teamRule: AdmissionRule = { ...(rules[0] as AdmissionRule), name: "ssf-runs-team-a" };
const written: RuleObject[] = [
  ...rules.flatMap(enforcedObjects),
  ...gateTemplates,
  ...gateConstraints,
  { ...PROVIDER_OBJECT, spec: providerSpec("https://verifier.test/verify", "CA") },
];
const signed = written.map(ruleDigest);
const teams = enforcedObjects(teamRule).map(ruleDigest);

const reversed = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([name, inner]) => [name, reversed(inner)]),
  );
};

/** An object as the API server may give it: with fields of its own, in another order. */
const served = (object: RuleObject): RuleObject => ({
  ...(reversed(object) as RuleObject),
  metadata: { ...object.metadata, ...{ generation: 3, uid: "u", labels: { a: "b" } } },
  ...{ status: { observedGeneration: 3 } },
});
const live = [...written, ...enforcedObjects(teamRule)].map(served);

const faultsOf = (rulesOfCluster: RuleObject[]) => {
  const { held, detail } = checkRules(rulesOfCluster, signed, teams);
  return held ? [] : detail.split("; ");
};
/** The cluster's rules with the specification of one changed. */
const changed = (path: string, change: (spec: Record<string, unknown>) => object) =>
  live.map((object) =>
    ruleDigest(object).path === path ? { ...object, spec: change(object.spec as Record<string, unknown>) } : object,
  );

test("the rules that were written and signed hold, however the API server orders them", () => {
  expect(checkRules(live, signed, teams)).toMatchObject({
    code: "SSF-SELF-017",
    held: true,
    detail: `${signed.length} objects, and 2 of teams' stacks`,
  });
  const spelledOut = changed("ValidatingAdmissionPolicy/ssf-pod-images", (spec) => ({
    ...spec,
    matchConditions: [],
    auditAnnotations: null,
  }));
  expect(faultsOf(spelledOut)).toEqual([]);
});

const policy = "ValidatingAdmissionPolicy/ssf-pod-images";
const constraint = "ImageProvenance/ssf-image-provenance";

test.each<[string, string, (spec: Record<string, unknown>) => object]>([
  [
    "a condition that is always true",
    policy,
    ({ validations, ...spec }) => ({
      ...spec,
      validations: (validations as object[]).map((one) => ({ ...one, expression: "true" })),
    }),
  ],
  ["a condition under which it looks", policy, (spec) => ({ ...spec, matchConditions: [{ expression: "false" }] })],
  ["another failure policy", policy, (spec) => ({ ...spec, failurePolicy: "Ignore" })],
  [
    "a binding that only reports",
    "ValidatingAdmissionPolicyBinding/ssf-pod-images",
    (spec) => ({ ...spec, validationActions: ["Audit"] }),
  ],
  [
    "a template with another program",
    "ConstraintTemplate/imageprovenance",
    (spec) => ({ ...spec, targets: [{ target: "admission.k8s.gatekeeper.sh", code: [] }] }),
  ],
  [
    "a namespace that is left out",
    constraint,
    ({ match, ...spec }) => ({ ...spec, match: { ...(match as object), excludedNamespaces: ["shop"] } }),
  ],
  ["another verifier", "Provider/image-provenance", (spec) => ({ ...spec, url: "https://yes.test/verify" })],
])("a rule with %s is named", (_, path, change) => {
  expect(faultsOf(changed(path, change))).toEqual([`${path}: not the one that is signed`]);
});

test("a team's rule that differs from its stack's is named", () => {
  const path = "ValidatingAdmissionPolicy/ssf-runs-team-a";
  expect(faultsOf(changed(path, (spec) => ({ ...spec, validations: [] })))).toEqual([
    `${path}: not the one that its team's stack made`,
  ]);
});

test("a rule that is missing, and one that nobody signed, are named", () => {
  const path = "ValidatingAdmissionPolicyBinding/ssf-pod-images";
  const without = live.filter((object) => ruleDigest(object).path !== path);
  expect(faultsOf(without)).toEqual([`${path}: not there`]);
  const extra = { ...(written[0] as RuleObject), metadata: { name: "ssf-extra" } };
  expect(faultsOf([...live, extra])).toEqual(["ValidatingAdmissionPolicy/ssf-extra: nobody signed it"]);
});

test("where no rule is signed, none holds", () => {
  expect(checkRules([], [], [])).toMatchObject({ held: false, detail: "no rule is signed" });
});

test("a team's stack cannot speak for a rule of the factory", () => {
  const loose = changed(policy, (spec) => ({ ...spec, validations: [] }));
  const spoken = loose.filter((object) => ruleDigest(object).path === policy).map(ruleDigest);
  expect(checkRules(loose, signed, [...teams, ...spoken]).detail).toBe(`${policy}: not the one that is signed`);
});

test("rules are read by the factory's label, and written as the files whose digests are signed", async () => {
  const asked: string[] = [];
  const kubectl: Kubectl = {
    text: () => Promise.reject(new Error("not asked for")),
    json: ([, resource = "", selector]) => {
      asked.push(`${resource} ${selector ?? ""}`);
      const policies = "validatingadmissionpolicies.admissionregistration.k8s.io";
      const kinds = { [policies]: "ValidatingAdmissionPolicy", [CONSTRAINT_RESOURCES]: "ImageProvenance" };
      const kind = kinds[resource];
      return Promise.resolve({ items: live.filter((object) => object.kind === kind) });
    },
    portForward: () => Promise.reject(new Error("not asked for")),
  };
  const read = await readRules(kubectl);
  expect(asked).toHaveLength(5);
  expect(asked.every((one) => one.endsWith(" --selector=app.kubernetes.io/part-of=secure-software-factory"))).toBe(
    true,
  );
  const files = ruleFiles(read, teams);
  expect(Object.keys(files)).toHaveLength(rules.length + 1);
  for (const [path, content] of Object.entries(files)) expect(signed).toContainEqual({ path, sha256: sha256(content) });
});

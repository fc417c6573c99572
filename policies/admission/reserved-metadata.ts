import { isOneOf, isUser, userName, users, type Identities } from "./identities";
import { text, type AdmissionRule, type Cel, type Validation } from "./rule";

const isReserved = `key.matches(${text("^([a-z0-9-]+[.])*tekton[.]dev/")}) && !key.startsWith("triggers.tekton.dev/")`;
const isOfChains = `key.startsWith("chains.tekton.dev/")`;

const mayWrite: Cel = `((variables.byTekton && (oldObject != null || !${isOfChains})) || (variables.byChains && ${isOfChains}))`;
const mayRemove: Cel = `(variables.byTekton || (${isOfChains} && (variables.byChains || variables.byHealer || variables.byStack)))`;

const validation = (field: "labels" | "annotations", code: Validation["code"]): Validation => {
  const [now, before] = [`variables.${field}`, `variables.${field}Before`];
  const forged = `${now}.exists(key, ${isReserved} && !(key in ${before} && ${before}[key] == ${now}[key]) && !${mayWrite})`;
  const removed = `${before}.exists(key, ${isReserved} && !(key in ${now}) && !${mayRemove})`;
  return {
    code,
    path: `metadata.${field}`,
    admits: `!${forged} && !${removed}`,
    given: `${now}.filter(key, ${isReserved}).join(", ") + " by '" + request.userInfo.username + "'"`,
    rule: `Only Tekton and Chains write ${field} of tekton.dev, each its own.`,
    fix: `Leave ${field} that end in tekton.dev/... out; Tekton sets those that it needs.`,
  };
};

/** Annotation by which a run that Chains overlooked is changed, so that Chains looks at it. */
export const SIGNING_REQUESTED = "secure-software-factory.dev/signing-requested";

const others = (field: string): Cel => `${field}.filter(key, !${isOfChains} && key != ${text(SIGNING_REQUESTED)})`;

/** What gives runs back to Chains may not use its rights for anything else. */
export const healedRuns: AdmissionRule = {
  name: "ssf-healed-runs",
  protects: "What gives a run back to Chains changes nothing else of it.",
  scope: "teams",
  matches: [{ apiGroup: "tekton.dev", resources: ["pipelineruns"], operations: ["CREATE", "UPDATE"] }],
  variables: [
    { name: "byHealer", expression: isUser(users.healer) },
    { name: "now", expression: "object.metadata.?annotations.orValue({})" },
    { name: "before", expression: "oldObject == null ? {} : oldObject.metadata.?annotations.orValue({})" },
    { name: "kept", expression: others("variables.before") },
  ],
  validations: [
    {
      code: "SSF-ADMISSION-022",
      path: "metadata, spec",
      admits: [
        "!variables.byHealer",
        `(${[
          "oldObject != null",
          "dyn(object.spec) == dyn(oldObject.spec)",
          "object.metadata.?labels.orValue({}) == oldObject.metadata.?labels.orValue({})",
          "object.metadata.?finalizers.orValue([]) == oldObject.metadata.?finalizers.orValue([])",
          "object.metadata.?ownerReferences.orValue([]) == oldObject.metadata.?ownerReferences.orValue([])",
          `size(${others("variables.now")}) == size(variables.kept)`,
          "variables.kept.all(key, key in variables.now && variables.now[key] == variables.before[key])",
          `variables.now.all(key, !${isOfChains} || (key in variables.before && variables.now[key] == variables.before[key]))`,
        ].join(" && ")})`,
      ].join(" || "),
      given: userName,
      rule: "The healer of signatures removes annotations of Chains, asks for a signature, and changes nothing else.",
      fix: "Change the run as somebody who may.",
    },
  ],
};

/** Marks by which Tekton and Chains know what they have done are theirs alone. */
export const reservedMetadata = (stack: Identities): AdmissionRule => ({
  name: "ssf-reserved-metadata",
  protects: "What has been signed, and which stage a pod is, is said by Tekton and Chains only.",
  scope: "teams",
  matches: [
    { apiGroup: "", apiVersions: ["v1"], resources: ["pods"], operations: ["CREATE", "UPDATE"] },
    {
      apiGroup: "tekton.dev",
      resources: ["pipelineruns", "taskruns", "customruns"],
      operations: ["CREATE", "UPDATE"],
    },
  ],
  variables: [
    { name: "byTekton", expression: isUser(users.tekton) },
    { name: "byChains", expression: isUser(users.chains) },
    { name: "byHealer", expression: isUser(users.healer) },
    { name: "byStack", expression: isOneOf(stack) },
    ...(["labels", "annotations"] as const).flatMap((field) => [
      { name: field, expression: `object.metadata.?${field}.orValue({})` },
      { name: `${field}Before`, expression: `oldObject == null ? {} : oldObject.metadata.?${field}.orValue({})` },
    ]),
  ],
  validations: [validation("labels", "SSF-ADMISSION-020"), validation("annotations", "SSF-ADMISSION-021")],
});

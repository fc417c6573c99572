import { isOneOf, isUser, users, type Identities } from "./identities";
import { text, type AdmissionRule, type Cel, type Validation } from "./rule";

const isReserved = `key.matches(${text("^([a-z0-9-]+[.])*tekton[.]dev/")}) && !key.startsWith("triggers.tekton.dev/")`;
const isOfChains = `key.startsWith("chains.tekton.dev/")`;

const mayWrite: Cel = `((variables.byTekton && (oldObject != null || !${isOfChains})) || (variables.byChains && ${isOfChains}))`;
const mayRemove: Cel = `(variables.byTekton || (${isOfChains} && (variables.byChains || variables.byStack)))`;

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
    { name: "byStack", expression: isOneOf(stack) },
    ...(["labels", "annotations"] as const).flatMap((field) => [
      { name: field, expression: `object.metadata.?${field}.orValue({})` },
      { name: `${field}Before`, expression: `oldObject == null ? {} : oldObject.metadata.?${field}.orValue({})` },
    ]),
  ],
  validations: [validation("labels", "SSF-ADMISSION-020"), validation("annotations", "SSF-ADMISSION-021")],
});

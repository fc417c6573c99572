import { isOneOf, removal, userName, type Identities } from "./identities";
import { type AdmissionRule } from "./rule";

/**
 * Nobody enters a pod of a team, the administrator included: what a build does is what its definition says.
 * To enter one all the same, remove the rule's binding for that long; the audit log shows that it was gone.
 */
export const podAccess: AdmissionRule = {
  name: "ssf-pod-access",
  protects: "A running stage is not changed from outside.",
  scope: "teams",
  matches: [
    {
      apiGroup: "",
      apiVersions: ["v1"],
      resources: ["pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy"],
      operations: ["CONNECT"],
    },
    {
      apiGroup: "",
      apiVersions: ["v1"],
      resources: ["pods/ephemeralcontainers", "pods/resize"],
      operations: ["UPDATE"],
    },
  ],
  variables: [],
  validations: [
    {
      code: "SSF-ADMISSION-040",
      path: "pods",
      admits: "false",
      given: `"'" + request.subResource + "' of '" + request.name + "' asked for by '" + request.userInfo.username + "'"`,
      rule: "Nobody enters, attaches to, forwards from or changes a pod of a team.",
      fix: "Read its log instead; to look into a stage, run its image outside the team's namespace.",
    },
  ],
};

/** An account of a stage is what its pod runs as, and never what a person logs in with. */
export const accountTokens: AdmissionRule = {
  name: "ssf-account-tokens",
  protects: "Nobody acts as a stage.",
  scope: "teams",
  matches: [{ apiGroup: "", apiVersions: ["v1"], resources: ["serviceaccounts/token"], operations: ["CREATE"] }],
  variables: [],
  validations: [
    {
      code: "SSF-ADMISSION-041",
      path: "serviceaccounts/token",
      admits: "false",
      given: `"'" + request.name + "' asked for by '" + request.userInfo.username + "'"`,
      rule: "Accounts of a team have no tokens.",
      fix: "Use an account of another namespace.",
    },
  ],
};

/** RuntimeClasses say whether a pod has a network. */
export const runtimeClasses = (stack: Identities, names: readonly string[]): AdmissionRule => ({
  name: "ssf-runtime-classes",
  protects: "The jail is what its name says.",
  scope: "cluster",
  matches: [{ apiGroup: "node.k8s.io", resources: ["runtimeclasses"], operations: ["CREATE", "UPDATE", "DELETE"] }],
  variables: [{ name: "name", expression: "object == null ? oldObject.metadata.name : object.metadata.name" }],
  validations: [
    {
      code: "SSF-ADMISSION-061",
      path: "metadata.name",
      admits: `!(variables.name in ${JSON.stringify(names)}) || ${isOneOf(stack)} || ${removal}`,
      given: `"'" + variables.name + "' by " + ${userName}`,
      rule: "Only who brings up the stacks changes the runtime classes of the factory.",
      fix: "Change the stack of kind cluster, or name the identity in stackUsers or stackGroups.",
    },
  ],
});

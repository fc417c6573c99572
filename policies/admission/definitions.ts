import { TEAM_LABEL } from "../../components/lib/labels";
import { isOneOf, isUser, removal, userName, users, type Identities } from "./identities";
import { text, type AdmissionRule } from "./rule";

/** Before a run, Tekton has the API server validate what was resolved, under another name and without storing it. */
const trial = `request.operation == "CREATE" && request.?dryRun.orValue(false) && ${isUser(users.tekton)}`;

/** What runs in a team's namespace comes from its stack. */
export const definitions = (stack: Identities): AdmissionRule => ({
  name: "ssf-definitions",
  protects: "Definitions, and the policy that verifies them, are those of the stack.",
  scope: "teams",
  matches: [
    {
      apiGroup: "tekton.dev",
      resources: ["tasks", "pipelines", "verificationpolicies"],
      operations: ["CREATE", "UPDATE", "DELETE"],
    },
  ],
  variables: [],
  validations: [
    {
      code: "SSF-ADMISSION-050",
      path: "metadata",
      admits: `${isOneOf(stack)} || ${removal} || (${trial})`,
      given: userName,
      rule: "Only who brings up the stacks changes definitions.",
      fix: "Change the team's stack, or name the identity in stackUsers or stackGroups.",
    },
  ],
});

/** Without its policies a namespace reaches everything. */
export const networkPolicies = (stack: Identities): AdmissionRule => ({
  name: "ssf-network-policies",
  protects: "A stage with a network reaches what its class lists.",
  scope: "teams",
  matches: [
    {
      apiGroup: "networking.k8s.io",
      resources: ["networkpolicies"],
      operations: ["CREATE", "UPDATE", "DELETE"],
    },
    {
      apiGroup: "cilium.io",
      resources: ["ciliumnetworkpolicies"],
      operations: ["CREATE", "UPDATE", "DELETE"],
    },
  ],
  variables: [],
  validations: [
    {
      code: "SSF-ADMISSION-053",
      path: "metadata",
      admits: `${isOneOf(stack)} || ${removal}`,
      given: userName,
      rule: "Only who brings up the stacks changes the network policies of a team.",
      fix: "Change the team's stack, or name the identity in stackUsers or stackGroups.",
    },
  ],
});

/** Tekton does not verify step actions, so there are none. */
export const stepActions: AdmissionRule = {
  name: "ssf-step-actions",
  protects: "No step comes from a definition that nobody verifies.",
  scope: "teams",
  matches: [{ apiGroup: "tekton.dev", resources: ["stepactions"], operations: ["CREATE", "UPDATE"] }],
  variables: [],
  validations: [
    {
      code: "SSF-ADMISSION-051",
      path: "metadata",
      admits: "false",
      given: userName,
      rule: "A team has no step actions.",
      fix: "Write the step into the stage's own definition.",
    },
  ],
};

/** What a resolver answers is what runs. */
export const resolutionRequests: AdmissionRule = {
  name: "ssf-resolution-requests",
  protects: "Questions to the resolvers come from Tekton, answers from the resolvers.",
  scope: "teams",
  matches: [
    {
      apiGroup: "resolution.tekton.dev",
      resources: ["resolutionrequests", "resolutionrequests/status"],
      operations: ["CREATE", "UPDATE"],
    },
  ],
  variables: [],
  validations: [
    {
      code: "SSF-ADMISSION-052",
      path: "metadata",
      admits: isUser(users.tekton, users.resolvers, users.garbageCollector),
      given: userName,
      rule: "Only Tekton asks its resolvers, and only they answer.",
      fix: "Start a run of the team's pipeline.",
    },
  ],
};

/** The label on a team's namespace is what puts it under these rules. */
export const teamNamespaces = (stack: Identities): AdmissionRule => ({
  name: "ssf-team-namespaces",
  protects: "A team's namespace stays one, with the Pod Security that it has.",
  scope: "cluster",
  matches: [
    {
      apiGroup: "",
      apiVersions: ["v1"],
      resources: ["namespaces", "namespaces/status", "namespaces/finalize"],
      operations: ["CREATE", "UPDATE", "DELETE"],
    },
  ],
  variables: [
    { name: "labels", expression: "object == null ? {} : object.metadata.?labels.orValue({})" },
    { name: "before", expression: "oldObject == null ? {} : oldObject.metadata.?labels.orValue({})" },
  ],
  validations: [
    {
      code: "SSF-ADMISSION-060",
      path: "metadata.labels",
      admits: [
        `!(${text(TEAM_LABEL)} in variables.labels || ${text(TEAM_LABEL)} in variables.before)`,
        isOneOf(stack),
        `(request.operation == "UPDATE" && variables.labels == variables.before)`,
      ].join(" || "),
      given: `request.operation + " of '" + request.name + "' by '" + request.userInfo.username + "'"`,
      rule: "Only who brings up the stacks makes, removes or relabels the namespace of a team.",
      fix: "Change the team's stack, or name the identity in stackUsers or stackGroups.",
    },
  ],
});

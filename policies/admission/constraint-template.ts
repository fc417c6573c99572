import { TEAM_LABEL } from "../../components/lib/labels";
import { FACTORY_NAMESPACES } from "./factory-images";
import { celTemplate, type GateObject, type GateTemplate } from "./gate/template";
import { type AdmissionRule, messageOf, type ResourceMatch, type Scope } from "./rule";

/** Kinds of the resources that rules look at, by plural name. */
const KINDS: Readonly<Record<string, string>> = {
  ciliumnetworkpolicies: "CiliumNetworkPolicy",
  clusterfederatedtrustdomains: "ClusterFederatedTrustDomain",
  clusterspiffeids: "ClusterSPIFFEID",
  clusterstaticentries: "ClusterStaticEntry",
  customruns: "CustomRun",
  namespaces: "Namespace",
  networkpolicies: "NetworkPolicy",
  pipelineruns: "PipelineRun",
  pipelines: "Pipeline",
  pods: "Pod",
  resolutionrequests: "ResolutionRequest",
  runtimeclasses: "RuntimeClass",
  stepactions: "StepAction",
  taskruns: "TaskRun",
  tasks: "Task",
  verificationpolicies: "VerificationPolicy",
};

const isCreated = ({ operations }: ResourceMatch): boolean => operations.includes("CREATE");

/** Resources of a match that are objects of their own; a part of one, such as `pods/status`, has no kind. */
const wholeObjects = ({ resources }: ResourceMatch): string[] => resources.filter((name) => !name.includes("/"));

const kindsOf = (match: ResourceMatch): string[] =>
  wholeObjects(match).map((resource) => {
    const kind = KINDS[resource];
    if (kind === undefined) throw new Error(`${resource} has no kind in policies/admission/constraint-template.ts`);
    return kind;
  });

const createdKinds = ({ matches }: AdmissionRule) =>
  matches
    .filter(isCreated)
    .map((match) => ({ apiGroups: [match.apiGroup], kinds: kindsOf(match) }))
    .filter(({ kinds }) => kinds.length > 0);

/** Kind of the constraint that puts a rule into force, such as `SsfPodForm`. */
const constraintKind = ({ name }: AdmissionRule): string =>
  name
    .split("-")
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join("");

/** Whether a rule says something about whole objects that are made; the others only the API server itself can ask. */
export const isAboutCreation = (rule: AdmissionRule): boolean => createdKinds(rule).length > 0;

/** A rule as Gatekeeper takes it: the same conditions, under the kind that its constraint has. */
export const ruleTemplate = (rule: AdmissionRule): GateTemplate =>
  celTemplate({
    kind: constraintKind(rule),
    protects: rule.protects,
    variables: rule.variables,
    validations: rule.validations.map((validation) => ({
      admits: validation.admits,
      message: messageOf(validation),
    })),
  });

/** A rule in force where its scope says, over the objects that it looks at when they are made. */
export const ruleConstraint = (rule: AdmissionRule): GateObject => ({
  apiVersion: "constraints.gatekeeper.sh/v1beta1",
  kind: constraintKind(rule),
  metadata: { name: rule.name },
  spec: { enforcementAction: "deny", match: { kinds: createdKinds(rule), ...namespacesOf(rule.scope) } },
});

const namespacesOf = (scope: Scope) => {
  if (scope === "cluster") return {};
  if (scope === "teams") return { namespaceSelector: { matchExpressions: [{ key: TEAM_LABEL, operator: "Exists" }] } };
  return { namespaces: scope === "factory" ? [...FACTORY_NAMESPACES] : [scope.namespace] };
};

import { TRIGGER_LABEL } from "../../components/lib/labels";
import { isTrigger, isUser, userName, users } from "./identities";
import { specOf, text, texts, type AdmissionRule } from "./rule";

/** What holds for the runs of every team, whatever its pipelines; the team's own rule says the rest. */
export const runReference: AdmissionRule = {
  name: "ssf-run-reference",
  protects: "Only definitions of the team's own namespace run, fetched by the resolver whose answers are verified.",
  scope: "teams",
  matches: [{ apiGroup: "tekton.dev", resources: ["pipelineruns"], operations: ["CREATE"] }],
  variables: [
    { name: "spec", expression: specOf("object") },
    { name: "reference", expression: `"pipelineRef" in variables.spec ? variables.spec.pipelineRef : dyn({})` },
    { name: "parameters", expression: `"params" in variables.reference ? variables.reference.params : dyn([])` },
  ],
  validations: [
    {
      code: "SSF-ADMISSION-030",
      path: "spec",
      admits: `!("pipelineSpec" in variables.spec) && "pipelineRef" in variables.spec`,
      given: `"pipelineSpec" in variables.spec ? "a pipeline within the run" : "no pipelineRef"`,
      rule: "A run names its pipeline and does not bring its own.",
      fix: "Set pipelineRef to a pipeline of the team.",
    },
    {
      code: "SSF-ADMISSION-031",
      path: "spec.pipelineRef",
      admits: [
        `variables.reference.all(key, key in ${texts(["resolver", "params"])})`,
        `"resolver" in variables.reference && variables.reference.resolver == "cluster"`,
        "size(variables.parameters) == 3",
        `variables.parameters.exists(p, p.name == "kind" && p.value == "pipeline")`,
        `variables.parameters.exists(p, p.name == "namespace" && p.value == request.namespace)`,
        `variables.parameters.exists(p, p.name == "name")`,
      ].join(" && "),
      given: `"resolver" in variables.reference ? string(variables.reference.resolver) + " " + variables.parameters.map(p, string(p.name) + "=" + string(p.value)).join(", ") : "by plain name"`,
      rule: "A pipeline is fetched by the resolver cluster from the namespace of the run, for only then its signature is checked.",
      fix: "Set resolver to cluster and params to kind (pipeline), name and namespace (that of the run).",
    },
  ],
};

/** What starts runs by itself. */
export const TRIGGERS = ["push", "schedule"];

/** Provenance records what started a run. */
export const runTrigger: AdmissionRule = {
  name: "ssf-run-trigger",
  protects: "Only a team's trigger says that a push or a schedule started a run, and it says nothing else.",
  scope: "teams",
  matches: [{ apiGroup: "tekton.dev", resources: ["pipelineruns"], operations: ["CREATE"] }],
  variables: [
    { name: "byTrigger", expression: isTrigger },
    { name: "spec", expression: specOf("object") },
    { name: "parameters", expression: `"params" in variables.spec ? variables.spec.params : dyn([])` },
    { name: "label", expression: `object.metadata.?labels[?${text(TRIGGER_LABEL)}].orValue("manual")` },
    {
      name: "said",
      expression: `variables.parameters.filter(p, p.name in ["trigger", "event"]).map(p, string(p.name) + "=" + string(p.value)).join(", ")`,
    },
  ],
  validations: [
    {
      code: "SSF-TRIGGER-002",
      path: "spec.params.trigger",
      admits: `!variables.byTrigger || variables.parameters.exists_one(p, p.name == "trigger" && p.value in ${texts(TRIGGERS)})`,
      given: `"'" + variables.said + "'"`,
      rule: `A run that an event starts says by which: ${TRIGGERS.join(" or ")}.`,
      fix: "Take the parameter from the event.",
    },
    {
      code: "SSF-TRIGGER-003",
      path: "spec.params, metadata.labels",
      admits: `variables.byTrigger || (variables.label == "manual" && variables.parameters.all(p, (p.name != "trigger" || p.value == "manual") && (p.name != "event" || p.value == "none")))`,
      given: `"'" + variables.said + "', label '" + variables.label + "' by " + ${userName}`,
      rule: "Only the team's event listener says that a push or a schedule started a run.",
      fix: "Leave out the parameters trigger and event, and the label.",
    },
  ],
};

/** Runs of single stages come from the run of a pipeline. */
export const childRuns: AdmissionRule = {
  name: "ssf-child-runs",
  protects: "No stage runs by itself or outside its pipeline.",
  scope: "teams",
  matches: [{ apiGroup: "tekton.dev", resources: ["taskruns", "customruns"], operations: ["CREATE", "UPDATE"] }],
  variables: [
    { name: "byTekton", expression: isUser(users.tekton) },
    { name: "spec", expression: specOf("object") },
    { name: "reference", expression: `"taskRef" in variables.spec ? variables.spec.taskRef : dyn({})` },
    { name: "parameters", expression: `"params" in variables.reference ? variables.reference.params : dyn([])` },
  ],
  validations: [
    {
      code: "SSF-ADMISSION-032",
      path: "metadata",
      admits: "oldObject != null || variables.byTekton",
      given: userName,
      rule: "Only Tekton's controller creates TaskRuns and CustomRuns.",
      fix: "Start a run of the team's pipeline.",
    },
    {
      code: "SSF-ADMISSION-033",
      path: "spec.taskRef",
      admits: [
        `oldObject != null`,
        `request.resource.resource != "taskruns"`,
        `(!("taskSpec" in variables.spec) && "resolver" in variables.reference && variables.reference.resolver == "cluster" && size(variables.parameters) == 3 && variables.parameters.exists(p, p.name == "kind" && p.value == "task") && variables.parameters.exists(p, p.name == "namespace" && p.value == request.namespace) && variables.parameters.exists(p, p.name == "name"))`,
      ].join(" || "),
      given: `"resolver" in variables.reference ? string(variables.reference.resolver) : "a task within the run, or by plain name"`,
      rule: "A task is fetched by the resolver cluster from the namespace of the run, for only then its signature is checked.",
      fix: "Let the pipeline refer to its tasks by the resolver cluster, in the team's own namespace.",
    },
    {
      code: "SSF-ADMISSION-034",
      path: "spec",
      admits: `oldObject == null || variables.byTekton || variables.spec == (${specOf("oldObject")})`,
      given: userName,
      rule: "Only Tekton's controller changes the run of a stage.",
      fix: "Cancel the run of the pipeline instead.",
    },
  ],
};

/** Results are read from the status, and Chains signs them. */
export const runStatus: AdmissionRule = {
  name: "ssf-run-status",
  protects: "Chains signs the results that Tekton has seen.",
  scope: "teams",
  matches: [
    {
      apiGroup: "tekton.dev",
      resources: ["pipelineruns/status", "taskruns/status", "customruns/status"],
      operations: ["UPDATE"],
    },
  ],
  variables: [],
  validations: [
    {
      code: "SSF-ADMISSION-035",
      path: "status",
      admits: isUser(users.tekton),
      given: userName,
      rule: "Only Tekton's controller writes the status of runs.",
      fix: "Leave it to the controller.",
    },
  ],
};

/** A step's results reach Tekton through the status of its pod. */
export const podStatus: AdmissionRule = {
  name: "ssf-pod-status",
  protects: "What a step has left behind is reported by the node that ran it.",
  scope: "teams",
  matches: [{ apiGroup: "", apiVersions: ["v1"], resources: ["pods/status"], operations: ["UPDATE"] }],
  variables: [],
  validations: [
    {
      code: "SSF-ADMISSION-036",
      path: "status",
      admits: [
        `request.userInfo.?groups.orValue([]).exists(group, group == "system:nodes")`,
        isUser("system:kube-scheduler", "system:kube-controller-manager"),
        `request.userInfo.username.startsWith("system:serviceaccount:kube-system:")`,
      ].join(" || "),
      given: userName,
      rule: "Only nodes and Kubernetes' own controllers write the status of pods.",
      fix: "Leave it to them.",
    },
  ],
};

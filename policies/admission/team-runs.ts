import { TRIGGER_LABEL } from "../../components/lib/labels";
import type { RunParam } from "../../pipelines/model";
import type { PipelineRun, Placement } from "../../pipelines/tekton";
import { isUser, triggerOf, UNASSIGNED_ACCOUNT, users } from "./identities";
import { SIGNING_REQUESTED } from "./reserved-metadata";
import { TRIGGERS } from "./runs";
import { literal, specOf, text, texts, type AdmissionRule, type Cel, type Validation } from "./rule";

/** A pipeline of a team, as far as its runs are concerned. */
export interface RunnablePipeline {
  /** Name of the Pipeline. */
  name: string;
  /** A run of it without parameters. */
  runTemplate: PipelineRun;
  /** What a run gives. */
  params: readonly RunParam[];
}

/** Labels that Tekton Triggers puts on the runs that it starts. */
const TRIGGER_LABELS = ["eventlistener", "trigger", "triggers-eventid"].map((name) => `triggers.tekton.dev/${name}`);

const CANCELLATIONS = ["Cancelled", "CancelledRunFinally", "StoppedRunFinally"];

const FIELDS = ["pipelineRef", "params", "timeouts", "taskRunTemplate", "taskRunSpecs", "workspaces", "status"];

/** What `kubectl apply` notes on every object; Tekton does not hand it on. */
const LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";

const TAKE_TEMPLATE = "Take the field from the run template, which is an output of the team's stack.";

/** Only the making of a run is compared with the template, so that runs of an older template can still be finished. */
const whenMade = (condition: Cel): Cel => `!variables.made || !variables.known || (${condition})`;

/**
 * The runs of one team: each is a run template of one of its pipelines, with parameters that match their patterns.
 *
 * What Tekton's own webhook adds before this rule sees the run is allowed for: the account of a run that names none, and
 * empty parts of a claim.
 */
export const teamRuns = ({ team, namespace }: Placement, pipelines: readonly RunnablePipeline[]): AdmissionRule => ({
  name: `ssf-runs-${namespace}`,
  protects: "A run does what its pipeline's template says, with the parameters that the pipeline declares.",
  scope: { namespace },
  matches: [{ apiGroup: "tekton.dev", resources: ["pipelineruns"], operations: ["CREATE", "UPDATE"] }],
  variables: [
    { name: "spec", expression: specOf("object") },
    { name: "made", expression: "oldObject == null" },
    {
      name: "names",
      expression: `"pipelineRef" in variables.spec && "params" in variables.spec.pipelineRef ? variables.spec.pipelineRef.params.filter(p, p.name == "name").map(p, string(p.value)) : []`,
    },
    { name: "pipeline", expression: `size(variables.names) == 1 ? variables.names[0] : ""` },
    { name: "known", expression: `variables.pipeline in ${texts(pipelines.map(({ name }) => name))}` },
    {
      name: "templates",
      expression: `dyn(${literal(Object.fromEntries(pipelines.map(({ name, runTemplate }) => [name, expectations(runTemplate)])))})`,
    },
    { name: "template", expression: "variables.known ? variables.templates[variables.pipeline] : dyn({})" },
    { name: "parameters", expression: `"params" in variables.spec ? variables.spec.params : dyn([])` },
    { name: "labels", expression: "object.metadata.?labels.orValue({})" },
    { name: "labelsBefore", expression: "oldObject == null ? {} : oldObject.metadata.?labels.orValue({})" },
    { name: "annotations", expression: "object.metadata.?annotations.orValue({})" },
    { name: "annotationsBefore", expression: "oldObject == null ? {} : oldObject.metadata.?annotations.orValue({})" },
  ],
  validations: [
    {
      code: "SSF-ADMISSION-070",
      path: "spec.pipelineRef",
      admits: `!variables.made || (variables.known && variables.spec.pipelineRef == variables.template.pipelineRef)`,
      given: `"'" + variables.pipeline + "'"`,
      rule: `A run is of a pipeline of the team: ${pipelines.map(({ name }) => name).join(", ")}.`,
      fix: "Take pipelineRef from the run template of that pipeline.",
    },
    {
      code: "SSF-ADMISSION-071",
      path: "spec",
      admits: whenMade(`variables.spec.all(key, key in ${texts(FIELDS)})`),
      given: `variables.spec.filter(key, !(key in ${texts(FIELDS)})).map(key, string(key)).join(", ")`,
      rule: `A run has only ${FIELDS.join(", ")}.`,
      fix: "Remove the other fields.",
    },
    {
      code: "SSF-ADMISSION-072",
      path: "spec.taskRunTemplate",
      admits: whenMade(
        [
          `"taskRunTemplate" in variables.spec`,
          `variables.spec.taskRunTemplate.all(key, key in ["podTemplate", "serviceAccountName"])`,
          `"podTemplate" in variables.spec.taskRunTemplate`,
          `variables.spec.taskRunTemplate.podTemplate == variables.template.taskRunTemplate.podTemplate`,
          `(!("serviceAccountName" in variables.spec.taskRunTemplate) || variables.spec.taskRunTemplate.serviceAccountName == ${text(UNASSIGNED_ACCOUNT)})`,
        ].join(" && "),
      ),
      given: `"differs from the template of pipeline '" + variables.pipeline + "'"`,
      rule: "Pods of a run are made by the run template: account, runtime class, security context, and nothing else.",
      fix: TAKE_TEMPLATE,
    },
    {
      code: "SSF-ADMISSION-073",
      path: "spec.taskRunSpecs",
      admits: whenMade(
        `"taskRunSpecs" in variables.spec && variables.spec.taskRunSpecs == variables.template.taskRunSpecs`,
      ),
      given: `"differs from the template of pipeline '" + variables.pipeline + "'"`,
      rule: "Each stage has the account, runtime class and name server of the run template, and no volume, variable, sidecar or step setting beside.",
      fix: TAKE_TEMPLATE,
    },
    {
      code: "SSF-ADMISSION-074",
      path: "spec.workspaces",
      admits: whenMade(sameWorkspaces),
      given: `"workspaces" in variables.spec ? variables.spec.workspaces.map(w, string(w.name)).join(", ") : "none"`,
      rule: "Every workspace is a new claim of the size that the run template names, without subPath.",
      fix: TAKE_TEMPLATE,
    },
    {
      code: "SSF-ADMISSION-075",
      path: "spec.timeouts",
      admits: whenMade(`"timeouts" in variables.spec && variables.spec.timeouts == variables.template.timeouts`),
      given: `"differs from the template of pipeline '" + variables.pipeline + "'"`,
      rule: "A run may take as long as the run template says.",
      fix: TAKE_TEMPLATE,
    },
    {
      code: "SSF-ADMISSION-076",
      path: "spec.status",
      admits: `!("status" in variables.spec) || variables.spec.status == "" || (!variables.made && variables.spec.status in ${texts(CANCELLATIONS)})`,
      given: `"'" + string(variables.spec.status) + "'"`,
      rule: `A run starts at once, and is changed only to cancel it: ${CANCELLATIONS.join(", ")}.`,
      fix: "Leave the field out, or set one of these on a run that exists.",
    },
    {
      code: "SSF-ADMISSION-077",
      path: "spec",
      admits: `variables.made || (${withoutStatus("variables.spec", before)} && ${withoutStatus(before, "variables.spec")})`,
      given: `"a change by '" + request.userInfo.username + "'"`,
      rule: "What a run does is fixed when it is made.",
      fix: "Start another run.",
    },
    {
      code: "SSF-ADMISSION-078",
      path: "metadata.labels",
      admits: unchangedOr(
        "labels",
        `(variables.known && key in variables.template.labels && variables.template.labels[key] == variables.labels[key]) || (${isUser(triggerOf(team))} && (key in ${texts(TRIGGER_LABELS)} || (key == ${text(TRIGGER_LABEL)} && variables.labels[key] in ${texts(TRIGGERS)})))`,
      ),
      given: "variables.labels.map(key, key).join(', ')",
      rule: "A run has the labels of its template, and from the team's trigger those that say what started it; stages would inherit any other.",
      fix: "Remove the other labels.",
    },
    {
      code: "SSF-ADMISSION-079",
      path: "metadata.annotations",
      admits: unchangedOr(
        "annotations",
        `key == ${text(LAST_APPLIED)} || (${isUser(users.healer)} && key == ${text(SIGNING_REQUESTED)})`,
      ),
      given: "variables.annotations.map(key, key).join(', ')",
      rule: "A run has no annotations; stages would inherit them.",
      fix: "Remove the annotations.",
    },
    ...pipelines.flatMap(paramValidations),
  ],
});

const expectations = ({ metadata, spec }: PipelineRun) => ({
  labels: metadata.labels,
  pipelineRef: spec.pipelineRef,
  timeouts: spec.timeouts,
  taskRunTemplate: spec.taskRunTemplate,
  taskRunSpecs: spec.taskRunSpecs,
  workspaces: spec.workspaces,
});

const theseWorkspaces = [
  "size(variables.spec.workspaces) == size(variables.template.workspaces)",
  `variables.template.workspaces.map(w, w.name) == variables.spec.workspaces.map(w, w.name)`,
  `variables.spec.workspaces.all(w, w.all(key, key in ["name", "volumeClaimTemplate"]) && "volumeClaimTemplate" in w)`,
  `variables.spec.workspaces.all(w, variables.template.workspaces.exists(t, t.name == w.name && "spec" in w.volumeClaimTemplate && w.volumeClaimTemplate.spec == t.volumeClaimTemplate.spec))`,
  `variables.spec.workspaces.all(w, w.volumeClaimTemplate.all(key, key == "spec" || (key in ["metadata", "status"] && size(w.volumeClaimTemplate[key]) == 0)))`,
].join(" && ");

/** Tekton's webhook leaves an empty list out. */
const sameWorkspaces = `("workspaces" in variables.spec ? (${theseWorkspaces}) : size(variables.template.workspaces) == 0)`;

/** The spec before a change. */
const before: Cel = `(${specOf("oldObject")})`;

/** Whether every field of one but the status stands in the other with the same value. */
const withoutStatus = (one: Cel, other: Cel): Cel =>
  `${one}.all(key, key == "status" || (key in ${other} && ${one}[key] == ${other}[key]))`;

const unchangedOr = (field: "labels" | "annotations", allowed: Cel): Cel =>
  `(!variables.made && ${isUser(users.tekton, users.chains)}) || variables.${field}.all(key, ${allowed} || (key in variables.${field}Before && variables.${field}Before[key] == variables.${field}[key]))`;

const paramValidations = ({ name: pipeline, params }: RunnablePipeline): Validation[] => {
  const ofPipeline = (condition: Cel): Cel =>
    `!variables.made || variables.pipeline != ${text(pipeline)} || (${condition})`;
  const names = params.map(({ name }) => name);
  const given = `variables.parameters.map(p, string(p.name)).join(", ")`;
  return [
    {
      code: "SSF-ADMISSION-080",
      path: "spec.params",
      admits: ofPipeline(
        `variables.parameters.all(p, p.name in ${texts(names)} && variables.parameters.exists_one(q, q.name == p.name) && p.all(key, key in ["name", "value"]))`,
      ),
      given,
      rule: `A run of pipeline ${pipeline} has each of its parameters once, and no others: ${names.join(", ")}.`,
      fix: "Correct the names.",
    },
    ...params.map(({ name, pattern, description, default: fallback }): Validation => {
      const mine = `variables.parameters.filter(p, p.name == ${text(name)})`;
      const matches = `${mine}.all(p, "value" in p && type(p.value) == string && string(p.value).matches(${text(`^(?:${pattern})$`)}))`;
      return {
        code: "SSF-ADMISSION-081",
        path: `spec.params.${name}`,
        admits: ofPipeline(fallback === undefined ? `size(${mine}) > 0 && ${matches}` : matches),
        given: `size(${mine}) == 0 ? "nothing" : ${mine}.map(p, type(p.value) == string ? "'" + string(p.value) + "'" : "no text").join(", ")`,
        rule: `The whole value is text that matches ${pattern}`,
        fix: `Give ${description}`,
      };
    }),
  ];
};

import { factoryRules } from "../admission";
import { isAboutCreation, ruleConstraint, ruleTemplate } from "../admission/constraint-template";
import { gateConstraints, type GateObject, type GateTemplate, gateTemplates } from "../admission/gate";
import { celSource, celTemplate, type CelSource } from "../admission/gate/template";
import type { Cel } from "../admission/rule";
import { UNJAILED_STAGES } from "../admission/network-jail";
import { askGator, type Refusal } from "./gator";
import { looksAt } from "./reads";
import { describePath, isObject, namespaceOf, type Path, type PreviewedResource } from "./resource";
import { type Finding, notChecked, passed, type PreviewRule, together, type Verdicts, violation } from "./rule";
import type { Settings } from "./settings";

/** A question of the gate: where it is asked, and how, if that can be known from a preview. */
interface Question {
  constraint: GateObject;
  /** Undefined where only the gate itself can ask. */
  template: GateTemplate | undefined;
}

/** Who asks in a preview: somebody who brings up the stacks, whatever the name. */
const STACK_USER = "stack";

/** Everything that the gate asks of objects that a stack makes. */
export const questions = (settings: Settings): Question[] => [
  ...gateConstraints.map((constraint) => {
    const template = gateTemplates.find(({ spec }) => spec.crd.spec.names.kind === constraint.kind);
    return { constraint, template: template !== undefined && celSource(template) ? template : undefined };
  }),
  ...factoryRules({
    runtimeClasses: settings.runtimeClasses,
    unjailedServiceAccounts: UNJAILED_STAGES,
    images: settings.images,
    stack: { users: [STACK_USER], groups: [] },
  })
    .filter(isAboutCreation)
    .map((rule) => ({ constraint: ruleConstraint(rule), template: asked(ruleTemplate(rule)) })),
];

/** Variable with {@link REQUEST}, of which everything is known. */
const REQUEST_VARIABLE = "request";

/** The request that a preview stands for; gator knows none. */
const REQUEST: Cel = [
  `"operation": dyn("CREATE")`,
  `"name": dyn(object.metadata.?name.orValue(""))`,
  `"namespace": dyn(object.metadata.?namespace.orValue(""))`,
  `"resource": dyn({"resource": object.kind.lowerAscii() + "s"})`,
  `"userInfo": dyn({"username": dyn("${STACK_USER}"), "groups": dyn([])})`,
].join(", ");

const ofRequest = (expression: Cel): Cel => expression.replaceAll(/\brequest\./g, `variables.${REQUEST_VARIABLE}.`);

/** The template with {@link REQUEST} in the place of the request. */
const asked = (template: GateTemplate): GateTemplate => {
  const source = celSource(template);
  if (source === undefined) return template;
  return celTemplate({
    kind: template.spec.crd.spec.names.kind,
    protects: template.metadata.annotations?.description ?? "",
    variables: [
      { name: REQUEST_VARIABLE, expression: `{${REQUEST}}` },
      ...source.variables.map(({ name, expression }) => ({ name, expression: ofRequest(expression) })),
    ],
    validations: source.validations.map(({ expression, messageExpression }) => ({
      admits: ofRequest(expression),
      message: ofRequest(messageExpression),
    })),
  });
};

/** Refuses whatever it is asked about: its constraints tell which objects those of the gate look at. */
const matchTemplate = celTemplate({
  kind: "PreviewMatch",
  protects: "Nothing is passed because it was not asked about.",
  variables: [],
  validations: [{ admits: "false", message: '"asked"' }],
});

const matchOf = ({ constraint }: Question): GateObject => ({
  ...constraint,
  kind: "PreviewMatch",
  metadata: { name: `match-${constraint.metadata.name}` },
});

/** What gator says of an object whose namespace it was not given. */
const NAMESPACE_UNKNOWN = "missing Namespace";

/** Field that names the resource of an object beside the fields that any rule knows. */
const URN = "pulumiUrn";

/** Whether an object's place is not known, so that nothing can tell which rules hold for it. */
const isPlaceUnknown = ({ unknown }: PreviewedResource): boolean =>
  unknown.some((path) => ["", "metadata", "metadata.namespace"].includes(path.join(".")));

/** Whether a namespace's labels are not known; gator must then know nothing of it. */
const isNamespaceUnknown = ({ inputs, unknown }: PreviewedResource): boolean =>
  inputs.kind === "Namespace" && unknown.some(([first, second]) => first === "metadata" && second !== "annotations");

/** The object that a resource stands for, without what only Pulumi's provider reads. */
const objectOf = ({ urn, inputs }: PreviewedResource): object => ({
  ...Object.fromEntries(Object.entries(inputs).filter(([key]) => !key.startsWith("__"))),
  [URN]: urn,
});

const CODE = /\bSSF-[A-Z]+-\d{3}\b/;

/** Code of a validation, as its message begins with it. */
export const codeOf = ({ messageExpression }: CelSource["validations"][number]): string =>
  CODE.exec(messageExpression)?.[0] ?? "no code";

/** The validation that an engine's message is about: it begins with its code, or names the expression that failed. */
export const brokenBy = (message: string, { validations }: CelSource): CelSource["validations"][number] | undefined =>
  validations.find(
    (validation) => message.startsWith(codeOf(validation)) || message.includes(`'${validation.expression}'`),
  );

/** What the gate says, and what it will look at but nobody can know yet. */
const judge = (resources: readonly PreviewedResource[], settings: Settings): Verdicts => {
  const objects = resources.filter(isObject);
  const all = questions(settings);
  const askable = objects.filter((one) => !isPlaceUnknown(one) && !isNamespaceUnknown(one));
  const refusals = askGator(settings.gator, [
    ...all.flatMap(({ template }) => template ?? []),
    matchTemplate,
    ...all.flatMap(({ constraint, template }) => (template === undefined ? [] : [constraint])),
    ...all.map(matchOf),
    ...askable.map(objectOf),
  ]);
  return together([
    ...objects.map((one) => (askable.includes(one) ? verdictsOf(one, all, refusals) : placeUnknown(one))),
    ...resources.filter(({ type }) => type.startsWith("kubernetes:helm.sh/v3:Release")).map(hidden),
  ]);
};

const verdictsOf = (resource: PreviewedResource, all: readonly Question[], refusals: readonly Refusal[]): Verdicts => {
  const own = refusals.filter(({ object }) => object[URN] === resource.urn);
  return together(
    all.map((question) => {
      const { name } = question.constraint.metadata;
      const match = own.find(({ constraint }) => constraint === `match-${name}`);
      if (match === undefined) return passed;
      if (match.message.includes(NAMESPACE_UNKNOWN)) return namespaceUnknown(resource, name);
      const source = question.template && celSource(question.template);
      if (source === undefined) return notChecked(resource, "spec", `what ${name} asks the verifier`);
      const said = own.filter(({ constraint }) => constraint === name).map(({ message }) => message);
      return judged(resource, source, said);
    }),
  );
};

/** The verdicts of one template's conditions on one object. */
const judged = (resource: PreviewedResource, source: CelSource, said: readonly string[]): Verdicts => {
  const { validations } = source;
  const variables = source.variables.filter(({ name }) => name !== REQUEST_VARIABLE);
  const looked = new Map(
    validations.map((validation) => [
      validation,
      unknownOf(resource).filter((path) => looksAt(validation.expression, variables, path)),
    ]),
  );
  const unsure = [...looked].filter(([, paths]) => paths.length > 0);
  const refused = said.flatMap((message) => {
    const broken = brokenBy(message, source);
    if (broken !== undefined && (looked.get(broken) ?? []).length > 0) return [];
    return [violation(resource, { ...problemOf(message, broken) })];
  });
  return together([
    ...refused,
    ...unsure.map(([validation, paths]) =>
      notChecked(resource, paths.map(describePath).join(", "), codeOf(validation)),
    ),
  ]);
};

/** A patch says nothing of what it does not change, so nothing of the object is known. */
const unknownOf = ({ type, unknown }: PreviewedResource): readonly Path[] => (type.endsWith("Patch") ? [[]] : unknown);

/** The parts of a message of the gate. */
const problemOf = (message: string, broken: CelSource["validations"][number] | undefined): Finding["problem"] => {
  const parts = /^(SSF-\S+) (.*?): (.*); rule: (.*?) fix: (.*)$/s.exec(message);
  if (parts !== null) {
    const [, code = "", path = "", given = "", rule = "", fix = ""] = parts;
    return { code, path, given, rule, fix };
  }
  return {
    code: broken === undefined ? "SSF-PREVIEW-004" : codeOf(broken),
    path: "object",
    given: message,
    rule: "What the gate cannot evaluate it refuses.",
    fix: "Give the object the fields that its kind must have.",
  };
};

const namespaceUnknown = (resource: PreviewedResource, rule: string): Verdicts =>
  notChecked(resource, `namespace ${namespaceOf(resource) ?? "default"}, which the program does not make`, rule);

const placeUnknown = (resource: PreviewedResource): Verdicts =>
  notChecked(resource, "metadata", "every rule that holds in namespaces");

const hidden = (resource: PreviewedResource): Verdicts => notChecked(resource, "chart", "what a Helm release installs");

/** The gate's own templates and the rules of admission, run by gator over what a stack would make. */
export const gate: PreviewRule = {
  name: "gate",
  protects: "What the gate would refuse is refused before it is asked.",
  level: "mandatory",
  judge,
};

import type { GateObject } from "../admission/gate";
import { celSource, type CelSource, celTemplate } from "../admission/gate/template";
import { askGator, type Refusal } from "./gator";
import { brokenBy, codeOf, type Question, questions, REQUEST_VARIABLE } from "./questions";
import { looksAt } from "./reads";
import { describePath, isObject, namespaceOf, type Path, type PreviewedResource } from "./resource";
import { type Finding, notChecked, passed, type PreviewRule, together, type Verdicts, violation } from "./rule";
import { jailConfig, type Settings } from "./settings";

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

/**
 * Whether a question is about objects of this kind. Nothing else reaches gator, which would take a template or a constraint
 * that the stack makes for one of its own.
 */
const isAskedAbout = ({ inputs, unknown }: PreviewedResource, all: readonly Question[]): boolean => {
  const group = /^(.*)\/[^/]*$/.exec(String(inputs.apiVersion))?.[1] ?? "";
  const asked = all.flatMap(({ constraint }) => (constraint.spec as { match: { kinds: KindMatch[] } }).match.kinds);
  return (
    inputs.kind === "Namespace" ||
    unknown.some(([field = ""]) => ["apiVersion", "kind"].includes(field)) ||
    asked.some(({ apiGroups, kinds }) => apiGroups.includes(group) && kinds.includes(String(inputs.kind)))
  );
};

interface KindMatch {
  apiGroups: string[];
  kinds: string[];
}

/** Whether an object's place is not known, so that nothing can tell which rules hold for it. */
const isPlaceUnknown = ({ unknown }: PreviewedResource): boolean =>
  unknown.some((path) => ["apiVersion", "kind", "metadata", "metadata.namespace"].includes(path.join(".")));

/** Whether a namespace's labels are not known; gator must then know nothing of it. */
const isNamespaceUnknown = ({ inputs, unknown }: PreviewedResource): boolean =>
  inputs.kind === "Namespace" && unknown.some(([first, second]) => first === "metadata" && second !== "annotations");

/** The object that a resource stands for, without what only Pulumi's provider reads. */
const objectOf = ({ urn, inputs }: PreviewedResource): object => ({
  ...Object.fromEntries(Object.entries(inputs).filter(([key]) => !key.startsWith("__"))),
  [URN]: urn,
});

/** What the gate says, and what it will look at but nobody can know yet. */
const judge = (resources: readonly PreviewedResource[], settings: Settings): Verdicts => {
  const all = questions(settings);
  const objects = resources.filter((one) => isObject(one) && isAskedAbout(one, all));
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
    code: broken === undefined ? "SSF-PREVIEW-006" : codeOf(broken),
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
  config: jailConfig,
  judge,
};

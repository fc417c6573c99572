import { clusterRules, factoryRules, UNJAILED_STAGES } from "../admission";
import { isAboutCreation, ruleConstraint, ruleTemplate } from "../admission/constraint-template";
import { gateConstraints, type GateObject, type GateTemplate, gateTemplates } from "../admission/gate";
import { celSource, type CelSource, celTemplate } from "../admission/gate/template";
import type { Cel } from "../admission/rule";
import type { Settings } from "./settings";

/** A question of the gate: where it is asked, and how, if that can be known from a preview. */
export interface Question {
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
  ...[
    ...factoryRules({
      runtimeClasses: settings.runtimeClasses,
      unjailedServiceAccounts: UNJAILED_STAGES,
      images: settings.images,
      stack: { users: [STACK_USER], groups: [] },
    }),
    ...clusterRules(settings.images.components),
  ]
    .filter(isAboutCreation)
    .map((rule) => ({ constraint: ruleConstraint(rule), template: asked(ruleTemplate(rule)) })),
];

/** Variable with {@link REQUEST}, of which everything is known. */
export const REQUEST_VARIABLE = "request";

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

const CODE = /\bSSF-[A-Z]+-\d{3}\b/;

/** Code of a validation, as its message begins with it. */
export const codeOf = ({ messageExpression }: CelSource["validations"][number]): string =>
  CODE.exec(messageExpression)?.[0] ?? "no code";

/** The validation that an engine's message is about: it begins with its code, or names the expression that failed. */
export const brokenBy = (message: string, { validations }: CelSource): CelSource["validations"][number] | undefined =>
  validations.find(
    (validation) => message.startsWith(codeOf(validation)) || message.includes(`'${validation.expression}'`),
  );

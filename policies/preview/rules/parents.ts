import { isObject, type PreviewedResource } from "../resource";
import { notChecked, passed, type PreviewRule, together, type Verdicts, violation } from "../rule";

const isStack = (urn: string): boolean => urn.includes("::pulumi:pulumi:Stack::");

const verdictOf = (resource: PreviewedResource, urns: ReadonlySet<string>): Verdicts => {
  const { parent } = resource;
  if (!isObject(resource)) return passed;
  if (parent !== undefined && !isStack(parent))
    return urns.has(parent) ? passed : notChecked(resource, "parent", "SSF-PREVIEW-030", "pulumi up");
  return violation(resource, {
    code: "SSF-PREVIEW-030",
    path: "parent",
    given: "the stack itself",
    rule: "Every object of a cluster belongs to a component, so that what guards the component guards it.",
    fix: "Make it in the component that it belongs to, with { parent: this }.",
  });
};

/** Objects are found by the component that makes them. */
export const parents: PreviewRule = {
  name: "parents",
  protects: "An object is made by the component that it belongs to.",
  level: "mandatory",
  judge: (resources) => {
    const urns = new Set(resources.map(({ urn }) => urn));
    return together(resources.map((one) => verdictOf(one, urns)));
  },
};

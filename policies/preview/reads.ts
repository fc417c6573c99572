import type { CelSource } from "../admission/gate/template";
import type { Cel } from "../admission/rule";
import type { Path } from "./resource";

/** Fields whose keys are anybody's own, so that expressions read them as a whole or by texts. */
const FREE_FORM = ["annotations", "data", "labels", "limits", "matchLabels", "nodeSelector", "requests", "stringData"];

/** An expression with all variables that it depends on. */
const closure = (expression: Cel, variables: CelSource["variables"]): string => {
  const texts = new Map<string, Cel>();
  const follow = (text: Cel): void => {
    for (const [, name = ""] of text.matchAll(/\bvariables\.(\w+)/g)) {
      const found = variables.find((variable) => variable.name === name);
      if (found === undefined || texts.has(name)) continue;
      texts.set(name, found.expression);
      follow(found.expression);
    }
  };
  follow(expression);
  return [expression, ...texts.values()].join("\n");
};

/**
 * Whether an expression may look at a value at that path of the object, or at what lies above it.
 *
 * An expression names the fields that it looks at, from the object down; one that does not name a field on the way cannot
 * tell what stands there. Where it takes maps as wholes (`dyn`, labels) everything in them counts as looked at.
 */
export const looksAt = (expression: Cel, variables: CelSource["variables"], path: Path): boolean => {
  const text = closure(expression, variables);
  if (/\bdyn\(/.test(text)) return true;
  const named = new Set(text.match(/\w+/g));
  const fields = path.filter((name) => !/^\d+$/.test(name));
  const first = fields.findIndex((name) => !named.has(name));
  return first === -1 || FREE_FORM.includes(fields[first - 1] ?? "");
};

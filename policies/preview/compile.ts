import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

import { FactoryError, type Problem } from "../../components/lib/errors";
import { type Refusal, askGator } from "./gator";
import { type Question, questions } from "./questions";
import type { Settings } from "./settings";

const SOURCES = join(__dirname, "../admission");
const ROOT = join(__dirname, "../..");

/** An object of no kind that is known, so that each template is evaluated once whatever a stack makes. */
const probe = { apiVersion: "v1", kind: "PreviewProbe", metadata: { name: "probe" } };

const PROBE = "probe-";

/** A constraint that has a template look at {@link probe}. */
const probed = ({ constraint }: Question): object => ({
  ...constraint,
  metadata: { name: `${PROBE}${constraint.metadata.name}` },
  spec: { match: { kinds: [{ apiGroups: [""], kinds: [probe.kind] }] } },
});

/** File and line of a rule: of the expression that is wrong, if it stands there word for word, else of the rule's name. */
const placeOf = ({ constraint: { kind, metadata } }: Question, expression: string): string => {
  const names = [`"${metadata.name}"`, `"${kind}"`];
  const files = readdirSync(SOURCES, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
  const places = files.flatMap((file) => {
    const lines = readFileSync(join(SOURCES, file), "utf8").split("\n");
    const named = lines.findIndex((line) => names.some((name) => line.includes(`: ${name}`)));
    const wrong = lines.findIndex((line) => line.includes(expression));
    return named === -1 ? [] : `${relative(ROOT, join(SOURCES, file))}:${(wrong === -1 ? named : wrong) + 1}`;
  });
  return places[0] ?? `policies/admission: ${metadata.name}`;
};

const faultOf = (question: Question, refusals: readonly Refusal[]): Problem[] => {
  const name = `${PROBE}${question.constraint.metadata.name}`;
  const message = refusals.find(
    (refusal) => refusal.constraint === name && /compilation failed|fails to compile/.test(refusal.message),
  )?.message;
  if (message === undefined) return [];
  const [, fault = message, expression = ""] = /ERROR: <input>:(\S+ .*)\n \| (.*)/.exec(message) ?? [];
  return [
    {
      code: "SSF-PREVIEW-003",
      path: placeOf(question, expression),
      given: `${fault}: ${expression}`,
      rule: `Every expression of ${question.constraint.metadata.name} is CEL.`,
      fix: "Mend it; npx jest test/admission tries it before an API server.",
    },
  ];
};

/**
 * Makes sure that every template can be evaluated, so that a stack in which nothing meets a broken one is not passed.
 *
 * @throws FactoryError `SSF-PREVIEW-003` with the file and line of each rule that cannot
 */
export const compileTemplates = (settings: Settings): void => {
  const all = questions(settings).filter(({ template }) => template !== undefined);
  const refusals = askGator(settings.gator, [
    ...all.flatMap(({ template }) => template ?? []),
    ...all.map(probed),
    probe,
  ]);
  const [first, ...others] = all.flatMap((question) => faultOf(question, refusals));
  if (first !== undefined) throw new FactoryError(first, ...others);
};

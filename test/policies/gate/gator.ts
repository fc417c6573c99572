import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type GateObject, type GateTemplate, workloadConstraint } from "../../../policies/admission/gate/template";
import { programPath } from "../../support/programs";

/** One object that asks to be admitted, and what the gate must say. */
export interface GateCase {
  name: string;
  object: object;
  /** What the refusal says, as a regular expression; undefined when the object is admitted. */
  refusal?: string;
}

/** A template in force over workloads of every namespace, since gator knows none with a label. */
export const everywhere = (template: GateTemplate): GateObject => {
  const constraint = workloadConstraint(template, "sample", "unused");
  const { match } = constraint.spec as { match: object };
  return { ...constraint, spec: { ...constraint.spec, match: { ...match, namespaceSelector: undefined } } };
};

/** Lets gator try the cases against a template and its constraint; throws with its whole report where one differs. */
export const verifyCases = async (
  template: GateObject,
  constraint: GateObject,
  cases: readonly GateCase[],
): Promise<string> => {
  const directory = mkdtempSync(join(tmpdir(), "ssf-gator-"));
  try {
    const write = (file: string, content: object): string => {
      writeFileSync(join(directory, file), JSON.stringify(content));
      return file;
    };
    const suite = {
      apiVersion: "test.gatekeeper.sh/v1alpha1",
      kind: "Suite",
      tests: [
        {
          name: "gate",
          template: write("template.yaml", template),
          constraint: write("constraint.yaml", constraint),
          cases: cases.map(({ name, object, refusal }, index) => ({
            name,
            object: write(`object-${index}.yaml`, object),
            assertions:
              refusal === undefined
                ? [{ violations: "no" }]
                : [{ violations: "yes" }, { violations: 1, message: refusal }],
          })),
        },
      ],
    };
    write("suite.yaml", suite);
    return await new Promise((resolve, reject) => {
      execFile(
        programPath("gator") ?? "gator",
        ["verify", "-v", "suite.yaml"],
        { cwd: directory },
        (error, out, err) => {
          if (error === null) resolve(out);
          else reject(new Error(`${out}${err}`));
        },
      );
    });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
};

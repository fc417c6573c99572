import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

import { FactoryError } from "../../components/lib/errors";
import type { Toolchain } from "../../stacks/toolchain";

/** One refusal by gator: of which object, by which constraint, in which words. */
export interface Refusal {
  object: Readonly<Record<string, unknown>>;
  /** Name of the constraint. */
  constraint: string;
  message: string;
}

/**
 * Path of the toolchain's gator.
 *
 * @throws FactoryError `SSF-PREVIEW-001` where it is missing
 */
export const gatorPath = ({ bin }: Pick<Toolchain, "bin">): string => {
  const path = join(bin, "gator");
  if (existsSync(path)) return path;
  throw new FactoryError({
    code: "SSF-PREVIEW-001",
    path,
    given: "not there",
    rule: "The pack asks gator what the gate would say, so it must be on this machine.",
    fix: "Run make toolchain.",
  });
};

interface Result {
  msg: string;
  constraint: { metadata: { name: string } };
  violatingObject: Record<string, unknown>;
}

/**
 * Has gator judge objects by the templates and constraints among them, as Gatekeeper's audit would.
 *
 * @throws FactoryError `SSF-PREVIEW-004` with gator's own words where it gives no answer
 */
export const askGator = (gator: string, objects: readonly object[]): Refusal[] => {
  const documents = objects.map((object) => JSON.stringify(object)).join("\n---\n");
  const { stdout, stderr, error } = spawnSync(gator, ["test", "--output=json"], {
    input: documents,
    encoding: "utf8",
    maxBuffer: 1 << 30,
  });
  if (error !== undefined || !/^\s*(\[|null)/.test(stdout))
    throw new FactoryError({
      code: "SSF-PREVIEW-004",
      path: gator,
      given: (error?.message ?? stderr).trim(),
      rule: "Without gator's answer nothing is passed.",
      fix: "Mend what its own words name; where gator itself is broken, run make toolchain.",
    });
  return ((JSON.parse(stdout) ?? []) as Result[]).map(({ msg, constraint, violatingObject }) => ({
    object: violatingObject,
    constraint: constraint.metadata.name,
    message: msg,
  }));
};

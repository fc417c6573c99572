import type { EnforcementLevel, PolicyConfigSchema } from "@pulumi/policy";

import type { Problem } from "../../components/lib/errors";
import type { PreviewedResource } from "./resource";
import type { Settings } from "./settings";

/** Something that is wrong with one resource. */
export interface Finding {
  urn: string;
  problem: Problem;
}

/** Something of a resource that nobody knows before it is made. */
export interface Unchecked {
  urn: string;
  /** What is not known. */
  path: string;
  /** Code or name of what could not be checked for it. */
  what: string;
  /** Who will check it. */
  by: "the gate" | "pulumi up";
}

/** What a rule says of a whole preview. What stands in neither list has passed. */
export interface Verdicts {
  violations: readonly Finding[];
  unchecked: readonly Unchecked[];
}

/** One policy of the pack. It judges the resources of a preview together. */
export interface PreviewRule {
  /** Name under which the pack's configuration sets its level. */
  name: string;
  /** What it protects, as one sentence. */
  protects: string;
  /** Whether a violation ends the preview, where the configuration does not say. */
  level: EnforcementLevel;
  /** What of the pack's configuration changes it. @default nothing */
  config?: PolicyConfigSchema;
  judge: (resources: readonly PreviewedResource[], settings: Settings) => Verdicts;
}

/** The findings of several looks together. */
export const together = (verdicts: readonly Verdicts[]): Verdicts => ({
  violations: verdicts.flatMap(({ violations }) => violations),
  unchecked: verdicts.flatMap(({ unchecked }) => unchecked),
});

/** Nothing to say. */
export const passed: Verdicts = { violations: [], unchecked: [] };

/** One thing wrong with one resource. */
export const violation = ({ urn }: PreviewedResource, problem: Problem): Verdicts => ({
  violations: [{ urn, problem }],
  unchecked: [],
});

/** What of a resource could not be checked, and who will. */
export const notChecked = (
  { urn }: PreviewedResource,
  path: string,
  what: string,
  by: Unchecked["by"] = "the gate",
): Verdicts => ({ violations: [], unchecked: [{ urn, path, what, by }] });

/** Findings that say once for each unknown value what could not be checked for it. */
export const describeUnchecked = (unchecked: readonly Unchecked[]): Finding[] => {
  const groups = new Map<string, Unchecked[]>();
  for (const one of unchecked) {
    const key = [one.urn, one.path, one.by].join("\n");
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  return [...groups.values()].flatMap((group) =>
    group.slice(0, 1).map(({ urn, path, by }) => ({
      urn,
      problem: {
        code: "SSF-PREVIEW-009",
        path,
        given: "not known at preview",
        rule: `${[...new Set(group.map(({ what }) => what))].join(", ")}: not checked here, ${by} will.`,
        fix: "Nothing; to have it checked now, give a value that is known.",
      },
    })),
  );
};

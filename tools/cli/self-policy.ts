import { z } from "zod";
import { standardLabels } from "../../components/lib/labels";
import { ruleBytes, type RuleDigest, ruleDigest, type RuleObject } from "../../policies/admission";
import { CONSTRAINT_RESOURCES } from "../../policies/admission/gate";
import type { Kubectl } from "./kubectl";
import type { Check } from "./provenance";

const resources = [
  "validatingadmissionpolicies.admissionregistration.k8s.io",
  "validatingadmissionpolicybindings.admissionregistration.k8s.io",
  "constrainttemplates.templates.gatekeeper.sh",
  CONSTRAINT_RESOURCES,
  "providers.externaldata.gatekeeper.sh",
];

const part = "app.kubernetes.io/part-of";

const listSchema = z.object({
  items: z.array(
    z.object({
      apiVersion: z.string(),
      kind: z.string(),
      metadata: z.object({ name: z.string() }),
      spec: z.unknown(),
    }),
  ),
});

/** The rules of admission and of the gate that the cluster has and that carry the factory's label. */
export const readRules = async (kubectl: Kubectl): Promise<RuleObject[]> => {
  const selector = `--selector=${part}=${standardLabels("")[part] ?? ""}`;
  const rules: RuleObject[] = [];
  for (const resource of resources)
    rules.push(...listSchema.parse(await kubectl.json(["get", resource, selector])).items);
  return rules;
};

/** How a rule of the cluster stands to what is said about it. */
export interface RuleState extends RuleDigest {
  /** What is wrong; undefined when the rule is the one that is said. */
  fault?: string;
}

/**
 * Compares the rules of the cluster with those that are signed in the trust repository.
 *
 * @param teams digests of the rules of teams, which are not signed: each team's own stack says them
 * @returns every rule that is there or should be, by path
 */
export const compareRules = (
  live: readonly RuleObject[],
  signed: readonly RuleDigest[],
  teams: readonly RuleDigest[],
): RuleState[] => {
  const said = (rules: readonly RuleDigest[], by: string) =>
    rules.map(({ path, sha256 }) => [path, { sha256, by }] as const);
  const expected = new Map([...said(teams, "that its team's stack made"), ...said(signed, "that is signed")]);
  const present = live.map(ruleDigest).map((digest): RuleState => {
    const one = expected.get(digest.path);
    if (one === undefined) return { ...digest, fault: "nobody signed it" };
    return one.sha256 === digest.sha256 ? digest : { ...digest, fault: `not the one ${one.by}` };
  });
  const paths = new Set(present.map(({ path }) => path));
  const missing = [...expected].map(([path, { sha256 }]): RuleState => ({ path, sha256, fault: "not there" }));
  return [...present, ...missing.filter(({ path }) => !paths.has(path))].sort((one, other) =>
    one.path < other.path ? -1 : 1,
  );
};

/** The check of {@link compareRules}. */
export const checkRules = (...compared: Parameters<typeof compareRules>): Check => {
  const states = compareRules(...compared);
  const faults = states.flatMap(({ path, fault }) => (fault === undefined ? [] : [`${path}: ${fault}`]));
  const [, signed, teams] = compared;
  if (signed.length === 0) faults.push("no rule is signed");
  return {
    code: "SSF-SELF-017",
    title: "every rule of admission and of the gate is the one that is signed in the trust repository",
    held: faults.length === 0,
    detail: faults.length > 0 ? faults.join("; ") : `${signed.length} objects, and ${teams.length} of teams' stacks`,
  };
};

/** The rules of the cluster as files of a policy bundle, but those of teams: content by path. */
export const ruleFiles = (live: readonly RuleObject[], teams: readonly RuleDigest[]): Record<string, string> => {
  const ofTeams = new Set(teams.map(({ path }) => path));
  return Object.fromEntries(
    live.map((rule) => [ruleDigest(rule).path, ruleBytes(rule)] as const).filter(([path]) => !ofTeams.has(path)),
  );
};

import { TEAM_LABEL } from "../../components/lib/labels";
import { RECORD_LABEL, VERIFIER_NAMESPACE } from "../../policies/admission/gate/records";
import type { StackOutputs } from "../../stacks/outputs";
import type { Kubectl } from "../../tools/cli/kubectl";
import type { Ended } from "./supply-chain";

const minutes = 60_000;

/** Kinds of which a team has objects outside its namespace. */
const clusterKinds = [
  "namespaces",
  "validatingadmissionpolicies",
  "validatingadmissionpolicybindings",
  "clusterstaticentries.spire.spiffe.io",
].join();

interface Listed {
  items: { metadata: { name: string; labels?: Record<string, string> } }[];
}

const namesIn = ({ items }: Listed): string[] => items.map(({ metadata }) => metadata.name);

/** What the cluster holds of a team, by name. */
const objectsOf = async (kubectl: Kubectl, team: string): Promise<string[]> => {
  const all = namesIn((await kubectl.json(["get", clusterKinds])) as Listed);
  const recorded = ["get", "configmaps", `--namespace=${VERIFIER_NAMESPACE}`, `--selector=${RECORD_LABEL}=${team}`];
  const named = new RegExp(`(^|-)team-${team}(-|$)`);
  return [...all.filter((name) => named.test(name)), ...namesIn((await kubectl.json(recorded)) as Listed)].sort();
};

/** Definitions, accounts and Secrets of a team, each with the version in which it was last written. */
const versionsIn = async (kubectl: Kubectl, { namespace }: StackOutputs["team"]): Promise<string> =>
  kubectl.text([
    "get",
    "tasks.tekton.dev,pipelines.tekton.dev,verificationpolicies,serviceaccounts,secrets,networkpolicies",
    `--namespace=${namespace}`,
    "--output=jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion}{'\\n'}{end}",
  ]);

/** Teams beside each other; the other one is gone afterwards. */
export const describeTeams = (
  other: string,
  factory: (...args: string[]) => Promise<Ended>,
  world: () => { kubectl: Kubectl; team: StackOutputs["team"] },
): void => {
  test(
    "a team that is removed leaves nothing, and the others as they were",
    async () => {
      const { kubectl, team } = world();
      const before = await versionsIn(kubectl, team);
      const own = await objectsOf(kubectl, team.team);
      expect((await objectsOf(kubectl, other)).length).toBeGreaterThanOrEqual(5);
      expect((await factory("team", "remove", other, "--yes")).code).toBe(0);
      expect(await objectsOf(kubectl, other)).toEqual([]);
      const marked = (await kubectl.json(["get", "namespaces", `--selector=${TEAM_LABEL}`])) as Listed;
      expect(namesIn(marked)).toEqual([team.namespace]);
      expect(await objectsOf(kubectl, team.team)).toEqual(own);
      expect(await versionsIn(kubectl, team)).toBe(before);
    },
    10 * minutes,
  );
};

import { setTimeout } from "node:timers/promises";
import { TEAM_LABEL } from "../../components/lib/labels";
import { RECORD_LABEL, VERIFIER_NAMESPACE } from "../../policies/admission/gate/records";
import type { StackOutputs } from "../../stacks/outputs";
import type { Kubectl } from "../../tools/cli/kubectl";
import { liveCommands } from "../guides/blocks";
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

/** Asks every second until nothing is left, for at most three minutes. */
const untilGone = async (left: () => Promise<string[]>): Promise<void> => {
  for (let seconds = 0; seconds < 180 && (await left()).length > 0; seconds++) await setTimeout(1000);
  expect(await left()).toEqual([]);
};

/** A team that joins the factory as the guide says, and leaves it. */
export const describeTeams = (
  settings: { stacks: string; config: readonly string[] },
  run: (command: string, args: readonly string[], env: Record<string, string>) => Promise<Ended>,
  world: () => { kubectl: Kubectl; team: StackOutputs["team"] },
): void => {
  const joined = "payments";
  const env = {
    SSF_STACKS: `${settings.stacks},e2e-${joined}`,
    SSF_CONFIG: [...settings.config, `e2e-${joined}:team=${joined}`].join("\n"),
  };

  test(
    "a team is added as the guide says, and up changes nothing else; removed, it leaves nothing, and the others as they were",
    async () => {
      const { kubectl, team } = world();
      const before = await versionsIn(kubectl, team);
      const own = await objectsOf(kubectl, team.team);
      const added = await run("bash", ["-ec", liveCommands("add-a-team").join("\n")], env);
      expect(added.code).toBe(0);
      for (const stack of settings.stacks.split(",")) expect(added.stdout).toContain(`stack ${stack}: no changes`);
      expect((await objectsOf(kubectl, joined)).length).toBeGreaterThanOrEqual(5);

      expect((await run("./factory", ["team", "remove", joined, "--yes"], env)).code).toBe(0);
      // What depends on its namespace is collected a moment after that is gone.
      await untilGone(() => objectsOf(kubectl, joined));
      const marked = (await kubectl.json(["get", "namespaces", `--selector=${TEAM_LABEL}`])) as Listed;
      expect(namesIn(marked)).toContain(team.namespace);
      expect(namesIn(marked)).not.toContain(`team-${joined}`);
      expect(await objectsOf(kubectl, team.team)).toEqual(own);
      expect(await versionsIn(kubectl, team)).toBe(before);
    },
    20 * minutes,
  );
};

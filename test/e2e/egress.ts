import { hostOf } from "../../components/lib/hosts";
import type { Stage } from "../../pipelines";
import { readToolchain } from "../../stacks/toolchain";
import { readTraffic, type RunTraffic, type StageTraffic } from "../../tools/cli/flows";
import { taskRunList } from "../../tools/cli/watch-run";
import { probe, type ProbeContext } from "./probe";

/** A name that the cluster's name server knows and that no team lists. */
const unlisted = "kubernetes.default.svc.cluster.local";
/** An address for documentation, which no name leads to. */
const nowhere = "192.0.2.1";

/** What a stage of that name tried, by its own account and by the record. */
interface ProbedEgress {
  results: Record<string, string>;
  traffic: StageTraffic | undefined;
}

/** Runs a signed pipeline whose one stage has that name and tries to connect to each target, `<name> <port>`. */
const probeEgress = async (
  context: ProbeContext,
  name: string,
  targets: Record<string, string>,
): Promise<ProbedEgress> => {
  const { kubectl, team } = context;
  const results = Object.keys(targets).map((target) => ({ name: target, description: "Whether it was reached." }));
  const stage: Stage = {
    name,
    description: "Tries to connect and tells what came of it.",
    image: readToolchain().images.shell?.reference ?? "",
    script: [
      `try() { if timeout 4 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2" 2>/dev/null; then printf yes; else printf no; fi; }`,
      ...Object.entries(targets).map(([target, at]) => `try ${at} >"$RESULT_${target.toUpperCase()}"`),
    ].join("\n"),
    params: [],
    results,
    reads: [],
    network: "dependencies",
    env: {},
    mounts: [],
    resources: { cpu: "500m", memory: "128Mi", scratch: "64Mi" },
  };
  const probed = await probe(context, {
    name: "egress-probe",
    description: "A probe.",
    params: [],
    workspaces: [],
    stages: [stage],
    results: results.map((result) => ({ ...result, from: { stage: name, result: result.name } })),
  });
  const where = `--namespace=${team.namespace}`;
  const traffic = await readTraffic({
    kubectl,
    namespace: team.namespace,
    networkPolicies: team.networkPolicies,
    stages: [{ name, jailed: false }],
    taskRuns: async () =>
      taskRunList.parse(
        await kubectl.json(["get", "taskruns.tekton.dev", where, `--selector=tekton.dev/pipelineRun=${probed.run}`]),
      ).items,
  });
  return { results: probed.results, traffic: stagesOf(traffic)[0] };
};

const stagesOf = (traffic: RunTraffic): StageTraffic[] => {
  if (traffic.recorded) return traffic.stages;
  throw new Error(traffic.reason);
};

/** Checks that a stage reaches what its class lists, and nothing else; and that the record says so. */
export const describeEgress = (context: () => ProbeContext): void => {
  describe("egress", () => {
    test(
      "of ingest-dependencies reaches a listed registry; no other name, address or service, and the record shows it",
      async () => {
        const { team, shared } = context();
        const [listed] = team.egress.registries;
        if (listed === undefined) throw new Error("the team lists a registry");
        const forge = hostOf(shared.forge.url);
        const { results, traffic } = await probeEgress(context(), "ingest-dependencies", {
          listed: `${listed.name} ${listed.port}`,
          unlisted: `${unlisted} 443`,
          address: `${nowhere} 443`,
          forge: `${forge.name} ${forge.port}`,
        });
        expect(results).toEqual({ listed: "yes", unlisted: "no", address: "no", forge: "no" });
        expect(traffic?.names).toContain(listed.name);
        expect(traffic?.reached.flatMap(({ names }) => names)).toContain(listed.name);
        expect(traffic?.refused.names).toEqual(expect.arrayContaining([unlisted, forge.name]));
        expect(traffic?.refused.peers).toContainEqual({ names: [], address: nowhere, port: 443, protocol: "TCP" });
      },
      3 * 60_000,
    );
  });
};

/** Checks what a build of the development forge's source says of its stages' networks. */
export const expectBuildTraffic = (network: RunTraffic, context: ProbeContext): void => {
  const reached = Object.fromEntries(
    stagesOf(network).map(({ stage, jailed, names, refused }) => [stage, { jailed, names, refused }]),
  );
  const refused = { names: [], peers: [] };
  const registries = context.team.egress.registries.map(({ name }) => name);
  const dependencies = reached["ingest-dependencies"]?.names ?? [];
  expect(reached).toEqual({
    "ingest-source": { jailed: false, names: [hostOf(context.shared.forge.url).name], refused },
    "ingest-dependencies": { jailed: false, names: dependencies, refused },
    build: { jailed: true, names: [], refused },
    scan: { jailed: true, names: [], refused },
    publish: { jailed: false, names: [hostOf(`https://${context.shared.registry.host}`).name], refused },
  });
  expect(dependencies.length).toBeGreaterThan(0);
  expect(registries).toEqual(expect.arrayContaining(dependencies));
};

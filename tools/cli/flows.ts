import { dirname } from "node:path";
import { z } from "zod";
import { FactoryError } from "../../components/lib/errors";
import { NetworkPolicies } from "../../components/lib/network-policies";
import { FLOW_FILE } from "../../components/lib/flow-file";
import type { Kubectl } from "./kubectl";
import type { TaskRun } from "./watch-run";

const ends = z.object({
  namespace: z.string().default(""),
  pod_name: z.string().default(""),
  workloads: z.array(z.object({ name: z.string() })).default([]),
});

const port = z.object({ destination_port: z.int() }).optional();

/** The fields of a line of the record that are read here; what is empty is left out of a line. */
const lineSchema = z.object({
  flow: z.object({
    verdict: z.string().default("VERDICT_UNKNOWN"),
    drop_reason_desc: z.string().optional(),
    IP: z.object({ destination: z.string().default("") }).default({ destination: "" }),
    l4: z.object({ TCP: port, UDP: port, SCTP: port }).default({}),
    l7: z.object({ dns: z.object({ query: z.string().optional() }).optional() }).optional(),
    event_type: z.object({ type: z.int().default(0) }).default({ type: 0 }),
    source: ends.prefault({}),
    destination: ends.prefault({}),
    destination_names: z.array(z.string()).default([]),
  }),
});

/** One thing that a pod tried, as an agent recorded it. */
export type Flow = z.infer<typeof lineSchema>["flow"];

/** The flows in the text of a record; a line that is cut off or of another kind is left out. */
export const parseFlows = (text: string): Flow[] =>
  text.split("\n").flatMap((line) => {
    try {
      return [lineSchema.parse(JSON.parse(line)).flow];
    } catch {
      return [];
    }
  });

/** Where a stage connected to, or tried to. */
export interface Peer {
  /** Names that the stage had looked up for the address, or `<namespace>/<workload>` in the cluster. */
  names: string[];
  address: string;
  /** 0 where the protocol has none. */
  port: number;
  protocol: string;
}

/** What a stage tried to reach. */
export interface StageTraffic {
  stage: string;
  /** Whether the stage has no network, and so leaves no record. */
  jailed: boolean;
  /** Names that the name server was asked for and answered. */
  names: string[];
  /** Where connections were made. */
  reached: Peer[];
  /** What a policy refused: names that the name server was not asked for, and connections that were not made. */
  refused: { names: string[]; peers: Peer[] };
}

/** What the stages of a run tried to reach, or why nobody knows. */
export type RunTraffic = { recorded: true; stages: StageTraffic[] } | { recorded: false; reason: string };

/** A stage and the pod that ran it. */
export interface StagePod {
  stage: string;
  jailed: boolean;
  /** Empty when the stage never started. */
  pod: string;
}

const peerOf = ({ IP, l4, destination, destination_names }: Flow): Peer => {
  const [protocol, at] = Object.entries(l4)[0] ?? ["other", undefined];
  const workload = destination.workloads[0]?.name ?? destination.pod_name;
  return {
    names: workload === "" ? destination_names : [`${destination.namespace}/${workload}`],
    address: IP.destination,
    port: at?.destination_port ?? 0,
    protocol,
  };
};

const distinct = (peers: readonly Peer[]): Peer[] => [
  ...new Map(peers.map((peer) => [[peer.address, peer.port, peer.protocol].join(" "), peer])).values(),
];

const sorted = (names: readonly string[]): string[] => [...new Set(names)].sort();

/** What was asked for, without what a resolver asks again with a suffix of the cluster added. */
const asWritten = (names: readonly string[], asked: ReadonlySet<string>, namespace: string): string[] => {
  const suffixes = [`.${namespace}.svc.cluster.local`, ".svc.cluster.local", ".cluster.local"];
  const isRepetition = (name: string) =>
    suffixes.some((suffix) => name.endsWith(suffix) && asked.has(name.slice(0, -suffix.length)));
  return sorted(names.filter((name) => !isRepetition(name)));
};

/** Reasons by which a policy drops a packet; others tell of the network's own troubles. */
const policyReasons: ReadonlySet<string | undefined> = new Set(["POLICY_DENIED", "POLICY_DENY"]);

const isSame = (a: Peer) => (b: Peer) => a.address === b.address && a.port === b.port && a.protocol === b.protocol;

const trafficOfPod = (own: readonly Flow[], namespace: string): Omit<StageTraffic, "stage" | "jailed"> => {
  const asked = own.flatMap(({ l7, verdict }) => {
    const query = l7?.dns?.query;
    return query === undefined ? [] : [{ name: query.replace(/\.$/, ""), refused: verdict === "DROPPED" }];
  });
  const names = (refused: boolean) => asked.filter((question) => question.refused === refused).map(({ name }) => name);
  const connections = own.filter(({ l7 }) => l7?.dns?.query === undefined);
  // A redirected packet is a question on its way to the agent, which records it as such.
  const reached = distinct(connections.filter(({ verdict }) => verdict === "FORWARDED").map(peerOf));
  const dropped = connections.filter(
    ({ verdict, drop_reason_desc }) => verdict === "DROPPED" && policyReasons.has(drop_reason_desc),
  );
  return {
    names: sorted(names(false)),
    reached,
    refused: {
      names: asWritten(names(true), new Set(asked.map(({ name }) => name)), namespace),
      // A connection can be a moment ahead of the policy that its name's answer brings about, and is tried again.
      peers: distinct(dropped.map(peerOf)).filter((peer) => !reached.some(isSame(peer))),
    },
  };
};

/** What each stage tried to reach, from the flows of all pods. */
export const trafficOf = (flows: readonly Flow[], namespace: string, stages: readonly StagePod[]): StageTraffic[] =>
  stages.map(({ stage, jailed, pod }) => {
    const own = flows.filter(({ source }) => source.namespace === namespace && source.pod_name === pod);
    return { stage, jailed, ...trafficOfPod(own, namespace) };
  });

const describePeer = ({ names, address, port: number, protocol }: Peer): string => {
  const at = number === 0 ? protocol : `${protocol} ${number}`;
  return names.length === 0 ? `${address} (${at})` : `${names.join(" or ")} (${at})`;
};

const describeStage = ({ stage, jailed, names, reached, refused }: StageTraffic): string[] => {
  if (jailed) return [`${stage}: jailed, no network`];
  const contacts = reached.map(describePeer);
  const refusals = [...refused.names.map((name) => `the name ${name}`), ...refused.peers.map(describePeer)];
  const nothing = contacts.length + names.length + refusals.length === 0;
  return [
    `${stage}: ${nothing ? "nothing recorded" : contacts.length === 0 ? "reached nothing" : `reached ${contacts.join(", ")}`}`,
    ...(refusals.length === 0 ? [] : [`${stage}: refused ${refusals.join(", ")}`]),
  ];
};

/** The traffic of a run as lines for a person. */
export const describeTraffic = (traffic: RunTraffic): string[] =>
  traffic.recorded
    ? traffic.stages.flatMap(describeStage)
    : [`what the stages reached is not known: ${traffic.reason}`];

const podList = z.object({ items: z.array(z.object({ metadata: z.object({ name: z.string() }) })) });

/** The lines of every node's record that name one of these pods. */
const readRecord = async (kubectl: Kubectl, pods: readonly string[]): Promise<string> => {
  const agents = podList.parse(
    await kubectl.json(["get", "pods", "--namespace=kube-system", "--selector=k8s-app=cilium"]),
  );
  if (agents.items.length === 0) throw new Error("there is no agent of Cilium in namespace kube-system");
  // A node that has recorded nothing yet has no directory of records.
  const script = '[ ! -d "$0" ] || grep --recursive --no-filename --fixed-strings "$@" "$0" || [ "$?" -eq 1 ]';
  const search = [dirname(FLOW_FILE), ...pods.flatMap((pod) => ["-e", pod])];
  const lines = agents.items.map(({ metadata }) =>
    kubectl.text([
      ...["exec", metadata.name, "--namespace=kube-system", "--container=cilium-agent", "--"],
      ...["sh", "-c", script, ...search],
    ]),
  );
  return (await Promise.all(lines)).join("\n");
};

/** What {@link readTraffic} reads, and for which run. */
export interface TrafficQuestion {
  kubectl: Kubectl;
  /** Namespace of the team. */
  namespace: string;
  networkPolicies: NetworkPolicies;
  /** Stages of the pipeline. */
  stages: readonly { name: string; jailed: boolean }[];
  /** Reads the run's TaskRuns. */
  taskRuns: () => Promise<readonly TaskRun[]>;
}

/** What the stages of a run tried to reach. Never fails: without rights or without a record it says so. */
export const readTraffic = async (question: TrafficQuestion): Promise<RunTraffic> => {
  const { kubectl, namespace, networkPolicies, stages } = question;
  if (networkPolicies !== NetworkPolicies.Cilium)
    return { recorded: false, reason: "this cluster's network is not Cilium, which keeps the record" };
  try {
    const taskRuns = await question.taskRuns();
    const pods = stages.map(({ name, jailed }): StagePod => {
      const taskRun = taskRuns.find(({ metadata }) => metadata.labels["tekton.dev/pipelineTask"] === name);
      return { stage: name, jailed, pod: taskRun?.status.podName ?? "" };
    });
    const started = pods.filter(({ pod, jailed }) => pod !== "" && !jailed).map(({ pod }) => pod);
    const text = started.length === 0 ? "" : await readRecord(kubectl, started);
    return { recorded: true, stages: trafficOf(parseFlows(text), namespace, pods) };
  } catch (error) {
    const given = error instanceof FactoryError ? error.problems[0]?.given : undefined;
    return { recorded: false, reason: given ?? (error instanceof Error ? error.message : String(error)) };
  }
};

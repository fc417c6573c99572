import { z } from "zod";
import type { Session } from "../../tools/cli/attack-session";
import type { Answer } from "../../tools/cli/attacks";
import {
  parseProbes,
  probeAttempts,
  proberCommand,
  type Probes,
  type ProberSettings,
  type Target,
  type Twins,
} from "./prober";
import { jailedPod, logOf, until, type FactoryAttack, type Pod } from "./support";

/** Port on which the probers answer. */
const port = 18_080;

const serviceSchema = z.object({ spec: z.object({ clusterIP: z.string() }) });
const nodesSchema = z.object({
  items: z.array(
    z.object({ status: z.object({ addresses: z.array(z.object({ type: z.string(), address: z.string() })) }) }),
  ),
});

/** What answers in this cluster, whoever may reach it. */
export const targetsOf = async ({ kubectl, factory }: Session): Promise<Target[]> => {
  const service = async (name: string, namespace: string) =>
    serviceSchema.parse(await kubectl.json(["get", "service", name, `--namespace=${namespace}`])).spec.clusterIP;
  const { items } = nodesSchema.parse(await kubectl.json(["get", "nodes"]));
  const node = items[0]?.status.addresses.find(({ type }) => type === "InternalIP")?.address ?? "";
  const registry = await service(factory.registry.service, factory.registry.namespace);
  const registryPort = Number(factory.registry.host.split(":")[1] ?? 443);
  return [
    { name: "kubelet", kind: "tcp", host: node, port: 10_250 },
    { name: "ssh of the node", kind: "tcp", host: node, port: 22 },
    { name: "UDP to the node", kind: "udp", host: node, port: 9 },
    { name: "echo from the node", kind: "ping", host: node },
    { name: "the factory's registry", kind: "tcp", host: registry, port: registryPort },
    { name: "the factory's registry by name", kind: "name", host: factory.registry.host.split(":")[0] ?? "" },
  ];
};

const probing = (session: Session, settings: ProberSettings) => ({
  image: session.image("stage-python"),
  command: proberCommand(settings),
});

/** A container like the pod's only one, by another name. */
const another = (pod: Pod, change: object) => ({ ...pod.spec.containers[0], ...change });

/** The prober in every place that a run has: before the steps, beside them, as a step, and after them. */
const jailedPods = (session: Session, targets: readonly Target[]): { run: Pod; last: Pod } => {
  const { id, team } = session;
  const step = jailedPod(session, `attack-${id}-run`, team.namespace, {
    name: "step",
    ...probing(session, { targets, stay: true }),
  });
  const initContainers = [
    another(step, { name: "init", ...probing(session, { targets }) }),
    another(step, {
      name: "sidecar",
      restartPolicy: "Always",
      ...probing(session, { targets, listen: port, stay: true }),
    }),
  ];
  return {
    run: { ...step, spec: { ...step.spec, initContainers } },
    last: jailedPod(session, `attack-${id}-finally`, team.namespace, {
      name: "finally",
      ...probing(session, { targets, stay: true }),
    }),
  };
};

/** The same pod as a step's, only with the network of the cluster. */
const unjailedPod = (session: Session, name: string, namespace: string, settings: ProberSettings): Pod => {
  const pod = jailedPod(session, name, namespace, { name: "step", ...probing(session, { ...settings, stay: true }) });
  return { ...pod, spec: { ...pod.spec, runtimeClassName: session.factory.runtimeClasses?.networked } };
};

/** A pod with every right, a token, and the sockets of its node. */
const privilegedPod = (session: Session, namespace: string, targets: readonly Target[]): Pod => {
  const pod = jailedPod(session, "privileged", namespace, {});
  const container = another(pod, {
    name: "step",
    ...probing(session, { targets, sockets: ["/host/run"], stay: true }),
    securityContext: { privileged: true, runAsUser: 0 },
    volumeMounts: [{ name: "run", mountPath: "/host/run" }],
  });
  return {
    ...pod,
    spec: {
      ...pod.spec,
      runtimeClassName: session.factory.runtimeClasses?.networked,
      securityContext: {},
      automountServiceAccountToken: true,
      containers: [container],
      volumes: [{ name: "run", hostPath: { path: "/run" } }],
    },
  };
};

/** What a prober has printed when it is done. */
const probesOf = (session: Session, pod: Pod, container: string): Promise<Probes> =>
  until(session, `prober ${container} of pod ${pod.metadata.name}`, async () => {
    const log = await logOf(session, pod, container).catch(() => "");
    const probes = parseProbes(log);
    return probes.packets === undefined ? undefined : probes;
  });

const addressOf = async (session: Session, pod: Pod): Promise<string> =>
  until(session, `address of pod ${pod.metadata.name}`, async () => {
    const args = ["get", "pod", pod.metadata.name, `--namespace=${pod.metadata.namespace ?? ""}`];
    const { status } = (await session.kubectl.json(args)) as { status?: { podIP?: string } };
    return status?.podIP;
  });

/** The prober outside the jail: as a jailed pod would be if it were not, and with every right. */
export const runTwins = async (session: Session, namespace: string, targets: readonly Target[]): Promise<Twins> => {
  const unjailed = unjailedPod(session, "unjailed", namespace, { targets });
  const privileged = privilegedPod(session, namespace, targets);
  for (const pod of [unjailed, privileged]) await session.create(pod);
  return {
    unjailed: await probesOf(session, unjailed, "step"),
    privileged: await probesOf(session, privileged, "step"),
  };
};

const inside = "listener in the jail";
const outside = "listener outside the jail";

const reached = ({ probes }: Probes, name: string): boolean =>
  probes.find(({ attempt }) => attempt === name)?.outcome === "reached";

export const jail: FactoryAttack = {
  name: "jail",
  covers:
    "The network, the node and the neighbours of a jailed pod, from step, sidecar, init container and a last pod.",
  tries: "to get a packet out of the jail, or anything in, by every way that a prober knows",
  refusal: { by: ["jail", "kernel"], message: /^(jailed|denied):/ },
  control: "The same prober reaches the same targets outside the jail, or with every right.",
  prepare: async (session) => {
    const namespace = await session.workbench();
    const inCluster = await targetsOf(session);
    const listener = unjailedPod(session, "listener", namespace, { fixed: false, listen: port });
    await session.create(listener);
    const address = await addressOf(session, listener);
    const targets: Target[] = [...inCluster, { name: outside, kind: "tcp", host: address, port }];
    const { run, last } = jailedPods(session, targets);
    await session.create(run);
    await session.create(last);
    const jailed = {
      init: await probesOf(session, run, "init"),
      sidecar: await probesOf(session, run, "sidecar"),
      step: await probesOf(session, run, "step"),
      finally: await probesOf(session, last, "finally"),
    };
    const listening: Target = { name: inside, kind: "tcp", host: await addressOf(session, run), port };
    const twins = await runTwins(session, namespace, [...targets, listening]);
    const countsPackets = session.factory.runtimeClasses !== null;
    const control = (name: string, held: boolean) => ({
      name,
      run: (): Promise<Answer> =>
        Promise.resolve(held ? { is: "accepted", detail: "reached" } : { is: "unproven", detail: "not reached" }),
    });
    return {
      attempts: [
        ...Object.entries(jailed).flatMap(([where, probes]) => probeAttempts(where, probes, twins, countsPackets)),
        {
          name: `from outside: ${inside}`,
          run: () =>
            Promise.resolve(
              reached(twins.unjailed, inside) || reached(twins.privileged, inside)
                ? { is: "accepted", detail: "connected" }
                : { is: "refused", by: "jail", message: "jailed: no connection" },
            ),
        },
      ],
      controls: [
        control("a listener outside the jail is reached", reached(twins.unjailed, outside)),
        control(
          "the API server is reached outside the jail",
          reached(twins.unjailed, "TCP to the API server's service"),
        ),
        control(
          "the cluster's DNS answers outside the jail",
          reached(twins.unjailed, "DNS question to the cluster's DNS"),
        ),
        control("a frame is sent with every right", reached(twins.privileged, "Ethernet frame, packet socket")),
      ],
    };
  },
};

import { distinctHosts, type Host } from "./hosts";
import { STAGE_LABEL } from "./labels";
import type { CiliumPolicySpec } from "./cilium-policy";
import { podPeer } from "./network-policies";

/** What a team's stages may reach outside the cluster. */
export interface EgressHosts {
  /** Forges that *ingest source* takes sources from, beside the factory's own. */
  forges: Host[];
  /** Registries that *ingest dependencies* takes packages from. */
  registries: Host[];
}

/** A service of the factory that stages reach. */
interface Service {
  namespace: string;
  port: number;
  /** Name under which stages look it up. */
  dnsName: string;
}

const forge: Service = { namespace: "ssf-forge", port: 8443, dnsName: "forge.ssf-forge.svc.cluster.local" };
const registry: Service = {
  namespace: "ssf-registry",
  port: 5000,
  dnsName: "registry.ssf-registry.svc.cluster.local",
};

/** What an egress class reaches: services of the factory, and hosts outside the cluster. */
const reachOf = (network: string, { forges, registries }: EgressHosts): { services: Service[]; hosts: Host[] } => {
  switch (network) {
    case "forge":
      return { services: [forge], hosts: distinctHosts(forges) };
    case "dependencies":
      return { services: [], hosts: distinctHosts(registries) };
    case "registry":
      return { services: [registry], hosts: [] };
    default:
      return { services: [], hosts: [] };
  }
};

const portsOf = (hosts: readonly Host[]): number[] => [...new Set(hosts.map(({ port }) => port))].sort((a, b) => a - b);

/**
 * Egress rules of a stage for a NetworkPolicy, by its network; none for a stage that reaches nothing.
 *
 * Such a policy knows no names: hosts outside are every address that is not in `clusterCidrs`, on the hosts' ports, and
 * the name server answers every question.
 */
export const kubernetesEgress = (network: string, hosts: EgressHosts, clusterCidrs: string[]): object[] => {
  const reach = reachOf(network, hosts);
  const rules = [
    ...reach.services.map(({ namespace, port }) => ({
      to: [podPeer(namespace)],
      ports: [{ port, protocol: "TCP" }],
    })),
    ...(reach.hosts.length === 0
      ? []
      : [
          {
            to: [outside(clusterCidrs)],
            ports: portsOf(reach.hosts).map((port) => ({ port, protocol: "TCP" })),
          },
        ]),
  ];
  return rules.length === 0 ? [] : [nameServer, ...rules];
};

/** Links of a node's own, one of which leads to a cloud's metadata. */
const LINK_LOCAL = "169.254.0.0/16";

/** Every address outside the cluster, as a peer of a NetworkPolicy. */
export const outside = (clusterCidrs: string[]) => ({
  ipBlock: { cidr: "0.0.0.0/0", except: [...clusterCidrs, LINK_LOCAL] },
});

/** The cluster's name server, as a rule of egress. */
export const nameServer = {
  to: [podPeer("kube-system", { "k8s-app": "kube-dns" })],
  ports: [
    { port: 53, protocol: "UDP" },
    { port: 53, protocol: "TCP" },
  ],
};

const tcp = (port: number) => [{ ports: [{ port: String(port), protocol: "TCP" }] }];

const podsOf = (namespace: string, labels: Record<string, string> = {}) => [
  { matchLabels: { "k8s:io.kubernetes.pod.namespace": namespace, ...labels } },
];

/**
 * Policy of a stage for Cilium, by its network; `undefined` for a stage that reaches nothing.
 *
 * A host is the addresses that the name server gave this pod for its name, and the name server answers it for no other
 * name. So neither another host nor a question to a name server of someone's own gets through.
 */
export const ciliumEgress = (stage: string, network: string, hosts: EgressHosts): CiliumPolicySpec | undefined => {
  const reach = reachOf(network, hosts);
  const names = [...reach.services.map(({ dnsName }) => dnsName), ...new Set(reach.hosts.map(({ name }) => name))];
  // To Cilium an empty list of names would mean every name.
  if (names.length === 0) return undefined;
  return {
    description: `What stage ${stage} may reach.`,
    endpointSelector: { matchLabels: { [`k8s:${STAGE_LABEL}`]: stage } },
    egress: [
      {
        toEndpoints: podsOf("kube-system", { "k8s:k8s-app": "kube-dns" }),
        toPorts: [
          {
            ports: [
              { port: "53", protocol: "UDP" },
              { port: "53", protocol: "TCP" },
            ],
            rules: { dns: names.map((matchName) => ({ matchName })) },
          },
        ],
      },
      ...reach.services.map(({ namespace, port }) => ({ toEndpoints: podsOf(namespace), toPorts: tcp(port) })),
      ...portsOf(reach.hosts).map((port) => ({
        toFQDNs: reach.hosts.filter((host) => host.port === port).map(({ name }) => ({ matchName: name })),
        toPorts: tcp(port),
      })),
    ],
  };
};

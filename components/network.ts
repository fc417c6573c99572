import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { image, type Toolchain } from "../stacks/toolchain";
import { FLOW_FILE } from "./lib/flow-file";
import { STAGE_LABEL } from "./lib/labels";

/** Arguments of {@link Network}. */
export interface NetworkArgs {
  /** Images, and the directory of Cilium's own chart. */
  toolchain: Toolchain;
  /** Range of the pods' addresses, in CIDR notation. */
  podCidr: string;
}

/** What the agent may do on its node: what upstream grants, without raising its own limits. */
const agentCapabilities = [
  ...["CHOWN", "DAC_OVERRIDE", "FOWNER", "IPC_LOCK", "KILL", "NET_ADMIN", "NET_RAW", "SETGID", "SETUID"],
  ...["SYSLOG", "SYS_ADMIN", "SYS_MODULE"],
];

/**
 * Hubble as a record and nothing else: each agent writes to a file what stages tried to reach and what came of it. Nothing
 * listens but the agent's own socket, and of a packet only addresses, ports and names of hosts are kept.
 */
export const flowRecord = {
  enabled: true,
  listenAddress: "",
  tls: { enabled: false },
  relay: { enabled: false },
  ui: { enabled: false },
  // For its one Service, whose endpoints are the agents that are awaited anyway.
  annotations: { "pulumi.com/skipAwait": "true" },
  export: {
    static: {
      enabled: true,
      filePath: FLOW_FILE,
      fileMaxSizeMb: 10,
      fileMaxBackups: 5,
      fieldMask: [
        ...["time", "node_name", "verdict", "drop_reason_desc", "IP.destination", "l4", "event_type.type"],
        ...["source.namespace", "source.pod_name", "destination.namespace", "destination.pod_name"],
        ...["destination.workloads", "destination_names", "l7.dns.query"],
      ],
      allowList: [
        JSON.stringify({
          source_label: [`k8s:${STAGE_LABEL}`],
          traffic_direction: ["EGRESS"],
          // What was dropped, what a policy decided, and questions to name servers.
          event_type: [{ type: 1 }, { type: 5 }, { type: 129 }],
        }),
      ],
    },
  },
};

/**
 * Cilium as the cluster's network, so that NetworkPolicies are enforced from the first pod on.
 *
 * @example
 * new Network("network", { toolchain, podCidr: "10.244.0.0/16" }, { provider });
 */
export class Network extends pulumi.ComponentResource {
  constructor(name: string, args: NetworkArgs, opts?: pulumi.ComponentResourceOptions) {
    super("secure-software-factory:index:Network", name, args, opts);
    const { podCidr, toolchain } = args;

    new k8s.helm.v4.Chart(
      `${name}-cilium`,
      {
        name: "cilium",
        namespace: "kube-system",
        chart: `${toolchain.sources.cilium ?? ""}/install/kubernetes/cilium`,
        values: {
          image: { override: image(toolchain, "cilium"), pullPolicy: "IfNotPresent" },
          operator: {
            replicas: 1,
            image: { override: image(toolchain, "cilium-operator"), pullPolicy: "IfNotPresent" },
            resources: { requests: { cpu: "20m", memory: "64Mi" }, limits: { memory: "256Mi" } },
          },
          resources: { requests: { cpu: "100m", memory: "256Mi" }, limits: { memory: "1Gi" } },
          securityContext: {
            capabilities: {
              ciliumAgent: agentCapabilities,
              cleanCiliumState: ["NET_ADMIN", "SYS_ADMIN", "SYS_MODULE"],
            },
          },
          envoy: { enabled: false },
          // A name that a policy does not allow is answered like one that does not exist.
          dnsProxy: { dnsRejectResponseCode: "nameError" },
          hubble: flowRecord,
          ipam: { mode: "kubernetes" },
          routingMode: "native",
          autoDirectNodeRoutes: true,
          ipv4NativeRoutingCIDR: podCidr,
          kubeProxyReplacement: "false",
          socketLB: { enabled: false },
          cni: { exclusive: false },
          bpf: { masquerade: false },
          enableIPv4Masquerade: true,
        },
      },
      { parent: this },
    );

    this.registerOutputs({});
  }
}

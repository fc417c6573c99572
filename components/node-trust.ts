import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";

import { configHash } from "./lib/hash";
import { selectorLabels, standardLabels } from "./lib/labels";
import { openNamespace } from "./lib/namespace";
import { resources, rootContainer } from "./lib/pods";
import { timeouts } from "./lib/timeouts";

/** Arguments of {@link NodeTrust}. */
export interface NodeTrustArgs {
  /** The registry as images name it, with its port. */
  registryHost: string;
  /** The same registry as a node reaches it: nodes do not ask the cluster's DNS. */
  registryUrl: pulumi.Input<string>;
  /** Certificate of the authority that the registry's certificate comes from. */
  caPem: pulumi.Input<string>;
  /** Image with a POSIX shell, by digest. */
  shellImage: string;
}

const NAMESPACE = "ssf-node-trust";
const NAME = "node-trust";

/**
 * Teaches containerd on every node where the factory's registry is and which authority to trust for it.
 *
 * It writes two files under `/etc/containerd/certs.d`, and so is the one part of the factory that runs as root with a
 * directory of the node; its namespace holds nothing else. The files go when the pod does.
 */
export class NodeTrust extends pulumi.ComponentResource {
  /** The registry that the nodes trust, once they do. */
  public readonly registryHost: pulumi.Output<string>;

  constructor(name: string, args: NodeTrustArgs, opts?: pulumi.ComponentResourceOptions) {
    super("secure-software-factory:index:NodeTrust", name, args, opts);
    const labels = standardLabels(NAME);

    const { namespace, inNamespace } = openNamespace(name, this, { name: NAMESPACE, labels, level: "privileged" });

    new k8s.networking.v1.NetworkPolicy(
      `${name}-deny`,
      {
        metadata: { name: "deny-all", namespace: NAMESPACE, labels },
        spec: { podSelector: {}, policyTypes: ["Ingress", "Egress"] },
      },
      inNamespace,
    );
    const hosts = pulumi.output(args.registryUrl).apply(hostsToml);
    const config = new k8s.core.v1.ConfigMap(
      `${name}-config`,
      { metadata: { name: NAME, namespace: NAMESPACE, labels }, data: { "hosts.toml": hosts, "ca.crt": args.caPem } },
      inNamespace,
    );
    const daemonSet = new k8s.apps.v1.DaemonSet(
      `${name}-daemon-set`,
      {
        metadata: { name: NAME, namespace: NAMESPACE, labels },
        spec: {
          selector: { matchLabels: selectorLabels(NAME) },
          template: {
            metadata: { labels, annotations: configHash(hosts, args.caPem, TRUST_SCRIPT) },
            spec: {
              automountServiceAccountToken: false,
              enableServiceLinks: false,
              terminationGracePeriodSeconds: 5,
              tolerations: [{ operator: "Exists" }],
              containers: [
                {
                  name: NAME,
                  image: args.shellImage,
                  command: ["/bin/sh", "-c", TRUST_SCRIPT],
                  env: [{ name: "DIRECTORY", value: `/certs.d/${args.registryHost}` }],
                  // Asked until it holds, and not again: what the script has put there stays as long as the script runs.
                  startupProbe: {
                    exec: { command: ["/bin/sh", "-c", 'test -f "$DIRECTORY/hosts.toml"'] },
                    periodSeconds: 1,
                    failureThreshold: 60,
                  },
                  securityContext: rootContainer,
                  resources: resources({ cpu: "5m", memory: "8Mi" }, { cpu: "100m", memory: "32Mi" }),
                  volumeMounts: [
                    { name: "certs", mountPath: "/certs.d" },
                    { name: "config", mountPath: "/config", readOnly: true },
                  ],
                },
              ],
              volumes: [
                { name: "certs", hostPath: { path: "/etc/containerd/certs.d", type: "DirectoryOrCreate" } },
                { name: "config", configMap: { name: NAME } },
              ],
            },
          },
        },
      },
      { ...inNamespace, dependsOn: [namespace, config], customTimeouts: timeouts.workload },
    );

    this.registryHost = pulumi.all([daemonSet.id]).apply(() => args.registryHost);
    this.registerOutputs({ registryHost: this.registryHost });
  }
}

/** Writes the files, the one that containerd looks for last, waits, and removes them when the pod ends. */
export const TRUST_SCRIPT = `set -eu
trap 'rm -rf "$DIRECTORY"; exit 0' TERM INT
mkdir -p "$DIRECTORY"
cp /config/ca.crt "$DIRECTORY/ca.crt"
cp /config/hosts.toml "$DIRECTORY/hosts.toml.new"
mv "$DIRECTORY/hosts.toml.new" "$DIRECTORY/hosts.toml"
while :; do sleep 3600 & wait $!; done
`;

/** containerd's description of a registry that it reaches under another address than images name. */
export const hostsToml = (url: string): string => `server = "${url}"

[host."${url}"]
  capabilities = ["pull", "resolve"]
  ca = "ca.crt"
`;

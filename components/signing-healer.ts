import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";

import { clusterAccount } from "./lib/accounts";
import { configHash } from "./lib/hash";
import { selectorLabels, standardLabels } from "./lib/labels";
import { podPeer } from "./lib/network-policies";
import { apiAccess, resources, restrictedContainer, restrictedPod } from "./lib/pods";
import { timeouts } from "./lib/timeouts";

/** Arguments of {@link SigningHealer}. */
export interface SigningHealerArgs {
  /** Image of the healer, by digest. */
  image: string;
  /** Namespace that it runs in: that of Chains. */
  namespace: string;
  /** The factory's authority as PEM, which the services are known by. */
  caPem: pulumi.Input<string>;
  /** Addresses that answer when a run can be signed. */
  requires: pulumi.Input<string>[];
}

/** Name of its deployment, its account and its service. */
export const SIGNING_HEALER = "signing-healer";

/** Port of its service. */
export const SIGNING_HEALER_PORT = 8080;

/** The healer's pod, for the network policies of what it asks. */
export const signingHealerPeer = (namespace: string) => podPeer(namespace, selectorLabels(SIGNING_HEALER));

/**
 * Gives runs back to Chains that it gave up on, as soon as everything that signing needs answers again.
 *
 * It signs nothing and holds no key; admission holds it to taking away the marks of Chains.
 */
export class SigningHealer extends pulumi.ComponentResource {
  /** Where it lists the runs that have no signature yet: service and port. */
  public readonly service: pulumi.Output<string>;

  constructor(name: string, args: SigningHealerArgs, opts?: pulumi.ComponentResourceOptions) {
    super("secure-software-factory:index:SigningHealer", name, args, opts);
    const child = { parent: this, customTimeouts: timeouts.plain };
    const labels = standardLabels(SIGNING_HEALER);
    const metadata = { name: SIGNING_HEALER, namespace: args.namespace, labels };

    const { account, binding } = clusterAccount(
      name,
      {
        ...metadata,
        rules: [{ apiGroups: ["tekton.dev"], resources: ["pipelineruns"], verbs: ["get", "list", "watch", "patch"] }],
      },
      { child, inNamespace: child },
    );
    const authority = new k8s.core.v1.ConfigMap(
      `${name}-authority`,
      { metadata: { ...metadata, name: `${SIGNING_HEALER}-authority` }, data: { "ca.crt": args.caPem } },
      child,
    );
    const policy = new k8s.networking.v1.NetworkPolicy(
      `${name}-policy`,
      {
        metadata: { ...metadata, name: `${SIGNING_HEALER}-clients` },
        spec: { podSelector: { matchLabels: selectorLabels(SIGNING_HEALER) }, policyTypes: ["Ingress"] },
      },
      child,
    );
    const deployment = new k8s.apps.v1.Deployment(
      `${name}-deployment`,
      {
        metadata,
        spec: {
          replicas: 1,
          strategy: { type: "Recreate" },
          selector: { matchLabels: selectorLabels(SIGNING_HEALER) },
          template: {
            metadata: { labels, annotations: configHash(args.caPem) },
            spec: {
              serviceAccountName: account.metadata.name,
              automountServiceAccountToken: false,
              enableServiceLinks: false,
              securityContext: restrictedPod,
              containers: [
                {
                  name: SIGNING_HEALER,
                  image: args.image,
                  args: pulumi
                    .all(args.requires)
                    .apply((urls) => ["--ca=/etc/factory-ca/ca.crt", ...urls.map((url) => `--requires=${url}`)]),
                  ports: [{ name: "http", containerPort: SIGNING_HEALER_PORT }],
                  readinessProbe: { httpGet: { path: "/healthz", port: SIGNING_HEALER_PORT }, periodSeconds: 2 },
                  livenessProbe: {
                    httpGet: { path: "/healthz", port: SIGNING_HEALER_PORT },
                    initialDelaySeconds: 10,
                    periodSeconds: 20,
                  },
                  securityContext: restrictedContainer,
                  resources: resources({ cpu: "5m", memory: "16Mi" }, { cpu: "200m", memory: "128Mi" }),
                  volumeMounts: [{ name: "authority", mountPath: "/etc/factory-ca", readOnly: true }, apiAccess.mount],
                },
              ],
              volumes: [{ name: "authority", configMap: { name: authority.metadata.name } }, apiAccess.volume],
            },
          },
        },
      },
      { ...child, dependsOn: [binding, policy], customTimeouts: timeouts.workload },
    );
    const service = new k8s.core.v1.Service(
      `${name}-service`,
      {
        metadata: { ...metadata, annotations: { "pulumi.com/skipAwait": "true" } },
        spec: {
          selector: selectorLabels(SIGNING_HEALER),
          ports: [{ name: "http", port: SIGNING_HEALER_PORT, targetPort: SIGNING_HEALER_PORT, protocol: "TCP" }],
        },
      },
      { ...child, dependsOn: [deployment] },
    );

    this.service = service.metadata.name;
    this.registerOutputs({ service: this.service });
  }
}

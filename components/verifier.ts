import { dirname } from "node:path";

import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";

import {
  HEALTH_PATH,
  VERIFIER_CHECKPOINTS,
  VERIFIER_FILES,
  VERIFIER_NAMESPACE,
  VERIFIER_PORT,
  type VerifierSettings,
  VERIFY_PATH,
} from "../policies/admission/gate/records";
import { ciliumPolicy } from "./lib/cilium-policy";
import { plainAccount } from "./lib/accounts";
import { issueCertificate } from "./lib/certificates";
import { nameServer } from "./lib/egress";
import { configHash } from "./lib/hash";
import { selectorLabels, standardLabels } from "./lib/labels";
import { openNamespace } from "./lib/namespace";
import { NetworkPolicies, podPeer } from "./lib/network-policies";
import { apiAccess, resources, restrictedContainer, restrictedPod } from "./lib/pods";
import { tlsService } from "./lib/services";
import { timeouts } from "./lib/timeouts";
import { type Workload, workloadApiMount, workloadApiVariable, workloadApiVolume } from "./lib/workload-api";

/** A service that the verifier asks. */
export interface VerifierSource {
  /** Its pods. */
  peer: k8s.types.input.networking.v1.NetworkPolicyPeer;
  port: number;
}

/** Arguments of {@link Verifier}. */
export interface VerifierArgs {
  /** Image of the verifier, by digest. */
  image: string;
  /** ClusterIssuer that its certificate comes from. */
  issuer: pulumi.Input<string>;
  /** What it holds of every image, whichever team's it is. */
  settings: pulumi.Input<VerifierSettings>;
  /** Registry, log and trust repository. */
  sources: VerifierSource[];
  /** Pods that ask it; nobody else may open a connection. */
  client: k8s.types.input.networking.v1.NetworkPolicyPeer;
  /** Policies that the cluster's network enforces. */
  networkPolicies: NetworkPolicies;
}

const NAME = "verifier";

/** The verifier's pod, as SPIRE knows it. */
export const VERIFIER_WORKLOAD: Workload = { namespace: VERIFIER_NAMESPACE, serviceAccount: NAME };

const HOST = `${NAME}.${VERIFIER_NAMESPACE}.svc`;

/** The verifier's pods, for the network policies of what they ask. */
export const verifierPeer = podPeer(VERIFIER_NAMESPACE, selectorLabels(NAME));

/**
 * The gate's verifier: says of an image whether its provenance holds, as `factory verify` does, to Gatekeeper and to nobody
 * else. What teams' images must have it reads from the records that their stacks leave in its namespace.
 *
 * It holds no key. Its token lists ConfigMaps of its own namespace and changes one, in which it remembers the log; its
 * identity reads the registry.
 * @example
 * new Verifier("verifier", { image, issuer, settings, sources: [registry, rekor], client: gatekeeperPeer });
 */
export class Verifier extends pulumi.ComponentResource {
  /** Address of the question, once it is answered. */
  public readonly url: pulumi.Output<string>;

  constructor(name: string, args: VerifierArgs, opts?: pulumi.ComponentResourceOptions) {
    super("secure-software-factory:index:Verifier", name, args, opts);
    const labels = standardLabels(NAME);
    const metadata = (part: string) => ({ name: part, namespace: VERIFIER_NAMESPACE, labels });
    const { namespace, inNamespace } = openNamespace(name, this, {
      name: VERIFIER_NAMESPACE,
      labels,
      level: "restricted",
    });

    const account = plainAccount(name, metadata(NAME), inNamespace);
    // Without content, which is the verifier's: no other update touches what is there.
    const checkpoints = new k8s.core.v1.ConfigMap(
      `${name}-checkpoints`,
      { metadata: metadata(VERIFIER_CHECKPOINTS) },
      inNamespace,
    );
    const configMaps = { apiGroups: [""], resources: ["configmaps"] };
    const role = new k8s.rbac.v1.Role(
      `${name}-role`,
      {
        metadata: metadata(NAME),
        rules: [
          { ...configMaps, verbs: ["list"] },
          { ...configMaps, resourceNames: [VERIFIER_CHECKPOINTS], verbs: ["get", "patch"] },
        ],
      },
      inNamespace,
    );
    const binding = new k8s.rbac.v1.RoleBinding(
      `${name}-role-binding`,
      {
        metadata: metadata(NAME),
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: role.metadata.name },
        subjects: [{ kind: "ServiceAccount", name: NAME, namespace: VERIFIER_NAMESPACE }],
      },
      inNamespace,
    );

    const settings = pulumi.output(args.settings).apply((all) => `${JSON.stringify(all, undefined, 2)}\n`);
    const config = new k8s.core.v1.ConfigMap(
      `${name}-config`,
      { metadata: metadata("verifier-settings"), data: { "settings.json": settings } },
      inNamespace,
    );
    const certificate = issueCertificate(
      `${name}-certificate`,
      { ...metadata("verifier-tls"), issuer: args.issuer, dnsNames: [HOST], isReread: true },
      inNamespace,
    );

    const isCilium = args.networkPolicies === NetworkPolicies.Cilium;
    const policies = [
      new k8s.networking.v1.NetworkPolicy(
        `${name}-policy`,
        {
          metadata: metadata("verifier-clients"),
          spec: {
            podSelector: {},
            // Policies of Kubernetes cannot name the API server, so without Cilium the way out stays open.
            policyTypes: isCilium ? ["Ingress", "Egress"] : ["Ingress"],
            ingress: [{ from: [args.client], ports: [{ port: VERIFIER_PORT, protocol: "TCP" }] }],
            ...(isCilium
              ? {
                  egress: [
                    nameServer,
                    ...args.sources.map(({ peer, port }) => ({ to: [peer], ports: [{ port, protocol: "TCP" }] })),
                  ],
                }
              : {}),
          },
        },
        inNamespace,
      ),
      ...(isCilium
        ? [
            ciliumPolicy(
              `${name}-api`,
              metadata("verifier-api"),
              {
                description: "The verifier reads the records of teams.",
                endpointSelector: {},
                egress: [{ toEntities: ["kube-apiserver"] }],
              },
              inNamespace,
            ),
          ]
        : []),
    ];
    const probe = { httpGet: { path: HEALTH_PATH, port: VERIFIER_PORT, scheme: "HTTPS" } };
    const deployment = new k8s.apps.v1.Deployment(
      `${name}-deployment`,
      {
        metadata: metadata(NAME),
        spec: {
          replicas: 1,
          selector: { matchLabels: selectorLabels(NAME) },
          template: {
            metadata: { labels, annotations: configHash(settings) },
            spec: {
              serviceAccountName: account.metadata.name,
              automountServiceAccountToken: false,
              enableServiceLinks: false,
              securityContext: restrictedPod,
              containers: [
                {
                  name: NAME,
                  image: args.image,
                  env: [
                    // The client of the trust repository downloads to where temporary files go.
                    { name: "TMPDIR", value: dirname(VERIFIER_FILES.cache) },
                    workloadApiVariable,
                  ],
                  ports: [{ name: "https", containerPort: VERIFIER_PORT }],
                  readinessProbe: { ...probe, periodSeconds: 2 },
                  livenessProbe: { ...probe, initialDelaySeconds: 10, periodSeconds: 20 },
                  securityContext: restrictedContainer,
                  resources: resources({ cpu: "100m", memory: "64Mi" }, { cpu: "1", memory: "256Mi" }),
                  volumeMounts: [
                    { name: "settings", mountPath: dirname(VERIFIER_FILES.settings), readOnly: true },
                    { name: "tls", mountPath: dirname(VERIFIER_FILES.certificate), readOnly: true },
                    { name: "cache", mountPath: dirname(VERIFIER_FILES.cache) },
                    workloadApiMount,
                    apiAccess.mount,
                  ],
                },
              ],
              volumes: [
                { name: "settings", configMap: { name: config.metadata.name } },
                { name: "tls", secret: { secretName: "verifier-tls" } },
                { name: "cache", emptyDir: { sizeLimit: "16Mi" } },
                workloadApiVolume,
                apiAccess.volume,
              ],
            },
          },
        },
      },
      {
        ...inNamespace,
        dependsOn: [namespace, certificate, binding, checkpoints, ...policies],
        customTimeouts: timeouts.workload,
      },
    );
    const service = tlsService(`${name}-service`, metadata(NAME), VERIFIER_PORT, {
      ...inNamespace,
      dependsOn: [namespace, deployment],
    });

    this.url = service.id.apply(() => `https://${HOST}:${VERIFIER_PORT}${VERIFY_PATH}`);
    this.registerOutputs({ url: this.url });
  }
}

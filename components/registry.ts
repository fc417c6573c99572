import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import { stringify } from "yaml";

import { issueCertificate } from "./lib/certificates";
import { configHash } from "./lib/hash";
import { selectorLabels, STAGE_LABEL, standardLabels, TEAM_LABEL } from "./lib/labels";
import { openNamespace } from "./lib/namespace";
import { dnsLabel } from "./lib/names";
import { ciliumPolicy, fromNodes, NetworkPolicies } from "./lib/network-policies";
import { resources, restrictedContainer, restrictedPod } from "./lib/pods";
import { htpasswd } from "./lib/registry-config";
import { timeouts } from "./lib/timeouts";

/** Arguments of {@link Registry}. */
export interface RegistryArgs {
  /** Image of distribution, by digest. */
  image: string;
  /** Address of the service; it must lie in the cluster's service range, and stays the same for as long as nodes trust it. */
  clusterIp: string;
  /** ClusterIssuer that the registry's certificate comes from. */
  issuer: pulumi.Input<string>;
  /** Size of the volume. @default 20Gi */
  size?: string;
  /** Class of the volume. @default the cluster's default class */
  storageClass?: pulumi.Input<string>;
  /** Policies that the cluster's network enforces. @default NetworkPolicies.Kubernetes */
  networkPolicies?: NetworkPolicies;
}

const NAMESPACE = "ssf-registry";
const NAME = "registry";
const PORT = 5000;
const USERS = ["publisher", "reader", "chains"] as const;

/** Host and port under which pods, nodes and provenance name the registry. */
export const REGISTRY_HOST = `${NAME}.${NAMESPACE}.svc.cluster.local:${PORT}`;

/**
 * The factory's image registry (CNCF distribution): TLS only, no anonymous access, nothing can be deleted.
 *
 * The users `publisher`, `reader` and `chains` have a random password each. distribution knows no rights within a
 * registry, so who may reach it at all is said by the network policy: publishing stages and Chains.
 * @example
 * const registry = new Registry("registry", { image, clusterIp: "10.96.0.50", issuer: certManager.issuer });
 */
export class Registry extends pulumi.ComponentResource {
  /** Host and port, as in an image reference; known already at preview. */
  public readonly host: pulumi.Output<string>;
  /** Address by which nodes reach it. */
  public readonly url: pulumi.Output<string>;
  /** Namespace of the service. */
  public readonly namespace: pulumi.Output<string>;
  /** Name of the service. */
  public readonly service: pulumi.Output<string>;
  /** Password of the user `publisher`; secret. */
  public readonly publisherPassword: pulumi.Output<string>;
  /** Password of the user `reader`; secret. */
  public readonly readerPassword: pulumi.Output<string>;
  /** Password of the user `chains`; secret. */
  public readonly chainsPassword: pulumi.Output<string>;

  constructor(name: string, args: RegistryArgs, opts?: pulumi.ComponentResourceOptions) {
    super("secure-software-factory:index:Registry", name, args, opts);
    const labels = standardLabels(NAME);

    const { namespace, inNamespace } = openNamespace(name, this, { name: NAMESPACE, labels, level: "restricted" });

    const password = (user: string): random.RandomPassword =>
      new random.RandomPassword(`${name}-password-${user}`, { length: 40, special: false }, { parent: this });
    const [publisher, reader, chains] = [password(USERS[0]), password(USERS[1]), password(USERS[2])];
    const httpSecret = new random.RandomPassword(
      `${name}-http-secret`,
      { length: 40, special: false },
      { parent: this },
    );

    const users = pulumi
      .all([publisher.bcryptHash, reader.bcryptHash, chains.bcryptHash])
      .apply((hashes) => htpasswd(USERS.map((username, index) => ({ username, hash: hashes[index] ?? "" }))));
    const secret = new k8s.core.v1.Secret(
      `${name}-users`,
      {
        metadata: { name: "registry-users", namespace: NAMESPACE, labels },
        stringData: { htpasswd: users, "http-secret": httpSecret.result },
      },
      inNamespace,
    );
    const settings = stringify(registrySettings());
    const config = new k8s.core.v1.ConfigMap(
      `${name}-config`,
      { metadata: { name: "registry-config", namespace: NAMESPACE, labels }, data: { "config.yml": settings } },
      inNamespace,
    );
    const certificate = issueCertificate(
      `${name}-certificate`,
      {
        name: "registry-tls",
        namespace: NAMESPACE,
        labels,
        issuer: args.issuer,
        dnsNames: [`${NAME}.${NAMESPACE}.svc.cluster.local`, `${NAME}.${NAMESPACE}.svc`, "localhost"],
        ipAddresses: [args.clusterIp, "127.0.0.1"],
      },
      inNamespace,
    );
    const claim = new k8s.core.v1.PersistentVolumeClaim(
      `${name}-volume`,
      {
        metadata: {
          name: "registry-data",
          namespace: NAMESPACE,
          labels,
          // It binds only when the pod below is scheduled, so waiting for it first would never end.
          annotations: { "pulumi.com/skipAwait": "true" },
        },
        spec: {
          accessModes: ["ReadWriteOnce"],
          storageClassName: args.storageClass,
          resources: { requests: { storage: args.size ?? "20Gi" } },
        },
      },
      inNamespace,
    );
    const policy = new k8s.networking.v1.NetworkPolicy(
      `${name}-policy`,
      {
        metadata: { name: dnsLabel([NAME, "clients"]), namespace: NAMESPACE, labels },
        spec: {
          podSelector: {},
          policyTypes: ["Ingress", "Egress"],
          ingress: [{ from: registryClients, ports: [{ port: PORT, protocol: "TCP" }] }],
        },
      },
      inNamespace,
    );
    const nodes =
      args.networkPolicies === NetworkPolicies.Cilium
        ? [
            ciliumPolicy(
              `${name}-nodes`,
              { name: dnsLabel([NAME, "nodes"]), namespace: NAMESPACE, labels },
              fromNodes("Every node pulls what its pods run.", PORT),
              inNamespace,
            ),
          ]
        : [];
    const deployment = new k8s.apps.v1.Deployment(
      `${name}-deployment`,
      {
        metadata: { name: NAME, namespace: NAMESPACE, labels },
        spec: {
          replicas: 1,
          strategy: { type: "Recreate" },
          selector: { matchLabels: selectorLabels(NAME) },
          template: {
            metadata: { labels, annotations: configHash(settings, users, httpSecret.result) },
            spec: {
              automountServiceAccountToken: false,
              enableServiceLinks: false,
              securityContext: restrictedPod,
              containers: [
                {
                  name: NAME,
                  image: args.image,
                  args: ["serve", "/etc/distribution/config.yml"],
                  env: [
                    {
                      name: "REGISTRY_HTTP_SECRET",
                      valueFrom: { secretKeyRef: { name: "registry-users", key: "http-secret" } },
                    },
                    { name: "OTEL_TRACES_EXPORTER", value: "none" },
                  ],
                  ports: [{ name: "https", containerPort: PORT }],
                  readinessProbe: { httpGet: { path: "/", port: PORT, scheme: "HTTPS" }, periodSeconds: 2 },
                  livenessProbe: {
                    httpGet: { path: "/", port: PORT, scheme: "HTTPS" },
                    initialDelaySeconds: 10,
                    periodSeconds: 20,
                  },
                  securityContext: restrictedContainer,
                  resources: resources({ cpu: "50m", memory: "64Mi" }, { cpu: "1", memory: "512Mi" }),
                  volumeMounts: [
                    { name: "config", mountPath: "/etc/distribution", readOnly: true },
                    { name: "users", mountPath: "/etc/registry-users", readOnly: true },
                    { name: "tls", mountPath: "/etc/registry-tls", readOnly: true },
                    { name: "data", mountPath: "/var/lib/registry" },
                    { name: "tmp", mountPath: "/tmp" },
                  ],
                },
              ],
              volumes: [
                { name: "config", configMap: { name: "registry-config" } },
                {
                  name: "users",
                  secret: { secretName: "registry-users", items: [{ key: "htpasswd", path: "htpasswd" }] },
                },
                { name: "tls", secret: { secretName: "registry-tls" } },
                { name: "data", persistentVolumeClaim: { claimName: "registry-data" } },
                { name: "tmp", emptyDir: {} },
              ],
            },
          },
        },
      },
      {
        ...inNamespace,
        dependsOn: [namespace, secret, config, certificate, claim, policy, ...nodes],
        customTimeouts: timeouts.workload,
      },
    );
    const service = new k8s.core.v1.Service(
      `${name}-service`,
      {
        metadata: { name: NAME, namespace: NAMESPACE, labels, annotations: { "pulumi.com/skipAwait": "true" } },
        spec: {
          type: "ClusterIP",
          clusterIP: args.clusterIp,
          selector: selectorLabels(NAME),
          ports: [{ name: "https", port: PORT, targetPort: PORT, protocol: "TCP" }],
        },
      },
      { ...inNamespace, dependsOn: [namespace, deployment] },
    );

    this.host = pulumi.output(REGISTRY_HOST);
    this.url = pulumi.output(`https://${args.clusterIp}:${PORT}`);
    this.namespace = pulumi.output(NAMESPACE);
    this.service = service.metadata.name;
    this.publisherPassword = publisher.result;
    this.readerPassword = reader.result;
    this.chainsPassword = chains.result;
    this.registerOutputs({
      host: this.host,
      url: this.url,
      namespace: this.namespace,
      service: this.service,
      publisherPassword: this.publisherPassword,
      readerPassword: this.readerPassword,
      chainsPassword: this.chainsPassword,
    });
  }
}

/** Who may open a connection: the publishing stage of any team, and Chains. */
export const registryClients = [
  {
    namespaceSelector: { matchExpressions: [{ key: TEAM_LABEL, operator: "Exists" }] },
    podSelector: { matchLabels: { [STAGE_LABEL]: "publish" } },
  },
  { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "tekton-chains" } } },
];

/** distribution's own settings file. */
export const registrySettings = (): object => ({
  version: 0.1,
  log: { level: "info", accesslog: { disabled: false } },
  storage: {
    filesystem: { rootdirectory: "/var/lib/registry" },
    delete: { enabled: false },
  },
  http: {
    addr: `:${PORT}`,
    tls: {
      certificate: "/etc/registry-tls/tls.crt",
      key: "/etc/registry-tls/tls.key",
      minimumtls: "tls1.2",
    },
    headers: { "X-Content-Type-Options": ["nosniff"] },
  },
  auth: { htpasswd: { realm: "secure-software-factory", path: "/etc/registry-users/htpasswd" } },
});

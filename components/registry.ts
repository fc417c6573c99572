import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import { stringify } from "yaml";

import { selectorLabels, STAGE_LABEL, standardLabels, TEAM_LABEL } from "./lib/labels";
import { openNamespace } from "./lib/namespace";
import { dnsLabel } from "./lib/names";
import { ciliumPolicy, fromNodes, NetworkPolicies, podPeer } from "./lib/network-policies";
import { resources } from "./lib/pods";
import { htpasswd } from "./lib/registry-config";
import { makeServer } from "./lib/server";
import { verifierPeer } from "./verifier";

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

/** Port of the registry. */
export const REGISTRY_PORT = 5000;

/** Host and port under which pods, nodes and provenance name the registry. */
export const REGISTRY_HOST = `${NAME}.${NAMESPACE}.svc.cluster.local:${REGISTRY_PORT}`;

/** The registry's pods, for the network policies of what asks them. */
export const registryPeer = podPeer(NAMESPACE, selectorLabels(NAME));

/**
 * The factory's image registry (CNCF distribution): TLS only, no anonymous access, nothing can be deleted.
 *
 * The users `publisher`, `reader` and `chains` have a random password each. distribution knows no rights within a
 * registry, so who may reach it at all is said by the network policy: publishing stages, Chains and the gate's verifier.
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

    const opened = openNamespace(name, this, { name: NAMESPACE, labels, level: "restricted" });
    const password = (part: string): random.RandomPassword =>
      new random.RandomPassword(`${name}-${part}`, { length: 40, special: false }, { parent: this });
    const publisher = password("password-publisher");
    const reader = password("password-reader");
    const chains = password("password-chains");
    const nodes =
      args.networkPolicies === NetworkPolicies.Cilium
        ? [
            ciliumPolicy(
              `${name}-nodes`,
              { name: dnsLabel([NAME, "nodes"]), namespace: NAMESPACE, labels },
              fromNodes("Every node pulls what its pods run.", REGISTRY_PORT),
              opened.inNamespace,
            ),
          ]
        : [];
    const service = makeServer(
      name,
      {
        name: NAME,
        namespace: NAMESPACE,
        labels,
        port: REGISTRY_PORT,
        issuer: args.issuer,
        clusterIp: args.clusterIp,
        clients: registryClients,
        settings: { "config.yml": stringify(registrySettings()) },
        users: {
          htpasswd: pulumi
            .all({ publisher: publisher.bcryptHash, reader: reader.bcryptHash, chains: chains.bcryptHash })
            .apply((hashes) => htpasswd(Object.entries(hashes).map(([username, hash]) => ({ username, hash })))),
          path: "/etc/registry-users",
          secrets: { "http-secret": password("http-secret").result },
        },
        volume: { size: args.size ?? "20Gi", storageClass: args.storageClass, path: "/var/lib/registry" },
        paths: { settings: "/etc/distribution", tls: "/etc/registry-tls" },
        container: {
          image: args.image,
          args: ["serve", "/etc/distribution/config.yml"],
          env: [
            {
              name: "REGISTRY_HTTP_SECRET",
              valueFrom: { secretKeyRef: { name: "registry-users", key: "http-secret" } },
            },
            { name: "OTEL_TRACES_EXPORTER", value: "none" },
          ],
          probe: { httpGet: { path: "/", port: REGISTRY_PORT, scheme: "HTTPS" } },
          resources: resources({ cpu: "50m", memory: "64Mi" }, { cpu: "1", memory: "512Mi" }),
        },
        dependsOn: nodes,
      },
      opened,
    );

    this.host = pulumi.output(REGISTRY_HOST);
    this.url = pulumi.output(`https://${args.clusterIp}:${REGISTRY_PORT}`);
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

/** Who may open a connection: the publishing stage of any team, Chains, and the gate's verifier. */
export const registryClients = [
  {
    namespaceSelector: { matchExpressions: [{ key: TEAM_LABEL, operator: "Exists" }] },
    podSelector: { matchLabels: { [STAGE_LABEL]: "publish" } },
  },
  podPeer("tekton-chains"),
  verifierPeer,
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
    addr: `:${REGISTRY_PORT}`,
    tls: {
      certificate: "/etc/registry-tls/tls.crt",
      key: "/etc/registry-tls/tls.key",
      minimumtls: "tls1.2",
    },
    headers: { "X-Content-Type-Options": ["nosniff"] },
  },
  auth: { htpasswd: { realm: "secure-software-factory", path: "/etc/registry-users/htpasswd" } },
});

import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import { stringify } from "yaml";

import { ciliumPolicy, fromNodes } from "./lib/cilium-policy";
import { selectorLabels, STAGE_LABEL, standardLabels, TEAM_LABEL } from "./lib/labels";
import { openNamespace } from "./lib/namespace";
import { dnsLabel } from "./lib/names";
import { NetworkPolicies, podPeer } from "./lib/network-policies";
import { resources } from "./lib/pods";
import { makeServer } from "./lib/server";
import { PUBLISHER, type Workload } from "./lib/workload-api";
import { verifierPeer } from "./verifier";

/** Arguments of {@link Registry}. */
export interface RegistryArgs {
  /** Images, each by digest. */
  images: {
    /** distribution. */
    registry: string;
    /** What stands before it and says who may do what. */
    guard: string;
  };
  /** Address of the service; it must lie in the cluster's service range, and stays the same for as long as nodes trust it. */
  clusterIp: string;
  /** ClusterIssuer that the registry's certificate comes from. */
  issuer: pulumi.Input<string>;
  /** SPIFFE ID that lays attestations beside the images of every team. */
  attestor: string;
  /** SPIFFE ID that reads the images of every team, and changes none. */
  reader: string;
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

/** The registry's pod, as SPIRE knows it; only who has an identity is told the keys of others' tokens. */
export const REGISTRY_WORKLOAD: Workload = { namespace: NAMESPACE, serviceAccount: NAME };

/** Port of distribution, within the pod. */
const INNER_PORT = 5001;

const USERS = "/etc/registry-users";
const PASSWORD_KEY = "password-key";
const TLS = "/etc/registry-tls";

/**
 * The factory's image registry (CNCF distribution): TLS only, no anonymous access, nothing can be deleted, and no tag ever
 * names something else.
 *
 * distribution knows no rights within a registry, so a guard stands before it. A team's publishing stage pushes to the
 * repositories of its namespace, Chains lays attestations beside all images, and the gate's verifier reads them; these log in
 * with tokens of SPIRE. Passwords only read: they are made from one key and the user's name.
 * @example
 * const registry = new Registry("registry", { images, clusterIp: "10.96.0.50", issuer, attestor, reader });
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
  /** What the passwords of those who read are made from; secret. */
  public readonly readersKey: pulumi.Output<string>;

  constructor(name: string, args: RegistryArgs, opts?: pulumi.ComponentResourceOptions) {
    super("secure-software-factory:index:Registry", name, args, opts);
    const labels = standardLabels(NAME);

    const opened = openNamespace(name, this, { name: NAMESPACE, labels, level: "restricted" });
    const random40 = (part: string): random.RandomPassword =>
      new random.RandomPassword(`${name}-${part}`, { length: 40, special: false }, { parent: this });
    const readersKey = random40("readers-key");
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
        rereadsCertificate: true,
        clusterIp: args.clusterIp,
        clients: registryClients,
        settings: { "config.yml": stringify(registrySettings()) },
        users: {
          files: { [PASSWORD_KEY]: readersKey.result },
          path: USERS,
          values: { "http-secret": random40("http-secret").result },
        },
        identity: true,
        volume: { size: args.size ?? "20Gi", storageClass: args.storageClass, path: "/var/lib/registry" },
        paths: { settings: "/etc/distribution", tls: TLS },
        container: {
          image: args.images.guard,
          args: [
            `--listen=:${REGISTRY_PORT}`,
            `--certificate=${TLS}/tls.crt`,
            `--private-key=${TLS}/tls.key`,
            `--password-key=${USERS}/${PASSWORD_KEY}`,
            `--registry=http://127.0.0.1:${INNER_PORT}`,
            `--audience=${REGISTRY_HOST}`,
            `--publisher=${PUBLISHER}`,
            `--attestor=${args.attestor}`,
            `--reader=${args.reader}`,
          ],
          probe: { httpGet: { path: "/", port: REGISTRY_PORT, scheme: "HTTPS" } },
          resources: resources({ cpu: "20m", memory: "32Mi" }, { cpu: "1", memory: "256Mi" }),
        },
        behind: {
          name: "distribution",
          image: args.images.registry,
          args: ["serve", "/etc/distribution/config.yml"],
          env: [
            {
              name: "REGISTRY_HTTP_SECRET",
              valueFrom: { secretKeyRef: { name: "registry-users", key: "http-secret" } },
            },
            { name: "OTEL_TRACES_EXPORTER", value: "none" },
          ],
          resources: resources({ cpu: "30m", memory: "64Mi" }, { cpu: "1", memory: "512Mi" }),
        },
        dependsOn: nodes,
      },
      opened,
    );

    this.host = pulumi.output(REGISTRY_HOST);
    this.url = pulumi.output(`https://${args.clusterIp}:${REGISTRY_PORT}`);
    this.namespace = pulumi.output(NAMESPACE);
    this.service = service.metadata.name;
    this.readersKey = readersKey.result;
    this.registerOutputs({
      host: this.host,
      url: this.url,
      namespace: this.namespace,
      service: this.service,
      readersKey: this.readersKey,
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
    addr: `127.0.0.1:${INNER_PORT}`,
    // Whoever asks knows it by another address.
    relativeurls: true,
    headers: { "X-Content-Type-Options": ["nosniff"] },
  },
});

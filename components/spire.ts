import { join } from "node:path";

import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";

import { clusterAccount } from "./lib/accounts";
import { issueCertificate } from "./lib/certificates";
import { configHash } from "./lib/hash";
import { selectorLabels, standardLabels } from "./lib/labels";
import { dropDescriptions, type KubernetesObject, Manifests } from "./lib/manifests";
import { openNamespace } from "./lib/namespace";
import { podPeer } from "./lib/network-policies";
import { apiAccess, resources, restrictedContainer, restrictedPod, rootContainer } from "./lib/pods";
import { timeouts } from "./lib/timeouts";
import { claimVolume } from "./lib/volumes";
import { PUBLISHER, type Workload, WORKLOAD_API } from "./lib/workload-api";

/** Arguments of {@link Spire}. */
export interface SpireArgs {
  /** Images of SPIRE, each by digest. */
  images: SpireImages;
  /** Name that every identity begins with, as in `spiffe://<trust domain>/...`. */
  trustDomain: string;
  /** ClusterIssuer that the certificate of the discovery provider comes from. */
  issuer: pulumi.Input<string>;
  /** Workloads of the factory that get an identity. */
  workloads: readonly Workload[];
  /** Those of them into whose pods the Workload API is mounted, because they ask it. */
  identityUsers: readonly Workload[];
  /** Who may ask for the keys that tokens are verified with. */
  verifiers: k8s.types.input.networking.v1.NetworkPolicyPeer[];
  /** Class of the server's volume. @default the cluster's default class */
  storageClass?: pulumi.Input<string>;
}

/** The images of {@link Spire}, each by digest. */
export interface SpireImages {
  server: string;
  agent: string;
  oidcDiscoveryProvider: string;
  controllerManager: string;
  /** The driver that mounts the Workload API into pods. */
  workloadApiDriver: string;
}

const NAMESPACE = "ssf-spire";
const SERVER = "spire-server";
const CONTROLLER_MANAGER = "spire-controller-manager";
const AGENT_NAMESPACE = "ssf-spire-agent";
const AGENT = "spire-agent";
const BUNDLE = "spire-bundle";
const SERVER_PORT = 8081;
const OIDC_PORT = 8443;
const AGENT_SOCKETS = "/run/spire/agent";
const OIDC_HOST = `${SERVER}.${NAMESPACE}.svc.cluster.local`;

/** Name of the cluster in the identities of its nodes. */
const CLUSTER = "factory";

/** What issues the tokens of workloads, as they name it. */
export const SPIRE_ISSUER = `https://${OIDC_HOST}:${OIDC_PORT}`;

/** The server's pod, for the network policies of what verifies tokens. */
export const spireServerPeer = podPeer(NAMESPACE, selectorLabels(SERVER));

/** Port on which {@link spireServerPeer} serves what tokens are verified with. */
export const SPIRE_ISSUER_PORT = OIDC_PORT;

/** The identity of a workload; nothing that a pod says of itself has a part in it. */
export const spiffeId = (trustDomain: string, { namespace, serviceAccount }: Workload): string =>
  `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;

/** Longest lives of identities: an hour as a certificate, five minutes as a token. */
const LIFETIMES = { x509SVIDTTL: "1h0m0s", jwtSVIDTTL: "5m0s" };

/** All nodes of the cluster, as the parent of what may run on any of them. */
const nodesId = (trustDomain: string): string => `spiffe://${trustDomain}/nodes`;

/** One entry of SPIRE's server: whom its parent knows by all of these selectors, that is who. */
export interface Registration {
  /** Name of the ClusterStaticEntry. */
  name: string;
  spec: { spiffeID: string; parentID: string; selectors: string[]; x509SVIDTTL: string; jwtSVIDTTL: string };
}

/**
 * Registers the pods of one service account, by nothing but namespace and account. Every node knows the identity before the
 * first of these pods starts, so that none waits for it.
 */
export const workloadRegistration = (trustDomain: string, workload: Workload): Registration => ({
  name: `${workload.namespace}-${workload.serviceAccount}`,
  spec: {
    spiffeID: spiffeId(trustDomain, workload),
    parentID: nodesId(trustDomain),
    selectors: [`k8s:ns:${workload.namespace}`, `k8s:sa:${workload.serviceAccount}`],
    ...LIFETIMES,
  },
});

/** Registers all nodes of the cluster together. */
export const nodesRegistration = (trustDomain: string): Registration => ({
  name: "nodes",
  spec: {
    spiffeID: nodesId(trustDomain),
    parentID: `spiffe://${trustDomain}/spire/server`,
    selectors: [`k8s_psat:cluster:${CLUSTER}`],
    ...LIFETIMES,
  },
});

/** Makes an entry, which is there once SPIRE's server has taken it. */
export const register = (resource: string, { name, spec }: Registration, opts: pulumi.CustomResourceOptions) =>
  new k8s.apiextensions.CustomResource(
    resource,
    {
      apiVersion: "spire.spiffe.io/v1alpha1",
      kind: "ClusterStaticEntry",
      metadata: { name, labels: standardLabels(SERVER) },
      spec,
    },
    { ...opts, customTimeouts: timeouts.reconciled },
  );

/**
 * SPIRE: gives workloads identities that live an hour at most, after asking the kubelet what they are.
 *
 * The server registers the pods of the named service accounts. An agent on each node attests them, and a driver mounts
 * its Workload API read-only into the pods of those that ask it.
 * @example
 * new Spire("spire", { images, trustDomain, issuer, workloads: [chains, fulcio], identityUsers: [chains], verifiers: [fulcio] });
 */
export class Spire extends pulumi.ComponentResource {
  /** Name that every identity begins with. */
  public readonly trustDomain: pulumi.Output<string>;
  /** What issues tokens, once every workload is registered and every node has an agent. */
  public readonly tokenIssuer: pulumi.Output<string>;

  constructor(name: string, args: SpireArgs, opts?: pulumi.ComponentResourceOptions) {
    super("secure-software-factory:index:Spire", name, args, opts);
    const agents = openNamespace(`${name}-agent`, this, {
      name: AGENT_NAMESPACE,
      labels: standardLabels(AGENT),
      level: "privileged",
    });
    // The server writes its certificates here, and agents know it by them.
    const bundle = new k8s.core.v1.ConfigMap(
      `${name}-bundle`,
      { metadata: { name: BUNDLE, namespace: AGENT_NAMESPACE, labels: standardLabels(AGENT) } },
      agents.inNamespace,
    );
    const server = makeSpireServer(name, args, this, [bundle]);
    const agent = makeAgents(name, args, agents, [server.deployment]);
    const registered = { parent: this, dependsOn: [server.deployment] };
    const nodes = register(`${name}-nodes`, nodesRegistration(args.trustDomain), registered);
    const identities = args.workloads.map((workload) => {
      const registration = workloadRegistration(args.trustDomain, workload);
      return register(`${name}-identity-${registration.name}`, registration, registered);
    });

    this.trustDomain = pulumi.output(args.trustDomain);
    this.tokenIssuer = pulumi
      .all([agent, server.service, nodes, ...identities].map((resource) => resource.id))
      .apply(() => SPIRE_ISSUER);
    this.registerOutputs({ trustDomain: this.trustDomain, tokenIssuer: this.tokenIssuer });
  }
}

/** Definitions of SPIRE's kinds; the controller manager's own configuration file is none of the API server's. */
export const spireCrds = (source: string): readonly KubernetesObject[] =>
  Manifests.read(join(source, "config/crd/bases"))
    .remove("CustomResourceDefinition", "controllermanagerconfigs.spire.spiffe.io")
    .patchAll("CustomResourceDefinition", (crd) => {
      crd.metadata.labels = standardLabels(CONTROLLER_MANAGER);
      dropDescriptions(crd);
    })
    .list();

const SERVER_SOCKETS = "/run/spire/server";
const SERVER_SOCKET = `${SERVER_SOCKETS}/api.sock`;
const CONFIG = "/etc/spire";
const HEALTH = { [SERVER]: 8080, oidc: 8008, [CONTROLLER_MANAGER]: 8083, [AGENT]: 8080 };

const healthChecks = (port: number) => ({
  listener_enabled: true,
  bind_address: "0.0.0.0",
  bind_port: String(port),
  live_path: "/live",
  ready_path: "/ready",
});

/** The files of the server, of what it issues tokens as, and of what registers workloads. */
export const serverConfiguration = (trustDomain: string): Record<string, string> => ({
  "server.json": json({
    server: {
      bind_address: "0.0.0.0",
      bind_port: String(SERVER_PORT),
      socket_path: SERVER_SOCKET,
      trust_domain: trustDomain,
      data_dir: "/var/lib/spire",
      log_level: "INFO",
      ca_ttl: "24h",
      default_x509_svid_ttl: "1h",
      default_jwt_svid_ttl: "5m",
      jwt_issuer: SPIRE_ISSUER,
      // The client of Fulcio that Chains has takes no other kind of token.
      jwt_key_type: "rsa-2048",
    },
    plugins: {
      DataStore: {
        sql: { plugin_data: { database_type: "sqlite3", connection_string: "/var/lib/spire/datastore.sqlite3" } },
      },
      KeyManager: { disk: { plugin_data: { keys_path: "/var/lib/spire/keys.json" } } },
      NodeAttestor: {
        k8s_psat: {
          plugin_data: { clusters: { [CLUSTER]: { service_account_allow_list: [`${AGENT_NAMESPACE}:${AGENT}`] } } },
        },
      },
      Notifier: { k8sbundle: { plugin_data: { namespace: AGENT_NAMESPACE, config_map: BUNDLE } } },
    },
    health_checks: healthChecks(HEALTH[SERVER]),
  }),
  "oidc-discovery-provider.json": json({
    log_level: "info",
    domains: [OIDC_HOST],
    jwt_issuer: SPIRE_ISSUER,
    jwks_uri: `${SPIRE_ISSUER}/keys`,
    serving_cert_file: {
      cert_file_path: "/etc/spire-tls/tls.crt",
      key_file_path: "/etc/spire-tls/tls.key",
      addr: `:${OIDC_PORT}`,
    },
    server_api: { address: `unix://${SERVER_SOCKET}` },
    health_checks: { bind_port: String(HEALTH.oidc), live_path: "/live", ready_path: "/ready" },
  }),
  "controller-manager.json": json({
    apiVersion: "spire.spiffe.io/v1alpha1",
    kind: "ControllerManagerConfig",
    metrics: { bindAddress: "127.0.0.1:8082" },
    health: { healthProbeBindAddress: `:${HEALTH[CONTROLLER_MANAGER]}` },
    leaderElection: { leaderElect: false },
    // The other kinds give identities by labels, and take those of other trust domains.
    reconcile: { clusterStaticEntries: true },
    clusterName: CLUSTER,
    clusterDomain: "cluster.local",
    logLevel: "info",
    trustDomain,
    spireServerSocketPath: SERVER_SOCKET,
  }),
});

/** The agents' file. They keep nothing: an agent that starts again attests its node again. */
export const agentConfiguration = (trustDomain: string): Record<string, string> => ({
  "agent.json": json({
    agent: {
      data_dir: "/tmp",
      log_level: "INFO",
      server_address: OIDC_HOST,
      server_port: String(SERVER_PORT),
      socket_path: `${AGENT_SOCKETS}/${WORKLOAD_API.socket}`,
      trust_bundle_path: "/run/spire/bundle/bundle.crt",
      trust_domain: trustDomain,
    },
    plugins: {
      KeyManager: { memory: { plugin_data: {} } },
      NodeAttestor: {
        k8s_psat: { plugin_data: { cluster: CLUSTER, token_path: "/var/run/secrets/tokens/spire-agent" } },
      },
      WorkloadAttestor: { k8s: { plugin_data: { node_name_env: "NODE_ADDRESS" } } },
    },
    health_checks: healthChecks(HEALTH[AGENT]),
  }),
});

const json = (value: object): string => `${JSON.stringify(value, undefined, 2)}\n`;

const ready = (port: number, path = "/ready") => ({ httpGet: { path, port }, periodSeconds: 2 });
const alive = (port: number, path = "/live") => ({
  httpGet: { path, port },
  initialDelaySeconds: 15,
  periodSeconds: 30,
  failureThreshold: 4,
});

/** What the server may do, and the controller manager beside it: know agents by their tokens and pods, and read entries. */
const serverRules = [
  { apiGroups: [""], resources: ["nodes", "pods"], verbs: ["get"] },
  { apiGroups: ["authentication.k8s.io"], resources: ["tokenreviews"], verbs: ["create"] },
  { apiGroups: ["spire.spiffe.io"], resources: ["clusterstaticentries"], verbs: ["get", "list", "watch"] },
  { apiGroups: ["spire.spiffe.io"], resources: ["clusterstaticentries/status"], verbs: ["get", "patch", "update"] },
];

const makeSpireServer = (name: string, args: SpireArgs, parent: pulumi.Resource, dependsOn: pulumi.Resource[]) => {
  const labels = standardLabels(SERVER);
  const metadata = (object: string) => ({ name: object, namespace: NAMESPACE, labels });
  const { child, namespace, inNamespace } = openNamespace(name, parent, {
    name: NAMESPACE,
    labels,
    level: "restricted",
  });

  const { account, binding } = clusterAccount(
    name,
    { ...metadata(SERVER), rules: serverRules },
    { child, inNamespace },
  );
  const bundleRole = new k8s.rbac.v1.Role(
    `${name}-bundle-role`,
    {
      metadata: { name: BUNDLE, namespace: AGENT_NAMESPACE, labels },
      rules: [{ apiGroups: [""], resources: ["configmaps"], resourceNames: [BUNDLE], verbs: ["get", "patch"] }],
    },
    { ...child, dependsOn },
  );
  const bundleBinding = new k8s.rbac.v1.RoleBinding(
    `${name}-bundle-role-binding`,
    {
      metadata: { name: BUNDLE, namespace: AGENT_NAMESPACE, labels },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: bundleRole.metadata.name },
      subjects: [{ kind: "ServiceAccount", name: SERVER, namespace: NAMESPACE }],
    },
    child,
  );
  const settings = serverConfiguration(args.trustDomain);
  const config = new k8s.core.v1.ConfigMap(
    `${name}-config`,
    { metadata: metadata(SERVER), data: settings },
    inNamespace,
  );
  const certificate = issueCertificate(
    `${name}-certificate`,
    { ...metadata("spire-tls"), issuer: args.issuer, dnsNames: [OIDC_HOST], isReread: true },
    inNamespace,
  );
  const claim = claimVolume(
    `${name}-volume`,
    metadata("spire-data"),
    { size: "256Mi", storageClass: args.storageClass },
    inNamespace,
  );
  const policy = new k8s.networking.v1.NetworkPolicy(
    `${name}-policy`,
    {
      metadata: metadata("spire-clients"),
      spec: {
        podSelector: {},
        policyTypes: ["Ingress"],
        ingress: [
          {
            from: [podPeer(AGENT_NAMESPACE, selectorLabels(AGENT))],
            ports: [{ port: SERVER_PORT, protocol: "TCP" }],
          },
          { from: args.verifiers, ports: [{ port: OIDC_PORT, protocol: "TCP" }] },
        ],
      },
    },
    inNamespace,
  );

  const container = (
    part: string,
    image: string,
    file: string,
    flag: string,
    health: { port: number; ready: string; live: string },
    mounts: k8s.types.input.core.v1.VolumeMount[],
  ): k8s.types.input.core.v1.Container => ({
    name: part,
    image,
    args: [...(part === SERVER ? ["run"] : []), `${flag}=${CONFIG}/${file}`],
    readinessProbe: ready(health.port, health.ready),
    livenessProbe: alive(health.port, health.live),
    securityContext: restrictedContainer,
    resources: resources({ cpu: "10m", memory: "32Mi" }, { cpu: "500m", memory: "256Mi" }),
    volumeMounts: [
      { name: "config", mountPath: CONFIG, readOnly: true },
      { name: "sockets", mountPath: SERVER_SOCKETS, readOnly: part !== SERVER },
      { name: "tmp", mountPath: "/tmp" },
      ...mounts,
    ],
  });
  const deployment = new k8s.apps.v1.Deployment(
    `${name}-deployment`,
    {
      metadata: metadata(SERVER),
      spec: {
        replicas: 1,
        strategy: { type: "Recreate" },
        selector: { matchLabels: selectorLabels(SERVER) },
        template: {
          metadata: { labels, annotations: configHash(...Object.values(settings)) },
          spec: {
            serviceAccountName: account.metadata.name,
            automountServiceAccountToken: false,
            enableServiceLinks: false,
            securityContext: restrictedPod,
            initContainers: [
              {
                ...container(
                  SERVER,
                  args.images.server,
                  "server.json",
                  "-config",
                  { port: HEALTH[SERVER], ready: "/ready", live: "/live" },
                  [{ name: "data", mountPath: "/var/lib/spire" }, apiAccess.mount],
                ),
                restartPolicy: "Always",
                startupProbe: { ...ready(HEALTH[SERVER]), failureThreshold: 60 },
              },
            ],
            containers: [
              container(
                "oidc-discovery-provider",
                args.images.oidcDiscoveryProvider,
                "oidc-discovery-provider.json",
                "-config",
                { port: HEALTH.oidc, ready: "/ready", live: "/live" },
                [{ name: "tls", mountPath: "/etc/spire-tls", readOnly: true }],
              ),
              {
                ...container(
                  CONTROLLER_MANAGER,
                  args.images.controllerManager,
                  "controller-manager.json",
                  "--config",
                  { port: HEALTH[CONTROLLER_MANAGER], ready: "/readyz", live: "/healthz" },
                  [apiAccess.mount],
                ),
                // Its webhook looks at kinds that it does not take here.
                env: [{ name: "ENABLE_WEBHOOKS", value: "false" }],
              },
            ],
            volumes: [
              { name: "config", configMap: { name: config.metadata.name } },
              { name: "tls", secret: { secretName: "spire-tls" } },
              { name: "data", persistentVolumeClaim: { claimName: claim.metadata.name } },
              { name: "sockets", emptyDir: { sizeLimit: "1Mi" } },
              { name: "tmp", emptyDir: { sizeLimit: "64Mi" } },
              apiAccess.volume,
            ],
          },
        },
      },
    },
    {
      ...inNamespace,
      dependsOn: [namespace, certificate, policy, binding, bundleBinding, ...dependsOn],
      customTimeouts: timeouts.workload,
    },
  );
  const service = new k8s.core.v1.Service(
    `${name}-service`,
    {
      metadata: { ...metadata(SERVER), annotations: { "pulumi.com/skipAwait": "true" } },
      spec: {
        selector: selectorLabels(SERVER),
        ports: [
          { name: "server", port: SERVER_PORT, targetPort: SERVER_PORT, protocol: "TCP" },
          { name: "oidc", port: OIDC_PORT, targetPort: OIDC_PORT, protocol: "TCP" },
        ],
      },
    },
    { ...inNamespace, dependsOn: [namespace] },
  );
  return { deployment, service };
};

/** A host's directory in an agent's pod. */
const hostDirectory = (name: string, path: string, type: string) => ({ name, hostPath: { path, type } });

const makeAgents = (
  name: string,
  args: SpireArgs,
  { child, namespace, inNamespace }: ReturnType<typeof openNamespace>,
  dependsOn: pulumi.Resource[],
): k8s.apps.v1.DaemonSet => {
  const labels = standardLabels(AGENT);
  const metadata = (object: string) => ({ name: object, namespace: AGENT_NAMESPACE, labels });
  const { account, binding } = clusterAccount(
    `${name}-agent`,
    { ...metadata(AGENT), rules: [{ apiGroups: [""], resources: ["nodes/pods"], verbs: ["get"] }] },
    { child, inNamespace },
  );
  const settings = agentConfiguration(args.trustDomain);
  const config = new k8s.core.v1.ConfigMap(
    `${name}-agent-config`,
    { metadata: metadata(AGENT), data: settings },
    inNamespace,
  );
  const policy = new k8s.networking.v1.NetworkPolicy(
    `${name}-agent-policy`,
    { metadata: metadata("no-clients"), spec: { podSelector: {}, policyTypes: ["Ingress"] } },
    inNamespace,
  );
  const kubelet = "/var/lib/kubelet";
  const plugin = `${kubelet}/plugins/${WORKLOAD_API.driver}`;
  const driver = new k8s.storage.v1.CSIDriver(
    `${name}-workload-api`,
    {
      metadata: { name: WORKLOAD_API.driver, labels },
      spec: {
        attachRequired: false,
        podInfoOnMount: true,
        fsGroupPolicy: "None",
        volumeLifecycleModes: ["Ephemeral"],
      },
    },
    child,
  );
  return new k8s.apps.v1.DaemonSet(
    `${name}-agent-daemon-set`,
    {
      metadata: metadata(AGENT),
      spec: {
        selector: { matchLabels: selectorLabels(AGENT) },
        template: {
          metadata: { labels, annotations: configHash(...Object.values(settings)) },
          spec: {
            serviceAccountName: account.metadata.name,
            automountServiceAccountToken: false,
            enableServiceLinks: false,
            // A workload is known by its process, which the agent looks up among those of the node.
            hostPID: true,
            tolerations: [{ operator: "Exists" }],
            containers: [
              {
                name: AGENT,
                image: args.images.agent,
                args: ["run", `-config=${CONFIG}/agent.json`],
                env: [
                  { name: "NODE_ADDRESS", valueFrom: { fieldRef: { apiVersion: "v1", fieldPath: "status.hostIP" } } },
                ],
                readinessProbe: ready(HEALTH[AGENT]),
                livenessProbe: alive(HEALTH[AGENT]),
                securityContext: rootContainer,
                resources: resources({ cpu: "10m", memory: "32Mi" }, { cpu: "500m", memory: "256Mi" }),
                volumeMounts: [
                  { name: "config", mountPath: CONFIG, readOnly: true },
                  { name: "bundle", mountPath: "/run/spire/bundle", readOnly: true },
                  { name: "token", mountPath: "/var/run/secrets/tokens", readOnly: true },
                  { name: "sockets", mountPath: AGENT_SOCKETS },
                  { name: "tmp", mountPath: "/tmp" },
                  apiAccess.mount,
                ],
              },
              {
                name: "workload-api-driver",
                image: args.images.workloadApiDriver,
                args: [
                  "--node=$(NODE_NAME)",
                  `--driver-socket=${plugin}/csi.sock`,
                  `--registration-socket=${kubelet}/plugins_registry/${WORKLOAD_API.driver}-reg.sock`,
                  `--workload-api=${AGENT_SOCKETS}`,
                  // Those of teams have no identity before their team's stack registers them.
                  ...[...args.identityUsers, { namespace: "team-*", serviceAccount: PUBLISHER }].map(
                    ({ namespace, serviceAccount }) => `--service-account=${namespace}/${serviceAccount}`,
                  ),
                ],
                env: [{ name: "NODE_NAME", valueFrom: { fieldRef: { apiVersion: "v1", fieldPath: "spec.nodeName" } } }],
                // Mounts that the kubelet sees can be made by a privileged container only.
                securityContext: { privileged: true, readOnlyRootFilesystem: true, runAsUser: 0 },
                resources: resources({ cpu: "5m", memory: "16Mi" }, { cpu: "200m", memory: "64Mi" }),
                volumeMounts: [
                  { name: "sockets", mountPath: AGENT_SOCKETS, readOnly: true },
                  { name: "plugin", mountPath: plugin },
                  { name: "registrations", mountPath: `${kubelet}/plugins_registry` },
                  { name: "pods", mountPath: `${kubelet}/pods`, mountPropagation: "Bidirectional" },
                ],
              },
            ],
            volumes: [
              { name: "config", configMap: { name: config.metadata.name } },
              { name: "bundle", configMap: { name: BUNDLE } },
              {
                name: "token",
                projected: {
                  sources: [{ serviceAccountToken: { path: AGENT, audience: SERVER, expirationSeconds: 3600 } }],
                },
              },
              hostDirectory("sockets", AGENT_SOCKETS, "DirectoryOrCreate"),
              hostDirectory("plugin", plugin, "DirectoryOrCreate"),
              hostDirectory("registrations", `${kubelet}/plugins_registry`, "Directory"),
              hostDirectory("pods", `${kubelet}/pods`, "Directory"),
              { name: "tmp", emptyDir: { sizeLimit: "16Mi" } },
              apiAccess.volume,
            ],
          },
        },
      },
    },
    {
      ...inNamespace,
      dependsOn: [namespace, binding, policy, driver, ...dependsOn],
      customTimeouts: timeouts.workload,
    },
  );
};

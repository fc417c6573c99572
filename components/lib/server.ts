import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";

import { issueCertificate } from "./certificates";
import { configHash } from "./hash";
import { selectorLabels } from "./labels";
import type { openNamespace } from "./namespace";
import { dnsLabel } from "./names";
import { restrictedContainer, restrictedPod } from "./pods";
import { tlsService } from "./services";
import { timeouts } from "./timeouts";
import { claimVolume, type VolumeRequest } from "./volumes";

/** Arguments of {@link makeServer}. */
export interface ServerArgs {
  /** Name of its deployment and its service, and first part of the name of everything else. */
  name: string;
  /** Name of the namespace, as {@link openNamespace} made it. */
  namespace: string;
  labels: Record<string, string>;
  /** Port that it serves TLS on, in its pod and as a service. */
  port: number;
  /** ClusterIssuer that its certificate comes from. */
  issuer: pulumi.Input<string>;
  /** Address of the service. @default one of the cluster's choice */
  clusterIp?: string;
  /** Who may open a connection. The server itself opens none. */
  clients: k8s.types.input.networking.v1.NetworkPolicyPeer[];
  /** Its settings, by file name; world-readable. */
  settings: Record<string, string>;
  /** Files that it serves as they are, and their directory; world-readable. @default none */
  content?: { files: Record<string, string>; path: string };
  /**
   * Its users: their file with the bcrypt hashes of their passwords, as `htpasswd` writes it, that file's directory, and
   * further values of the Secret with it, which the container takes by their names. @default none: everyone is served
   */
  users?: { htpasswd: pulumi.Input<string>; path: string; secrets?: Record<string, pulumi.Input<string>> };
  /** Its volume, and where it is mounted. @default none: it keeps nothing */
  volume?: VolumeRequest & { path: string };
  /** Directories of its settings and its certificate. */
  paths: Record<"settings" | "tls", string>;
  /** What starts in its pod, and how its health is asked for. */
  container: Pick<k8s.types.input.core.v1.Container, "args" | "command" | "env"> & {
    image: string;
    probe: k8s.types.input.core.v1.Probe;
    resources: k8s.types.input.core.v1.ResourceRequirements;
  };
  /** What must be there before its pod starts. */
  dependsOn?: pulumi.Resource[];
}

/**
 * A server of the factory: one pod that serves TLS with a certificate of the factory's authority and is reached by its
 * clients only. Where it has a volume it keeps its data there, and where it has users it knows them by their passwords.
 *
 * @returns its service, which exists once the server answers
 */
export const makeServer = (
  resource: string,
  args: ServerArgs,
  { namespace, inNamespace }: Pick<ReturnType<typeof openNamespace>, "namespace" | "inNamespace">,
): k8s.core.v1.Service => {
  const { name, port, labels, paths, container, users, volume, content } = args;
  const metadata = (part: string) => ({ name: dnsLabel([name, part]), namespace: args.namespace, labels });

  const secret =
    users &&
    new k8s.core.v1.Secret(
      `${resource}-users`,
      { metadata: metadata("users"), stringData: { htpasswd: users.htpasswd, ...users.secrets } },
      inNamespace,
    );
  const config = new k8s.core.v1.ConfigMap(
    `${resource}-config`,
    { metadata: metadata("config"), data: args.settings },
    inNamespace,
  );
  const served =
    content &&
    new k8s.core.v1.ConfigMap(
      `${resource}-content`,
      { metadata: metadata("content"), data: content.files },
      inNamespace,
    );
  const certificate = issueCertificate(
    `${resource}-certificate`,
    {
      ...metadata("tls"),
      issuer: args.issuer,
      dnsNames: [`${name}.${args.namespace}.svc.cluster.local`, `${name}.${args.namespace}.svc`, "localhost"],
      ipAddresses: [...(args.clusterIp === undefined ? [] : [args.clusterIp]), "127.0.0.1"],
    },
    inNamespace,
  );
  const claim = volume && claimVolume(`${resource}-volume`, metadata("data"), volume, inNamespace);
  const policy = new k8s.networking.v1.NetworkPolicy(
    `${resource}-policy`,
    {
      metadata: metadata("clients"),
      spec: {
        podSelector: {},
        policyTypes: ["Ingress", "Egress"],
        // An empty list of peers would mean everyone.
        ingress: args.clients.length === 0 ? [] : [{ from: args.clients, ports: [{ port, protocol: "TCP" }] }],
      },
    },
    inNamespace,
  );
  const deployment = new k8s.apps.v1.Deployment(
    `${resource}-deployment`,
    {
      metadata: { name, namespace: args.namespace, labels },
      spec: {
        replicas: 1,
        strategy: { type: volume === undefined ? "RollingUpdate" : "Recreate" },
        selector: { matchLabels: selectorLabels(name) },
        template: {
          metadata: {
            labels,
            annotations: configHash(
              ...Object.values(args.settings),
              ...(content ? [JSON.stringify(content.files)] : []),
              ...(users ? [users.htpasswd, ...Object.values(users.secrets ?? {})] : []),
            ),
          },
          spec: {
            automountServiceAccountToken: false,
            enableServiceLinks: false,
            securityContext: restrictedPod,
            containers: [
              {
                name,
                image: container.image,
                command: container.command,
                args: container.args,
                env: container.env,
                ports: [{ name: "https", containerPort: port }],
                readinessProbe: { ...container.probe, periodSeconds: 2 },
                livenessProbe: { ...container.probe, initialDelaySeconds: 10, periodSeconds: 20 },
                securityContext: restrictedContainer,
                resources: container.resources,
                volumeMounts: [
                  { name: "settings", mountPath: paths.settings, readOnly: true },
                  ...(content ? [{ name: "content", mountPath: content.path, readOnly: true }] : []),
                  ...(users ? [{ name: "users", mountPath: users.path, readOnly: true }] : []),
                  { name: "tls", mountPath: paths.tls, readOnly: true },
                  ...(volume ? [{ name: "data", mountPath: volume.path }] : []),
                  { name: "tmp", mountPath: "/tmp" },
                ],
              },
            ],
            volumes: [
              { name: "settings", configMap: { name: config.metadata.name } },
              ...(served ? [{ name: "content", configMap: { name: served.metadata.name } }] : []),
              ...(secret
                ? [
                    {
                      name: "users",
                      secret: { secretName: secret.metadata.name, items: [{ key: "htpasswd", path: "htpasswd" }] },
                    },
                  ]
                : []),
              { name: "tls", secret: { secretName: metadata("tls").name } },
              ...(claim ? [{ name: "data", persistentVolumeClaim: { claimName: claim.metadata.name } }] : []),
              { name: "tmp", emptyDir: { sizeLimit: "1Gi" } },
            ],
          },
        },
      },
    },
    {
      ...inNamespace,
      dependsOn: [namespace, certificate, policy, ...(args.dependsOn ?? [])],
      customTimeouts: timeouts.workload,
    },
  );
  return tlsService(
    `${resource}-service`,
    { name, namespace: args.namespace, labels },
    port,
    { ...inNamespace, dependsOn: [namespace, deployment] },
    args.clusterIp,
  );
};

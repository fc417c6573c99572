import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";

import { plainAccount } from "./accounts";
import { issueCertificate } from "./certificates";
import { configHash } from "./hash";
import { selectorLabels } from "./labels";
import type { openNamespace } from "./namespace";
import { dnsLabel } from "./names";
import { restrictedContainer, restrictedPod } from "./pods";
import { tlsService } from "./services";
import { timeouts } from "./timeouts";
import { claimVolume, type VolumeRequest } from "./volumes";
import { workloadApiMount, workloadApiVariable, workloadApiVolume } from "./workload-api";

type VolumeMount = k8s.types.input.core.v1.VolumeMount;

/** A program of a server's pod. */
type ServerContainer = Pick<k8s.types.input.core.v1.Container, "args" | "command"> & {
  image: string;
  env?: k8s.types.input.core.v1.EnvVar[];
  resources: k8s.types.input.core.v1.ResourceRequirements;
};

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
  /** Whether it reads a renewed certificate without a restart. */
  rereadsCertificate: boolean;
  /** Address of the service. @default one of the cluster's choice */
  clusterIp?: string;
  /** Who may open a connection. The server itself opens none. */
  clients: k8s.types.input.networking.v1.NetworkPolicyPeer[];
  /** Its settings, by file name; world-readable. */
  settings: Record<string, string>;
  /** Files that it serves as they are, and their directory; world-readable. @default none */
  content?: { files: Record<string, string>; path: string };
  /**
   * What it knows its users by: secret files, by name, and their directory. `values` are in the same Secret, and containers
   * take them by their names. @default none: everyone is served
   */
  users?: { files: Record<string, pulumi.Input<string>>; path: string; values?: Record<string, pulumi.Input<string>> };
  /** Whether it asks the Workload API for its identity, which is that of the service account of its name. @default false */
  identity?: boolean;
  /**
   * A server behind it, which alone holds settings and volume, and listens on the pod's loopback address; it starts first
   * and ends last. @default none
   */
  behind?: ServerContainer & { name: string };
  /** Its volume, and where it is mounted. @default none: it keeps nothing */
  volume?: VolumeRequest & { path: string };
  /** Directories of its settings and its certificate. */
  paths: Record<"settings" | "tls", string>;
  /** What starts in its pod, and how its health is asked for. */
  container: ServerContainer & { probe: k8s.types.input.core.v1.Probe };
  /** What must be there before its pod starts. */
  dependsOn?: pulumi.Resource[];
}

/**
 * A server of the factory: one pod that serves TLS with a certificate of the factory's authority and is reached by its
 * clients only. Where it has a volume it keeps its data there, and where it has users it knows them by what only they and it can tell.
 *
 * @returns its service, which exists once the server answers
 */
export const makeServer = (
  resource: string,
  args: ServerArgs,
  { namespace, inNamespace }: Pick<ReturnType<typeof openNamespace>, "namespace" | "inNamespace">,
): k8s.core.v1.Service => {
  const { name, port, labels, paths, container, users, identity = false, behind, volume, content } = args;
  const metadata = (part: string) => ({ name: dnsLabel([name, part]), namespace: args.namespace, labels });

  const secret =
    users &&
    new k8s.core.v1.Secret(
      `${resource}-users`,
      { metadata: metadata("users"), stringData: { ...users.files, ...users.values } },
      inNamespace,
    );
  const account = plainAccount(resource, { name, namespace: args.namespace, labels }, inNamespace);
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
      isReread: args.rereadsCertificate,
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
  const part = ({ command, env, image, resources, ...rest }: ServerContainer, mounts: VolumeMount[]) => ({
    image,
    command,
    args: rest.args,
    env,
    securityContext: restrictedContainer,
    resources,
    volumeMounts: [...mounts, { name: "tmp", mountPath: "/tmp" }],
  });
  const kept = [
    { name: "settings", mountPath: paths.settings, readOnly: true },
    ...(content ? [{ name: "content", mountPath: content.path, readOnly: true }] : []),
    ...(volume ? [{ name: "data", mountPath: volume.path }] : []),
  ];
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
              ...(users ? Object.values({ ...users.files, ...users.values }) : []),
            ),
          },
          spec: {
            serviceAccountName: account.metadata.name,
            automountServiceAccountToken: false,
            enableServiceLinks: false,
            securityContext: restrictedPod,
            ...(behind
              ? { initContainers: [{ name: behind.name, restartPolicy: "Always", ...part(behind, kept) }] }
              : {}),
            containers: [
              {
                name,
                ports: [{ name: "https", containerPort: port }],
                readinessProbe: { ...container.probe, periodSeconds: 2 },
                livenessProbe: { ...container.probe, initialDelaySeconds: 10, periodSeconds: 20 },
                ...part({ ...container, env: [...(container.env ?? []), ...(identity ? [workloadApiVariable] : [])] }, [
                  ...(behind ? [] : kept),
                  ...(users ? [{ name: "users", mountPath: users.path, readOnly: true }] : []),
                  ...(identity ? [workloadApiMount] : []),
                  { name: "tls", mountPath: paths.tls, readOnly: true },
                ]),
              },
            ],
            volumes: [
              { name: "settings", configMap: { name: config.metadata.name } },
              ...(served ? [{ name: "content", configMap: { name: served.metadata.name } }] : []),
              ...(secret
                ? [
                    {
                      name: "users",
                      secret: {
                        secretName: secret.metadata.name,
                        items: Object.keys(users.files).map((file) => ({ key: file, path: file })),
                      },
                    },
                  ]
                : []),
              ...(identity ? [workloadApiVolume] : []),
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

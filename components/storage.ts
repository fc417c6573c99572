import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";

import { configHash } from "./lib/hash";
import { selectorLabels, standardLabels } from "./lib/labels";
import { openNamespace } from "./lib/namespace";
import { resources, restrictedContainer, restrictedPod } from "./lib/pods";
import { timeouts } from "./lib/timeouts";
import type { Workload } from "./lib/workload-api";

/** Arguments of {@link Storage}. */
export interface StorageArgs {
  /** Image of local-path-provisioner, by digest. */
  provisionerImage: string;
  /** Image with a POSIX shell that makes and removes the directories, by digest. */
  shellImage: string;
  /** Directory on every node under which the volumes lie. @default /var/local-path-provisioner */
  hostPath?: string;
}

const NAMESPACE = "ssf-storage";
const NAME = "local-path-provisioner";
const CONFIG = "local-path-config";

/** The provisioner's pod, as SPIRE knows it. */
export const STORAGE_WORKLOAD: Workload = { namespace: NAMESPACE, serviceAccount: NAME };

/**
 * Volumes on the node's own disk: the default StorageClass `local-path`.
 *
 * A volume is made on the node of the first pod that uses it, and any user may write it, because the steps of a
 * pipeline are not root and `fsGroup` does not apply to such volumes. Who may mount it is the namespace's business.
 * @example
 * new Storage("storage", { provisionerImage: images.provisioner, shellImage: images.shell }, { providers: [cluster] });
 */
export class Storage extends pulumi.ComponentResource {
  /** Name of the StorageClass; claims that wait for it depend on the component. */
  public readonly storageClass: pulumi.Output<string>;

  constructor(name: string, args: StorageArgs, opts?: pulumi.ComponentResourceOptions) {
    super("secure-software-factory:index:Storage", name, args, opts);
    const labels = standardLabels(NAME);

    // The helper pods mount the node's directory, which only the level `privileged` allows.
    const { child, namespace, inNamespace } = openNamespace(name, this, {
      name: NAMESPACE,
      labels,
      level: "privileged",
    });

    const account = new k8s.core.v1.ServiceAccount(
      `${name}-account`,
      { metadata: { name: NAME, namespace: NAMESPACE, labels }, automountServiceAccountToken: false },
      inNamespace,
    );
    const subjects = [{ kind: "ServiceAccount", name: NAME, namespace: NAMESPACE }];
    const role = new k8s.rbac.v1.Role(
      `${name}-role`,
      {
        metadata: { name: NAME, namespace: NAMESPACE, labels },
        rules: [
          { apiGroups: [""], resources: ["pods"], verbs: ["get", "list", "watch", "create", "delete"] },
          { apiGroups: [""], resources: ["pods/log"], verbs: ["get"] },
          { apiGroups: [""], resources: ["configmaps"], verbs: ["get", "list", "watch"] },
        ],
      },
      inNamespace,
    );
    const binding = new k8s.rbac.v1.RoleBinding(
      `${name}-binding`,
      {
        metadata: { name: NAME, namespace: NAMESPACE, labels },
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: NAME },
        subjects,
      },
      inNamespace,
    );
    const clusterRole = new k8s.rbac.v1.ClusterRole(
      `${name}-cluster-role`,
      {
        metadata: { name: NAME, labels },
        rules: [
          { apiGroups: [""], resources: ["nodes", "persistentvolumeclaims"], verbs: ["get", "list", "watch"] },
          {
            apiGroups: [""],
            resources: ["persistentvolumes"],
            verbs: ["get", "list", "watch", "create", "patch", "update", "delete"],
          },
          { apiGroups: [""], resources: ["events"], verbs: ["create", "patch"] },
          { apiGroups: ["storage.k8s.io"], resources: ["storageclasses"], verbs: ["get", "list", "watch"] },
        ],
      },
      child,
    );
    const clusterBinding = new k8s.rbac.v1.ClusterRoleBinding(
      `${name}-cluster-binding`,
      {
        metadata: { name: NAME, labels },
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: NAME },
        subjects,
      },
      child,
    );

    const data = provisionerConfig(args.hostPath ?? "/var/local-path-provisioner", args.shellImage);
    const config = new k8s.core.v1.ConfigMap(
      `${name}-config`,
      { metadata: { name: CONFIG, namespace: NAMESPACE, labels }, data },
      inNamespace,
    );
    const deployment = new k8s.apps.v1.Deployment(
      `${name}-deployment`,
      {
        metadata: { name: NAME, namespace: NAMESPACE, labels },
        spec: {
          replicas: 1,
          selector: { matchLabels: selectorLabels(NAME) },
          template: {
            metadata: { labels, annotations: configHash(JSON.stringify(data)) },
            spec: {
              serviceAccountName: NAME,
              automountServiceAccountToken: true,
              securityContext: restrictedPod,
              containers: [
                {
                  name: "provisioner",
                  image: args.provisionerImage,
                  args: [
                    "start",
                    "--config=/etc/config/config.json",
                    `--service-account-name=${NAME}`,
                    `--configmap-name=${CONFIG}`,
                    `--helper-image=${args.shellImage}`,
                  ],
                  env: [
                    { name: "POD_NAMESPACE", valueFrom: { fieldRef: { fieldPath: "metadata.namespace" } } },
                    { name: "CONFIG_MOUNT_PATH", value: "/etc/config/" },
                  ],
                  securityContext: restrictedContainer,
                  resources: resources({ cpu: "10m", memory: "32Mi" }, { cpu: "200m", memory: "128Mi" }),
                  volumeMounts: [{ name: "config", mountPath: "/etc/config", readOnly: true }],
                },
              ],
              volumes: [{ name: "config", configMap: { name: CONFIG } }],
            },
          },
        },
      },
      {
        ...inNamespace,
        dependsOn: [namespace, account, role, binding, clusterRole, clusterBinding, config],
        customTimeouts: timeouts.workload,
      },
    );
    const storageClass = new k8s.storage.v1.StorageClass(
      `${name}-class`,
      {
        metadata: {
          name: "local-path",
          labels,
          annotations: { "storageclass.kubernetes.io/is-default-class": "true" },
        },
        provisioner: "rancher.io/local-path",
        volumeBindingMode: "WaitForFirstConsumer",
        reclaimPolicy: "Delete",
      },
      { ...child, dependsOn: [deployment] },
    );

    this.storageClass = storageClass.metadata.name;
    this.registerOutputs({ storageClass: this.storageClass });
  }
}

/** The provisioner's settings, its two scripts and the pod that runs them as root on the volume's node. */
export const provisionerConfig = (hostPath: string, shellImage: string): Record<string, string> => ({
  "config.json": JSON.stringify({
    nodePathMap: [{ node: "DEFAULT_PATH_FOR_NON_LISTED_NODES", paths: [hostPath] }],
  }),
  setup: '#!/bin/sh\nset -eu\nmkdir -p "$VOL_DIR"\nchmod 0777 "$VOL_DIR"\n',
  teardown: '#!/bin/sh\nset -eu\nrm -rf "$VOL_DIR"\n',
  "helperPod.yaml": JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "helper-pod" },
    spec: {
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      containers: [
        {
          name: "helper-pod",
          image: shellImage,
          imagePullPolicy: "IfNotPresent",
          securityContext: {
            runAsUser: 0,
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            // Root without these two could not remove what a step wrote as another user.
            capabilities: { drop: ["ALL"], add: ["DAC_OVERRIDE", "FOWNER"] },
            seccompProfile: { type: "RuntimeDefault" },
          },
          resources: resources({ cpu: "10m", memory: "16Mi" }, { cpu: "500m", memory: "64Mi" }),
        },
      ],
    },
  }),
});

import { stringify } from "yaml";
import type { Toolchain } from "../../stacks/toolchain";
import { IMAGE_HOST } from "./images";

/** Range of the pods' addresses. */
export const POD_CIDR = "10.244.0.0/16";

/** Range of the services' addresses. */
export const SERVICE_CIDR = "10.96.0.0/16";

/** Where the cluster's own files stand inside a node. */
const nodeDirectory = "/etc/kubernetes/factory";

/** Stands in mounts for the directory of the cluster on the host, which only the provider knows. */
export const hostDirectory = "@directory@";

/** Namespaces in which the cluster's own privileged parts run; Pod Security does not look at them. */
const exemptNamespaces = ["kube-system"];

/** Go's names of the TLS 1.2 suites with forward secrecy and authenticated encryption (TLS 1.3 has no other kind). */
const cipherSuites = [
  "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
  "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
  "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
  "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
  "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
  "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
];

const tls = { "tls-min-version": "VersionTLS12", "tls-cipher-suites": cipherSuites.join(",") };

/** Who did what: bodies of what changes the factory, metadata of the rest, nothing of what only repeats itself. */
const auditPolicy = {
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  omitStages: ["RequestReceived"],
  rules: [
    { level: "None", nonResourceURLs: ["/healthz*", "/livez*", "/readyz*", "/version", "/openapi/*"] },
    {
      level: "None",
      verbs: ["get", "list", "watch"],
      users: ["system:kube-scheduler", "system:kube-controller-manager", "system:apiserver"],
    },
    { level: "None", resources: [{ group: "coordination.k8s.io", resources: ["leases"] }] },
    {
      level: "Metadata",
      resources: [
        { group: "", resources: ["secrets", "configmaps", "serviceaccounts/token"] },
        { group: "authentication.k8s.io" },
      ],
    },
    { level: "Metadata", verbs: ["get", "list", "watch"] },
    {
      level: "Request",
      resources: [
        { group: "tekton.dev" },
        { group: "rbac.authorization.k8s.io" },
        { group: "admissionregistration.k8s.io" },
        { group: "networking.k8s.io" },
        { group: "cilium.io", resources: ["ciliumnetworkpolicies", "ciliumclusterwidenetworkpolicies"] },
        { group: "node.k8s.io" },
      ],
    },
    { level: "Metadata" },
  ],
};

/** Pod Security `restricted` wherever a namespace does not say otherwise by its labels. */
const admission = {
  apiVersion: "apiserver.config.k8s.io/v1",
  kind: "AdmissionConfiguration",
  plugins: [
    {
      name: "PodSecurity",
      configuration: {
        apiVersion: "pod-security.admission.config.k8s.io/v1",
        kind: "PodSecurityConfiguration",
        defaults: Object.fromEntries(
          ["enforce", "audit", "warn"].flatMap((mode) => [
            [mode, "restricted"],
            [`${mode}-version`, "latest"],
          ]),
        ),
        exemptions: { namespaces: exemptNamespaces },
      },
    },
  ],
};

/** No anonymous request but to the health checks, and to what a joining node must read before it has an identity. */
const authentication = {
  apiVersion: "apiserver.config.k8s.io/v1",
  kind: "AuthenticationConfiguration",
  anonymous: {
    enabled: true,
    conditions: ["/healthz", "/livez", "/readyz", "/api/v1/namespaces/kube-public/configmaps/cluster-info"].map(
      (path) => ({ path }),
    ),
  },
};

/** Secrets at rest are encrypted (XSalsa20-Poly1305) under the key; what was written before it stays readable. */
const encryption = (key: string) => ({
  apiVersion: "apiserver.config.k8s.io/v1",
  kind: "EncryptionConfiguration",
  resources: [
    { resources: ["secrets"], providers: [{ secretbox: { keys: [{ name: "key1", secret: key }] } }, { identity: {} }] },
  ],
});

/** What a kind cluster of the factory depends on. */
export interface KindConfigOptions {
  /** Worker nodes beside the control plane. */
  workers: number;
  toolchain: Pick<Toolchain, "images">;
  /** 32 random bytes in base64: the key of Secrets at rest. */
  encryptionKey: string;
}

/** A cluster as kind creates it. */
export interface KindConfig {
  /** kind's configuration file, with {@link hostDirectory} where the cluster's files are. */
  config: string;
  /** The cluster's files by name; they are mounted into every node. */
  files: Record<string, string>;
}

const staticPods = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];

/** Processor time that is kept for them, where kubeadm keeps a fourth of a node of two processors for what they do here. */
const processorTime: Readonly<Record<string, string>> = {
  "kube-controller-manager": "50m",
  "kube-scheduler": "20m",
  coredns: "50m",
};

/** The configuration of a hardened kind cluster; pure. Flags as the CIS Kubernetes Benchmark 1.12 asks. */
export const kindConfig = ({ workers, toolchain, encryptionKey }: KindConfigOptions): KindConfig => {
  const image = (name: string) => {
    const found = toolchain.images[name];
    if (found === undefined) throw new Error(`no image ${name} in the toolchain`);
    return found;
  };
  const mounted = (name: string) => `${nodeDirectory}/${name}`;
  const profiling = { profiling: "false" };
  const volume = (name: string, hostPath: string, readOnly: boolean, pathType: string) => ({
    name,
    hostPath,
    mountPath: hostPath,
    readOnly,
    pathType,
  });

  const cluster = {
    kind: "ClusterConfiguration",
    imageRepository: IMAGE_HOST,
    dns: { imageRepository: IMAGE_HOST, imageTag: image("coredns").version },
    etcd: {
      local: {
        imageRepository: IMAGE_HOST,
        imageTag: image("etcd").version,
        extraArgs: { "cipher-suites": cipherSuites.join(","), "tls-min-version": "TLS1.2" },
      },
    },
    apiServer: {
      extraArgs: {
        ...profiling,
        ...tls,
        "admission-control-config-file": mounted("admission.yaml"),
        "audit-log-maxage": "30",
        "audit-log-maxbackup": "10",
        "audit-log-maxsize": "100",
        "audit-log-path": "/var/log/kubernetes/audit.log",
        "audit-policy-file": mounted("audit-policy.yaml"),
        "authentication-config": mounted("authentication.yaml"),
        "enable-admission-plugins": "NodeRestriction",
        "encryption-provider-config": mounted("encryption.yaml"),
        "kubelet-certificate-authority": "/etc/kubernetes/pki/ca.crt",
        "request-timeout": "60s",
        "service-account-extend-token-expiration": "false",
        "service-account-lookup": "true",
      },
      extraVolumes: [
        volume("factory", nodeDirectory, true, "Directory"),
        volume("audit", "/var/log/kubernetes", false, "DirectoryOrCreate"),
      ],
    },
    controllerManager: { extraArgs: { ...profiling, ...tls, "terminated-pod-gc-threshold": "200" } },
    scheduler: { extraArgs: { ...profiling, ...tls } },
  };

  const kubelet = {
    kind: "KubeletConfiguration",
    failCgroupV1: false,
    readOnlyPort: 0,
    rotateCertificates: true,
    serverTLSBootstrap: true,
    seccompDefault: true,
    protectKernelDefaults: true,
    makeIPTablesUtilChains: true,
    streamingConnectionIdleTimeout: "5m0s",
    eventRecordQPS: 50,
    podPidsLimit: 4096,
    tlsMinVersion: "VersionTLS12",
    tlsCipherSuites: cipherSuites,
    enforceNodeAllocatable: ["pods"],
    kubeReserved: { cpu: "100m", memory: "256Mi" },
    systemReserved: { cpu: "100m", memory: "256Mi" },
  };

  const patched = { patches: { directory: mounted("patches") } };
  const mounts = {
    extraMounts: [
      { hostPath: `${hostDirectory}/files`, containerPath: nodeDirectory, readOnly: true },
      { hostPath: `${hostDirectory}/images`, containerPath: "/kind/images", readOnly: true },
    ],
  };
  const config = {
    kind: "Cluster",
    apiVersion: "kind.x-k8s.io/v1alpha4",
    networking: { disableDefaultCNI: true, podSubnet: POD_CIDR, serviceSubnet: SERVICE_CIDR },
    nodes: [
      { role: "control-plane", ...mounts },
      ...Array.from({ length: workers }, () => ({ role: "worker", ...mounts })),
    ],
    kubeadmConfigPatches: [
      cluster,
      kubelet,
      { kind: "InitConfiguration", ...patched },
      { kind: "JoinConfiguration", ...patched },
    ].map((patch) => stringify(patch)),
  };

  const ours = (name: string) => {
    const cpu = processorTime[name];
    const resources = cpu === undefined ? {} : { resources: { requests: { cpu } } };
    return { spec: { containers: [{ name, image: image(name).reference, ...resources }] } };
  };
  const changed = {
    ...Object.fromEntries(staticPods.map((name) => [name, ours(name)])),
    corednsdeployment: { spec: { template: ours("coredns") } },
  };
  const patches = Object.entries(changed).map(([target, patch]) => [
    `patches/${target}0+strategic.yaml`,
    stringify(patch),
  ]);
  return {
    config: stringify(config),
    files: {
      "admission.yaml": stringify(admission),
      "audit-policy.yaml": stringify(auditPolicy),
      "authentication.yaml": stringify(authentication),
      "encryption.yaml": stringify(encryption(encryptionKey)),
      ...(Object.fromEntries(patches) as Record<string, string>),
    },
  };
};

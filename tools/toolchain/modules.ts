/** Where a program's output comes from: a wrapper module in `tools/modules`, and what is built from it. */
export interface ModuleSpec {
  /** Module path of the upstream; its version is the one in the wrapper's go.mod. */
  upstream: string;
  /**
   * Programs by the name that they get, each with its package path below {@link upstream} (`.` is the module itself), or
   * below the wrapper, for a main of our own: `./cmd/x`, and nothing for the wrapper itself.
   */
  programs: Record<string, string>;
  /** Linker variables that upstream's own build sets, with `${version}` for the module's version. */
  stamps?: Record<string, string>;
  /** Build tags. */
  tags?: string[];
  /** Debian packages with the C headers that the build needs; without any, cgo is off. */
  cgo?: string[];
  /** Files of the upstream that the wrapper's own main embeds; they are laid beside it. */
  embed?: string[];
  /** Directories and files of the upstream that are read at run time, kept below `share/`. */
  share?: string[];
  /** A program on the machine that serves as well: then the programs beside it are taken, and nothing is compiled. */
  installed?: InstalledSpec;
  /** A published Pulumi plugin that serves as well, where it can be downloaded. */
  published?: PluginSpec;
  /** Whether no running factory needs it: such programs verify, inspect or test one, and `up` does not wait for them. */
  extra?: true;
  /** Directory in {@link share} whose `Chart.template.yaml` becomes a `Chart.yaml` with the upstream's version. */
  chart?: string;
}

/** A program that the machine may have. */
export interface InstalledSpec {
  program: string;
  /** Matches what `<program> version` prints on its first line, in the versions that work. */
  version: RegExp;
}

/** A plugin of Pulumi's as it is published. */
export interface PluginSpec {
  name: string;
  /** Version without `v`. */
  version: string;
}

/** Command lines since 3.200 know the policy packs and event logs that the factory uses. */
const installedPulumi: InstalledSpec = { program: "pulumi", version: /^v3\.[2-9][0-9]{2}\./ };

const componentBase = {
  gitVersion: "${version}",
  gitMajor: "1",
  gitMinor: "35",
  gitTreeState: "clean",
  buildDate: "1970-01-01T00:00:00Z",
};

const stamped = (pkg: string, values: Record<string, string>) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [`${pkg}.${name}`, value]));

/** Every upstream, by the name of its folder in `tools/modules`. */
export const modules: Record<string, ModuleSpec> = {
  pulumi: {
    upstream: "github.com/pulumi/pulumi/pkg/v3",
    installed: installedPulumi,
    programs: { pulumi: "cmd/pulumi" },
    stamps: { "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version": "${version}" },
  },
  "language-nodejs": {
    upstream: "github.com/pulumi/pulumi/sdk/v3",
    installed: installedPulumi,
    programs: { "pulumi-language-nodejs": "nodejs/cmd/pulumi-language-nodejs" },
  },
  kubernetes: {
    upstream: "k8s.io/kubernetes",
    programs: Object.fromEntries(
      [
        "kubelet",
        "kubeadm",
        "kubectl",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kube-proxy",
      ].map((program) => [program, `cmd/${program}`]),
    ),
    stamps: {
      ...stamped("k8s.io/component-base/version", componentBase),
      ...stamped("k8s.io/client-go/pkg/version", componentBase),
    },
    share: ["build/pause/linux"],
  },
  "provider-kubernetes": {
    upstream: "github.com/pulumi/pulumi-kubernetes/provider/v4",
    published: { name: "kubernetes", version: "4.25.0" },
    programs: { "pulumi-resource-kubernetes": "" },
    stamps: { "github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version.Version": "4.25.0" },
    embed: ["cmd/pulumi-resource-kubernetes/schema.json", "cmd/pulumi-resource-kubernetes/terraform-mapping.json"],
  },
  kind: {
    upstream: "sigs.k8s.io/kind",
    installed: { program: "kind", version: /^kind v0\.33\./ },
    programs: { kind: "." },
    share: ["images/base/files"],
  },
  containerd: {
    upstream: "github.com/containerd/containerd/v2",
    programs: {
      containerd: "cmd/containerd",
      "containerd-shim-runc-v2": "cmd/containerd-shim-runc-v2",
      ctr: "cmd/ctr",
    },
    tags: ["no_btrfs", "no_devmapper", "no_zfs"],
    stamps: { "github.com/containerd/containerd/v2/version.Version": "${version}" },
  },
  runc: {
    upstream: "github.com/opencontainers/runc",
    programs: { runc: "." },
    cgo: ["gcc", "libc6-dev", "libseccomp-dev", "pkg-config"],
    tags: ["seccomp"],
    stamps: { "main.version": "${version}" },
  },
  "cni-plugins": {
    upstream: "github.com/containernetworking/plugins",
    programs: { loopback: "plugins/main/loopback", tap: "plugins/main/tap", "host-local": "plugins/ipam/host-local" },
  },
  etcd: { upstream: "go.etcd.io/etcd/server/v3", programs: { etcd: "." } },
  // The wrapper's own main: CoreDNS with the plugins that a cluster's Corefile names.
  coredns: { upstream: "github.com/coredns/coredns", programs: { coredns: "" } },
  cilium: {
    upstream: "github.com/cilium/cilium",
    programs: {
      "cilium-agent": "daemon",
      "cilium-dbg": "cilium-dbg",
      "cilium-cni": "plugins/cilium-cni",
      "cilium-mount": "tools/mount",
      "cilium-sysctlfix": "tools/sysctlfix",
      "cilium-operator-generic": "operator",
    },
    tags: ["ipam_provider_operator"],
    stamps: { "github.com/cilium/cilium/pkg/version.ciliumVersion": "${version}" },
    share: [
      "bpf",
      "install/kubernetes/cilium",
      "images/cilium/init-container.sh",
      "plugins/cilium-cni/install-plugin.sh",
      "plugins/cilium-cni/cni-uninstall.sh",
    ],
  },
  tekton: {
    upstream: "github.com/tektoncd/pipeline",
    programs: {
      ...Object.fromEntries(
        [
          "controller",
          "webhook",
          "events",
          "resolvers",
          "entrypoint",
          "nop",
          "workingdirinit",
          "sidecarlogresults",
        ].map((program) => [program, `cmd/${program}`]),
      ),
      // What Tekton's own code makes of our definitions, for the tests.
      "tekton-definitions": "",
    },
    share: ["config"],
  },
  triggers: {
    upstream: "github.com/tektoncd/triggers",
    programs: {
      controller: "cmd/controller",
      webhook: "cmd/webhook",
      eventlistenersink: "cmd/eventlistenersink",
      // The wrapper's own main: what stands between a forge and an event listener.
      "team-webhook": "",
    },
    share: ["config"],
  },
  chains: {
    upstream: "github.com/tektoncd/chains",
    programs: { controller: "cmd/controller" },
    share: ["config"],
  },
  // Mains of our own: what gives pods the Workload API, what heals after Chains, what says who may do what in the registry,
  // and what logs in to it with an identity.
  workloads: {
    upstream: "k8s.io/client-go",
    programs: {
      "workload-api-driver": "./cmd/workload-api-driver",
      "signing-healer": "./cmd/signing-healer",
      "registry-guard": "./cmd/registry-guard",
      "docker-credential-spiffe": "./cmd/docker-credential-spiffe",
    },
  },
  "cert-manager": {
    upstream: "github.com/cert-manager/cert-manager",
    programs: { controller: "cmd/controller", webhook: "cmd/webhook", cainjector: "cmd/cainjector" },
    share: ["deploy/charts/cert-manager", "deploy/crds"],
    chart: "deploy/charts/cert-manager",
  },
  "local-path-provisioner": {
    upstream: "github.com/rancher/local-path-provisioner",
    programs: { "local-path-provisioner": "." },
  },
  distribution: {
    upstream: "github.com/distribution/distribution/v3",
    programs: { registry: "cmd/registry" },
    stamps: { "github.com/distribution/distribution/v3/version.version": "${version}" },
  },
  spire: {
    upstream: "github.com/spiffe/spire",
    programs: {
      "spire-server": "cmd/spire-server",
      "spire-agent": "cmd/spire-agent",
      "oidc-discovery-provider": "support/oidc-discovery-provider",
    },
    // SQLite, which holds the registrations, is a C library.
    cgo: ["gcc", "libc6-dev"],
  },
  "spire-controller-manager": {
    upstream: "github.com/spiffe/spire-controller-manager",
    programs: { "spire-controller-manager": "cmd" },
    share: ["config/crd/bases"],
  },
  trillian: {
    upstream: "github.com/google/trillian",
    programs: {
      trillian_log_server: "cmd/trillian_log_server",
      trillian_log_signer: "cmd/trillian_log_signer",
      createtree: "cmd/createtree",
    },
    share: ["storage/postgresql/schema"],
  },
  rekor: {
    upstream: "github.com/sigstore/rekor",
    programs: { "rekor-server": "cmd/rekor-server" },
    stamps: { "sigs.k8s.io/release-utils/version.gitVersion": "${version}" },
  },
  fulcio: {
    upstream: "github.com/sigstore/fulcio",
    programs: { fulcio: "." },
    stamps: { "sigs.k8s.io/release-utils/version.gitVersion": "${version}" },
  },
  crane: { upstream: "github.com/google/go-containerregistry", programs: { crane: "cmd/crane" } },
  syft: {
    upstream: "github.com/anchore/syft",
    programs: { syft: "cmd/syft" },
    stamps: { "main.version": "${version}" },
  },
  cosign: { upstream: "github.com/sigstore/cosign/v3", programs: { cosign: "cmd/cosign" }, extra: true },
  gatekeeper: {
    upstream: "github.com/open-policy-agent/gatekeeper/v3",
    programs: { gatekeeper: ".", gator: "cmd/gator" },
    stamps: { "github.com/open-policy-agent/gatekeeper/v3/pkg/version.Version": "${version}" },
    share: ["deploy"],
  },
  "kube-bench": {
    upstream: "github.com/aquasecurity/kube-bench",
    programs: { "kube-bench": "." },
    stamps: { "github.com/aquasecurity/kube-bench/cmd.KubeBenchVersion": "${version}" },
    share: ["cfg"],
    extra: true,
  },
};

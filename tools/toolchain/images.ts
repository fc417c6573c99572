import type { RootfsSpec } from "./debian";
import type { ImageConfig } from "./oci";
import { runtimeOf } from "./runtime";

/** An image: a root file system or nothing, and one layer of our own on it. */
export interface ImageSpec {
  /** Name in {@link rootfs}. @default none: the image holds only its layer */
  rootfs?: string;
  /** What the layer holds: path in the image -> `<module>/<path below its output>`. */
  files: Record<string, string>;
  /** Module whose version the image carries; omitted for images of our own, whose version is the project's. */
  module?: string;
  config: ImageConfig;
  /** Whether the image is also named by its version, for kubeadm, which knows no digests. */
  named?: "version";
}

/** User and group of every image that needs no other. */
export const nonRoot = 65532;

const certificates = "ca-certificates";
const network = ["conntrack", "iptables", "kmod", "nftables"];

/** Byte code that does not depend on the files' times, which an image's layer does not keep. */
const compileStandardLibrary =
  "PYTHONHASHSEED=0 python3 -m compileall -q --invalidation-mode unchecked-hash " +
  "-s /opt/runtime -p / /opt/runtime/usr/lib/python3.11";

/** The root file systems that images and nodes share. */
export const rootfs: Record<string, RootfsSpec> = {
  shell: { packages: [certificates] },
  git: {
    packages: [certificates, "git", "openssh-client", "tini"],
    // ssh-keygen refuses to run for a user without a name.
    customize: [`echo 'stage:x:${nonRoot}:${nonRoot}::/nonexistent:/usr/sbin/nologin' >>"$1/etc/passwd"`],
  },
  forge: { packages: [certificates, "git", "lighttpd", "lighttpd-mod-openssl"] },
  "tls-proxy": { packages: ["lighttpd", "lighttpd-mod-openssl"] },
  rekor: {
    packages: ["postgresql-15"],
    // A database makes itself for a user with a name only.
    customize: [`echo 'rekor:x:${nonRoot}:${nonRoot}::/nonexistent:/usr/sbin/nologin' >>"$1/etc/passwd"`],
  },
  publish: { packages: [certificates, "jq"] },
  "node-run": { packages: ["nodejs"] },
  "node-build": { packages: [certificates, "npm"], customize: [runtimeOf(["nodejs"])] },
  "python-build": {
    packages: [certificates, "python3-pip", "libstdc++6"],
    // Wheels take the C++ library from the system.
    customize: [runtimeOf(["python3-minimal", "libpython3.11-stdlib", "libstdc++6"], compileStandardLibrary)],
  },
  scan: { packages: ["jq", "unzip"] },
  "kube-proxy": { packages: network },
  cilium: { packages: [certificates, ...network, "clang-19", "ipset", "iproute2", "mount"] },
  node: {
    packages: [
      ...network,
      ...[certificates, "dbus", "ebtables", "ethtool", "hostname", "iproute2", "jq", "libseccomp2", "mount", "pigz"],
      ...["procps", "socat", "systemd", "systemd-sysv", "util-linux"],
    ],
    customize: [
      'chroot "$1" useradd --system --no-create-home --shell /usr/sbin/nologin etcd',
      ...[
        "/lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service",
        "/lib/systemd/system/multi-user.target.wants/*",
        "/etc/systemd/system/*.wants/*",
        "/lib/systemd/system/local-fs.target.wants/*",
        "/lib/systemd/system/sockets.target.wants/*udev*",
        "/lib/systemd/system/sockets.target.wants/*initctl*",
        "/lib/systemd/system/basic.target.wants/*",
      ].map((units) => `rm -f "$1"${units}`),
    ],
  },
};

const user = `${nonRoot}:${nonRoot}`;

/** An image that holds one program and starts it. */
const programImage = (module: string, program: string, path: string, config: ImageConfig = {}): ImageSpec => ({
  module,
  files: { [path]: `${module}/bin/${program}` },
  config: { Entrypoint: [path], User: user, ...config },
});

/** The same of a program of our own, whose version is not the module's. */
const ownImage = (...image: Parameters<typeof programImage>): ImageSpec => ({
  ...programImage(...image),
  module: undefined,
});

/** The same image with the helper by which clients of registries log in with an identity. */
const withIdentityLogin = (image: ImageSpec): ImageSpec => ({
  ...image,
  files: { ...image.files, "/usr/bin/docker-credential-spiffe": "workloads/bin/docker-credential-spiffe" },
});

/** An image of the control plane, which kubeadm names by version and runs as it decides. */
const controlPlane = (module: string, program: string): ImageSpec => ({
  ...programImage(module, program, `/usr/local/bin/${program}`, { User: "0:0" }),
  named: "version",
});

const tektonImages = [
  "controller",
  "webhook",
  "events",
  "resolvers",
  "entrypoint",
  "nop",
  "workingdirinit",
  "sidecarlogresults",
];

/** Programs of our own in TypeScript that run in images, each as one file: name -> where it starts. */
export const bundles: Record<string, string> = { verifier: "tools/gate/main.ts" };

/** Every image of the factory, by its name in the lock file. */
export const images: Record<string, ImageSpec> = {
  pause: { ...programImage("pause", "pause", "/pause", { User: "65535:65535" }), module: "kubernetes" },
  etcd: controlPlane("etcd", "etcd"),
  coredns: { ...programImage("coredns", "coredns", "/coredns"), named: "version" },
  "kube-apiserver": controlPlane("kubernetes", "kube-apiserver"),
  "kube-controller-manager": controlPlane("kubernetes", "kube-controller-manager"),
  "kube-scheduler": controlPlane("kubernetes", "kube-scheduler"),
  "kube-proxy": { ...controlPlane("kubernetes", "kube-proxy"), rootfs: "kube-proxy" },
  cilium: {
    rootfs: "cilium",
    module: "cilium",
    files: {
      "/usr/bin/cilium-agent": "cilium/bin/cilium-agent",
      "/usr/bin/cilium-dbg": "cilium/bin/cilium-dbg",
      "/usr/bin/cilium-mount": "cilium/bin/cilium-mount",
      "/usr/bin/cilium-sysctlfix": "cilium/bin/cilium-sysctlfix",
      "/opt/cni/bin/cilium-cni": "cilium/bin/cilium-cni",
      "/opt/cni/bin/loopback": "cni-plugins/bin/loopback",
      "/init-container.sh": "cilium/share/images/cilium/init-container.sh",
      "/install-plugin.sh": "cilium/share/plugins/cilium-cni/install-plugin.sh",
      "/cni-uninstall.sh": "cilium/share/plugins/cilium-cni/cni-uninstall.sh",
      "/var/lib/cilium/bpf": "cilium/share/bpf",
    },
    config: {
      Cmd: ["/usr/bin/cilium-agent"],
      Env: ["PATH=/usr/lib/llvm-19/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    },
  },
  "cilium-operator": programImage("cilium", "cilium-operator-generic", "/usr/bin/cilium-operator-generic", {
    User: "0:0",
  }),
  "local-path-provisioner": programImage(
    "local-path-provisioner",
    "local-path-provisioner",
    "/usr/bin/local-path-provisioner",
  ),
  ...Object.fromEntries(
    tektonImages.map((program) => [`tekton-${program}`, programImage("tekton", program, `/ko-app/${program}`)]),
  ),
  "tekton-resolvers": { ...programImage("tekton", "resolvers", "/ko-app/resolvers"), rootfs: "git" },
  ...Object.fromEntries(
    ["controller", "webhook", "eventlistenersink"].map((program) => [
      `triggers-${program}`,
      programImage("triggers", program, `/ko-app/${program}`),
    ]),
  ),
  "chains-controller": withIdentityLogin(programImage("chains", "controller", "/ko-app/controller")),
  "registry-guard": ownImage("workloads", "registry-guard", "/usr/bin/registry-guard"),
  "signing-healer": ownImage("workloads", "signing-healer", "/usr/bin/signing-healer"),
  "workload-api-driver": ownImage("workloads", "workload-api-driver", "/usr/bin/workload-api-driver", { User: "0:0" }),
  ...Object.fromEntries(
    ["controller", "webhook", "cainjector"].map((program) => [
      `cert-manager-${program}`,
      programImage("cert-manager", program, `/app/cmd/${program}/${program}`),
    ]),
  ),
  registry: programImage("distribution", "registry", "/usr/bin/registry", {
    Cmd: ["serve", "/etc/distribution/config.yml"],
  }),
  "spire-server": { ...programImage("spire", "spire-server", "/usr/bin/spire-server"), rootfs: "shell" },
  "spire-agent": { ...programImage("spire", "spire-agent", "/usr/bin/spire-agent"), rootfs: "shell" },
  "spire-oidc-discovery-provider": {
    ...programImage("spire", "oidc-discovery-provider", "/usr/bin/oidc-discovery-provider"),
    rootfs: "shell",
  },
  "spire-controller-manager": programImage(
    "spire-controller-manager",
    "spire-controller-manager",
    "/usr/bin/spire-controller-manager",
  ),
  rekor: {
    rootfs: "rekor",
    module: "rekor",
    files: {
      "/usr/bin/rekor-server": "rekor/bin/rekor-server",
      "/usr/bin/trillian_log_server": "trillian/bin/trillian_log_server",
      "/usr/bin/trillian_log_signer": "trillian/bin/trillian_log_signer",
      "/usr/bin/createtree": "trillian/bin/createtree",
      "/usr/share/trillian/storage.sql": "trillian/share/storage/postgresql/schema/storage.sql",
    },
    config: { User: user, Env: ["PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin"] },
  },
  fulcio: programImage("fulcio", "fulcio", "/usr/bin/fulcio"),
  "tls-proxy": { rootfs: "tls-proxy", files: {}, config: { User: user } },
  gatekeeper: programImage("gatekeeper", "gatekeeper", "/manager"),
  verifier: withIdentityLogin({
    rootfs: "node-run",
    files: { "/usr/lib/verifier/verifier.js": "verifier/verifier.js" },
    config: { Entrypoint: ["/usr/bin/node", "/usr/lib/verifier/verifier.js"], User: user },
  }),
  shell: { rootfs: "shell", files: {}, config: { User: user } },
  "stage-git": { rootfs: "git", files: {}, config: { User: user } },
  "stage-go": {
    rootfs: "shell",
    files: { "/usr/local/go": "go-release", "/usr/local/go-standard-library": "go-standard-library" },
    config: {
      User: user,
      Env: [
        "PATH=/usr/local/go/bin:/usr/bin:/bin",
        "GOTOOLCHAIN=local",
        "GO_STANDARD_LIBRARY=/usr/local/go-standard-library",
      ],
    },
  },
  "stage-node": { rootfs: "node-build", files: {}, config: { User: user } },
  "stage-python": { rootfs: "python-build", files: {}, config: { User: user } },
  "stage-scan": { rootfs: "scan", files: { "/usr/bin/syft": "syft/bin/syft" }, config: { User: user } },
  "stage-publish": withIdentityLogin({
    rootfs: "publish",
    files: { "/usr/bin/crane": "crane/bin/crane" },
    config: { User: user },
  }),
  "stage-trigger": {
    rootfs: "git",
    files: { "/usr/bin/team-webhook": "triggers/bin/team-webhook" },
    config: { Entrypoint: ["/usr/bin/team-webhook"], User: user },
  },
  forge: { rootfs: "forge", files: {}, config: { User: user } },
};

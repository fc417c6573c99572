import { parse } from "yaml";

import { kindConfig } from "../../../components/lib/kind-config";
import { testImage } from "../../support/render";
import { clusterToolchain as toolchain } from "../../support/toolchain";

interface KindFile {
  networking: object;
  nodes: object[];
  kubeadmConfigPatches: string[];
}

const made = (workers = 0) => {
  const { config, files } = kindConfig({ workers, toolchain, encryptionKey: "a2V5" });
  const file = parse(config) as KindFile;
  const patches = file.kubeadmConfigPatches.map((patch) => parse(patch) as { kind: string });
  const patch = (kind: string) => patches.find((candidate) => candidate.kind === kind);
  return { file, files, patch };
};

describe("a kind cluster's configuration", () => {
  const mounts = [
    { hostPath: "@directory@/files", containerPath: "/etc/kubernetes/factory", readOnly: true },
    { hostPath: "@directory@/images", containerPath: "/kind/images", readOnly: true },
  ];
  const controlPlane = { role: "control-plane", extraMounts: mounts };
  const worker = { role: "worker", extraMounts: mounts };

  test.each([
    [0, [controlPlane]],
    [1, [controlPlane, worker]],
    [2, [controlPlane, worker, worker]],
  ])("with %d workers has exactly these nodes, each with the cluster's files and images", (workers, nodes) => {
    expect(made(workers).file.nodes).toEqual(nodes);
  });

  test("differs by its workers in nothing but nodes", () => {
    const { nodes: one, ...alone } = made(0).file;
    const { nodes: three, ...together } = made(2).file;
    expect([one.length, three.length]).toEqual([1, 3]);
    expect(together).toEqual(alone);
  });

  test("leaves the network to us, in ranges that are known", () => {
    expect(made().file.networking).toEqual({
      disableDefaultCNI: true,
      podSubnet: "10.244.0.0/16",
      serviceSubnet: "10.96.0.0/16",
    });
  });

  test("has every file that a flag names, in the one directory that is mounted", () => {
    const { files, patch } = made();
    const { apiServer } = patch("ClusterConfiguration") as unknown as {
      apiServer: { extraArgs: Record<string, string> };
    };
    const named = Object.values(apiServer.extraArgs).flatMap(
      (value) => /^\/etc\/kubernetes\/factory\/(.*)/.exec(value)?.[1] ?? [],
    );
    expect(named.sort()).toEqual(["admission.yaml", "audit-policy.yaml", "authentication.yaml", "encryption.yaml"]);
    expect(Object.keys(files)).toEqual(expect.arrayContaining(named));
  });

  test("names the images of the control plane by digest", () => {
    const { files } = made();
    const named = Object.entries(files)
      .filter(([name]) => name.startsWith("patches/"))
      .map(([name, text]) => [name, /image: (\S+)/.exec(text)?.[1]]);
    expect(Object.fromEntries(named)).toEqual({
      "patches/corednsdeployment0+strategic.yaml": testImage("coredns"),
      "patches/etcd0+strategic.yaml": testImage("etcd"),
      "patches/kube-apiserver0+strategic.yaml": testImage("kube-apiserver"),
      "patches/kube-controller-manager0+strategic.yaml": testImage("kube-controller-manager"),
      "patches/kube-scheduler0+strategic.yaml": testImage("kube-scheduler"),
    });
  });

  test("leaves most of a small node to builds", () => {
    const { files } = made();
    const kept = Object.entries(files)
      .filter(([name]) => name.startsWith("patches/"))
      .map(([name, text]) => [/[^/]+(?=0\+)/.exec(name)?.[0], /cpu: (\S+)/.exec(text)?.[1]]);
    expect(Object.fromEntries(kept)).toEqual({
      corednsdeployment: "50m",
      etcd: undefined,
      "kube-apiserver": undefined,
      "kube-controller-manager": "50m",
      "kube-scheduler": "20m",
    });
  });

  test("takes no TLS before 1.2, at the API server, its kubelets and etcd", () => {
    const { patch } = made();
    expect(patch("ClusterConfiguration")).toMatchObject({
      apiServer: { extraArgs: { "tls-min-version": "VersionTLS12" } },
      controllerManager: { extraArgs: { "tls-min-version": "VersionTLS12" } },
      scheduler: { extraArgs: { "tls-min-version": "VersionTLS12" } },
      etcd: { local: { extraArgs: { "tls-min-version": "TLS1.2" } } },
    });
    expect(patch("KubeletConfiguration")).toMatchObject({ tlsMinVersion: "VersionTLS12", readOnlyPort: 0 });
  });

  test("is Pod Security restricted wherever a namespace says nothing, but in kube-system", () => {
    expect(parse(made().files["admission.yaml"] ?? "")).toMatchObject({
      plugins: [
        {
          name: "PodSecurity",
          configuration: {
            defaults: { enforce: "restricted", audit: "restricted", warn: "restricted" },
            exemptions: { namespaces: ["kube-system"] },
          },
        },
      ],
    });
  });

  test("without an image of the control plane is refused", () => {
    const images = Object.fromEntries(Object.entries(toolchain.images).filter(([name]) => name !== "etcd"));
    expect(() => kindConfig({ workers: 0, toolchain: { images }, encryptionKey: "a2V5" })).toThrow(/etcd/);
  });
});

/** Every key of a value at any depth. */
const keysOf = (value: unknown): string[] =>
  typeof value === "object" && value !== null
    ? Object.entries(value).flatMap(([key, inner]) => [key, ...keysOf(inner)])
    : [];

/** What takes a port of the host, in kind's own configuration. */
const hostPorts = (config: unknown): string[] =>
  keysOf(config).filter((key) => ["apiServerPort", "apiServerAddress", "extraPortMappings", "hostPort"].includes(key));

test.each([0, 2])("a cluster with %d workers takes no port of the host that another may have", (workers) => {
  expect(hostPorts(made(workers).file)).toEqual([]);
});

test("a port that is taken is found", () => {
  const taken = "networking: { apiServerPort: 6443 }\nnodes: [{ extraPortMappings: [{ hostPort: 80 }] }]";
  expect(hostPorts(parse(taken))).toEqual(["apiServerPort", "extraPortMappings", "hostPort"]);
});

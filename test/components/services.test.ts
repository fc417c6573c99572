import { CertManager, chartValues } from "../../components/cert-manager";
import { CertManagerEngine } from "../../components/lib/cert-manager-engine";
import { Forge, forgeClients, GATEWAY_SCRIPT, SERVER_SETTINGS } from "../../components/forge";
import { NodeTrust, TRUST_SCRIPT } from "../../components/node-trust";
import { provisionerConfig, Storage } from "../../components/storage";
import { readToolchain, source } from "../../stacks/toolchain";
import { inputAt, render, type Rendering, testCertificates, testImage, valueOf } from "../support/render";

describe("Storage", () => {
  let rendering: Rendering;
  beforeAll(async () => {
    rendering = await render(
      () => new Storage("storage", { provisionerImage: testImage("provisioner"), shellImage: testImage("shell") }),
    );
  });

  test("makes these objects and no others", () => {
    expect(rendering.childrenOf("storage")).toEqual([
      "apps/v1:Deployment storage-deployment",
      "core/v1:ConfigMap storage-config",
      "core/v1:Namespace storage-ns",
      "core/v1:ServiceAccount storage-account",
      "rbac.authorization.k8s.io/v1:ClusterRole storage-cluster-role",
      "rbac.authorization.k8s.io/v1:ClusterRoleBinding storage-cluster-binding",
      "rbac.authorization.k8s.io/v1:Role storage-role",
      "rbac.authorization.k8s.io/v1:RoleBinding storage-binding",
      "storage.k8s.io/v1:StorageClass storage-class",
    ]);
  });

  test("its class is the default one, and waits for the pod", () => {
    expect(rendering.get("storage-class").inputs).toMatchObject({
      metadata: { name: "local-path", annotations: { "storageclass.kubernetes.io/is-default-class": "true" } },
      volumeBindingMode: "WaitForFirstConsumer",
    });
  });

  test("volumes can be written by steps that are not root, and removed whoever wrote them", () => {
    const config = provisionerConfig("/var/volumes", testImage("shell"));
    expect(config.setup).toContain('chmod 0777 "$VOL_DIR"');
    expect(JSON.parse(config["config.json"] ?? "")).toEqual({
      nodePathMap: [{ node: "DEFAULT_PATH_FOR_NON_LISTED_NODES", paths: ["/var/volumes"] }],
    });
    expect(JSON.parse(config["helperPod.yaml"] ?? "")).toMatchObject({
      spec: {
        automountServiceAccountToken: false,
        containers: [
          {
            image: testImage("shell"),
            securityContext: { runAsUser: 0, capabilities: { drop: ["ALL"], add: ["DAC_OVERRIDE", "FOWNER"] } },
          },
        ],
      },
    });
  });
});

describe("NodeTrust", () => {
  let rendering: Rendering;
  beforeAll(async () => {
    rendering = await render(
      () =>
        new NodeTrust("trust", {
          registryHost: "registry.example:5000",
          registryUrl: "https://10.96.0.50:5000",
          caPem: "CA",
          shellImage: testImage("shell"),
        }),
    );
  });

  test("makes these objects and no others", () => {
    expect(rendering.childrenOf("trust")).toEqual([
      "apps/v1:DaemonSet trust-daemon-set",
      "core/v1:ConfigMap trust-config",
      "core/v1:Namespace trust-ns",
      "networking.k8s.io/v1:NetworkPolicy trust-deny",
    ]);
  });

  test("is root with one directory of the node and nothing else", () => {
    expect(inputAt(rendering.get("trust-daemon-set"), "spec.template.spec")).toMatchObject({
      automountServiceAccountToken: false,
      containers: [
        {
          env: [{ name: "DIRECTORY", value: "/certs.d/registry.example:5000" }],
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ["ALL"] },
          },
        },
      ],
      volumes: [{ hostPath: { path: "/etc/containerd/certs.d" } }, { configMap: { name: "node-trust" } }],
    });
  });

  test("removes what it wrote when the pod ends", () => {
    expect(TRUST_SCRIPT).toContain(`trap 'rm -rf "$DIRECTORY"; exit 0' TERM`);
  });
});

describe("CertManager", () => {
  const args = {
    source: source(readToolchain(), "cert-manager"),
    images: {
      controller: testImage("controller"),
      webhook: testImage("webhook"),
      cainjector: testImage("cainjector"),
    },
    chartVersion: "v1.11.5",
  };
  const common = [
    "cert-manager.io/v1:Certificate cm-authority",
    "cert-manager.io/v1:Certificate cm-proof",
    "cert-manager.io/v1:ClusterIssuer cm-issuer",
    "cert-manager.io/v1:Issuer cm-root",
    "core/v1:Namespace cm-ns",
  ];

  test("by the chart of the sources: these objects, in this order", async () => {
    let manager: CertManager | undefined;
    const rendering = await render(() => {
      manager = new CertManager("cm", args);
    });
    expect(rendering.childrenOf("cm")).toEqual([...common, "helm.sh/v4:Chart cm-engine"]);
    expect(rendering.get("cm-engine").inputs).toMatchObject({ namespace: "ssf-cert-manager", skipCrds: true });
    expect(rendering.get("cm-root").dependsOn).toContain("cm-engine");
    expect(rendering.get("cm-authority").dependsOn).toEqual(["cm-root"]);
    expect(rendering.get("cm-issuer").dependsOn).toEqual(["cm-authority"]);
    if (manager === undefined) throw new Error("not made");
    await expect(valueOf(manager.caPem)).resolves.toBe(testCertificates("INTERMEDIATE", "ROOT"));
    await expect(valueOf(manager.issuer)).resolves.toBe("ssf-ca");
  });

  test("by the package: one release, with the same values and a pinned chart", async () => {
    const rendering = await render(() => new CertManager("cm", { ...args, engine: CertManagerEngine.Component }));
    expect(rendering.childrenOf("cm")).toEqual([...common, "kubernetes-cert-manager:index:CertManager cm-engine"]);
    expect(rendering.get("cm-engine").inputs.helmOptions).toMatchObject({
      version: "v1.11.5",
      namespace: "ssf-cert-manager",
      values: chartValues(args.images),
    });
  });

  test("its pods are restricted, by digest, and know no authority but ours", () => {
    const values = chartValues(args.images);
    expect(values).toMatchObject({
      image: { repository: "ssf.local/controller", digest: `sha256:${"0".repeat(64)}` },
      securityContext: { runAsNonRoot: true },
      containerSecurityContext: { readOnlyRootFilesystem: true },
      startupapicheck: { enabled: false },
    });
    expect(JSON.stringify(values.extraArgs)).not.toContain("acme");
    expect(values.extraArgs).toContain("--enable-certificate-owner-ref=true");
  });

  test("an image by tag is refused", () => {
    expect(() => chartValues({ ...args.images, webhook: "ssf.local/webhook:v1" })).toThrow(
      /SSF-IMAGE-001 images\.webhook/,
    );
  });
});

describe("Forge", () => {
  let rendering: Rendering;
  let forge: Forge;
  beforeAll(async () => {
    rendering = await render(() => {
      forge = new Forge("forge", { image: testImage("forge"), issuer: "ssf-ca" });
    });
  });

  test("makes these objects and no others", () => {
    expect(rendering.childrenOf("forge")).toEqual([
      "apps/v1:Deployment forge-deployment",
      "cert-manager.io/v1:Certificate forge-certificate",
      "core/v1:ConfigMap forge-config",
      "core/v1:Namespace forge-ns",
      "core/v1:PersistentVolumeClaim forge-volume",
      "core/v1:Secret forge-users",
      "core/v1:Service forge-service",
      "core/v1:ServiceAccount forge-account",
      "networking.k8s.io/v1:NetworkPolicy forge-policy",
      "random:index/randomPassword:RandomPassword forge-password",
    ]);
  });

  test("only stages that ingest sources connect, and it connects to nothing", () => {
    expect(rendering.get("forge-policy").inputs.spec).toEqual({
      podSelector: {},
      policyTypes: ["Ingress", "Egress"],
      ingress: [{ from: forgeClients, ports: [{ port: 8443, protocol: "TCP" }] }],
    });
  });

  test("a push asks for the password, and any commit may be fetched", () => {
    expect(SERVER_SETTINGS).toContain("service=git-receive-pack");
    expect(SERVER_SETTINGS).toContain('ssl.engine = "enable"');
    expect(GATEWAY_SCRIPT).toContain("uploadpack.allowAnySHA1InWant");
    expect(rendering.get("forge-users").secrets).toEqual(["stringData"]);
  });

  test("gives address and login", async () => {
    await expect(valueOf(forge.url)).resolves.toBe("https://forge.ssf-forge.svc.cluster.local:8443");
    await expect(valueOf(forge.password)).resolves.toBe("password-of-forge-password");
  });
});

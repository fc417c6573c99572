import { Chains, type ChainsArgs, chainsObjects } from "../../components/chains";
import { readToolchain, source } from "../../stacks/toolchain";
import { inputAt, render, type Rendering, testImage } from "../support/render";

const args: ChainsArgs = {
  source: source(readToolchain(), "chains"),
  image: testImage("chains-controller"),
  version: "v0.28.1",
  builderId: "https://factory.example/builder/v1",
  signer: {
    fulcioUrl: "https://fulcio.example",
    rekorUrl: "https://rekor.example",
    rekorPublicKeyPem: "KEY",
  },
  registry: { host: "registry.example:5000", caPem: "CA" },
};

describe("Chains", () => {
  let rendering: Rendering;
  beforeAll(async () => {
    rendering = await render(() => {
      new Chains("chains", args);
    });
  });

  test("makes these objects and no others", () => {
    expect(rendering.childrenOf("chains")).toEqual([
      "apps/v1:Deployment chains-deployment-tekton-chains-controller",
      "core/v1:ConfigMap chains-authority",
      "core/v1:ConfigMap chains-config-map-chains-config",
      "core/v1:ConfigMap chains-config-map-chains-info",
      "core/v1:ConfigMap chains-config-map-config-logging",
      "core/v1:ConfigMap chains-config-map-tekton-chains-config-leader-election",
      "core/v1:ConfigMap chains-config-map-tekton-chains-config-observability",
      "core/v1:ConfigMap chains-registry-login",
      "core/v1:Namespace chains-namespace-tekton-chains",
      "core/v1:Service chains-service-tekton-chains-metrics",
      "core/v1:ServiceAccount chains-service-account-tekton-chains-controller",
      "rbac.authorization.k8s.io/v1:ClusterRole chains-cluster-role-tekton-chains-controller-cluster-access",
      "rbac.authorization.k8s.io/v1:ClusterRole chains-cluster-role-tekton-chains-controller-tenant-access",
      "rbac.authorization.k8s.io/v1:ClusterRoleBinding chains-cluster-role-binding-tekton-chains-controller-cluster-access",
      "rbac.authorization.k8s.io/v1:ClusterRoleBinding chains-cluster-role-binding-tekton-chains-controller-tenant-access",
      "rbac.authorization.k8s.io/v1:Role chains-role-tekton-chains-info",
      "rbac.authorization.k8s.io/v1:Role chains-role-tekton-chains-leader-election",
      "rbac.authorization.k8s.io/v1:RoleBinding chains-role-binding-tekton-chains-controller-leaderelection",
      "rbac.authorization.k8s.io/v1:RoleBinding chains-role-binding-tekton-chains-info",
    ]);
  });

  test("signs whole runs in SLSA 1.0 and stores that beside the image", () => {
    expect(rendering.get("chains-config-map-chains-config").inputs.data).toMatchObject({
      "artifacts.pipelinerun.format": "slsa/v2alpha4",
      "artifacts.pipelinerun.storage": "oci",
      "artifacts.pipelinerun.enable-deep-inspection": "false",
      "artifacts.taskrun.storage": "",
      "artifacts.oci.storage": "oci",
      "builder.id": "https://factory.example/builder/v1",
      "signers.x509.fulcio.enabled": "true",
      "signers.x509.fulcio.provider": "spiffe",
      "signers.x509.fulcio.address": "https://fulcio.example",
      "transparency.enabled": "true",
      "transparency.url": "https://rekor.example",
    });
  });

  test("has an identity in place of keys and passwords", () => {
    expect(rendering.childrenOf("chains").filter((child) => child.startsWith("core/v1:Secret"))).toEqual([]);
    const pod = rendering.get("chains-deployment-tekton-chains-controller");
    expect(inputAt(pod, "spec.template.spec.volumes")).toContainEqual({
      name: "workload-api",
      csi: { driver: "csi.spiffe.io", readOnly: true },
    });
    expect(inputAt(pod, "spec.template.spec.containers.0")).toMatchObject({
      volumeMounts: expect.arrayContaining([
        { name: "workload-api", mountPath: "/spiffe-workload-api", readOnly: true },
      ]) as unknown,
      env: expect.arrayContaining([
        { name: "SPIFFE_ENDPOINT_SOCKET", value: "/spiffe-workload-api/api.sock" },
        { name: "SIGSTORE_REKOR_PUBLIC_KEY", value: "/etc/factory-ca/rekor.pub" },
      ]) as unknown,
    });
  });

  test("logs in to the registry with its identity", () => {
    const login = rendering.get("chains-registry-login");
    expect(JSON.parse((inputAt(login, "data") as Record<string, string>)["config.json"] ?? "")).toEqual({
      credHelpers: { "registry.example:5000": "spiffe" },
    });
  });

  test("reads no Secret of the cluster and touches no pod", () => {
    const rules = chainsObjects(args)
      .filter(({ kind }) => kind === "ClusterRole")
      .flatMap((role) => (role as unknown as { rules: { resources: string[]; verbs: string[] }[] }).rules);
    expect(rules.flatMap((rule) => rule.resources)).not.toContain("secrets");
    expect(rules.filter((rule) => rule.resources.includes("pods")).flatMap((rule) => rule.verbs)).toEqual([
      "list",
      "watch",
    ]);
    expect(rules.flatMap((rule) => rule.verbs)).not.toContain("delete");
  });

  test("its pod is restricted, trusts the factory's authority, and restarts with its settings", () => {
    const deployment = rendering.get("chains-deployment-tekton-chains-controller");
    expect(inputAt(deployment, "spec.template.metadata.annotations")).toMatchObject({
      "secure-software-factory.dev/config-hash": expect.stringMatching(/^[0-9a-f]{64}$/) as string,
    });
    expect(inputAt(deployment, "spec.template.spec.containers.0")).toMatchObject({
      image: testImage("chains-controller"),
      securityContext: { capabilities: { drop: ["ALL"] }, runAsNonRoot: true, readOnlyRootFilesystem: true },
      env: expect.arrayContaining([
        { name: "DOCKER_CONFIG", value: "/etc/registry-login" },
        { name: "PATH", value: "/usr/bin" },
        { name: "SSL_CERT_FILE", value: "/etc/factory-ca/ca.crt" },
      ]) as unknown,
    });
  });
});

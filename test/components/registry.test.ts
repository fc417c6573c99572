import { NetworkPolicies } from "../../components/lib/network-policies";
import { hostsToml } from "../../components/node-trust";
import { Registry, registryClients, registrySettings } from "../../components/registry";
import { inputAt, render, type Rendering, testImage, valueOf } from "../support/render";

const args = {
  images: { registry: testImage("registry"), guard: testImage("registry-guard") },
  clusterIp: "10.96.0.50",
  issuer: "ssf-ca",
  attestor: "spiffe://factory.test/ns/signing/sa/signer",
  reader: "spiffe://factory.test/ns/gate/sa/verifier",
};

describe("Registry", () => {
  let rendering: Rendering;
  let registry: Registry;

  beforeAll(async () => {
    rendering = await render(() => {
      registry = new Registry("registry", args);
    });
  });

  test("makes these objects and no others", () => {
    expect(rendering.childrenOf("registry")).toEqual([
      "apps/v1:Deployment registry-deployment",
      "cert-manager.io/v1:Certificate registry-certificate",
      "core/v1:ConfigMap registry-config",
      "core/v1:Namespace registry-ns",
      "core/v1:PersistentVolumeClaim registry-volume",
      "core/v1:Secret registry-users",
      "core/v1:Service registry-service",
      "core/v1:ServiceAccount registry-account",
      "networking.k8s.io/v1:NetworkPolicy registry-policy",
      "random:index/randomPassword:RandomPassword registry-http-secret",
      "random:index/randomPassword:RandomPassword registry-readers-key",
    ]);
  });

  test("serves one fixed address under the names of its certificate", () => {
    expect(rendering.get("registry-service").inputs.spec).toMatchObject({
      clusterIP: "10.96.0.50",
      ports: [{ port: 5000 }],
    });
    expect(rendering.get("registry-certificate").inputs.spec).toMatchObject({
      dnsNames: ["registry.ssf-registry.svc.cluster.local", "registry.ssf-registry.svc", "localhost"],
      ipAddresses: ["10.96.0.50", "127.0.0.1"],
      issuerRef: { kind: "ClusterIssuer", name: "ssf-ca" },
    });
  });

  test("lets nobody past its guard, and keeps what was pushed", () => {
    expect(registrySettings()).toMatchObject({
      storage: { delete: { enabled: false } },
      http: { addr: "127.0.0.1:5001", relativeurls: true },
    });
    const { args: flags } = inputAt(rendering.get("registry-deployment"), "spec.template.spec.containers.0") as {
      args: string[];
    };
    expect(flags).toEqual(
      expect.arrayContaining([
        "--registry=http://127.0.0.1:5001",
        "--audience=registry.ssf-registry.svc.cluster.local:5000",
        "--publisher=publish",
        "--attestor=spiffe://factory.test/ns/signing/sa/signer",
        "--reader=spiffe://factory.test/ns/gate/sa/verifier",
      ]),
    );
  });

  test("distribution has the volume and no certificate, its guard the key of readers and no volume", () => {
    expect(rendering.get("registry-users").secrets).toEqual(["stringData"]);
    const mounts = (path: string) =>
      (
        inputAt(rendering.get("registry-deployment"), `spec.template.spec.${path}.volumeMounts`) as { name: string }[]
      ).map(({ name }) => name);
    expect(mounts("containers.0")).toEqual(["users", "workload-api", "tls", "tmp"]);
    expect(mounts("initContainers.0")).toEqual(["settings", "data", "tmp"]);
    expect(inputAt(rendering.get("registry-deployment"), "spec.template.spec.volumes")).toContainEqual({
      name: "users",
      secret: expect.objectContaining({ items: [{ key: "password-key", path: "password-key" }] }) as unknown,
    });
  });

  test("runs restricted, without a token, and restarts when its configuration changes", () => {
    const deployment = rendering.get("registry-deployment");
    const restricted = { securityContext: { readOnlyRootFilesystem: true, capabilities: { drop: ["ALL"] } } };
    expect(inputAt(deployment, "spec.template.spec")).toMatchObject({
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
      serviceAccountName: "registry",
      initContainers: [{ image: testImage("registry"), restartPolicy: "Always", ...restricted }],
      containers: [{ image: testImage("registry-guard"), ...restricted }],
    });
    expect(inputAt(deployment, "spec.template.metadata.annotations")).toEqual({
      "secure-software-factory.dev/config-hash": expect.stringMatching(/^[0-9a-f]{64}$/) as string,
    });
  });

  test("takes connections from publishing stages and Chains only, and opens none", () => {
    expect(rendering.get("registry-policy").inputs.spec).toEqual({
      podSelector: {},
      policyTypes: ["Ingress", "Egress"],
      ingress: [{ from: registryClients, ports: [{ port: 5000, protocol: "TCP" }] }],
    });
  });

  test("takes connections from every node where Cilium tells nodes from pods", async () => {
    const cilium = await render(() => new Registry("registry", { ...args, networkPolicies: NetworkPolicies.Cilium }));
    expect(cilium.get("registry-nodes").inputs).toMatchObject({
      apiVersion: "cilium.io/v2",
      kind: "CiliumNetworkPolicy",
      metadata: { name: "registry-nodes", namespace: "ssf-registry" },
      spec: {
        endpointSelector: {},
        ingress: [{ fromEntities: ["host", "remote-node"], toPorts: [{ ports: [{ port: "5000", protocol: "TCP" }] }] }],
      },
    });
    expect(rendering.childrenOf("registry").filter((child) => child.startsWith("cilium.io"))).toEqual([]);
  });

  test("gives address and key as outputs", async () => {
    await expect(valueOf(registry.readersKey)).resolves.toBe("password-of-registry-readers-key");
    await expect(valueOf(registry.host)).resolves.toBe("registry.ssf-registry.svc.cluster.local:5000");
    await expect(valueOf(registry.url)).resolves.toBe("https://10.96.0.50:5000");
  });
});

test("a node is told address and authority of the registry", () => {
  expect(hostsToml("https://10.96.0.50:5000")).toBe(
    'server = "https://10.96.0.50:5000"\n\n[host."https://10.96.0.50:5000"]\n  capabilities = ["pull", "resolve"]\n  ca = "ca.crt"\n',
  );
});

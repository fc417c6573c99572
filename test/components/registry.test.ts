import { NetworkPolicies } from "../../components/lib/network-policies";
import { hostsToml } from "../../components/node-trust";
import { Registry, registryClients, registrySettings } from "../../components/registry";
import { inputAt, render, type Rendering, testImage, valueOf } from "../support/render";

describe("Registry", () => {
  let rendering: Rendering;
  let registry: Registry;

  beforeAll(async () => {
    rendering = await render(() => {
      registry = new Registry("registry", { image: testImage("registry"), clusterIp: "10.96.0.50", issuer: "ssf-ca" });
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
      "networking.k8s.io/v1:NetworkPolicy registry-policy",
      "random:index/randomPassword:RandomPassword registry-http-secret",
      "random:index/randomPassword:RandomPassword registry-password-chains",
      "random:index/randomPassword:RandomPassword registry-password-publisher",
      "random:index/randomPassword:RandomPassword registry-password-reader",
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

  test("lets nobody in without a password, and keeps what was pushed", () => {
    expect(registrySettings()).toMatchObject({
      storage: { delete: { enabled: false } },
      auth: { htpasswd: { path: "/etc/registry-users/htpasswd" } },
      http: { tls: { minimumtls: "tls1.2" } },
    });
    expect(rendering.get("registry-users").secrets).toEqual(["stringData"]);
    expect(inputAt(rendering.get("registry-users"), "stringData.htpasswd")).toBe(
      "publisher:$2a$10$hash-of-registry-password-publisher\n" +
        "reader:$2a$10$hash-of-registry-password-reader\n" +
        "chains:$2a$10$hash-of-registry-password-chains\n",
    );
  });

  test("runs restricted, without a token, and restarts when its configuration changes", () => {
    const deployment = rendering.get("registry-deployment");
    expect(inputAt(deployment, "spec.template.spec")).toMatchObject({
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
      containers: [
        {
          image: testImage("registry"),
          securityContext: { readOnlyRootFilesystem: true, capabilities: { drop: ["ALL"] } },
        },
      ],
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
    const cilium = await render(
      () =>
        new Registry("registry", {
          image: testImage("registry"),
          clusterIp: "10.96.0.50",
          issuer: "ssf-ca",
          networkPolicies: NetworkPolicies.Cilium,
        }),
    );
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

  test("gives the passwords as outputs", async () => {
    await expect(valueOf(registry.chainsPassword)).resolves.toBe("password-of-registry-password-chains");
    await expect(valueOf(registry.host)).resolves.toBe("registry.ssf-registry.svc.cluster.local:5000");
    await expect(valueOf(registry.url)).resolves.toBe("https://10.96.0.50:5000");
  });
});

test("a node is told address and authority of the registry", () => {
  expect(hostsToml("https://10.96.0.50:5000")).toBe(
    'server = "https://10.96.0.50:5000"\n\n[host."https://10.96.0.50:5000"]\n  capabilities = ["pull", "resolve"]\n  ca = "ca.crt"\n',
  );
});

import * as pulumi from "@pulumi/pulumi";

import { Fulcio, fulcioSettings } from "../../components/fulcio";
import { proxySettings } from "../../components/lib/tls-proxy";
import { Rekor } from "../../components/rekor";
import { agentConfiguration, serverConfiguration, Spire, type SpireArgs, spiffeId } from "../../components/spire";
import { ecdsaKeyPair } from "../../pipelines/keys";
import { inputAt, render, type Rendering, testImage, valueOf } from "../support/render";

const peer = { podSelector: { matchLabels: { "app.kubernetes.io/name": "client" } } };

const rekorImages = { rekor: testImage("rekor"), tlsProxy: testImage("tls-proxy") };

describe("Rekor", () => {
  const seed = Buffer.alloc(32, 7).toString("base64");
  let rendering: Rendering;
  let rekor: Rekor;
  beforeAll(async () => {
    rendering = await render(() => {
      rekor = new Rekor("rekor", {
        images: rekorImages,
        issuer: "ssf-ca",
        seed: pulumi.secret(seed),
        clients: [peer],
      });
    });
  });

  test("makes these objects and no others", () => {
    expect(rendering.childrenOf("rekor")).toEqual([
      "apps/v1:Deployment rekor-deployment",
      "cert-manager.io/v1:Certificate rekor-certificate",
      "core/v1:ConfigMap rekor-config",
      "core/v1:Namespace rekor-ns",
      "core/v1:PersistentVolumeClaim rekor-volume",
      "core/v1:Secret rekor-signing-key",
      "core/v1:Service rekor-service",
      "core/v1:ServiceAccount rekor-account",
      "networking.k8s.io/v1:NetworkPolicy rekor-policy",
    ]);
  });

  test("its key is secret; the public key is the key's, and known to all", async () => {
    const { privateKeyPem, publicKeyPem } = ecdsaKeyPair(seed);
    expect(rendering.get("rekor-signing-key")).toMatchObject({
      secrets: ["stringData"],
      inputs: { stringData: { "key.pem": privateKeyPem } },
    });
    await expect(valueOf(rekor.publicKeyPem)).resolves.toBe(publicKeyPem);
    await expect(pulumi.isSecret(rekor.publicKeyPem)).resolves.toBe(false);
  });

  test("only its clients reach it, by TLS, and it reaches nothing", () => {
    expect(rendering.get("rekor-policy").inputs.spec).toEqual({
      podSelector: {},
      policyTypes: ["Ingress", "Egress"],
      ingress: [{ from: [peer], ports: [{ port: 8443, protocol: "TCP" }] }],
    });
    expect(rendering.get("rekor-config").inputs.data).toEqual({ "lighttpd.conf": proxySettings(3000) });
  });

  test("starts each part when the one before it answers, and listens on nothing but the loopback address", () => {
    const pod = rendering.get("rekor-deployment");
    const started = inputAt(pod, "spec.template.spec.initContainers") as {
      name: string;
      command: string[];
      restartPolicy?: string;
      startupProbe?: object;
    }[];
    expect(started.map(({ name, restartPolicy }) => [name, restartPolicy ?? "once"])).toEqual([
      ["make-database", "once"],
      ["database", "Always"],
      ["make-tables", "once"],
      ["trillian-log-server", "Always"],
      ["trillian-log-signer", "Always"],
      ["tls-proxy", "Always"],
    ]);
    expect(started.slice(0, 5).filter(({ restartPolicy, startupProbe }) => restartPolicy && !startupProbe)).toEqual([]);
    const scripts = started.map(({ command }) => command.join(" "));
    expect(scripts[1]).toContain("listen_addresses= ");
    expect(scripts.filter((script) => script.includes("rpc_endpoint=127.0.0.1:"))).toHaveLength(2);
    expect(inputAt(pod, "spec.template.spec.containers.0")).toMatchObject({
      command: [
        expect.any(String),
        expect.any(String),
        expect.stringContaining("--rekor_server.address=127.0.0.1") as string,
      ],
    });
  });

  test("touches the volume only when no other pod has it", () => {
    const started = inputAt(rendering.get("rekor-deployment"), "spec.template.spec.initContainers") as {
      command: string[];
      volumeMounts: { name: string }[];
    }[];
    const scripts = started
      .filter(({ volumeMounts }) => volumeMounts.some(({ name }) => name === "data"))
      .map(({ command }) => command.at(-1) ?? "");
    expect(scripts).toHaveLength(2);
    for (const script of scripts) expect(script).toMatch(/^exec 9>\/var\/lib\/rekor\/lock\nflock 9\n/);
  });
});

describe("Fulcio", () => {
  const make = (keyEpoch: number) =>
    render(
      () =>
        new Fulcio("fulcio", {
          images: { fulcio: testImage("fulcio"), tlsProxy: testImage("tls-proxy") },
          issuer: "ssf-ca",
          caPem: "CA",
          keyEpoch,
          tokens: { issuer: "https://tokens.example", peer, port: 8443, trustDomain: "factory.example" },
          clients: [peer],
        }),
    );
  let rendering: Rendering;
  beforeAll(async () => {
    rendering = await make(1);
  });

  test("makes these objects and no others", () => {
    expect(rendering.childrenOf("fulcio")).toEqual([
      "apps/v1:Deployment fulcio-deployment",
      "cert-manager.io/v1:Certificate fulcio-authority",
      "cert-manager.io/v1:Certificate fulcio-certificate",
      "cert-manager.io/v1:Certificate fulcio-proof",
      "cert-manager.io/v1:Issuer fulcio-issuer",
      "core/v1:ConfigMap fulcio-config",
      "core/v1:Namespace fulcio-ns",
      "core/v1:Service fulcio-service",
      "core/v1:ServiceAccount fulcio-account",
      "networking.k8s.io/v1:NetworkPolicy fulcio-policy",
    ]);
  });

  test("its authority signs certificates for signing code, and nothing else", () => {
    expect(rendering.get("fulcio-authority").inputs.spec).toMatchObject({
      isCA: true,
      usages: ["cert sign", "crl sign", "code signing"],
      issuerRef: { kind: "ClusterIssuer", name: "ssf-ca" },
    });
  });

  test("with the key of another epoch has an authority of its own, by which it is asked for and which the pod mounts", async () => {
    const second = await make(2);
    const names = ({ resources }: Rendering) => resources.map(({ name }) => name);
    const gone = names(rendering).filter((name) => !names(second).includes(name));
    const made = names(second).filter((name) => !names(rendering).includes(name));
    expect(gone).toEqual(["fulcio-authority", "fulcio-issuer", "fulcio-proof"]);
    expect(made).toEqual(["fulcio-2-proof", "fulcio-authority-2", "fulcio-issuer-2"]);
    expect(second.get("fulcio-authority-2").inputs).toMatchObject({
      metadata: { name: "fulcio-ca-2" },
      spec: { secretName: "fulcio-ca-2", privateKey: { rotationPolicy: "Never" } },
    });
    expect(second.get("fulcio-issuer-2").inputs).toMatchObject({
      metadata: { name: "fulcio-ca-2" },
      spec: { ca: { secretName: "fulcio-ca-2" } },
    });
    expect(second.get("fulcio-2-proof").inputs).toMatchObject({
      metadata: { name: "fulcio-ca-proof-2" },
      spec: { secretName: "fulcio-ca-proof-2", issuerRef: { kind: "Issuer", name: "fulcio-ca-2" } },
    });
    const volumes = inputAt(second.get("fulcio-deployment"), "spec.template.spec.volumes") as object[];
    expect(volumes).toContainEqual({ name: "authority", secret: { secretName: "fulcio-ca-2" } });
    const others = names(second).filter((name) => ![...made, "fulcio", "fulcio-deployment"].includes(name));
    for (const name of others) expect(second.get(name)).toEqual(rendering.get(name));
  });

  test("takes tokens of one issuer for one trust domain", () => {
    expect(JSON.parse(fulcioSettings("https://tokens.example", "factory.example"))).toEqual({
      OIDCIssuers: {
        "https://tokens.example": {
          IssuerURL: "https://tokens.example",
          ClientID: "sigstore",
          Type: "spiffe",
          SPIFFETrustDomain: "factory.example",
        },
      },
    });
  });

  test("only its clients reach it, and it reaches the issuer of tokens and the name server", () => {
    expect(rendering.get("fulcio-policy").inputs.spec).toMatchObject({
      ingress: [{ from: [peer], ports: [{ port: 8443, protocol: "TCP" }] }],
      egress: [
        { to: [peer], ports: [{ port: 8443, protocol: "TCP" }] },
        {
          ports: [
            { port: 53, protocol: "UDP" },
            { port: 53, protocol: "TCP" },
          ],
        },
      ],
    });
  });
});

describe("Spire", () => {
  const args: SpireArgs = {
    images: {
      server: testImage("spire-server"),
      agent: testImage("spire-agent"),
      oidcDiscoveryProvider: testImage("spire-oidc-discovery-provider"),
      controllerManager: testImage("spire-controller-manager"),
      workloadApiDriver: testImage("workload-api-driver"),
    },
    trustDomain: "factory.example",
    issuer: "ssf-ca",
    workloads: [
      { namespace: "signing", serviceAccount: "signer" },
      { namespace: "serving", serviceAccount: "server" },
    ],
    identityUsers: [{ namespace: "signing", serviceAccount: "signer" }],
    verifiers: [peer],
  };
  let rendering: Rendering;
  beforeAll(async () => {
    rendering = await render(() => new Spire("spire", args));
  });

  test("makes these objects and no others", () => {
    expect(rendering.childrenOf("spire")).toEqual(
      [
        "apps/v1:DaemonSet spire-agent-daemon-set",
        "apps/v1:Deployment spire-deployment",
        "cert-manager.io/v1:Certificate spire-certificate",
        "core/v1:ConfigMap spire-agent-config",
        "core/v1:ConfigMap spire-bundle",
        "core/v1:ConfigMap spire-config",
        "core/v1:Namespace spire-agent-ns",
        "core/v1:Namespace spire-ns",
        "core/v1:PersistentVolumeClaim spire-volume",
        "core/v1:Service spire-service",
        "core/v1:ServiceAccount spire-account",
        "core/v1:ServiceAccount spire-agent-account",
        "networking.k8s.io/v1:NetworkPolicy spire-agent-policy",
        "networking.k8s.io/v1:NetworkPolicy spire-policy",
        "rbac.authorization.k8s.io/v1:ClusterRole spire-agent-role",
        "rbac.authorization.k8s.io/v1:ClusterRole spire-role",
        "rbac.authorization.k8s.io/v1:ClusterRoleBinding spire-agent-role-binding",
        "rbac.authorization.k8s.io/v1:ClusterRoleBinding spire-role-binding",
        "rbac.authorization.k8s.io/v1:Role spire-bundle-role",
        "rbac.authorization.k8s.io/v1:RoleBinding spire-bundle-role-binding",
        "spire.spiffe.io/v1alpha1:ClusterStaticEntry spire-identity-serving-server",
        "spire.spiffe.io/v1alpha1:ClusterStaticEntry spire-identity-signing-signer",
        "spire.spiffe.io/v1alpha1:ClusterStaticEntry spire-nodes",
        "storage.k8s.io/v1:CSIDriver spire-workload-api",
      ].toSorted(),
    );
  });

  test("an identity is made of namespace and service account, and lives an hour at most", () => {
    expect(rendering.get("spire-identity-signing-signer").inputs).toMatchObject({
      kind: "ClusterStaticEntry",
      metadata: { name: "signing-signer" },
    });
    expect(rendering.get("spire-identity-signing-signer").inputs.spec).toEqual({
      spiffeID: "spiffe://factory.example/ns/signing/sa/signer",
      parentID: "spiffe://factory.example/nodes",
      selectors: ["k8s:ns:signing", "k8s:sa:signer"],
      x509SVIDTTL: "1h0m0s",
      jwtSVIDTTL: "5m0s",
    });
    expect(spiffeId("factory.example", { namespace: "signing", serviceAccount: "signer" })).toBe(
      "spiffe://factory.example/ns/signing/sa/signer",
    );
  });

  const settings = serverConfiguration("factory.example");
  const server = JSON.parse(settings["server.json"] ?? "") as { plugins: Record<string, Record<string, object>> };

  test("the server's own lifetimes are as short, and what it knows outlives its pod", () => {
    expect(server).toMatchObject({
      server: {
        trust_domain: "factory.example",
        data_dir: "/var/lib/spire",
        ca_ttl: "24h",
        default_x509_svid_ttl: "1h",
        default_jwt_svid_ttl: "5m",
      },
      plugins: {
        DataStore: {
          sql: {
            plugin_data: { database_type: "sqlite3", connection_string: "/var/lib/spire/datastore.sqlite3" },
          },
        },
        KeyManager: { disk: { plugin_data: { keys_path: "/var/lib/spire/keys.json" } } },
      },
    });
    const { initContainers, volumes } = inputAt(rendering.get("spire-deployment"), "spec.template.spec") as {
      initContainers: { volumeMounts: object[] }[];
      volumes: object[];
    };
    expect(initContainers[0]?.volumeMounts).toContainEqual({ name: "data", mountPath: "/var/lib/spire" });
    expect(volumes).toContainEqual({ name: "data", persistentVolumeClaim: { claimName: "spire-data" } });
  });

  test("nodes prove themselves by their agents' tokens and by nothing else, and agents know the server by its certificates", () => {
    expect(server.plugins.NodeAttestor).toEqual({
      k8s_psat: {
        plugin_data: { clusters: { factory: { service_account_allow_list: ["ssf-spire-agent:spire-agent"] } } },
      },
    });
    const agent = JSON.parse(agentConfiguration("factory.example")["agent.json"] ?? "") as {
      agent: Record<string, unknown>;
      plugins: Record<string, object>;
    };
    expect(Object.keys(agent.plugins.NodeAttestor ?? {})).toEqual(["k8s_psat"]);
    expect(agent.agent).toMatchObject({ trust_bundle_path: "/run/spire/bundle/bundle.crt" });
    expect(agent.agent).not.toHaveProperty("insecure_bootstrap");
    expect(agent.agent).not.toHaveProperty("join_token");
    expect(JSON.stringify(agent)).not.toContain("skip_kubelet_verification");
  });

  test("what is registered is entries by namespace and account alone: no other kind is looked at", () => {
    expect(JSON.parse(settings["controller-manager.json"] ?? "")).toMatchObject({
      reconcile: { clusterStaticEntries: true },
    });
    const { rules } = rendering.get("spire-role").inputs as { rules: { apiGroups: string[]; resources: string[] }[] };
    const kinds = rules.filter(({ apiGroups }) => apiGroups.includes("spire.spiffe.io"));
    expect(kinds.flatMap(({ resources }) => resources)).toEqual([
      "clusterstaticentries",
      "clusterstaticentries/status",
    ]);
  });

  test("what is registered may run on every node of the cluster", () => {
    expect(rendering.get("spire-nodes").inputs.spec).toMatchObject({
      spiffeID: "spiffe://factory.example/nodes",
      parentID: "spiffe://factory.example/spire/server",
      selectors: ["k8s_psat:cluster:factory"],
    });
  });

  test("the Workload API reaches those that ask it only", () => {
    const driver = inputAt(rendering.get("spire-agent-daemon-set"), "spec.template.spec.containers.1") as {
      args: string[];
    };
    expect(driver.args.filter((argument) => argument.startsWith("--service-account="))).toEqual([
      "--service-account=signing/signer",
      "--service-account=team-*/publish",
    ]);
    expect(rendering.get("spire-workload-api").inputs.spec).toMatchObject({
      podInfoOnMount: true,
      volumeLifecycleModes: ["Ephemeral"],
    });
  });

  test("the agent has no privileges but to see the node's processes, and asks its kubelet for pods only", () => {
    const pod = rendering.get("spire-agent-daemon-set");
    expect(inputAt(pod, "spec.template.spec.containers.0")).toMatchObject({
      securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
    });
    expect(rendering.get("spire-agent-role").inputs.rules).toEqual([
      { apiGroups: [""], resources: ["nodes/pods"], verbs: ["get"] },
    ]);
  });
});

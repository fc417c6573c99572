import { Gate } from "../../components/gate";
import { gatekeeperPeer } from "../../components/gatekeeper";
import { NetworkPolicies } from "../../components/lib/network-policies";
import { RecordedTeam } from "../../components/recorded-team";
import { Verifier, verifierPeer } from "../../components/verifier";
import { type TeamRecord, teamRecordSchema, verifierSettingsSchema } from "../../policies/admission/gate/records";
import { inputAt, render, type Rendering, testImage, valueOf } from "../support/render";

const peer = { podSelector: { matchLabels: { "app.kubernetes.io/name": "registry" } } };
const settings = {
  registry: { host: "registry.test:5000", caPem: "CA" },
  log: { host: "rekor.test:8443", caPem: "CA" },
  trust: { url: "https://tuf.test", caPem: "CA", rootJson: "{}" },
  builderId: "https://builder.test",
  maximumAgeDays: 0,
  callers: { name: "gatekeeper.test", caPem: "CA" },
};

describe("Verifier", () => {
  let verifier: Verifier;
  const make = (networkPolicies: NetworkPolicies) =>
    render(() => {
      verifier = new Verifier("verifier", {
        image: testImage("verifier"),
        issuer: "ssf-ca",
        settings,
        sources: [{ peer, port: 5000 }],
        client: gatekeeperPeer,
        networkPolicies,
      });
    });
  let rendering: Rendering;
  beforeAll(async () => {
    rendering = await make(NetworkPolicies.Cilium);
  });

  test("makes these objects and no others", () => {
    expect(rendering.childrenOf("verifier")).toEqual([
      "apps/v1:Deployment verifier-deployment",
      "cert-manager.io/v1:Certificate verifier-certificate",
      "cilium.io/v2:CiliumNetworkPolicy verifier-api",
      "core/v1:ConfigMap verifier-checkpoints",
      "core/v1:ConfigMap verifier-config",
      "core/v1:Namespace verifier-ns",
      "core/v1:Service verifier-service",
      "core/v1:ServiceAccount verifier-account",
      "networking.k8s.io/v1:NetworkPolicy verifier-policy",
      "rbac.authorization.k8s.io/v1:Role verifier-role",
      "rbac.authorization.k8s.io/v1:RoleBinding verifier-role-binding",
    ]);
  });

  test("lists ConfigMaps of its own namespace, changes the one of its checkpoints, and nothing else", () => {
    expect(rendering.get("verifier-role").inputs).toMatchObject({
      metadata: { namespace: "ssf-verifier" },
      rules: [
        { apiGroups: [""], resources: ["configmaps"], verbs: ["list"] },
        {
          apiGroups: [""],
          resources: ["configmaps"],
          resourceNames: ["verifier-checkpoints"],
          verbs: ["get", "patch"],
        },
      ],
    });
    expect(Object.keys(rendering.get("verifier-checkpoints").inputs)).not.toContain("data");
    const tokens = inputAt(rendering.get("verifier-deployment"), "spec.template.spec.volumes.4.projected.sources.0");
    expect(tokens).toEqual({ serviceAccountToken: { path: "token", expirationSeconds: 3600 } });
  });

  test("writes to its cache, and nowhere else", () => {
    const container = inputAt(rendering.get("verifier-deployment"), "spec.template.spec.containers.0") as {
      env: object[];
      securityContext: object;
      volumeMounts: { name: string; mountPath: string; readOnly?: boolean }[];
    };
    expect(container.securityContext).toMatchObject({ readOnlyRootFilesystem: true });
    const writable = container.volumeMounts.filter(({ readOnly }) => readOnly !== true);
    expect(writable.map(({ mountPath }) => mountPath)).toEqual(["/var/cache/verifier"]);
    expect(container.env).toContainEqual({ name: "TMPDIR", value: "/var/cache/verifier" });
  });

  test("is asked by Gatekeeper, asks registry and log, and reaches nothing else", async () => {
    expect(rendering.get("verifier-policy").inputs.spec).toMatchObject({
      podSelector: {},
      policyTypes: ["Ingress", "Egress"],
      ingress: [{ from: [gatekeeperPeer], ports: [{ port: 8443, protocol: "TCP" }] }],
      egress: [{}, { to: [peer], ports: [{ port: 5000, protocol: "TCP" }] }],
    });
    expect(rendering.get("verifier-api").inputs.spec).toMatchObject({
      endpointSelector: {},
      egress: [{ toEntities: ["kube-apiserver"] }],
    });
    const plain = (await make(NetworkPolicies.Kubernetes)).get("verifier-policy").inputs.spec;
    expect(plain).toMatchObject({ policyTypes: ["Ingress"], ingress: [{ from: [gatekeeperPeer] }] });
    expect(verifierPeer.namespaceSelector).toEqual({ matchLabels: { "kubernetes.io/metadata.name": "ssf-verifier" } });
  });

  test("logs in with its identity, and has no password", () => {
    const pod = inputAt(rendering.get("verifier-deployment"), "spec.template.spec") as {
      volumes: object[];
      containers: { env: object[]; volumeMounts: object[] }[];
    };
    expect(pod).toMatchObject({ serviceAccountName: "verifier" });
    expect(pod.volumes).toContainEqual({ name: "workload-api", csi: { driver: "csi.spiffe.io", readOnly: true } });
    const [container] = pod.containers;
    expect(container?.env).toContainEqual({
      name: "SPIFFE_ENDPOINT_SOCKET",
      value: "unix:///spiffe-workload-api/api.sock",
    });
    expect(container?.volumeMounts).toContainEqual({
      name: "workload-api",
      mountPath: "/spiffe-workload-api",
      readOnly: true,
    });
    const secrets = pod.volumes.filter((volume) => "secret" in volume);
    expect(secrets).toEqual([{ name: "tls", secret: { secretName: "verifier-tls" } }]);
  });

  test("its settings are what the program reads", async () => {
    const text = inputAt(rendering.get("verifier-config"), "data") as Record<string, string>;
    expect(verifierSettingsSchema.parse(JSON.parse(text["settings.json"] ?? ""))).toEqual(settings);
    await expect(valueOf(verifier.url)).resolves.toBe("https://verifier.ssf-verifier.svc:8443/verify");
  });
});

describe("RecordedTeam", () => {
  const record: TeamRecord = {
    namespace: "team-a",
    repository: "registry.test:5000/team-a",
    forges: ["git.test:443"],
    sources: {},
    stageImages: [testImage("stage-go")],
    jailedRuntimeClass: "jailed",
    pipelines: [{ name: "go", stages: [], digests: {}, runTemplate: { spec: {} } }],
  };
  const recorded = async (content: TeamRecord) =>
    (
      await render(
        () => new RecordedTeam("recorded-team", { team: "a", namespaceUid: "uid-of-team-a", record: content }),
      )
    ).get("recorded-team-record");

  test("says what the verifier reads, and can be changed by nobody", async () => {
    const made = await recorded(record);
    expect(made.inputs).toMatchObject({
      immutable: true,
      metadata: {
        namespace: "ssf-verifier",
        labels: { "secure-software-factory.dev/verified-team": "a" },
        ownerReferences: [{ apiVersion: "v1", kind: "Namespace", name: "team-a", uid: "uid-of-team-a" }],
      },
    });
    const { "record.json": text = "" } = made.inputs.data as Record<string, string>;
    expect(teamRecordSchema.parse(JSON.parse(text))).toEqual(record);
  });

  test("has a name of its own for every content", async () => {
    const names: unknown[] = [];
    for (const one of [record, record, { ...record, forges: [] }])
      names.push(inputAt(await recorded(one), "metadata.name"));
    expect(names[0]).toMatch(/^a-[0-9a-f]{12}$/);
    expect([names[1] === names[0], names[2] === names[0]]).toEqual([true, false]);
  });
});

describe("Gate", () => {
  let rendering: Rendering;
  beforeAll(async () => {
    rendering = await render(() => new Gate("gate", { verifierUrl: "https://verifier.test/verify", caPem: "CA" }));
  });

  test("makes these objects and no others, constraints after their templates, and those after the provider", () => {
    const kinds = ["imagesbydigest", "workloadbounds", "imageprovenance"];
    const rules = ["ImagesByDigest", "WorkloadBounds", "ImageProvenance"];
    expect(rendering.childrenOf("gate")).toEqual(
      [
        "core/v1:Namespace gate-ns",
        "externaldata.gatekeeper.sh/v1beta1:Provider gate-provider",
        ...kinds.map((kind) => `templates.gatekeeper.sh/v1:ConstraintTemplate gate-constrainttemplate-${kind}`),
        ...rules.map((kind) => {
          const name = kind.replace(/(?<=.)[A-Z]/g, (letter) => `-${letter}`).toLowerCase();
          return `constraints.gatekeeper.sh/v1beta1:${kind} gate-${kind.toLowerCase()}-ssf-${name}`;
        }),
      ].sort(),
    );
    expect(rendering.get("gate-constrainttemplate-imageprovenance").dependsOn).toEqual(["gate-provider"]);
    expect(rendering.get("gate-imageprovenance-ssf-image-provenance").dependsOn).toEqual(
      kinds.map((kind) => `gate-constrainttemplate-${kind}`).sort(),
    );
  });

  test("every rule denies, in the namespaces that carry the label", () => {
    for (const name of ["imageprovenance-ssf-image-provenance", "imagesbydigest-ssf-images-by-digest"])
      expect(rendering.get(`gate-${name}`).inputs.spec).toMatchObject({
        enforcementAction: "deny",
        match: {
          namespaceSelector: { matchExpressions: [{ key: "secure-software-factory.dev/gate", operator: "Exists" }] },
        },
      });
  });
});

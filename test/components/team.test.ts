import * as pulumi from "@pulumi/pulumi";

import { parseHosts } from "../../components/lib/hosts";
import { NetworkPolicies } from "../../components/lib/network-policies";
import { Team, type TeamArgs } from "../../components/team";
import { unsignedTeamPipeline } from "../../pipelines";
import { teamArgs } from "../pipelines/fixtures";
import { inputAt, render, type Rendering } from "../support/render";

const args: TeamArgs = {
  team: "payments",
  owner: "team-payments 01",
  accounts: [
    { name: "ingest-source", network: "forge" },
    { name: "ingest-dependencies", network: "dependencies" },
    { name: "build", network: "none" },
    { name: "publish", network: "registry" },
  ],
  definitions: [
    {
      apiVersion: "tekton.dev/v1",
      kind: "Task",
      metadata: { name: "go-build", namespace: "team-payments", annotations: { "tekton.dev/signature": "c2ln" } },
      spec: { steps: [] },
    },
  ],
  pipelines: [unsignedTeamPipeline(teamArgs({ namespace: "team-payments" }))],
  registryHost: "registry.example:5000",
  reader: { username: "team-payments", password: pulumi.secret("herring") },
  trustDomain: "factory.test",
  caPem: "CA",
  caBundlePem: "COMPANY",
  quota: { cpu: "8", memory: "16Gi", storage: "20Gi", pods: 30 },
  networkPolicies: NetworkPolicies.Kubernetes,
  egress: { forges: parseHosts("git.test"), registries: parseHosts("proxy.test") },
  clusterCidrs: ["10.0.0.0/8", "192.0.2.0/24"],
};

describe("Team", () => {
  let rendering: Rendering;
  beforeAll(async () => {
    rendering = await render(() => new Team("team", args));
  });

  test("makes these objects and no others", () => {
    expect(rendering.childrenOf("team")).toEqual([
      "admissionregistration.k8s.io/v1:ValidatingAdmissionPolicy team-runs-policy",
      "admissionregistration.k8s.io/v1:ValidatingAdmissionPolicyBinding team-runs-binding",
      "core/v1:ConfigMap team-authority",
      "core/v1:ConfigMap team-ca-bundle",
      "core/v1:LimitRange team-limits",
      "core/v1:Namespace team-ns",
      "core/v1:ResourceQuota team-quota",
      "core/v1:Secret team-reader",
      "core/v1:ServiceAccount team-account-build",
      "core/v1:ServiceAccount team-account-ingest-dependencies",
      "core/v1:ServiceAccount team-account-ingest-source",
      "core/v1:ServiceAccount team-account-publish",
      "core/v1:ServiceAccountPatch team-account-default",
      "networking.k8s.io/v1:NetworkPolicy team-deny",
      "networking.k8s.io/v1:NetworkPolicy team-egress-ingest-dependencies",
      "networking.k8s.io/v1:NetworkPolicy team-egress-ingest-source",
      "networking.k8s.io/v1:NetworkPolicy team-egress-publish",
      "rbac.authorization.k8s.io/v1:Role team-member",
      "rbac.authorization.k8s.io/v1:RoleBinding team-members",
      "spire.spiffe.io/v1alpha1:ClusterStaticEntry team-identity-ingest-dependencies",
      "spire.spiffe.io/v1alpha1:ClusterStaticEntry team-identity-ingest-source",
      "spire.spiffe.io/v1alpha1:ClusterStaticEntry team-identity-publish",
      "tekton.dev/v1:Task team-task-go-build",
    ]);
  });

  test("its namespace is restricted and marked as a team's", () => {
    expect(rendering.get("team-ns").inputs.metadata).toMatchObject({
      name: "team-payments",
      labels: {
        "secure-software-factory.dev/team": "payments",
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/audit": "restricted",
        "pod-security.kubernetes.io/warn": "restricted",
      },
    });
  });

  test("denies everything both ways before any definition exists", () => {
    expect(rendering.get("team-deny").inputs.spec).toEqual({ podSelector: {}, policyTypes: ["Ingress", "Egress"] });
    expect(rendering.get("team-task-go-build").dependsOn).toContain("team-deny");
  });

  test("admits runs by the rule of its own namespace before any definition exists", () => {
    expect(inputAt(rendering.get("team-runs-binding"), "spec")).toMatchObject({
      policyName: "ssf-runs-team-payments",
      validationActions: ["Deny", "Audit"],
      matchResources: { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "team-payments" } } },
    });
    expect(rendering.get("team-task-go-build").dependsOn).toContain("team-runs-binding");
  });

  test("no account has a token", () => {
    const accounts = rendering.resources.filter(({ type }) => type.startsWith("kubernetes:core/v1:ServiceAccount"));
    expect(accounts.map(({ inputs }) => inputs.automountServiceAccountToken)).toEqual([
      false,
      false,
      false,
      false,
      false,
    ]);
  });

  test("its namespace says who owns it, and everything else comes after that", () => {
    expect(inputAt(rendering.get("team-ns"), "metadata.annotations")).toEqual({
      "secure-software-factory.dev/owner": "team-payments 01",
    });
    const others = rendering.resources.filter(({ parent, name }) => parent === "team" && name !== "team-ns");
    const after = (name: string): boolean =>
      rendering.get(name).dependsOn.some((before) => before === "team-ns" || after(before));
    expect(others.map(({ name }) => name).filter((name) => !after(name))).toEqual([]);
  });

  test("members start runs and read; nothing else", () => {
    const rules = rendering.get("team-member").inputs.rules as { resources: string[]; verbs: string[] }[];
    const writes = rules.filter(({ verbs }) => verbs.some((verb) => !["get", "list", "watch"].includes(verb)));
    expect(writes).toEqual([
      { apiGroups: ["tekton.dev"], resources: ["pipelineruns"], verbs: ["create", "get", "list", "watch"] },
    ]);
    expect(rules.flatMap(({ resources }) => resources)).not.toContain("secrets");
  });

  test("its login is secret", () => {
    expect(rendering.get("team-reader")).toMatchObject({
      secrets: ["stringData"],
      inputs: { type: "kubernetes.io/dockerconfigjson" },
    });
  });

  test("registers the stages with a network, and no jailed one, before any definition exists", () => {
    expect(rendering.get("team-identity-publish").inputs).toMatchObject({
      metadata: { name: "team-payments-publish" },
      spec: {
        spiffeID: "spiffe://factory.test/ns/team-payments/sa/publish",
        parentID: "spiffe://factory.test/nodes",
        selectors: ["k8s:ns:team-payments", "k8s:sa:publish"],
        x509SVIDTTL: "1h0m0s",
        jwtSVIDTTL: "5m0s",
      },
    });
    const entries = rendering.resources.filter(({ name }) => name.startsWith("team-identity-"));
    expect(entries.map(({ inputs }) => (inputs.spec as { spiffeID: string }).spiffeID).sort()).toEqual(
      ["ingest-dependencies", "ingest-source", "publish"].map(
        (stage) => `spiffe://factory.test/ns/team-payments/sa/${stage}`,
      ),
    );
    expect(rendering.get("team-task-go-build").dependsOn).toEqual(
      expect.arrayContaining(entries.map(({ name }) => name)),
    );
  });

  test("adds nothing to a definition, whose signature would break", () => {
    expect(rendering.get("team-task-go-build").inputs).toEqual({
      apiVersion: "tekton.dev/v1",
      kind: "Task",
      metadata: args.definitions[0]?.metadata,
      spec: { steps: [] },
    });
  });

  test("a wrong name is refused before anything is made; its good twin is not", async () => {
    const refused = await render(() => {
      expect(() => new Team("team", { ...args, team: "Payments!" })).toThrow(/SSF-NAME-001 team: "Payments!"/);
    });
    expect(refused.resources.map(({ type }) => type)).toEqual(["secure-software-factory:index:Team"]);
    expect(rendering.resources.length).toBeGreaterThan(1);
  });
});

describe("egress of the stages", () => {
  const policies = async (changes: Partial<TeamArgs>) => {
    const rendering = await render(() => new Team("team", { ...args, ...changes }));
    return rendering.resources.filter(({ name }) => name.startsWith("team-egress-"));
  };

  test("is said by name where Cilium enforces it, and by nothing else", async () => {
    const made = await policies({ networkPolicies: NetworkPolicies.Cilium });
    expect(made.map(({ type, name }) => `${type} ${name}`)).toEqual([
      "kubernetes:cilium.io/v2:CiliumNetworkPolicy team-egress-ingest-dependencies",
      "kubernetes:cilium.io/v2:CiliumNetworkPolicy team-egress-ingest-source",
      "kubernetes:cilium.io/v2:CiliumNetworkPolicy team-egress-publish",
    ]);
    expect(made.map(({ inputs }) => inputs)).toMatchObject([
      {
        apiVersion: "cilium.io/v2",
        kind: "CiliumNetworkPolicy",
        metadata: { name: "egress-ingest-dependencies", namespace: "team-payments" },
        spec: { egress: [{}, { toFQDNs: [{ matchName: "proxy.test" }] }] },
      },
      { spec: { egress: [{}, {}, { toFQDNs: [{ matchName: "git.test" }] }] } },
      { spec: { egress: [{}, {}] } },
    ]);
  });

  test("leaves the cluster's own addresses out where only Kubernetes' policies hold", async () => {
    const [dependencies] = await policies({});
    expect(dependencies?.inputs.spec).toMatchObject({
      podSelector: { matchLabels: { "tekton.dev/pipelineTask": "ingest-dependencies" } },
      policyTypes: ["Egress"],
      egress: [
        {},
        { to: [{ ipBlock: { cidr: "0.0.0.0/0", except: ["10.0.0.0/8", "192.0.2.0/24", "169.254.0.0/16"] } }] },
      ],
    });
  });
});

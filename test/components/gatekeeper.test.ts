import { Gatekeeper, type GatekeeperArgs, gatekeeperObjects } from "../../components/gatekeeper";
import type { PatchableKinds, RoleObject, ValidatingWebhookObject } from "../../components/lib/manifests";
import { deadlines } from "../../policies/admission/gate/deadlines";
import { readToolchain, source } from "../../stacks/toolchain";
import { inputAt, render, type Rendering, testImage } from "../support/render";

const args: GatekeeperArgs = {
  source: source(readToolchain(), "gatekeeper"),
  image: testImage("gatekeeper"),
  version: "v3.23.1",
  issuer: "ssf-ca",
};

describe("objects of Gatekeeper", () => {
  const objects = gatekeeperObjects(args);
  const find = <K extends keyof PatchableKinds>(kind: K, name: string): PatchableKinds[K] => {
    const found = objects.filter((object) => object.kind === kind && object.metadata.name === name);
    if (found.length !== 1 || found[0] === undefined) throw new Error(`${found.length} of ${kind}/${name}`);
    return found[0] as PatchableKinds[K];
  };
  const manager = (name: string) =>
    find("Deployment", name).spec.template.spec.containers.find((one) => one.name === "manager");

  test("ask one webhook, which fails closed", () => {
    const configurations = objects.filter(({ kind }) => kind.endsWith("WebhookConfiguration"));
    expect(configurations).toHaveLength(1);
    const { webhooks } = configurations[0] as ValidatingWebhookObject;
    expect(webhooks).toMatchObject([{ name: "validation.gatekeeper.sh", failurePolicy: "Fail" }]);
    expect(webhooks[0]?.timeoutSeconds).toBe(deadlines.webhookSeconds);
  });

  test("exempt two namespaces by name, and none by a label that somebody could set", () => {
    const { webhooks } = find("ValidatingWebhookConfiguration", "gatekeeper-validating-webhook-configuration");
    expect(webhooks[0]?.namespaceSelector).toEqual({
      matchExpressions: [
        { key: "kubernetes.io/metadata.name", operator: "NotIn", values: ["kube-system", "gatekeeper-system"] },
      ],
    });
  });

  test("look at workloads, ephemeral containers and Gatekeeper's own kinds, and at nothing that a node needs", () => {
    const { webhooks } = find("ValidatingWebhookConfiguration", "gatekeeper-validating-webhook-configuration");
    const rules = webhooks[0]?.rules ?? [];
    expect(rules.flatMap(({ apiGroups, resources }) => resources.map((one) => `${apiGroups.join()}/${one}`)))
      .toMatchInlineSnapshot(`
[
  "/pods",
  "/replicationcontrollers",
  "/pods/ephemeralcontainers",
  "apps/deployments",
  "apps/daemonsets",
  "apps/statefulsets",
  "apps/replicasets",
  "batch/jobs",
  "batch/cronjobs",
  "templates.gatekeeper.sh/*",
  "constraints.gatekeeper.sh/*",
  "externaldata.gatekeeper.sh/*",
  "config.gatekeeper.sh/*",
]
`);
    expect(new Set(rules.map(({ operations }) => operations.join()))).toEqual(new Set(["CREATE,UPDATE"]));
  });

  test("wait for the webhook's authority, which cert-manager writes", () => {
    expect(
      find("ValidatingWebhookConfiguration", "gatekeeper-validating-webhook-configuration").metadata.annotations,
    ).toEqual({
      "cert-manager.io/inject-ca-from": "gatekeeper-system/gatekeeper-webhook-server-cert",
      "pulumi.com/waitFor": "jsonpath={.webhooks[0].clientConfig.caBundle}",
    });
  });

  test("mutate nothing and expand nothing", () => {
    expect(JSON.stringify(objects.filter(({ kind }) => kind !== "ClusterRole"))).not.toMatch(
      /mutation|expansion\.gatekeeper/,
    );
    for (const name of ["gatekeeper-controller-manager", "gatekeeper-audit"]) {
      expect(manager(name)?.args).toContain("--enable-generator-resource-expansion=false");
    }
  });

  test("have the webhook keep no answer of a provider, and call none from Rego", () => {
    expect(manager("gatekeeper-controller-manager")?.args).toEqual([
      "--port=8443",
      "--logtostderr",
      "--exempt-namespace=gatekeeper-system",
      "--operation=webhook",
      "--disable-opa-builtin={http.send}",
      "--enable-generator-resource-expansion=false",
      "--external-data-provider-response-cache-ttl=0s",
      "--default-create-vap-for-templates=true",
      "--default-create-vap-binding-for-constraints=true",
      "--default-k8s-native-validation-failure-policy=Fail",
      "--disable-cert-rotation",
      "--log-denies",
    ]);
  });

  test("have the API server enforce templates in CEL by itself, without waiting", () => {
    expect(manager("gatekeeper-audit")?.args).toEqual(
      expect.arrayContaining([
        "--operation=generate",
        "--default-create-vap-for-templates=true",
        "--default-create-vap-binding-for-constraints=true",
        "--default-wait-for-vapb-generation=0",
        "--audit-match-kind-only=true",
      ]),
    );
  });

  test("read no Secret, and write no webhook", () => {
    const roles = objects.filter((object): object is RoleObject => object.kind.endsWith("Role"));
    const rules = roles.flatMap(({ rules: all }) => all);
    expect(rules.filter(({ resources }) => resources.includes("secrets"))).toEqual([]);
    expect(rules.filter(({ apiGroups }) => apiGroups.includes("*"))).toEqual([]);
    const webhooks = rules.filter(({ resources }) => resources.some((resource) => resource.endsWith("configurations")));
    expect(webhooks.flatMap(({ verbs }) => verbs).toSorted()).toEqual(["get", "list", "watch"]);
    expect(objects.filter(({ kind }) => kind === "Secret")).toEqual([]);
  });

  test("run our image in a restricted namespace, in one pod each that may be moved", () => {
    expect(find("Namespace", "gatekeeper-system")).toMatchObject({
      metadata: { labels: { "pod-security.kubernetes.io/enforce": "restricted" } },
    });
    expect(JSON.stringify(objects)).not.toMatch(/openpolicyagent\/|admission\.gatekeeper\.sh\/ignore/);
    for (const name of ["gatekeeper-controller-manager", "gatekeeper-audit"]) {
      expect(manager(name)).toMatchObject({ image: testImage("gatekeeper") });
      expect(manager(name)).not.toHaveProperty("imagePullPolicy");
      expect(find("Deployment", name).spec.replicas).toBe(1);
    }
    expect(objects.map(({ kind }) => kind)).not.toContain("PodDisruptionBudget");
  });

  test("with more pods keep one of them while a node is drained", () => {
    const many = gatekeeperObjects({ ...args, replicas: 3 });
    expect(many.find(({ metadata }) => metadata.name === "gatekeeper-controller-manager")).toMatchObject({
      spec: { replicas: 3 },
    });
    expect(many.map(({ kind }) => kind)).toContain("PodDisruptionBudget");
  });

  test("need no conversion between versions of a kind", () => {
    expect(JSON.stringify(objects)).not.toContain('"conversion"');
  });

  test("are refused when the image is of another version", () => {
    expect(() => gatekeeperObjects({ ...args, version: "v3.23.0" })).toThrow("SSF-MANIFEST-002");
  });
});

test("the deadlines leave each caller time to say what happened", () => {
  expect(deadlines.verifierMilliseconds).toBeLessThan(deadlines.providerSeconds * 1000);
  expect(deadlines.providerSeconds).toBeLessThan(deadlines.webhookSeconds);
  expect(deadlines.webhookSeconds).toBeLessThanOrEqual(10);
});

describe("Gatekeeper", () => {
  let rendering: Rendering;
  beforeAll(async () => {
    rendering = await render(() => new Gatekeeper("gatekeeper", args));
  });

  test("makes every object of upstream a resource of its own, and a certificate", () => {
    const made = rendering.childrenOf("gatekeeper");
    expect(made).toHaveLength(gatekeeperObjects(args).length + 1);
    expect(made).toContain("apps/v1:Deployment gatekeeper-deployment-gatekeeper-audit");
  });

  test("shows the same certificate to the API server and to providers", () => {
    expect(inputAt(rendering.get("gatekeeper-certificate"), "spec")).toMatchObject({
      secretName: "gatekeeper-webhook-server-cert",
      dnsNames: ["gatekeeper-webhook-service.gatekeeper-system.svc"],
      usages: ["digital signature", "server auth", "client auth"],
    });
  });

  test("starts once the certificate is there, and is asked once it runs", () => {
    expect(rendering.get("gatekeeper-service-account-gatekeeper-admin").dependsOn).toContain("gatekeeper-certificate");
    expect(rendering.get("gatekeeper-service-gatekeeper-webhook-service").dependsOn).toContain(
      "gatekeeper-service-account-gatekeeper-admin",
    );
    expect(rendering.get("gatekeeper-deployment-gatekeeper-controller-manager").dependsOn).toContain(
      "gatekeeper-service-gatekeeper-webhook-service",
    );
    const webhook = rendering.get(
      "gatekeeper-validating-webhook-configuration-gatekeeper-validating-webhook-configuration",
    );
    expect(webhook.dependsOn).toContain("gatekeeper-deployment-gatekeeper-controller-manager");
  });
});

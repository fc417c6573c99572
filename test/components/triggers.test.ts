import type { CrdObject, KubernetesObject, RoleObject } from "../../components/lib/manifests";
import {
  Triggers,
  type TriggersArgs,
  triggersCrds,
  triggersObjects,
  triggersPolicies,
} from "../../components/triggers";
import { readToolchain, source } from "../../stacks/toolchain";
import { render, type Rendering, testImage } from "../support/render";

const args: TriggersArgs = {
  source: source(readToolchain(), "triggers"),
  version: "v0.34.0",
  images: {
    controller: testImage("controller"),
    webhook: testImage("webhook"),
    eventListener: testImage("event-listener"),
  },
  issuer: "factory",
};

describe("objects of Tekton Triggers", () => {
  const objects = triggersObjects(args);
  const find = (kind: string, name: string): KubernetesObject => {
    const found = objects.filter((object) => object.kind === kind && object.metadata.name === name);
    if (found.length !== 1 || found[0] === undefined) throw new Error(`${found.length} of ${kind}/${name}`);
    return found[0];
  };

  test("come without upstream's interceptors, and without rights for editors of namespaces", () => {
    const names = objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`);
    expect(names.filter((name) => name.includes("core-interceptors"))).toEqual([]);
    expect(names).not.toContain("ClusterRole/tekton-triggers-aggregate-edit");
    expect(names.filter((name) => name.startsWith("Deployment/"))).toEqual([
      "Deployment/tekton-triggers-controller",
      "Deployment/tekton-triggers-webhook",
    ]);
  });

  test("give no account a Secret outside its namespace, and no other to act as", () => {
    const roles = objects.filter((object): object is RoleObject => object.kind.endsWith("Role"));
    const rules = roles.flatMap(({ kind, metadata, rules: all }) => all.map((rule) => ({ kind, metadata, rule })));
    const secrets = rules.filter(({ rule }) => rule.resources.includes("secrets"));
    expect(secrets.map(({ kind, metadata }) => `${kind}/${metadata.name}`)).toEqual([
      "Role/tekton-triggers-admin-webhook",
      "Role/tekton-triggers-admin-webhook",
    ]);
    expect(rules.flatMap(({ rule }) => rule.verbs)).not.toContain("impersonate");
    expect(rules.filter(({ rule }) => rule.apiGroups.includes("tekton.dev"))).toEqual([]);
  });

  test("let the cluster's Deployments and Services be changed in the triggers' namespace only", () => {
    const writers = objects
      .filter((object): object is RoleObject => object.kind.endsWith("Role"))
      .filter(({ rules }) =>
        rules.some(
          ({ resources, verbs }) =>
            resources.some((resource) => ["deployments", "services"].includes(resource)) && verbs.includes("create"),
        ),
      );
    expect(writers.map(({ kind, metadata }) => `${kind} ${metadata.namespace ?? ""}`)).toEqual(["Role ssf-triggers"]);
  });

  test("serve one version of each kind", () => {
    const crds = triggersCrds(source(readToolchain(), "triggers"));
    expect(crds).toHaveLength(7);
    for (const crd of crds as CrdObject[]) expect(crd.spec.versions.map(({ storage }) => storage)).toEqual([true]);
    expect(objects.map(({ kind }) => kind)).not.toContain("CustomResourceDefinition");
  });

  test("run our images, the event listener's among them", () => {
    const text = JSON.stringify(objects);
    expect(text).not.toContain("ko://");
    expect(text).toContain(JSON.stringify(testImage("event-listener")));
  });

  test("leave rules and authority of the webhooks to their controller, and wait for the authority", () => {
    const webhooks = objects.filter(({ kind }) => kind.endsWith("WebhookConfiguration"));
    expect(webhooks).toHaveLength(3);
    for (const { metadata } of webhooks) {
      expect(metadata.annotations).toEqual({ "pulumi.com/waitFor": "jsonpath={.webhooks[0].clientConfig.caBundle}" });
    }
  });

  test("tell their version", () => {
    expect(find("ConfigMap", "triggers-info")).toMatchObject({ data: { version: "v0.34.0" } });
  });
});

describe("traffic in the triggers' namespace", () => {
  const policies = triggersPolicies();

  test("is denied both ways for every pod that no other rule names", () => {
    expect(policies["deny-all"]).toEqual({ podSelector: {}, policyTypes: ["Ingress", "Egress"] });
  });

  test("reaches the webhook from marked namespaces and from event listeners, nowhere else", () => {
    expect(policies.webhooks.ingress).toEqual([
      {
        from: [
          { namespaceSelector: { matchLabels: { "secure-software-factory.dev/calls-webhooks": "true" } } },
          { podSelector: { matchLabels: { "app.kubernetes.io/managed-by": "EventListener" } } },
        ],
        ports: [{ port: 8443, protocol: "TCP" }],
      },
    ]);
  });

  test("reaches an event listener from webhooks and schedules of the namespace only", () => {
    const [rule] = policies["event-listeners"].ingress;
    expect(JSON.stringify(rule)).not.toContain("namespaceSelector");
    expect(rule?.from.map(({ podSelector }) => podSelector.matchLabels)).toEqual([
      { "app.kubernetes.io/name": "team-webhook" },
      { "app.kubernetes.io/name": "team-schedule" },
    ]);
  });
});

describe("Triggers", () => {
  let rendering: Rendering;
  beforeAll(async () => {
    rendering = await render(() => new Triggers("triggers", args));
  });

  test("has a restricted namespace of its own, closed before anything runs in it", () => {
    expect(rendering.get("triggers-ns").inputs.metadata).toMatchObject({
      name: "ssf-triggers",
      labels: { "pod-security.kubernetes.io/enforce": "restricted" },
    });
    expect(rendering.get("triggers-policy-deny-all").dependsOn).toEqual(["triggers-ns"]);
  });

  test("makes every object of upstream a resource of its own", () => {
    const made = rendering.childrenOf("triggers");
    expect(made).toHaveLength(triggersObjects(args).length + 1 + Object.keys(triggersPolicies()).length + 1);
    expect(made).toContain("apps/v1:Deployment triggers-deployment-tekton-triggers-controller");
  });
});

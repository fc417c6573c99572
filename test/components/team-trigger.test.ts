import { TeamTrigger, type TeamTriggerArgs } from "../../components/team-trigger";
import { inputAt, render, type Rendering, testImage, valueOf } from "../support/render";

const args: TeamTriggerArgs = {
  team: "payments",
  image: testImage("stage-trigger"),
  repository: "https://git.test/pay.git",
  branch: "main",
  run: {
    apiVersion: "tekton.dev/v1",
    kind: "PipelineRun",
    metadata: { name: "go-$(tt.params.trigger)-$(tt.params.event)", namespace: "team-payments", labels: {} },
    spec: { params: [{ name: "commit", value: "$(tt.params.commit)" }] },
  },
  eventFields: ["commit", "trigger", "event"],
  schedule: "30 3 * * *",
  clusterCidrs: ["10.96.0.0/16"],
  caPem: "CA",
  repositoryCaPem: "COMPANY",
};

const pods = { webhook: "trigger-webhook", schedule: "trigger-schedule" };

describe("TeamTrigger", () => {
  let rendering: Rendering;
  let trigger: TeamTrigger;
  beforeAll(async () => {
    rendering = await render(() => {
      trigger = new TeamTrigger("trigger", args);
    });
  });

  test("makes these objects and no others", () => {
    expect(rendering.childrenOf("trigger")).toEqual([
      "apps/v1:Deployment trigger-webhook",
      "batch/v1:CronJob trigger-schedule",
      "core/v1:ConfigMap trigger-schedule-authority",
      "core/v1:Secret trigger-keys",
      "core/v1:Service trigger-service",
      "core/v1:ServiceAccount trigger-account",
      "networking.k8s.io/v1:NetworkPolicy trigger-schedule-policy",
      "random:index/randomPassword:RandomPassword trigger-forge-key",
      "random:index/randomPassword:RandomPassword trigger-listener-key",
      "rbac.authorization.k8s.io/v1:ClusterRoleBinding trigger-account-reads-interceptors",
      "rbac.authorization.k8s.io/v1:Role trigger-runs",
      "rbac.authorization.k8s.io/v1:RoleBinding trigger-account-reads",
      "rbac.authorization.k8s.io/v1:RoleBinding trigger-account-runs",
      "triggers.tekton.dev/v1alpha1:ClusterInterceptor trigger-interceptor",
      "triggers.tekton.dev/v1beta1:EventListener trigger-listener",
      "triggers.tekton.dev/v1beta1:TriggerBinding trigger-binding",
      "triggers.tekton.dev/v1beta1:TriggerTemplate trigger-template",
    ]);
  });

  test("takes from an event what it may say, and runs the team's own run with it", () => {
    expect(rendering.get("trigger-binding").inputs.spec).toEqual({
      params: ["commit", "trigger", "event"].map((name) => ({ name, value: `$(body.${name})` })),
    });
    expect(inputAt(rendering.get("trigger-template"), "spec.resourcetemplates")).toEqual([args.run]);
  });

  test("has an event listener that asks the team's webhook first", () => {
    expect(inputAt(rendering.get("trigger-listener"), "spec.triggers")).toEqual([
      {
        name: "run",
        interceptors: [{ ref: { name: "webhook-payments", kind: "ClusterInterceptor" } }],
        bindings: [{ ref: "payments", kind: "TriggerBinding" }],
        template: { ref: "payments" },
      },
    ]);
    expect(rendering.get("trigger-interceptor").inputs).toMatchObject({
      metadata: { name: "webhook-payments", labels: { "server/type": "https" } },
      spec: {
        clientConfig: {
          service: { name: "webhook-payments", namespace: "ssf-triggers", path: "intercept", port: 8443 },
          caBundle: Buffer.from("CA").toString("base64"),
        },
      },
    });
    expect(rendering.get("trigger-listener").dependsOn).toEqual(
      expect.arrayContaining(["trigger-interceptor", "trigger-account-runs", "trigger-webhook"]),
    );
  });

  test("lets the event listener's account create runs of its team, and nothing else", () => {
    expect(rendering.get("trigger-runs").inputs).toMatchObject({
      metadata: { namespace: "team-payments" },
      rules: [{ apiGroups: ["tekton.dev"], resources: ["pipelineruns"], verbs: ["create"] }],
    });
    expect(inputAt(rendering.get("trigger-account-runs"), "subjects")).toEqual([
      { kind: "ServiceAccount", name: "payments", namespace: "ssf-triggers" },
    ]);
  });

  test.each(Object.entries(pods))("its %s has no token, and holds in a restricted namespace", (_, name) => {
    const path = name === pods.webhook ? "spec.template.spec" : "spec.jobTemplate.spec.template.spec";
    expect(inputAt(rendering.get(name), path)).toMatchObject({
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
      containers: [
        {
          image: args.image,
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ["ALL"] },
          },
        },
      ],
    });
  });

  test("shows the forge's key to the webhook alone", () => {
    const items = (name: string, path: string) =>
      (inputAt(rendering.get(name), path) as { secret?: { items?: { key: string }[] } }[]).flatMap(({ secret }) =>
        (secret?.items ?? []).map(({ key }) => key),
      );
    expect(items(pods.webhook, "spec.template.spec.volumes")).toEqual(["forge", "listener"]);
    expect(items(pods.schedule, "spec.jobTemplate.spec.template.spec.volumes")).toEqual(["listener"]);
  });

  test("keeps its keys secret, and out of every argument and variable", async () => {
    expect(rendering.get("trigger-keys").secrets).toEqual(["stringData"]);
    const others = rendering.resources.filter(({ name }) => name !== "trigger-keys");
    expect(JSON.stringify(others)).not.toContain("password-of-");
    await expect(valueOf(trigger.url)).resolves.toBe("https://webhook-payments.ssf-triggers.svc.cluster.local:8443/");
  });

  test("looks up its commits at the forge, with the authority of that server", () => {
    expect(inputAt(rendering.get("trigger-schedule-authority"), "data")).toEqual({ "ca.crt": "COMPANY" });
    const [, forge, listener] = inputAt(rendering.get("trigger-schedule-policy"), "spec.egress") as object[];
    expect(forge).toEqual({
      to: [{ ipBlock: { cidr: "0.0.0.0/0", except: ["10.96.0.0/16", "169.254.0.0/16"] } }],
      ports: [{ port: 443, protocol: "TCP" }],
    });
    expect(listener).toMatchObject({ to: [{ podSelector: { matchLabels: { eventlistener: "payments" } } }] });
  });

  test("looks up commits of the factory's own forge there, and nowhere outside", async () => {
    const repository = "https://forge.ssf-forge.svc.cluster.local:8443/pay.git";
    const own = await render(() => new TeamTrigger("trigger", { ...args, repository }));
    expect(inputAt(own.get("trigger-schedule-policy"), "spec.egress.1")).toEqual({
      to: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "ssf-forge" } } }],
      ports: [{ port: 8443, protocol: "TCP" }],
    });
  });

  test("without a schedule has no job and no way to a forge", async () => {
    const without = await render(() => new TeamTrigger("trigger", { ...args, schedule: undefined }));
    expect(without.childrenOf("trigger").filter((child) => child.includes("schedule"))).toEqual([]);
    expect(without.childrenOf("trigger")).toContain("triggers.tekton.dev/v1beta1:EventListener trigger-listener");
  });

  test("a wrong name of a team is refused before anything is made", async () => {
    await render(() => {
      expect(() => new TeamTrigger("trigger", { ...args, team: "Payments!" })).toThrow(/SSF-NAME-001 team/);
    });
  });
});

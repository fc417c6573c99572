import { GATE_LABEL, TEAM_LABEL } from "../../components/lib/labels";
import { type Component, componentsOf, describeInside, firstExpiryOf } from "../../tools/cli/components";
import { exitCode } from "../../tools/cli/outcome";
import { checkObjects, type Promises } from "../../tools/cli/self-checks";
import { type ClusterObjects, readCluster, selects } from "../../tools/cli/self-cluster";
import { answerOf, askRules, judge, type Question, questions, type RequestWorld } from "../../tools/cli/self-requests";
import { selfOutcome } from "../../tools/cli/verbs/verify-self";
import { clusterRules, factoryRules } from "../../policies/admission";
import { gateConstraints } from "../../policies/admission/gate";
import { goodRun } from "../admission/cases/runs";
import type { Kubectl } from "../../tools/cli/kubectl";

const digest = (digit: string) => `sha256:${digit.repeat(64)}`;
const image = `ssf.local/rekor@${digest("1")}`;
const stage = `ssf.local/stage-go@${digest("2")}`;
const restricted = { "pod-security.kubernetes.io/enforce": "restricted" };
const factory = { "app.kubernetes.io/part-of": "secure-software-factory" };

const pod = (namespace: string, reference: string, spec: object = {}, imageID = reference) => ({
  metadata: { namespace, name: "pod" },
  spec: { containers: [{ name: "main", image: reference }], serviceAccountName: "rekor", ...spec },
  status: { phase: "Running", containerStatuses: [{ name: "main", imageID }] },
});
const gateRule = (change: object = {}) => ({
  kind: "Sample",
  metadata: { name: "ssf-gate-rule" },
  spec: { enforcementAction: "deny" },
  status: {
    byPod: [
      { operations: ["audit", "status"], enforced: false },
      { operations: ["webhook"], enforced: true },
    ],
  },
  ...change,
});
const namespace = (name: string, labels: object) => ({ metadata: { name, labels } });
const policy = (change: object = {}) => ({
  metadata: { name: "ssf-rule", generation: 2, labels: factory },
  spec: { failurePolicy: "Fail" },
  status: { observedGeneration: 2, typeChecking: {} },
  ...change,
});
const binding = (validationActions: string[], namespaceSelector: object) => ({
  metadata: { name: "ssf-rule" },
  spec: { policyName: "ssf-rule", validationActions, matchResources: { namespaceSelector } },
});
const inTeams = { matchExpressions: [{ key: TEAM_LABEL, operator: "Exists" }] };
const webhook = (failurePolicy: string, caBundle = "Y2E=") => ({
  kind: "ValidatingWebhookConfiguration",
  metadata: { name: "hook" },
  webhooks: [
    { name: "hook.test", failurePolicy, clientConfig: { caBundle, service: { namespace: "ssf-rekor", name: "hook" } } },
  ],
});
const gateWebhook = (namespaces: string[], labels: object = {}) => ({
  kind: "ValidatingWebhookConfiguration",
  metadata: { name: "gate" },
  webhooks: [
    {
      name: "validation.gatekeeper.sh",
      failurePolicy: "Fail",
      namespaceSelector: {
        matchLabels: labels,
        matchExpressions: [{ key: "kubernetes.io/metadata.name", operator: "NotIn", values: namespaces }],
      },
      clientConfig: { caBundle: "Y2E=", service: { namespace: "ssf-rekor", name: "hook" } },
    },
  ],
});
const exempt = ["kube-system", "gatekeeper-system"];
const endpoints = (ready: boolean) => ({
  metadata: { namespace: "ssf-rekor", name: "hook-x", labels: { "kubernetes.io/service-name": "hook" } },
  endpoints: [{ conditions: { ready } }],
});
const identity = (change: object = {}) => ({
  metadata: { name: "ssf-rekor-rekor" },
  spec: {
    spiffeIDTemplate: "spiffe://{{ .TrustDomain }}/ns/{{ .PodMeta.Namespace }}/sa/{{ .PodSpec.ServiceAccountName }}",
    ttl: "1h0m0s",
    jwtTtl: "5m0s",
    namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "ssf-rekor" } },
    ...change,
  },
});
const registration = (changes: object = {}) => ({
  metadata: { name: "team-a-publish" },
  spec: {
    spiffeID: "spiffe://factory.test/ns/team-a/sa/publish",
    selectors: ["k8s:ns:team-a", "k8s:sa:publish"],
    x509SVIDTTL: "1h0m0s",
    jwtSVIDTTL: "5m0s",
    ...changes,
  },
});
const nodes = {
  ...registration({ spiffeID: "spiffe://factory.test/nodes", selectors: ["k8s_psat:cluster:factory"] }),
  metadata: { name: "nodes" },
};
const certificate = (status: string, renewalTime: string) => ({
  metadata: { namespace: "ssf-rekor", name: "tls" },
  status: { conditions: [{ type: "Ready", status }], renewalTime, notAfter: "2031-01-01T00:00:00Z" },
});
const rekorSpace = namespace("ssf-rekor", { "kubernetes.io/metadata.name": "ssf-rekor", ...restricted });
const teamSpace = namespace("team-a", { [TEAM_LABEL]: "a", ...restricted });

/** What kubectl would print, by kind; every promise holds. */
const good = {
  pods: [pod("ssf-rekor", image), pod("team-a", stage)] as object[],
  namespaces: [rekorSpace, teamSpace, namespace("default", {})] as object[],
  validatingadmissionpolicies: [policy()] as object[],
  validatingadmissionpolicybindings: [binding(["Deny", "Audit"], inTeams)] as object[],
  "validatingwebhookconfigurations,mutatingwebhookconfigurations": [webhook("Fail"), gateWebhook(exempt)] as object[],
  constraint: [gateRule()] as object[],
  "endpointslices.discovery.k8s.io": [endpoints(true)] as object[],
  "clusterspiffeids.spire.spiffe.io": [identity()] as object[],
  "clusterstaticentries.spire.spiffe.io": [registration(), nodes] as object[],
  "certificates.cert-manager.io": [certificate("True", "2030-01-01T00:00:00Z")] as object[],
};
const webhooks = "validatingwebhookconfigurations,mutatingwebhookconfigurations";

const kubectl = (objects: typeof good, secrets = ""): Kubectl => ({
  text: () => Promise.resolve(secrets),
  json: ([, kind]) => Promise.resolve({ items: objects[kind as keyof typeof good] }),
  portForward: () => Promise.reject(new Error("not asked for")),
});
const promises: Promises = {
  images: [image],
  teamImages: [stage],
  signedImages: [image, stage],
  rules: ["ssf-rule"],
  gateRules: ["ssf-gate-rule"],
  now: new Date("2026-11-23T00:00:00Z"),
};
const failures = async (change: Partial<typeof good> = {}, secrets = "", promised = promises) =>
  checkObjects(await readCluster(kubectl({ ...good, ...change }, secrets)), promised)
    .filter(({ held }) => !held)
    .map(({ code, detail }) => `${code} ${detail}`);

test("everything holds in a good factory", async () => {
  expect(await failures()).toEqual([]);
});

test("an image that nobody signed as the factory's is named", async () => {
  const found = await failures({}, "", { ...promises, signedImages: [stage] });
  expect(found).toEqual([`SSF-SELF-016 ${image} is not signed`]);
});

const bad: [string, Partial<typeof good>, string][] = [
  [
    "an image by tag",
    { pods: [pod("ssf-rekor", "rekor:1")] },
    "001 ssf-rekor/pod, container main: rekor:1 is not by digest",
  ],
  [
    "another image",
    { pods: [pod("ssf-rekor", stage)] },
    `001 ssf-rekor/pod, container main: ${stage} is not of the factory`,
  ],
  [
    "another image of a team",
    { pods: [pod("team-a", image)] },
    `001 team-a/pod, container main: ${image} is not of the factory`,
  ],
  [
    "an ephemeral container of another image",
    { pods: [pod("ssf-rekor", image, { ephemeralContainers: [{ name: "debug", image: stage }] })] },
    `001 ssf-rekor/pod, container debug: ${stage} is not of the factory`,
  ],
  [
    "another image that runs than was asked for",
    { pods: [pod("ssf-rekor", image, {}, `x@${digest("3")}`)] },
    `001 ssf-rekor/pod, container main: asked for ${digest("1")}, runs x@${digest("3")}`,
  ],
  [
    "a rule that fails open",
    { validatingadmissionpolicies: [policy({ spec: { failurePolicy: "Ignore" } })] },
    "002 ssf-rule: failurePolicy Ignore",
  ],
  [
    "a rule with a fault of types",
    {
      validatingadmissionpolicies: [
        policy({
          status: { observedGeneration: 2, typeChecking: { expressionWarnings: [{ fieldRef: "spec.x" }] } },
        }),
      ],
    },
    "003 ssf-rule: spec.x",
  ],
  [
    "a rule not yet looked at",
    { validatingadmissionpolicies: [policy({ status: {} })] },
    "003 ssf-rule: not looked at yet",
  ],
  [
    "a rule that holds nowhere",
    { validatingadmissionpolicybindings: [binding(["Deny"], { matchLabels: { a: "b" } })] },
    "004 ssf-rule: selects no namespace",
  ],
  [
    "a webhook that fails open",
    { [webhooks]: [webhook("Ignore"), gateWebhook(exempt)] },
    "006 Validating hook, hook.test: failurePolicy Ignore",
  ],
  [
    "a webhook without authority",
    { [webhooks]: [webhook("Fail", ""), gateWebhook(exempt)] },
    "007 Validating hook, hook.test: no caBundle",
  ],
  [
    "a webhook that does not answer",
    { "endpointslices.discovery.k8s.io": [endpoints(false)], [webhooks]: [gateWebhook(exempt)] },
    "007 Validating gate, validation.gatekeeper.sh: service ssf-rekor/hook has no ready endpoint",
  ],
  [
    "a token that is mounted by itself",
    { pods: [pod("ssf-rekor", image, { volumes: [{ name: "kube-api-access-x" }] })] },
    "009 ssf-rekor/pod as ssf-rekor/rekor",
  ],
  [
    "a long identity",
    { "clusterspiffeids.spire.spiffe.io": [identity({ ttl: "2h0m0s" })] },
    "010 ssf-rekor-rekor: ttl 2h0m0s",
  ],
  [
    "tokens of the default length",
    { "clusterspiffeids.spire.spiffe.io": [identity({ jwtTtl: "" })] },
    "010 ssf-rekor-rekor: jwtTtl ",
  ],
  [
    "a long identity of a stage",
    { "clusterstaticentries.spire.spiffe.io": [registration({ x509SVIDTTL: "24h0m0s" })] },
    "010 team-a-publish: ttl 24h0m0s",
  ],
  [
    "an identity of a stage for every account of its namespace",
    { "clusterstaticentries.spire.spiffe.io": [registration({ selectors: ["k8s:ns:team-a"] })] },
    "011 team-a-publish gives spiffe://factory.test/ns/team-a/sa/publish to k8s:ns:team-a",
  ],
  [
    "an identity of a stage for pods with a label",
    {
      "clusterstaticentries.spire.spiffe.io": [
        registration({ selectors: ["k8s:ns:team-b", "k8s:sa:publish", "k8s:pod-label:app:x"] }),
      ],
    },
    "011 team-a-publish gives spiffe://factory.test/ns/team-a/sa/publish to k8s:ns:team-b, k8s:sa:publish, k8s:pod-label:app:x",
  ],
  [
    "an identity for another account",
    { pods: [pod("ssf-rekor", image, { serviceAccountName: "other" })] },
    "011 ssf-rekor-rekor also selects ssf-rekor/pod as other",
  ],
  [
    "a certificate that is not ready",
    { "certificates.cert-manager.io": [certificate("False", "2030-01-01T00:00:00Z")] },
    "012 ssf-rekor/tls: not ready",
  ],
  [
    "a certificate past its renewal",
    { "certificates.cert-manager.io": [certificate("True", "2025-01-01T00:00:00Z")] },
    "012 ssf-rekor/tls: to be renewed at 2025-01-01T00:00:00Z",
  ],
  [
    "a namespace without Pod Security",
    { namespaces: [namespace("ssf-rekor", { "kubernetes.io/metadata.name": "ssf-rekor" }), teamSpace] },
    "013 ssf-rekor: none, not restricted",
  ],
  ["a gate without its rule", { constraint: [] }, "014 ssf-gate-rule: not there"],
  [
    "a rule of the gate that only warns",
    { constraint: [gateRule({ spec: { enforcementAction: "warn" } })] },
    "014 ssf-gate-rule: enforcementAction warn",
  ],
  [
    "a rule of the gate that the webhook does not know",
    { constraint: [gateRule({ status: { byPod: [{ operations: ["audit"], enforced: true }] } })] },
    "014 ssf-gate-rule: not enforced",
  ],
  [
    "one webhook of several that does not enforce a rule",
    {
      constraint: [
        gateRule({
          status: { byPod: [true, false].map((enforced) => ({ operations: ["webhook"], enforced })) },
        }),
      ],
    },
    "014 ssf-gate-rule: not enforced",
  ],
  ["a factory without gate", { [webhooks]: [webhook("Fail")] }, "015 validation.gatekeeper.sh: not there"],
];

test.each(bad)("finds %s", async (_, change, expected) => {
  expect(await failures(change)).toEqual([`SSF-SELF-${expected}`]);
});

test.each([
  ["another namespace", gateWebhook([...exempt, "shop"])],
  ["those without a label", gateWebhook(exempt, { gate: "on" })],
])("finds a gate that is not asked about %s", async (_, hook) => {
  expect(await failures({ [webhooks]: [hook] })).toEqual([
    expect.stringMatching(/^SSF-SELF-015 validation\.gatekeeper\.sh selects namespaces by \{/),
  ]);
});

test("what runs behind the gate is no part of the factory; what runs beside it is looked at", async () => {
  const shop = (labels: object) => ({
    pods: [...good.pods, pod("shop", "registry.test/team-a/app:1")],
    namespaces: [...good.namespaces, namespace("shop", { ...restricted, ...labels })],
  });
  expect(await failures(shop({ [GATE_LABEL]: "" }))).toEqual([]);
  expect(await failures(shop({}))).toEqual([expect.stringContaining("SSF-SELF-001 shop/pod")]);
});

test("finds a rule that is not bound with Deny, one that is not there, and a long-lived token", async () => {
  const warned = await failures({ validatingadmissionpolicybindings: [binding(["Warn"], inTeams)] });
  expect(warned).toContain("SSF-SELF-002 ssf-rule: no binding with Deny");
  expect(await failures({}, "", { ...promises, rules: ["ssf-rule", "ssf-other"] })).toEqual([
    "SSF-SELF-002 ssf-other: not there",
  ]);
  expect(await failures({}, "ssf-rekor/old\n")).toEqual(["SSF-SELF-008 ssf-rekor/old"]);
});

test.each([
  ["In", ["a"], true],
  ["In", ["b"], false],
  ["NotIn", ["b"], true],
  ["NotIn", ["a"], false],
  ["DoesNotExist", [], false],
])("a label a is selected by %s %j: %s", (operator, values, expected) => {
  expect(selects({ matchLabels: {}, matchExpressions: [{ key: "k", operator, values }] }, { k: "a" })).toBe(expected);
});

const world: RequestWorld = {
  namespace: "team-a",
  elsewhere: "default",
  runtimeClasses: { jailed: "jailed", networked: "networked" },
  goodRun,
  task: "task",
  images: { components: ["registry.test/component@sha256:1"], stages: ["registry.test/a@sha256:2"] },
  networkPolicy: "deny-all",
  run: "run",
  pod: "pod",
  built: `registry.test/team-a/app@${digest("4")}`,
};

test("there is a question for every rule, and nothing that it asks is stored", () => {
  const settings = {
    runtimeClasses: world.runtimeClasses,
    unjailedServiceAccounts: [],
    images: world.images,
    stack: { users: [], groups: [] },
  };
  const gateRules = gateConstraints.map(({ metadata }) => metadata.name);
  const shared = [...factoryRules(settings), ...clusterRules([])].map(({ name }) => name);
  const rules = [...shared, "ssf-runs-team-a", ...gateRules].sort();
  const asked = questions(world);
  expect(asked.map(({ rule }) => rule).sort()).toEqual(rules);
  for (const { bad: refused, good: admitted } of asked)
    for (const { args } of [refused, admitted])
      expect(args.join(" ")).toMatch(/--dry-run=server|dryRun=All|ssf-self-absent\/exec/);
});

const denied = `pods "x" is forbidden: ValidatingAdmissionPolicy 'ssf-rule' with binding 'ssf-rule' denied request: SSF-X`;
const question: Question = { rule: "ssf-rule", bad: { args: ["bad"] }, good: { args: ["good"] }, behind: "ssf-other" };
const admitted = answerOf('pods "x" not found', /"x" not found/);
const refused = answerOf(denied);
const unclear = answerOf("no connection");

test("a rule holds when it, and no other, refuses the bad request, and none refuses the good one", () => {
  expect(judge(question, refused, admitted)).toEqual({ rule: "ssf-rule" });
  expect(judge(question, admitted, admitted)).toMatchObject({ fault: "admits a bad request" });
  expect(judge(question, refused, refused)).toMatchObject({ fault: "refuses a good request" });
  expect(judge(question, unclear, admitted)).toMatchObject({ why: "no connection", isCovered: false });
  expect(judge(question, refused, unclear)).toMatchObject({ why: "no connection", isCovered: false });
  const byOther = answerOf(denied.replaceAll("ssf-rule", "ssf-other"));
  expect(judge(question, byOther, admitted)).toMatchObject({ isCovered: true });
  expect(judge({ ...question, behind: undefined }, byOther, admitted)).toMatchObject({ isCovered: false });
});

test.each([
  [denied, "ssf-rule"],
  [
    "ValidatingAdmissionPolicy 'gatekeeper-sample' with binding 'gatekeeper-sample-ssf-gate-rule' denied request: SSF-GATE-001 x",
    "ssf-gate-rule",
  ],
  ['admission webhook "validation.gatekeeper.sh" denied the request: [ssf-gate-rule] SSF-GATE-002 x', "ssf-gate-rule"],
])("reads who refused: %s", (message, by) => {
  expect(answerOf(message)).toEqual({ is: "refused", by });
});

test("a rule that nothing can be asked about is never held", async () => {
  const { check, notAsked } = await askRules(kubectl(good), ["ssf-unknown"], [world]);
  expect(check).toMatchObject({ code: "SSF-SELF-005", held: false });
  expect(notAsked).toMatchObject([{ rule: "ssf-unknown", isCovered: false }]);
});

test("the outcome is open when a rule was not asked that no other covers", () => {
  const check = { code: "SSF-SELF-001", title: "t", held: true, detail: "d" };
  const rule = { rule: "ssf-rule", why: "w", isCovered: true };
  expect(selfOutcome({ checks: [check], notAsked: [rule] })).toBe(exitCode.held);
  expect(selfOutcome({ checks: [check], notAsked: [{ ...rule, isCovered: false }] })).toBe(exitCode.notChecked);
  expect(selfOutcome({ checks: [{ ...check, held: false }], notAsked: [] })).toBe(exitCode.didNotHold);
});

test("status shows version, readiness, identity, expiry, log and runs without a signature", async () => {
  const objects: ClusterObjects = await readCluster(kubectl(good));
  const list = (reference: string, status: object) => ({
    items: [
      {
        metadata: { namespace: "ssf-rekor", name: "rekor" },
        spec: { template: { spec: { serviceAccountName: "rekor", containers: [{ image: reference }] } } },
        status,
      },
    ],
  });
  const images = { rekor: { reference: image, version: "v1" } };
  const component: Component = {
    namespace: "ssf-rekor",
    name: "rekor",
    version: "v1",
    ready: 1,
    wanted: 2,
    identity: "spiffe://f.test/ns/ssf-rekor/sa/rekor",
  };
  const found = componentsOf(list(image, { readyReplicas: 1, replicas: 2 }), images, objects, "f.test");
  expect(found).toEqual([component]);
  const daemons = list(stage, { numberReady: 0, desiredNumberScheduled: 1 });
  expect(componentsOf(daemons, images, { ...objects, identities: [] }, "f.test")).toEqual([
    { ...component, version: undefined, ready: 0, wanted: 1, identity: undefined },
  ]);
  const firstExpiry = firstExpiryOf(objects.certificates);
  expect(describeInside({ components: found, firstExpiry, log: { entries: 3, rootHash: "ab" }, unsigned: 0 })).toEqual([
    "component        version  ready  identity",
    "ssf-rekor/rekor  v1       1/2    spiffe://f.test/ns/ssf-rekor/sa/rekor",
    "first certificate to end: ssf-rekor/tls, 2031-01-01T00:00:00Z",
    "log: 3 entries, root ab",
    "runs without a signature: 0",
  ]);
  expect(describeInside({ components: [] }).slice(1)).toEqual([
    "first certificate to end: unknown",
    "log: no answer",
    "runs without a signature: no answer",
  ]);
});

import { GATE_LABEL, TEAM_LABEL } from "../../components/lib/labels";
import { type Component, componentsOf, describeInside, firstExpiryOf, type Inside } from "../../tools/cli/components";
import { exitCode } from "../../tools/cli/outcome";
import { checkLives, lifeOfSigning, newestSigning, type SigningCertificate } from "../../tools/cli/self-certificates";
import { checkObjects, type Promises } from "../../tools/cli/self-checks";
import { type ClusterObjects, readCluster, selects } from "../../tools/cli/self-cluster";
import { checkMatches, countMatches, notShown, ruleScopes } from "../../tools/cli/self-matches";
import {
  answerOf,
  askRules,
  type Finding,
  judge,
  type Question,
  questions,
  type Request,
  type RequestWorld,
} from "../../tools/cli/self-requests";
import { allUp } from "../../tools/cli/verbs/status";
import { describeSelf, selfOutcome } from "../../tools/cli/verbs/verify-self";
import { clusterRules, factoryRules } from "../../policies/admission";
import { CONSTRAINT_RESOURCES, gateConstraints, generatedRules } from "../../policies/admission/gate";
import { goodRun } from "../admission/cases/runs";
import type { ApiServer } from "../../tools/cli/api-server";
import type { Kubectl } from "../../tools/cli/kubectl";
import { serve, TestLog } from "./support/log";
import { certificateFor, listen } from "./support/tls";

jest.setTimeout(60_000);

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
const behindGate = { matchExpressions: [{ key: GATE_LABEL, operator: "Exists" }] };
const gateMatch = { kinds: [{ apiGroups: ["apps"], kinds: ["Deployment"] }], namespaceSelector: behindGate };
const gateRule = (change: object = {}) => ({
  kind: "Sample",
  metadata: { name: "ssf-gate-rule" },
  spec: { enforcementAction: "deny", match: gateMatch },
  status: {
    byPod: [
      { operations: ["audit", "status"], enforced: false },
      { operations: ["webhook"], enforced: true },
    ],
  },
  ...change,
});
const namespace = (name: string, labels: object) => ({ metadata: { name, labels } });
const looksAt = (apiGroup: string, ...resources: string[]) => ({
  namespaceSelector: {},
  objectSelector: {},
  resourceRules: [{ apiGroups: [apiGroup], resources }],
});
const policy = (change: object = {}) => ({
  metadata: { name: "ssf-rule", generation: 2, labels: factory },
  spec: { failurePolicy: "Fail", matchConstraints: looksAt("", "pods") },
  status: { observedGeneration: 2, typeChecking: {} },
  ...change,
});
const binding = (validationActions: string[], namespaceSelector: object, objectSelector: object = {}) => ({
  metadata: { name: "ssf-rule" },
  spec: { policyName: "ssf-rule", validationActions, matchResources: { namespaceSelector, objectSelector } },
});
const generated = { policy: "gatekeeper-sample", binding: "gatekeeper-sample-ssf-gate-rule" };
/** What Gatekeeper makes of its rule. */
const generatedPolicy = (failurePolicy = "Fail") => ({
  metadata: { name: generated.policy, generation: 1 },
  spec: { failurePolicy },
});
const generatedBinding = (validationActions = ["Deny"], name = generated.binding) => ({
  metadata: { name },
  spec: { policyName: generated.policy, validationActions },
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
/** A pattern of entries, as SPIRE's controller would take it; the factory has none. */
const pattern = {
  metadata: { name: "rogue" },
  spec: { spiffeIDTemplate: "spiffe://{{ .TrustDomain }}/ns/tekton-chains/sa/x", ttl: "1h0m0s", jwtTtl: "5m0s" },
};
/** Another trust domain whose identities SPIRE would vouch for; the factory has none. */
const federation = { metadata: { name: "rogue" }, spec: { trustDomain: "elsewhere.test" } };
const registration = (space: string, account: string, changes: object = {}) => ({
  metadata: { name: `${space}-${account}` },
  spec: {
    spiffeID: `spiffe://factory.test/ns/${space}/sa/${account}`,
    parentID: "spiffe://factory.test/nodes",
    selectors: [`k8s:ns:${space}`, `k8s:sa:${account}`],
    x509SVIDTTL: "1h0m0s",
    jwtSVIDTTL: "5m0s",
    ...changes,
  },
});
const nodes = {
  metadata: { name: "nodes" },
  spec: {
    spiffeID: "spiffe://factory.test/nodes",
    parentID: "spiffe://factory.test/spire/server",
    selectors: ["k8s_psat:cluster:factory"],
    x509SVIDTTL: "1h0m0s",
    jwtSVIDTTL: "5m0s",
  },
};
const stageRegistrations = ["ingest-source", "ingest-dependencies"].map((stage) => registration("team-a", stage));
/** What is registered, with the stage that publishes and whatever else registered otherwise. */
const registered = (publish: object = {}, ...others: object[]) => ({
  "clusterstaticentries.spire.spiffe.io": [
    nodes,
    registration("ssf-rekor", "rekor"),
    ...stageRegistrations,
    registration("team-a", "publish", publish),
    ...others,
  ],
});
const certificate = (status: string, renewalTime: string, spec: object = {}, name = "tls") => ({
  metadata: { namespace: "ssf-rekor", name },
  spec: { duration: "2160h0m0s", secretName: name, usages: ["digital signature", "server auth"], ...spec },
  status: {
    conditions: [{ type: "Ready", status }],
    renewalTime,
    notBefore: "2030-10-03T00:00:00Z",
    notAfter: "2031-01-01T00:00:00Z",
  },
});
const rekorSpace = namespace("ssf-rekor", { "kubernetes.io/metadata.name": "ssf-rekor", ...restricted });
const teamSpace = namespace("team-a", { [TEAM_LABEL]: "a", ...restricted });
const gateSpace = namespace("gated", { [GATE_LABEL]: "", ...restricted });

/** What kubectl would print, by kind; every promise holds. */
const good = {
  pods: [pod("ssf-rekor", image), pod("team-a", stage)] as object[],
  namespaces: [rekorSpace, teamSpace, gateSpace, namespace("default", {})] as object[],
  validatingadmissionpolicies: [policy(), generatedPolicy()] as object[],
  validatingadmissionpolicybindings: [binding(["Deny", "Audit"], inTeams), generatedBinding()] as object[],
  "validatingwebhookconfigurations,mutatingwebhookconfigurations": [webhook("Fail"), gateWebhook(exempt)] as object[],
  [CONSTRAINT_RESOURCES]: [gateRule()] as object[],
  "endpointslices.discovery.k8s.io": [endpoints(true)] as object[],
  "clusterspiffeids.spire.spiffe.io": [] as object[],
  "clusterfederatedtrustdomains.spire.spiffe.io": [] as object[],
  ...(registered() as Record<"clusterstaticentries.spire.spiffe.io", object[]>),
  "certificates.cert-manager.io": [certificate("True", "2030-01-01T00:00:00Z")] as object[],
};
const webhooks = "validatingwebhookconfigurations,mutatingwebhookconfigurations";

/** What `kubectl api-resources` and `kubectl get` would print of live objects, with the columns that are asked for. */
const served = [
  "deployments deploy apps/v1 true Deployment",
  "namespaces ns v1 false Namespace",
  "pods po v1 true Pod",
  "pods metrics.k8s.io/v1beta1 true PodMetrics",
  "runtimeclasses node.k8s.io/v1 false RuntimeClass",
];
const live = {
  pod: ["v1", "Pod", "team-a", '{"app":"x"}'],
  otherPod: ["v1", "Pod", "ssf-rekor", '{"app":"x"}'],
  strayPod: ["v1", "Pod", "gone", ""],
  team: ["v1", "Namespace", "", JSON.stringify({ [TEAM_LABEL]: "a" })],
  namespace: ["v1", "Namespace", "", ""],
  runtimeClass: ["node.k8s.io/v1", "RuntimeClass", "", ""],
  deployment: ["apps/v1", "Deployment", "gated", ""],
};
const kubectl = (objects: typeof good, secrets = "", alive: string[][] = [live.pod]): Kubectl => ({
  text: ([verb, what = ""]) => {
    if (verb === "api-resources") return Promise.resolve(served.map((line) => line.replace(/ /g, "  ")).join("\n"));
    return Promise.resolve(what === "secrets" ? secrets : alive.map((columns) => columns.join("\t")).join("\n"));
  },
  json: ([, kind]) => Promise.resolve({ items: objects[kind as keyof typeof good] }),
  portForward: () => Promise.reject(new Error("not asked for")),
});
const promises: Promises = {
  images: [image],
  teamImages: [stage],
  signedImages: [image, stage],
  rules: ["ssf-rule"],
  gateRules: ["ssf-gate-rule"],
  trustDomain: "factory.test",
  components: [{ namespace: "ssf-rekor", serviceAccount: "rekor" }],
  generatedRules: [generated],
  now: new Date("2026-11-23T00:00:00Z"),
};
const shown: Finding[] = [{ rule: "ssf-rule" }, { rule: "ssf-gate-rule" }];
/** Rules by what they match, when these objects are alive and the rules were asked with these findings. */
const matches = async (change: Partial<typeof good> = {}, alive = [live.pod], findings = shown) => {
  const cluster = kubectl({ ...good, ...change }, "", alive);
  const objects = await readCluster(cluster);
  const scopes = ruleScopes(objects, ["ssf-gate-rule"]);
  const counts = await countMatches(cluster, scopes, objects.namespaces);
  return { counts, check: checkMatches(scopes, counts, findings, objects.namespaces) };
};
const failures = async (change: Partial<typeof good> = {}, secrets = "", promised = promises) => {
  const objects = await readCluster(kubectl({ ...good, ...change }, secrets));
  return [
    ...checkObjects(objects, promised),
    (await matches(change)).check,
    checkLives(objects, { entry: 1, life: 600 }),
  ]
    .filter(({ held }) => !held)
    .map(({ code, detail }) => `${code} ${detail}`);
};

test("everything holds in a good factory", async () => {
  expect(await failures()).toEqual([]);
});

const inAll = binding(["Deny"], {});
const matching = (change: object) => ({
  validatingadmissionpolicies: [policy({ spec: { failurePolicy: "Fail", matchConstraints: change } })],
});

test.each<[string, number, Partial<typeof good>, string[][]]>([
  ["its kind in a namespace of its choice", 1, {}, [live.pod, live.otherPod, live.strayPod, live.deployment]],
  ["none where its kind lives elsewhere", 0, {}, [live.otherPod, live.team]],
  ["none in a namespace that is gone", 0, { validatingadmissionpolicybindings: [inAll] }, [live.strayPod]],
  [
    "those with the labels that its binding wants",
    1,
    { validatingadmissionpolicybindings: [binding(["Deny"], {}, { matchLabels: { app: "x" } })] },
    [live.pod, live.deployment],
  ],
  [
    "none without these labels",
    0,
    { validatingadmissionpolicybindings: [binding(["Deny"], {}, { matchLabels: { app: "y" } })] },
    [live.pod, live.otherPod],
  ],
  ["a part of a live object", 1, matching(looksAt("", "pods/status")), [live.pod]],
  ["none of requests that no object is left of", 0, matching(looksAt("", "pods/exec")), [live.pod]],
  ["none of another group's kind", 0, matching(looksAt("metrics.k8s.io", "pods")), [live.pod]],
  ["none of a kind that is not served", 0, matching(looksAt("tekton.dev", "customruns")), [live.pod]],
  ["namespaces by their own labels", 1, matching(looksAt("", "namespaces")), [live.team, live.namespace]],
  [
    "what has no namespace, everywhere",
    1,
    { ...matching(looksAt("node.k8s.io", "runtimeclasses")), validatingadmissionpolicybindings: [inAll] },
    [live.runtimeClass],
  ],
  ["none by a binding that only warns", 0, { validatingadmissionpolicybindings: [binding(["Warn"], {})] }, [live.pod]],
])("a rule matches %s: %d", async (_, count, change, alive) => {
  expect((await matches(change, alive)).counts.get("ssf-rule")).toBe(count);
});

test("a rule of the gate matches the kinds that it names, behind the gate", async () => {
  const { counts, check } = await matches({}, [live.pod, live.deployment]);
  expect(counts.get("ssf-gate-rule")).toBe(1);
  expect(check).toMatchObject({ held: true, detail: "ssf-rule: 1 live object, ssf-gate-rule: 1 live object" });
  const elsewhere = {
    [CONSTRAINT_RESOURCES]: [gateRule({ spec: { match: { ...gateMatch, namespaceSelector: inTeams } } })],
  };
  expect((await matches(elsewhere, [live.pod, live.deployment])).counts.get("ssf-gate-rule")).toBe(0);
});

test("a rule without a live object matches the request that it refused, and without that it is named", async () => {
  const found = async (finding: Finding) => (await matches({}, [live.deployment], [finding, ...shown])).check;
  expect(await found({ rule: "ssf-rule" })).toMatchObject({
    held: true,
    detail: "ssf-rule: only requests, ssf-gate-rule: 1 live object",
  });
  expect(await found({ rule: "ssf-rule", fault: "admits a bad request" })).toMatchObject({
    code: "SSF-SELF-004",
    held: false,
    detail: "ssf-rule: matches no live object and no request",
  });
  const notAsked = { rule: "ssf-rule", why: "w", isCovered: true };
  expect(await found(notAsked)).toMatchObject({
    held: true,
    detail: expect.stringMatching(/^ssf-rule: none yet,/) as string,
  });
  expect(notShown([notAsked], new Map([["ssf-rule", 1]]))).toEqual([notAsked]);
  expect(notShown([notAsked], new Map([["ssf-rule", 0]]))).toEqual([
    { rule: "ssf-rule", why: "w; it matches no live object", isCovered: false },
  ]);
});

test("the API server's rules that Gatekeeper makes are those in CEL", () => {
  expect(generatedRules).toEqual([
    { policy: "gatekeeper-imagesbydigest", binding: "gatekeeper-imagesbydigest-ssf-images-by-digest" },
    { policy: "gatekeeper-workloadbounds", binding: "gatekeeper-workloadbounds-ssf-workload-bounds" },
  ]);
});

test("an image that nobody signed as the factory's is named", async () => {
  const found = await failures({}, "", { ...promises, signedImages: [stage] });
  expect(found).toEqual([`SSF-SELF-016 ${image} is not signed`]);
});

const bad: [string, Partial<typeof good>, ...string[]][] = [
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
    { validatingadmissionpolicies: [policy({ spec: { failurePolicy: "Ignore" } }), generatedPolicy()] },
    "002 ssf-rule: failurePolicy Ignore",
  ],
  [
    "a rule with a fault of types",
    {
      validatingadmissionpolicies: [
        policy({
          status: { observedGeneration: 2, typeChecking: { expressionWarnings: [{ fieldRef: "spec.x" }] } },
        }),
        generatedPolicy(),
      ],
    },
    "003 ssf-rule: spec.x",
  ],
  [
    "a rule not yet looked at",
    { validatingadmissionpolicies: [policy({ status: {} }), generatedPolicy()] },
    "003 ssf-rule: not looked at yet",
  ],
  [
    "a rule that holds nowhere",
    { validatingadmissionpolicybindings: [binding(["Deny"], { matchLabels: { a: "b" } }), generatedBinding()] },
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
    registered({ x509SVIDTTL: "24h0m0s" }),
    "010 team-a-publish: ttl 24h0m0s",
    "011 team-a-publish: not as it was made, gives spiffe://factory.test/ns/team-a/sa/publish to k8s:ns:team-a, k8s:sa:publish",
  ],
  [
    "tokens of the default length",
    registered({ jwtSVIDTTL: undefined }),
    "010 team-a-publish: jwtTtl ",
    "011 team-a-publish: not as it was made, gives spiffe://factory.test/ns/team-a/sa/publish to k8s:ns:team-a, k8s:sa:publish",
  ],
  [
    "an identity of a stage for every account of its namespace",
    registered({ selectors: ["k8s:ns:team-a"] }),
    "011 team-a-publish: not as it was made, gives spiffe://factory.test/ns/team-a/sa/publish to k8s:ns:team-a",
  ],
  [
    "an identity of a stage for pods with a label",
    registered({ selectors: ["k8s:ns:team-a", "k8s:pod-label:app:x"] }),
    "011 team-a-publish: not as it was made, gives spiffe://factory.test/ns/team-a/sa/publish to k8s:ns:team-a, k8s:pod-label:app:x",
  ],
  [
    "an identity of a stage that may command SPIRE's server",
    registered({ admin: true }),
    "011 team-a-publish: not as it was made, gives spiffe://factory.test/ns/team-a/sa/publish to k8s:ns:team-a, k8s:sa:publish",
  ],
  [
    "the signer's identity for another stage",
    registered({}, registration("team-a", "build", { spiffeID: "spiffe://factory.test/ns/tekton-chains/sa/x" })),
    "011 team-a-build: nobody's, gives spiffe://factory.test/ns/tekton-chains/sa/x to k8s:ns:team-a, k8s:sa:build",
  ],
  [
    "an identity of a component that is not there",
    registered({}, registration("ssf-rekor", "other")),
    "011 ssf-rekor-other: nobody's, gives spiffe://factory.test/ns/ssf-rekor/sa/other to k8s:ns:ssf-rekor, k8s:sa:other",
  ],
  [
    "identities by a pattern",
    { "clusterspiffeids.spire.spiffe.io": [pattern] },
    "011 rogue: nobody's, gives spiffe://{{ .TrustDomain }}/ns/tekton-chains/sa/x",
  ],
  [
    "another trust domain",
    { "clusterfederatedtrustdomains.spire.spiffe.io": [federation] },
    "011 rogue: nobody's, trusts elsewhere.test",
  ],
  [
    "a stage without an identity",
    { "clusterstaticentries.spire.spiffe.io": [nodes, registration("ssf-rekor", "rekor"), ...stageRegistrations] },
    "011 team-a-publish: not there",
  ],
  [
    "nodes that are not registered",
    { "clusterstaticentries.spire.spiffe.io": registered()["clusterstaticentries.spire.spiffe.io"].slice(1) },
    "011 nodes: not there",
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
    { namespaces: [namespace("ssf-rekor", { "kubernetes.io/metadata.name": "ssf-rekor" }), teamSpace, gateSpace] },
    "013 ssf-rekor: none, not restricted",
  ],
  ["a gate without its rule", { [CONSTRAINT_RESOURCES]: [] }, "014 ssf-gate-rule: not there"],
  [
    "a rule of the gate that only warns",
    { [CONSTRAINT_RESOURCES]: [gateRule({ spec: { enforcementAction: "warn" } })] },
    "014 ssf-gate-rule: enforcementAction warn",
  ],
  [
    "a rule of the gate that the webhook does not know",
    { [CONSTRAINT_RESOURCES]: [gateRule({ status: { byPod: [{ operations: ["audit"], enforced: true }] } })] },
    "014 ssf-gate-rule: not enforced",
  ],
  [
    "one webhook of several that does not enforce a rule",
    {
      [CONSTRAINT_RESOURCES]: [
        gateRule({
          status: { byPod: [true, false].map((enforced) => ({ operations: ["webhook"], enforced })) },
        }),
      ],
    },
    "014 ssf-gate-rule: not enforced",
  ],
  [
    "a rule of the gate that the API server does not have",
    { validatingadmissionpolicies: [policy()] },
    "014 gatekeeper-sample: not there",
  ],
  [
    "a rule of the gate that fails open in the API server",
    { validatingadmissionpolicies: [policy(), generatedPolicy("Ignore")] },
    "014 gatekeeper-sample: failurePolicy Ignore",
  ],
  [
    "a rule of the gate that is bound elsewhere",
    {
      validatingadmissionpolicybindings: [
        good.validatingadmissionpolicybindings[0] ?? {},
        generatedBinding(["Deny"], "other"),
      ],
    },
    "014 gatekeeper-sample: no binding gatekeeper-sample-ssf-gate-rule",
  ],
  [
    "a rule of the gate that only warns in the API server",
    {
      validatingadmissionpolicybindings: [good.validatingadmissionpolicybindings[0] ?? {}, generatedBinding(["Warn"])],
    },
    "014 gatekeeper-sample-ssf-gate-rule: Warn without Deny",
  ],
  [
    "a certificate of a server that is to live for a year",
    { "certificates.cert-manager.io": [certificate("True", "2030-01-01T00:00:00Z", { duration: "8760h0m0s" })] },
    "018 ssf-rekor/tls: 365 days, at most 90 days for: server",
  ],
  [
    "an authority that is to live for longer than ten years",
    {
      "certificates.cert-manager.io": [certificate("True", "2030-01-01T00:00:00Z", { duration: "87601h", isCA: true })],
    },
    "018 ssf-rekor/tls: 3650.0416666666665 days, at most 3650 days for: authority",
  ],
  ["a factory without gate", { [webhooks]: [webhook("Fail")] }, "015 validation.gatekeeper.sh: not there"],
];

test.each(bad)("finds %s", async (_, change, ...expected) => {
  expect(await failures(change)).toEqual(expected.map((one) => `SSF-SELF-${one}`));
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
  images: {
    components: ["registry.test/component@sha256:1"],
    stages: ["registry.test/a@sha256:2"],
    identityUsers: [{ namespace: "signing", serviceAccount: "signer", images: ["registry.test/component@sha256:1"] }],
  },
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
    for (const { about, subresource, query = "dryRun=All" } of [refused, admitted])
      if (subresource === "exec") expect(about.metadata.name).toBe("ssf-self-absent");
      else expect(query).toBe("dryRun=All");
});

const life = (certificates: object[], signing?: SigningCertificate) =>
  readCluster(kubectl({ ...good, "certificates.cert-manager.io": certificates })).then((objects) =>
    checkLives(objects, signing),
  );

test("each class of certificates has its own length", async () => {
  const later = "2030-12-02T00:00:00Z";
  const once = certificate("True", later, { duration: "43800h0m0s" }, "rekor-tls");
  const client = certificate("True", later, { usages: ["client auth"] }, "proof");
  const authority = certificate("True", later, { duration: "87600h0m0s", isCA: true }, "ca");
  const signing = { entry: 7, life: 600 };
  expect(await life([certificate("True", later), once, client, authority], signing)).toMatchObject({
    held: true,
    detail: [
      "authority: 3650 days (ssf-rekor/ca)",
      "server that reads its certificate once: 1825 days (ssf-rekor/rekor-tls)",
      "server: 90 days (ssf-rekor/tls)",
      "client: 90 days (ssf-rekor/proof)",
      "signature, by Fulcio: 10 minutes (entry 7 of the log)",
    ].join("; "),
  });
  expect(await life([certificate("True", later)], { entry: 7, life: 601 })).toMatchObject({ held: false });
  expect(await life([], { entry: 7, life: 0 })).toMatchObject({
    held: false,
    detail: "entry 7 of the log: no length at all, at most 10 minutes for: signature, by Fulcio",
  });
  const issued = {
    ...certificate("True", later, { duration: undefined }),
    status: { notBefore: "2030-01-01", notAfter: "2031-01-01" },
  };
  expect(await life([issued])).toMatchObject({ held: false, detail: expect.stringContaining("365 days") as string });
});

test("the newest run in the log shows how long Fulcio's certificates live", async () => {
  const { certificatePem } = certificateFor("signer.test");
  const body = { kind: "intoto", spec: { publicKey: Buffer.from(certificatePem).toString("base64") } };
  expect(lifeOfSigning(Buffer.from(JSON.stringify(body)))).toBe(2 * 24 * 3600);
  for (const other of ["", "{}", JSON.stringify({ spec: { publicKey: "bm9uZQ==" } })])
    expect(lifeOfSigning(Buffer.from(other))).toBe(0);
  expect(lifeOfSigning(undefined)).toBe(0);

  const host = "rekor.ssf-rekor.svc.cluster.local";
  const certificate = certificateFor(host);
  const log = new TestLog();
  for (const content of [{ kind: "hashedrekord" }, body]) log.add(Buffer.from(JSON.stringify(content)));
  const { server, port } = await listen(
    certificate,
    serve((url) => log.answer(url)),
  );
  const runs = ["", "https://log.test/api/v1/log/entries?logIndex=0", "https://log.test/x?logIndex=1", ""];
  const ask = (lines: string[]) =>
    newestSigning(
      {
        ...kubectl(good),
        text: () => Promise.resolve(lines.join("\n")),
        portForward: () => Promise.resolve({ port, close: () => undefined }),
      },
      {
        log: {
          ...{ url: `https://${host}`, host, namespace: "ssf-rekor", service: "rekor", port: 443 },
          ...{ caPem: certificate.certificatePem, publicKeyPem: log.publicKeyPem },
        },
      },
    );
  try {
    expect(await ask(runs)).toEqual({ entry: 1, life: 2 * 24 * 3600 });
    expect(await ask(runs.slice(0, 2))).toEqual({ entry: 0, life: 0 });
    expect(await ask([""])).toBeUndefined();
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test("a person sees a row for each check, and whole what is wrong", () => {
  const detail = "x".repeat(70);
  const lines = describeSelf({
    checks: [
      { code: "SSF-SELF-001", title: "one", held: true, detail },
      { code: "SSF-SELF-002", title: "other", held: false, detail },
    ],
    notAsked: [{ rule: "ssf-rule", why: "w", isCovered: true }],
  });
  expect(lines).toEqual([
    "        code          check  found",
    `held    SSF-SELF-001  one    ${"x".repeat(59)}…`,
    `FAILED  SSF-SELF-002  other  ${"x".repeat(59)}…`,
    `SSF-SELF-002: ${detail}`,
    "not asked: ssf-rule: w",
  ]);
});

const denied = `pods "x" is forbidden: ValidatingAdmissionPolicy 'ssf-rule' with binding 'ssf-rule' denied request: SSF-X`;
const about = { apiVersion: "v1", kind: "Pod", metadata: { name: "x", namespace: "team-a" } };
const request: Request = { method: "POST", about, body: about };
const question: Question = { rule: "ssf-rule", bad: request, good: request, behind: "ssf-other" };
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

/** An API server that answers by method, path and user, and notes what it was asked. */
const answering = (answers: Record<string, [status: number, message: string]>) => {
  const asked: string[] = [];
  const unused = () => Promise.reject(new Error("not asked for"));
  const api: ApiServer = {
    send: (method, path, _body, as) => {
      const line = [method, path, ...(as === undefined ? [] : [as.user])].join(" ");
      asked.push(line);
      const [status, message] = answers[line] ?? [500, "no answer"];
      return Promise.resolve({ status, body: { message }, milliseconds: 1 });
    },
    collection: ({ kind, metadata }) => Promise.resolve(`/${metadata.namespace ?? ""}/${kind}`),
    read: unused,
    create: unused,
    remove: unused,
  };
  return { api, asked };
};

test("a rule is asked at the address of its object, in the name of whom it is about", async () => {
  const by = (rule: string): [number, string] => [403, denied.replaceAll("ssf-rule", rule)];
  const { api, asked } = answering({
    "PATCH /team-a/Pod/pod/status?dryRun=All": by("ssf-pod-status"),
    "PATCH /team-a/Pod/pod/status?dryRun=All system:serviceaccount:kube-system:generic-garbage-collector": [200, ""],
    "POST /team-a/Pod/ssf-self-absent/exec?command=true": by("ssf-pod-access"),
    "POST /default/Pod/ssf-self-absent/exec?command=true": [404, 'pods "ssf-self-absent" not found'],
    "POST /team-a/StepAction?dryRun=All": [201, ""],
    "POST /default/StepAction?dryRun=All": [201, ""],
  });
  const { check, findings } = await askRules(api, ["ssf-pod-status", "ssf-pod-access", "ssf-step-actions"], [world]);
  expect(findings).toEqual([
    { rule: "ssf-pod-status" },
    { rule: "ssf-pod-access" },
    { rule: "ssf-step-actions", fault: "admits a bad request" },
  ]);
  expect(check).toMatchObject({ held: false, detail: "ssf-step-actions admits a bad request" });
  expect(asked).toHaveLength(6);
});

test("a rule that nothing can be asked about is never held", async () => {
  const { check, notAsked } = await askRules(answering({}).api, ["ssf-unknown"], [world]);
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

const workload = (status: object, spec: object = {}, more: object = {}) => ({
  items: [
    {
      metadata: { namespace: "ssf-rekor", name: "rekor" },
      spec: { ...more, template: { spec: { serviceAccountName: "rekor", ...spec } } },
      status,
    },
  ],
});
const tls = { volumes: [{ secret: { secretName: "tls" } }, { name: "tmp" }] };

test("status shows version, readiness, identity, expiry, log and runs without a signature", async () => {
  const objects: ClusterObjects = await readCluster(kubectl(good));
  const list = (reference: string, status: object) =>
    workload(status, { containers: [{ name: "rekor", image: reference }], ...tls }, { replicas: 2 });
  const images = { rekor: { reference: image, version: "v1" } };
  const certificate = { certificate: "ssf-rekor/tls", notAfter: "2031-01-01T00:00:00Z" };
  const component: Component = {
    namespace: "ssf-rekor",
    name: "rekor",
    version: "v1",
    ready: 1,
    wanted: 2,
    identity: "spiffe://factory.test/ns/ssf-rekor/sa/rekor",
    identityLife: "1h0m0s",
    certificate,
  };
  const found = componentsOf(list(image, { readyReplicas: 1, replicas: 0 }), images, objects);
  expect(found).toEqual([component]);
  const daemons = list(stage, { numberReady: 0, desiredNumberScheduled: 1 });
  const others = { ...objects, registrations: [], certificates: [] };
  expect(componentsOf(daemons, images, others)).toEqual([
    {
      ...component,
      ...{ version: undefined, ready: 0, wanted: 1, identity: undefined, identityLife: undefined },
      certificate: undefined,
    },
  ]);
  const firstExpiry = firstExpiryOf(objects.certificates);
  const withoutCertificate = componentsOf(list(image, { readyReplicas: 2 }), images, { ...objects, certificates: [] });
  const log = { entries: 3, rootHash: "abcdef0123456789", checkpoint: "whole" };
  const unsigned = [{ run: "team-a/run", state: "failed", attempts: 2 }];
  expect(describeInside({ components: [...found, ...withoutCertificate], firstExpiry, log, unsigned })).toEqual([
    "component        version  ready  certificate ends  identity",
    "ssf-rekor/rekor  v1       1/2    2031-01-01        spiffe://factory.test/ns/ssf-rekor/sa/rekor",
    "ssf-rekor/rekor  v1       2/2    within 1h0m0s     spiffe://factory.test/ns/ssf-rekor/sa/rekor",
    "first certificate to end: ssf-rekor/tls, 2031-01-01T00:00:00Z",
    "log: 3 entries, root abcdef012345",
    "runs without a signature: 1",
  ]);
  expect(describeInside({ components: [] }).slice(1)).toEqual([
    "first certificate to end: unknown",
    "log: no answer",
    "runs without a signature: no answer",
  ]);
});

test.each<[string, object, string | undefined]>([
  [
    "that has its name, before others",
    {
      containers: [
        { name: "beside", image: stage },
        { name: "rekor", image },
      ],
    },
    "v1",
  ],
  [
    "that has its name, where it is a sidecar",
    { containers: [{ name: "beside", image: stage }], initContainers: [{ name: "rekor", image }] },
    "v1",
  ],
  ["that comes first, where none has its name", { containers: [{ name: "main", image: stage }] }, "v2"],
])("a component's version is that of the container %s", async (_, spec, version) => {
  const images = { rekor: { reference: image, version: "v1" }, stage: { reference: stage, version: "v2" } };
  const [found] = componentsOf(workload({}, spec), images, await readCluster(kubectl(good)));
  expect(found).toMatchObject({ version, ready: 0, wanted: 1 });
});

test("status holds when all is up, whole and ready", () => {
  const stack = { stack: "dev", role: "factory", isUp: true, resources: 3, unfinished: 0 };
  const inside = (ready: number): Inside => ({
    components: [{ namespace: "ssf-rekor", name: "rekor", ready, wanted: 1 }],
  });
  expect(allUp("ready", [stack], inside(1))).toBe(true);
  expect(allUp("ready", [stack], inside(0))).toBe(false);
  expect(allUp("ready", [stack], undefined)).toBe(false);
  expect(allUp("no answer", [stack], inside(1))).toBe(false);
  expect(allUp("ready", [{ ...stack, isUp: false }], inside(1))).toBe(false);
  expect(allUp("ready", [{ ...stack, unfinished: 1 }], inside(1))).toBe(false);
});

import { RECORD_KEY, RECORD_LABEL } from "../../../policies/admission/gate/records";
import { STAGE_LABEL, TEAM_LABEL } from "../../../components/lib/labels";
import type { Path, PreviewedResource } from "../../../policies/preview/resource";
import { describeUnchecked, type PreviewRule } from "../../../policies/preview/rule";
import { images } from "../../../policies/preview/rules/images";
import { kept } from "../../../policies/preview/rules/kept";
import { parents } from "../../../policies/preview/rules/parents";
import { providers } from "../../../policies/preview/rules/providers";
import { secrets } from "../../../policies/preview/rules/secrets";
import { stageJail } from "../../../policies/preview/rules/stage-jail";
import type { Settings } from "../../../policies/preview/settings";

const settings: Settings = {
  gator: "gator",
  images: { components: ["component", "stage"], stages: ["stage"], identityUsers: [] },
  runtimeClasses: { jailed: "jailed", networked: "networked" },
  protectData: true,
};

const urnOf = (type: string, name: string): string => `urn:pulumi:test::test::${type}::${name}`;
const stack = urnOf("pulumi:pulumi:Stack", "test-test");
const component = urnOf("test:index:Component", "parent");

/** A resource that no rule has anything against, with something changed. */
const resource = (type: string, change: Partial<PreviewedResource> = {}): PreviewedResource => ({
  urn: urnOf(type, "sample"),
  type,
  inputs: {},
  secrets: [],
  unknown: [],
  parent: component,
  provider: urnOf("pulumi:providers:kubernetes", "cluster::id"),
  protect: false,
  ...change,
});

const object = (kind: string, fields: object = {}, change: Partial<PreviewedResource> = {}, apiVersion = "v1") =>
  resource(`kubernetes:${apiVersion === "v1" ? "core/v1" : apiVersion}:${kind}`, {
    inputs: { apiVersion, kind, ...fields },
    ...change,
  });

const owner = resource("test:index:Component", { urn: component, parent: stack, provider: undefined });

/** What a rule says: codes of what it refuses, and of what nobody can know. */
const said = (rule: PreviewRule, ...resources: PreviewedResource[]) => {
  const { violations, unchecked } = rule.judge([owner, ...resources], settings);
  return [violations.map(({ problem }) => problem.code), unchecked.map(({ what }) => what)];
};

/** For each code: what passes, what fails, and what nobody can know; each the resources of one preview. */
const cases: [
  code: string,
  rule: PreviewRule,
  passes: PreviewedResource[],
  fails: PreviewedResource[],
  unknown: PreviewedResource[],
][] = [];

const secret = (content: Partial<PreviewedResource>) => object("Secret", { stringData: { password: "p" } }, content);
cases.push([
  "SSF-PREVIEW-010",
  secrets,
  [secret({ secrets: [["stringData"]] }), secret({ secrets: [["stringData", "password"]] })],
  [secret({})],
  [secret({ unknown: [["stringData", "password"]] })],
]);

const key = "-----BEGIN EC PRIVATE KEY-----\nMHc=\n-----END EC PRIVATE KEY-----\n";
const settingsMap = (value: string, change: Partial<PreviewedResource> = {}) =>
  object("ConfigMap", { data: { value } }, change);
cases.push([
  "SSF-PREVIEW-011",
  secrets,
  [settingsMap("-----BEGIN PUBLIC KEY-----"), settingsMap(key, { secrets: [["data", "value"]] })],
  [settingsMap(key)],
  [settingsMap("unknown-until-made", { unknown: [["data", "value"]] })],
]);

const password = resource("random:index/x:X", { inputs: { given: "correct horse" }, secrets: [["given"]] });
const inSecret = object(
  "Secret",
  { data: { p: Buffer.from("battery staple").toString("base64") } },
  { secrets: [["data"]] },
);
cases.push([
  "SSF-PREVIEW-012",
  secrets,
  [password, inSecret, settingsMap("horse")],
  [password, settingsMap("the password is correct horse")],
  [password, settingsMap("unknown-until-made", { unknown: [["data", "value"]] })],
]);

const byDefault = (name: string) => object("ConfigMap", {}, { provider: urnOf("pulumi:providers:kubernetes", name) });
cases.push([
  "SSF-PREVIEW-020",
  providers,
  [
    byDefault("cluster"),
    resource("random:index/x:X", { provider: urnOf("pulumi:providers:random", "default_4_21_2") }),
  ],
  [byDefault("default_4_25_0")],
  [object("ConfigMap", {}, { provider: undefined })],
]);

const provider = (inputs: Record<string, unknown>, unknown: Path[] = []) =>
  resource("pulumi:providers:kubernetes", { inputs, unknown, parent: stack, provider: undefined });
cases.push([
  "SSF-PREVIEW-021",
  providers,
  [provider({ kubeconfig: "k" }), provider({ renderYamlToDirectory: "d" })],
  [provider({ context: "other" })],
  [provider({ kubeconfig: "unknown-until-made" }, [["kubeconfig"]])],
]);

cases.push([
  "SSF-PREVIEW-030",
  parents,
  [object("ConfigMap"), resource("random:index/x:X", { parent: stack })],
  [object("ConfigMap", {}, { parent: stack })],
  [object("ConfigMap", {}, { parent: urnOf("test:index:Component", "not-previewed") })],
]);

const pod = (image: string, namespace = "ssf-registry", unknown: Path[] = []) =>
  object("Pod", { metadata: { namespace }, spec: { containers: [{ image }] } }, { unknown });
const task = (image: string) =>
  object("Task", { metadata: { namespace: "team-a" }, spec: { steps: [{ image }] } }, {}, "tekton.dev/v1");
cases.push([
  "SSF-PREVIEW-040",
  images,
  [pod("component"), pod("anything", "shop"), task("stage"), object("ConfigMap", { data: { image: "other" } })],
  [pod("component:1")],
  [pod("unknown-until-made", "ssf-registry", [["spec", "containers", "0", "image"]])],
]);
cases.push([
  "SSF-PREVIEW-040",
  images,
  [pod("component", "kube-system")],
  [task("component")],
  [pod("x", "unknown-until-made", [["metadata", "namespace"]])],
]);

const stageRun = (runtimeClassName: string, serviceAccountName = "build") => ({
  taskRunTemplate: { podTemplate: { runtimeClassName: "jailed" } },
  taskRunSpecs: [{ pipelineTaskName: "build", serviceAccountName, podTemplate: { runtimeClassName } }],
});
const run = (spec: object, unknown: Path[] = []) => object("PipelineRun", { spec }, { unknown }, "tekton.dev/v1");
const trigger = (spec: object) =>
  object("TriggerTemplate", { spec: { resourcetemplates: [{ spec }] } }, {}, "triggers.tekton.dev/v1beta1");
const record = (spec: object) =>
  object("ConfigMap", {
    metadata: { labels: { [RECORD_LABEL]: "a" } },
    data: { [RECORD_KEY]: JSON.stringify({ pipelines: [{ name: "go", runTemplate: { spec } }] }) },
  });
for (const make of [run, trigger, record])
  cases.push([
    "SSF-PREVIEW-050",
    stageJail,
    [make(stageRun("jailed")), make(stageRun("networked", "publish"))],
    [make(stageRun("networked"))],
    [run(stageRun("jailed"), [["spec", "taskRunSpecs"]])],
  ]);
cases.push([
  "SSF-PREVIEW-050",
  stageJail,
  [object("TaskRun", { spec: { podTemplate: { runtimeClassName: "jailed" } } }, {}, "tekton.dev/v1")],
  [object("TaskRun", { spec: { serviceAccountName: "build" } }, {}, "tekton.dev/v1")],
  [object("TaskRun", { spec: "unknown-until-made" }, { unknown: [["spec"]] }, "tekton.dev/v1")],
]);

const metadata = { labels: { [TEAM_LABEL]: "a" } };
const policy = (stage: string | undefined, egress: unknown, unknown: Path[] = [], namespace = "team-a") => {
  const podSelector = stage === undefined ? {} : { matchLabels: { [STAGE_LABEL]: stage } };
  const inputs = { metadata: { ...metadata, namespace }, spec: { podSelector, egress } };
  return object("NetworkPolicy", inputs, { unknown }, "networking.k8s.io/v1");
};
const cilium = (stage: string) =>
  object(
    "CiliumNetworkPolicy",
    { metadata, spec: { endpointSelector: { matchLabels: { [`k8s:${STAGE_LABEL}`]: stage } }, egress: [{}] } },
    {},
    "cilium.io/v2",
  );
cases.push([
  "SSF-PREVIEW-051",
  stageJail,
  [policy("publish", [{}]), policy("build", []), policy(undefined, undefined), cilium("ingest-source")],
  [policy("build", [{}])],
  [policy("publish", "unknown-until-made", [["spec", "egress"]])],
]);
cases.push([
  "SSF-PREVIEW-051",
  stageJail,
  [policy("publish", [{ to: "unknown-until-made" }], [["spec", "egress", "0", "to"]])],
  [cilium("scan")],
  [policy("unknown-until-made", [{}], [["spec", "podSelector", "matchLabels", STAGE_LABEL]])],
]);

cases.push([
  "SSF-PREVIEW-051",
  stageJail,
  [policy(undefined, [{}], [], "ssf-triggers")],
  [policy(undefined, [{}])],
  [policy(undefined, "unknown-until-made", [["spec", "egress"]])],
]);

const claims = (volumeClaimTemplates: unknown, unknown: Path[] = []) =>
  object("StatefulSet", { spec: { volumeClaimTemplates } }, { unknown }, "apps/v1");
cases.push([
  "SSF-PREVIEW-060",
  kept,
  [object("PersistentVolumeClaim", {}, { protect: true }), claims(undefined), object("ConfigMap")],
  [object("PersistentVolumeClaim")],
  [claims("unknown-until-made", [["spec", "volumeClaimTemplates"]])],
]);
cases.push([
  "SSF-PREVIEW-060",
  kept,
  [resource("random:index/randomBytes:RandomBytes", { protect: true })],
  [claims([{}])],
  [claims("unknown-until-made", [["spec"]])],
]);

describe("what only the program knows", () => {
  test.each(cases)("%s passes what is right", (_, rule, passes) => {
    expect(said(rule, ...passes)).toEqual([[], []]);
  });

  test.each(cases)("%s refuses what is wrong, and says where, what, why and how", (code, rule, __, fails) => {
    expect(said(rule, ...fails)).toEqual([[code], []]);
    const [finding] = rule.judge([owner, ...fails], settings).violations;
    expect(fails.map(({ urn }) => urn)).toContain(finding?.urn);
    for (const text of Object.values(finding?.problem ?? {})) expect(text).not.toBe("");
  });

  test.each(cases)("%s does not pass what nobody can know", (code, rule, __, ___, unknown) => {
    const [refused, unchecked] = said(rule, ...unknown);
    expect(refused).toEqual([]);
    expect(unchecked).toContain(code);
  });
});

test("a seed without protection is refused where the stack is to last, and nowhere else", () => {
  const seed = resource("random:index/randomBytes:RandomBytes");
  expect(said(kept, seed)).toEqual([["SSF-PREVIEW-060"], []]);
  expect(kept.judge([seed], { ...settings, protectData: false }).violations).toEqual([]);
});

test("a namespace that nobody knows yet does not excuse a policy that opens a jail", () => {
  const opened = policy(undefined, [{}], [["metadata", "namespace"]], "unknown-until-made");
  expect(said(stageJail, opened)).toEqual([["SSF-PREVIEW-051"], []]);
});

test("where network policies alone are the jail, no runtime class is asked for", () => {
  const judged = stageJail.judge([run(stageRun("networked"))], { ...settings, runtimeClasses: null });
  expect(judged.violations).toEqual([]);
});

test("no refusal shows a secret", () => {
  const shown = JSON.stringify(
    secrets.judge([password, settingsMap("correct horse"), settingsMap(key), secret({})], settings),
  );
  expect(shown).not.toMatch(/correct horse|MHc=/);
});

test("what could not be checked is said once for each value that is not known", () => {
  const one = { urn: "u", path: "spec", by: "the gate" } as const;
  const findings = describeUnchecked([
    { ...one, what: "A" },
    { ...one, what: "B" },
    { ...one, path: "metadata", what: "A", by: "pulumi up" },
  ]);
  expect(findings.map(({ problem }) => `${problem.path}: ${problem.rule}`)).toEqual([
    "spec: A, B: not checked here, the gate will.",
    "metadata: A: not checked here, pulumi up will.",
  ]);
});

import { GATE_LABEL, TEAM_LABEL } from "../../../components/lib/labels";
import { SYSTEM_NAMESPACE } from "../../../policies/admission";
import { factoryImages } from "../../../stacks/factory-images";
import { readToolchain } from "../../../stacks/toolchain";
import { bareSpace, factorySpace, otherSpace, teamSpace } from "../../admission/support/world";

/** An object of a cluster. */
export interface TestObject {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: object; annotations?: object };
  [field: string]: unknown;
}

/** One rule of the gate that a stack can break: what breaks it, the nearest thing that does not, and what it must know. */
export interface Fixture {
  code: string;
  /** What is tried. */
  attempt: string;
  bad: TestObject;
  good: TestObject;
  /** What else it breaks. */
  also?: readonly string[];
  /** Where the rule looks; when this is unknown at preview, so is its verdict. */
  looksAt: string;
}

/** A namespace behind the gate. */
export const gatedSpace = "gated";

/** Images that the lock file lists. */
export const lockedImages = factoryImages(readToolchain());
const [identityUser = { namespace: "", serviceAccount: "", images: [] }] = lockedImages.identityUsers;

/** The namespaces of the fixtures, with the labels by which rules find them. */
export const namespaces: TestObject[] = Object.entries({
  [teamSpace]: { [TEAM_LABEL]: "a" },
  [bareSpace]: { [TEAM_LABEL]: "bare" },
  [otherSpace]: {},
  [factorySpace]: {},
  [identityUser.namespace]: {},
  [SYSTEM_NAMESPACE]: {},
  [gatedSpace]: { [GATE_LABEL]: "" },
}).map(([name, labels]) => ({ apiVersion: "v1", kind: "Namespace", metadata: { name, labels } }));

const image = lockedImages.stages[0] ?? "";
const strange = `registry.test/app@sha256:${"3".repeat(64)}`;

const container = (more: object = {}) => ({
  name: "main",
  image,
  resources: { limits: { memory: "64Mi" } },
  securityContext: {
    allowPrivilegeEscalation: false,
    capabilities: { drop: ["ALL"] },
    readOnlyRootFilesystem: true,
  },
  ...more,
});

const podSpec = (more: object = {}) => ({
  serviceAccountName: "default",
  runtimeClassName: "jailed",
  automountServiceAccountToken: false,
  restartPolicy: "Never",
  securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: "RuntimeDefault" } },
  containers: [container()],
  ...more,
});

const pod = (namespace: string, spec: object = {}, metadata: object = {}): TestObject => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "sample", namespace, ...metadata },
  spec: podSpec(spec),
});

const inTeam = (
  code: string,
  attempt: string,
  looksAt: string,
  bad: object,
  good: object = {},
  metadata: object = {},
): Fixture => ({
  code: `SSF-ADMISSION-${code}`,
  attempt,
  looksAt,
  bad: pod(teamSpace, bad, metadata),
  good: pod(teamSpace, good),
});

/** A pod with the account of a component that uses its identity. */
const asIdentityUser = (more: object): TestObject =>
  pod(identityUser.namespace, {
    serviceAccountName: identityUser.serviceAccount,
    containers: [container({ image: identityUser.images[0], ...more })],
  });

const volume = (source: object) => ({ volumes: [{ name: "files", ...source }] });

const podFixtures: Fixture[] = [
  inTeam("001", "a pod without a runtime class", "spec.runtimeClassName", { runtimeClassName: undefined }),
  inTeam("001", "a pod with a network", "spec.runtimeClassName", { runtimeClassName: "networked" }),
  inTeam("002", "a pod with the account of a stage that publishes", "spec.serviceAccountName", {
    serviceAccountName: "publish",
  }),
  {
    ...inTeam("003", "a runtime class that is not the factory's", "spec.runtimeClassName", {
      runtimeClassName: "foreign",
    }),
    also: ["SSF-ADMISSION-001"],
  },
  inTeam("004", "a name server of its own", "spec.dnsConfig.nameservers", {
    dnsConfig: { nameservers: ["192.0.2.1"] },
  }),
  inTeam("005", "a scheduler of its own", "spec.schedulerName", { schedulerName: "mine" }),
  inTeam("006", "variables from an object", "spec.containers.0.envFrom", {
    containers: [container({ envFrom: [{ configMapRef: { name: "settings" } }] })],
  }),
  inTeam("007", "an image that is not of the factory", "spec.containers.0.image", {
    containers: [container({ image: strange })],
  }),
  inTeam("008", "a token of the API server", "spec.automountServiceAccountToken", {
    automountServiceAccountToken: true,
  }),
  inTeam(
    "009",
    "a token in a projected volume",
    "spec.volumes.0.projected.sources",
    volume({ projected: { sources: [{ serviceAccountToken: { path: "token" } }] } }),
    volume({ emptyDir: {} }),
  ),
  inTeam(
    "010",
    "the workspace of a run",
    "spec.volumes.0.persistentVolumeClaim.claimName",
    volume({ persistentVolumeClaim: { claimName: "pvc-0123456789" } }),
    volume({ persistentVolumeClaim: { claimName: "own-files" } }),
  ),
  inTeam("011", "sight of other containers' processes", "spec.shareProcessNamespace", {
    shareProcessNamespace: true,
  }),
  inTeam(
    "020",
    "a pod that says it is a stage",
    "metadata.labels",
    {},
    {},
    {
      labels: { "tekton.dev/pipelineTask": "publish" },
    },
  ),
  inTeam(
    "021",
    "a mark of Chains",
    "metadata.annotations",
    {},
    {},
    {
      annotations: { "chains.tekton.dev/signed": "true" },
    },
  ),
  {
    code: "SSF-ADMISSION-023",
    attempt: "a program of its own beside the factory's",
    looksAt: "spec.containers.0.image",
    bad: pod(factorySpace, { containers: [container({ image: strange })] }),
    good: pod(factorySpace),
  },
  {
    code: "SSF-ADMISSION-024",
    attempt: "another program with the identity of a component",
    looksAt: "spec.containers.0.image",
    bad: asIdentityUser({ image }),
    good: asIdentityUser({}),
  },
  {
    code: "SSF-ADMISSION-025",
    attempt: "a component with an identity that starts something else",
    looksAt: "spec.containers.0.command",
    bad: asIdentityUser({ command: ["/usr/bin/docker-credential-spiffe", "get"] }),
    good: asIdentityUser({}),
  },
  {
    code: "SSF-ADMISSION-026",
    attempt: "a program of its own beside Kubernetes'",
    looksAt: "spec.containers.0.image",
    bad: pod(SYSTEM_NAMESPACE, { containers: [container({ image: strange })] }),
    good: pod(SYSTEM_NAMESPACE),
  },
];

const resolved = (kind: string) => ({
  resolver: "cluster",
  params: Object.entries({ kind, name: "build", namespace: bareSpace }).map(([name, value]) => ({ name, value })),
});

const run = (spec: object): TestObject => ({
  apiVersion: "tekton.dev/v1",
  kind: "PipelineRun",
  metadata: { name: "sample", namespace: bareSpace },
  spec: { pipelineRef: resolved("pipeline"), ...spec },
});

const inBare = (apiVersion: string, kind: string, spec: object = {}, metadata: object = {}): TestObject => ({
  apiVersion,
  kind,
  metadata: { name: "sample", namespace: bareSpace, ...metadata },
  spec,
});

/** The same object where no team is. */
const elsewhere = (object: TestObject): TestObject => ({
  ...object,
  metadata: { ...object.metadata, namespace: otherSpace },
});

const taskRun = inBare("tekton.dev/v1", "TaskRun", { taskRef: resolved("task") });
const stepAction = inBare("tekton.dev/v1beta1", "StepAction", { image });
const question = inBare(
  "resolution.tekton.dev/v1beta1",
  "ResolutionRequest",
  { params: [] },
  { labels: { "resolution.tekton.dev/type": "cluster" } },
);

const tektonFixtures: Fixture[] = [
  {
    code: "SSF-ADMISSION-030",
    attempt: "a pipeline within a run",
    looksAt: "spec.pipelineRef",
    bad: run({ pipelineSpec: { tasks: [] } }),
    good: run({}),
  },
  {
    code: "SSF-ADMISSION-031",
    attempt: "a pipeline by its plain name",
    looksAt: "spec.pipelineRef.resolver",
    bad: run({ pipelineRef: { name: "build" } }),
    good: run({}),
  },
  {
    code: "SSF-TRIGGER-003",
    attempt: "a run that says a push started it",
    looksAt: "spec.params.0.value",
    bad: run({ params: [{ name: "trigger", value: "push" }] }),
    good: run({ params: [{ name: "trigger", value: "manual" }] }),
  },
  {
    code: "SSF-ADMISSION-032",
    attempt: "a stage by itself",
    looksAt: "metadata.namespace",
    bad: taskRun,
    good: elsewhere(taskRun),
  },
  {
    code: "SSF-ADMISSION-051",
    attempt: "a step that nobody verifies",
    looksAt: "metadata.namespace",
    bad: stepAction,
    good: elsewhere(stepAction),
  },
  {
    code: "SSF-ADMISSION-052",
    attempt: "a question to Tekton's resolvers",
    looksAt: "metadata.namespace",
    bad: question,
    good: elsewhere(question),
  },
];

const deployment = (spec: object): TestObject => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "sample", namespace: gatedSpace },
  spec: {
    selector: { matchLabels: { app: "sample" } },
    template: { metadata: { labels: { app: "sample" } }, spec: { ...podSpec(spec), restartPolicy: "Always" } },
  },
});

const cronJob = (spec: object): TestObject => ({
  apiVersion: "batch/v1",
  kind: "CronJob",
  metadata: { name: "sample", namespace: gatedSpace },
  spec: { schedule: "@daily", jobTemplate: { spec: { template: { spec: podSpec(spec) } } } },
});

const only = (more: object) => ({ containers: [container(more)] });
const TEMPLATE = "spec.template.spec";

const gateFixtures: Fixture[] = [
  {
    code: "SSF-GATE-001",
    attempt: "an image by its tag",
    looksAt: `${TEMPLATE}.containers.0.image`,
    bad: deployment(only({ image: "app:1" })),
    good: deployment({}),
  },
  {
    code: "SSF-GATE-001",
    attempt: "an image by its tag in what runs by schedule",
    looksAt: "spec.jobTemplate.spec.template.spec.containers.0.image",
    bad: cronJob(only({ image: "app:1" })),
    good: cronJob({}),
  },
  {
    code: "SSF-GATE-007",
    attempt: "a container that changes its image's files",
    looksAt: `${TEMPLATE}.containers.0.securityContext`,
    bad: deployment(only({ securityContext: {} })),
    good: deployment({}),
  },
  {
    code: "SSF-GATE-008",
    attempt: "a container without a limit of memory",
    looksAt: `${TEMPLATE}.containers.0.resources`,
    bad: deployment(only({ resources: {} })),
    good: deployment({}),
  },
  {
    code: "SSF-GATE-009",
    attempt: "a token that nothing needs",
    looksAt: `${TEMPLATE}.automountServiceAccountToken`,
    bad: deployment({ automountServiceAccountToken: undefined }),
    good: deployment({}),
  },
];

/** Every rule of the gate that a stack can break. */
export const fixtures: Fixture[] = [...podFixtures, ...tektonFixtures, ...gateFixtures];

/** An object that lacks a field which a condition reads, and what must come of it. */
export interface AbsentFixture {
  /** Code of the condition. */
  code: string;
  /** What is not there. */
  field: string;
  object: TestObject;
  /** Codes under which it is refused. */
  codes: readonly string[];
}

const lacking = (code: string, field: string, object: TestObject, ...codes: string[]): AbsentFixture => ({
  code,
  field,
  object,
  codes,
});

/** Those that are refused for it, and those that are let through. */
export const absentFixtures: AbsentFixture[] = [
  ...["001", "003"].map((code) =>
    lacking(
      `SSF-ADMISSION-${code}`,
      "spec.runtimeClassName",
      pod(teamSpace, { runtimeClassName: undefined }),
      "SSF-ADMISSION-001",
    ),
  ),
  ...[
    ["001", "serviceAccountName"],
    ["002", "serviceAccountName"],
    ["005", "schedulerName"],
    ["008", "automountServiceAccountToken"],
    ["010", "volumes"],
    ["011", "shareProcessNamespace"],
  ].map(([code = "", field = ""]) =>
    lacking(`SSF-ADMISSION-${code}`, `spec.${field}`, pod(teamSpace, { [field]: undefined })),
  ),
  lacking(
    "SSF-ADMISSION-004",
    "spec.dnsConfig.nameservers",
    pod(teamSpace, { dnsConfig: { options: [{ name: "ndots" }] } }),
  ),
  lacking("SSF-ADMISSION-006", "spec.containers[].env", pod(teamSpace)),
  lacking("SSF-ADMISSION-007", "spec.initContainers", pod(teamSpace)),
  lacking(
    "SSF-ADMISSION-009",
    "spec.volumes[].csi.readOnly",
    pod(teamSpace, volume({ csi: { driver: "csi.spiffe.io" } })),
    "SSF-ADMISSION-009",
  ),
  lacking("SSF-ADMISSION-020", "metadata.labels", pod(teamSpace)),
  lacking("SSF-ADMISSION-021", "metadata.annotations", pod(teamSpace)),
  lacking("SSF-ADMISSION-023", "spec.initContainers", pod(factorySpace)),
  ...["024", "025"].map((code) => lacking(`SSF-ADMISSION-${code}`, "spec.initContainers", asIdentityUser({}))),
  lacking("SSF-ADMISSION-026", "spec.initContainers", pod(SYSTEM_NAMESPACE)),
  lacking("SSF-ADMISSION-031", "spec.pipelineRef.resolver", run({ pipelineRef: {} }), "SSF-ADMISSION-031"),
  lacking("SSF-TRIGGER-003", "spec.params", run({})),
  lacking(
    "SSF-GATE-007",
    "containers[].securityContext",
    deployment(only({ securityContext: undefined })),
    "SSF-GATE-007",
  ),
  lacking("SSF-GATE-008", "containers[].resources", deployment(only({ resources: undefined })), "SSF-GATE-008"),
  lacking(
    "SSF-GATE-009",
    "automountServiceAccountToken",
    deployment({ automountServiceAccountToken: undefined }),
    "SSF-GATE-009",
  ),
  lacking(
    "SSF-ADMISSION-030",
    "spec.pipelineRef",
    run({ pipelineRef: undefined }),
    "SSF-ADMISSION-030",
    "SSF-ADMISSION-031",
  ),
];

/** Conditions that read nothing of an object that may be absent, with why. */
export const NOTHING_ABSENT: Readonly<Record<string, string>> = {
  "SSF-ADMISSION-032": "asks who makes the object",
  "SSF-ADMISSION-051": "refuses all",
  "SSF-ADMISSION-052": "asks who makes the object",
  "SSF-GATE-001": "the API server itself refuses a container without an image",
};

/** What a stack may do, since its user brings the stacks up; nobody else may. */
export const allowedToStacks: TestObject[] = [
  inBare("tekton.dev/v1", "Task", { steps: [{ name: "one", image }] }),
  inBare("networking.k8s.io/v1", "NetworkPolicy", { podSelector: {}, policyTypes: ["Egress"] }),
  { apiVersion: "v1", kind: "Namespace", metadata: { name: "team-new", labels: { [TEAM_LABEL]: "new" } } },
];

/** One object, and the codes under which it is refused; none when it is let through. */
export interface Case {
  object: TestObject;
  codes: readonly string[];
}

/** Every fixture, its good twin and what stacks may do, each by a name of its own. */
export const cases: ReadonlyMap<string, Case> = new Map([
  ...fixtures.flatMap(({ code, attempt, also = [], bad, good }): [string, Case][] => [
    [`${code} ${attempt}`, { object: bad, codes: [...also, code] }],
    [`good twin of ${code} ${attempt}`, { object: good, codes: [] }],
  ]),
  ...allowedToStacks.map((object): [string, Case] => [`${object.kind} of the stack`, { object, codes: [] }]),
]);

/** Conditions that no preview can break, with why. */
export const UNBREAKABLE: Readonly<Record<string, string>> = {
  "SSF-ADMISSION-022": "asks only what the healer does",
  "SSF-ADMISSION-033": "asks what Tekton's controller makes; of anybody else SSF-ADMISSION-032 says it",
  "SSF-ADMISSION-034": "asks about changes",
  "SSF-ADMISSION-050": "lets who brings up the stacks do it",
  "SSF-ADMISSION-053": "lets who brings up the stacks do it",
  "SSF-ADMISSION-060": "lets who brings up the stacks do it",
  "SSF-ADMISSION-061": "lets who brings up the stacks do it",
  "SSF-ADMISSION-062": "lets who brings up the stacks do it",
  "SSF-TRIGGER-002": "asks only what a trigger does",
};

import { TRIGGER_LABEL } from "../../../components/lib/labels";
import { pipelineRun, type PipelineRun } from "../../../pipelines";
import { as, bareSpace, pipeline, teamSpace } from "../support/world";
import { type Case, create, inNamespace, patch, type Request } from "./case";

const runs = inNamespace("tekton.dev/v1", teamSpace, "pipelineruns");
const taskRuns = inNamespace("tekton.dev/v1", teamSpace, "taskruns");
const customRuns = inNamespace("tekton.dev/v1beta1", teamSpace, "customruns");

const params = {
  repository: "https://forge.test/a/b.git",
  commit: "0".repeat(40),
  directory: "cmd",
  package: "./cmd/b",
  name: "b",
};

/** The run that a member of the team may start. */
export const goodRun: PipelineRun = pipelineRun(pipeline.runTemplate, params);

/** The run as Tekton 1.15's own code hands it on: with a default, and with empty parts where Go writes them. */
const afterDefaults: object = {
  ...goodRun,
  status: {},
  spec: {
    ...goodRun.spec,
    taskRunTemplate: { ...goodRun.spec.taskRunTemplate, serviceAccountName: "unassigned" },
    workspaces: goodRun.spec.workspaces.map(({ name, volumeClaimTemplate }) => ({
      name,
      volumeClaimTemplate: { metadata: {}, ...volumeClaimTemplate, status: {} },
    })),
  },
};

const start = (run: object, by: Request["as"] = as.member): Request => create(runs, run, by);
const withSpec = (spec: object) => ({ ...goodRun, spec: { ...goodRun.spec, ...spec } });
const withMetadata = (metadata: object) => ({ ...goodRun, metadata: { ...goodRun.metadata, ...metadata } });
const withParams = (change: (params: { name: string; value: unknown }[]) => unknown[]) =>
  withSpec({ params: change(goodRun.spec.params ?? []) });
const setParam = (name: string, value: unknown) =>
  withParams((all) => all.map((param) => (param.name === name ? { name, value } : param)));

/** A run as the event listener makes it, with what it says about itself. */
const triggered = (trigger: string, labels: object = {}) => ({
  ...setParam("trigger", trigger),
  metadata: {
    ...goodRun.metadata,
    labels: { ...goodRun.metadata.labels, [TRIGGER_LABEL]: trigger, ...labels },
  },
});
const pushed = triggered("push", {
  "triggers.tekton.dev/eventlistener": "push",
  "triggers.tekton.dev/trigger": "push",
  "triggers.tekton.dev/triggers-eventid": "1",
});

const reference = (resolver: string, values: Record<string, string>) => ({
  resolver,
  params: Object.entries(values).map(([name, value]) => ({ name, value })),
});
const ownPipeline = { kind: "pipeline", name: pipeline.name, namespace: teamSpace };
const ownTask = { kind: "task", name: "go-build", namespace: teamSpace };

type Spec = PipelineRun["spec"];
type TaskRunSpec = Spec["taskRunSpecs"][number];

/** The run with one stage's settings changed. */
const withStage = (stage: string, change: (settings: TaskRunSpec) => object) =>
  withSpec({
    taskRunSpecs: goodRun.spec.taskRunSpecs.map((settings) =>
      settings.pipelineTaskName === stage ? { ...settings, ...change(settings) } : settings,
    ),
  });
const withPod = (stage: string, more: object) =>
  withStage(stage, ({ podTemplate }) => ({ podTemplate: { ...podTemplate, ...more } }));
const withWorkspace = (workspace: object) =>
  withSpec({
    workspaces: goodRun.spec.workspaces.map((binding) =>
      binding.name === "output" ? { ...binding, ...workspace } : binding,
    ),
  });

const barePipeline = { ...ownPipeline, namespace: bareSpace };
/** References that are refused also where a team has no rule of its own. */
const refusedReferences: [attempt: string, code: string, spec: object][] = [
  ["a pipeline within the run", "030", { pipelineRef: undefined, pipelineSpec: { tasks: [] } }],
  ["no pipeline", "030", { pipelineRef: undefined }],
  ["a pipeline by plain name", "031", { pipelineRef: { name: pipeline.name } }],
  ...["git", "http", "hub", "bundles"].map((resolver): [string, string, object] => [
    `a pipeline by resolver ${resolver}`,
    "031",
    { pipelineRef: reference(resolver, barePipeline) },
  ]),
  [
    "a pipeline of another namespace",
    "031",
    { pipelineRef: reference("cluster", { ...barePipeline, namespace: teamSpace }) },
  ],
  ["a task as if it were a pipeline", "031", { pipelineRef: reference("cluster", ownTask) }],
  [
    "two names for the pipeline",
    "031",
    {
      pipelineRef: {
        resolver: "cluster",
        params: [...reference("cluster", barePipeline).params, { name: "name", value: "other" }],
      },
    },
  ],
];

/** A run where the team has no rule of its own. */
export const inBareSpace = (
  spec: object,
  run: { metadata: object; spec: object } = goodRun,
  by: Request["as"] = as.operator,
): Request =>
  create(
    inNamespace("tekton.dev/v1", bareSpace, "pipelineruns"),
    {
      ...run,
      metadata: { ...run.metadata, namespace: bareSpace },
      spec: { ...run.spec, pipelineRef: reference("cluster", barePipeline), ...spec },
    },
    by,
  );

const refusedRuns: [attempt: string, code: string, run: object][] = [
  [
    "a pipeline that is not the team's",
    "070",
    withSpec({ pipelineRef: reference("cluster", { ...ownPipeline, name: "other" }) }),
  ],
  ["a controller of its own", "071", withSpec({ managedBy: "me.test/controller" })],
  [
    "another account for all stages",
    "072",
    withSpec({ taskRunTemplate: { ...goodRun.spec.taskRunTemplate, serviceAccountName: "publish" } }),
  ],
  [
    "a variable for all stages",
    "072",
    withSpec({
      taskRunTemplate: {
        podTemplate: { ...goodRun.spec.taskRunTemplate.podTemplate, env: [{ name: "A", value: "b" }] },
      },
    }),
  ],
  [
    "a network for all stages",
    "072",
    withSpec({
      taskRunTemplate: {
        podTemplate: { ...goodRun.spec.taskRunTemplate.podTemplate, runtimeClassName: "networked" },
      },
    }),
  ],
  ["no settings of the pods", "072", withSpec({ taskRunTemplate: undefined })],
  ["no settings of the stages", "073", withSpec({ taskRunSpecs: undefined })],
  ["one stage less", "073", withSpec({ taskRunSpecs: goodRun.spec.taskRunSpecs.slice(1) })],
  ["another account for a stage", "073", withStage("build", () => ({ serviceAccountName: "publish" }))],
  [
    "the account of Chains for a stage",
    "073",
    withStage("build", () => ({ serviceAccountName: "tekton-chains-controller" })),
  ],
  ["a network for a jailed stage", "073", withPod("build", { runtimeClassName: "networked" })],
  ["the network of the node", "073", withPod("build", { hostNetwork: true })],
  ["a root user", "073", withPod("build", { securityContext: { runAsUser: 0 } })],
  ["an unconfined profile", "073", withPod("build", { securityContext: { seccompProfile: { type: "Unconfined" } } })],
  ["a volume of the node", "073", withPod("build", { volumes: [{ name: "node", hostPath: { path: "/" } }] })],
  ["a variable for a stage", "073", withPod("build", { env: [{ name: "TEKTON_RESOURCE_NAME", value: "x" }] })],
  ["a name server for a stage", "073", withPod("build", { dnsConfig: { nameservers: ["192.0.2.1"] } })],
  ["addresses in /etc/hosts", "073", withPod("build", { hostAliases: [{ ip: "192.0.2.1", hostnames: ["a.test"] }] })],
  ["a scheduler of its own", "073", withPod("build", { schedulerName: "mine" })],
  ["a node of its own", "073", withPod("build", { nodeSelector: { "kubernetes.io/hostname": "mine" } })],
  ["a toleration", "073", withPod("build", { tolerations: [{ operator: "Exists" }] })],
  ["an affinity", "073", withPod("build", { affinity: { nodeAffinity: {} } })],
  ["a token of the API server", "073", withPod("build", { automountServiceAccountToken: true })],
  ["a Secret to pull with", "073", withPod("build", { imagePullSecrets: [{ name: "registry-reader" }] })],
  ["a setting of a step", "073", withStage("build", () => ({ stepSpecs: [{ name: "build", computeResources: {} }] }))],
  [
    "a setting of a sidecar",
    "073",
    withStage("build", () => ({ sidecarSpecs: [{ name: "build", computeResources: {} }] })),
  ],
  [
    "an annotation for one stage",
    "073",
    withStage("build", () => ({
      metadata: { annotations: { "experimental.tekton.dev/execution-mode": "none" } },
    })),
  ],
  [
    "a claim that exists",
    "074",
    withWorkspace({ volumeClaimTemplate: undefined, persistentVolumeClaim: { claimName: "pvc-0123456789" } }),
  ],
  ["a directory of a claim", "074", withWorkspace({ subPath: "../.." })],
  [
    "a Secret as workspace",
    "074",
    withWorkspace({ volumeClaimTemplate: undefined, secret: { secretName: "registry-reader" } }),
  ],
  [
    "a ConfigMap as workspace",
    "074",
    withWorkspace({ volumeClaimTemplate: undefined, configMap: { name: "ca-bundle" } }),
  ],
  ["an empty directory as workspace", "074", withWorkspace({ volumeClaimTemplate: undefined, emptyDir: {} })],
  [
    "a claim that a name is given to",
    "074",
    withWorkspace({
      volumeClaimTemplate: {
        metadata: { name: "shared" },
        spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
      },
    }),
  ],
  [
    "a claim from another's volume",
    "074",
    withWorkspace({
      volumeClaimTemplate: {
        spec: {
          accessModes: ["ReadWriteOnce"],
          resources: { requests: { storage: "1Gi" } },
          dataSource: { kind: "PersistentVolumeClaim", name: "pvc-0123456789" },
        },
      },
    }),
  ],
  [
    "a workspace that is shared",
    "074",
    withSpec({ workspaces: goodRun.spec.workspaces.map(({ name }) => ({ ...goodRun.spec.workspaces[0], name })) }),
  ],
  ["one workspace less", "074", withSpec({ workspaces: goodRun.spec.workspaces.slice(1) })],
  ["more time", "075", withSpec({ timeouts: { pipeline: "24h0m0s" } })],
  ["no end", "075", withSpec({ timeouts: { pipeline: "0s" } })],
  ["a run that waits", "076", withSpec({ status: "PipelineRunPending" })],
  ["a label of its own", "078", withMetadata({ labels: { ...goodRun.metadata.labels, "k8s-app": "kube-dns" } })],
  [
    "the label of another team",
    "078",
    withMetadata({ labels: { ...goodRun.metadata.labels, "secure-software-factory.dev/team": "b" } }),
  ],
  [
    "an annotation that the network obeys",
    "079",
    withMetadata({ annotations: { "k8s.v1.cni.cncf.io/networks": "default/free" } }),
  ],
  ["a parameter that there is not", "080", withParams((all) => [...all, { name: "image", value: "evil.test/x" }])],
  ["a parameter twice", "080", withParams((all) => [...all, { name: "commit", value: "1".repeat(40) }])],
  ["a missing parameter", "081", withParams((all) => all.filter(({ name }) => name !== "commit"))],
  ["shell text as a parameter", "081", setParam("directory", "$(id)")],
  ["a path out of the source", "081", setParam("directory", "../other")],
  ["a second line in a parameter", "081", setParam("commit", `${"0".repeat(40)}\nnext`)],
  ["a line end behind a parameter", "081", setParam("commit", `${"0".repeat(40)}\n`)],
  ["a branch for a commit", "081", setParam("commit", "main")],
  ["an option for a repository", "081", setParam("repository", "--upload-pack=/bin/sh")],
  ["a login in the repository", "081", setParam("repository", "https://me:secret@forge.test/a/b.git")],
  ["an image for an image's name", "081", setParam("name", "evil.test/x@sha256:00")],
  ["a list for a parameter", "081", setParam("name", ["a", "b"])],
  ["an object for a parameter", "081", setParam("name", { a: "b" })],
  ["an empty parameter", "081", setParam("name", "")],
];

const child = (spec: object, more: object = {}) => ({
  apiVersion: "tekton.dev/v1",
  kind: "TaskRun",
  metadata: { name: "child-2", namespace: teamSpace, ...more },
  spec: { serviceAccountName: "build", taskRef: reference("cluster", ownTask), ...spec },
});
/** The run of a stage, as Tekton's controller makes it. */
export const goodChild = child({}, { name: "child", labels: { "tekton.dev/pipelineRun": "run" } });
const customRun = {
  apiVersion: "tekton.dev/v1beta1",
  kind: "CustomRun",
  metadata: { name: "custom", namespace: teamSpace },
  spec: { customRef: { apiVersion: "example.test/v1", kind: "Loop", name: "x" } },
};

/** Runs of a team; `run` is one that a member has started, `task` the one of its first stage. */
export const runCases = (run: string, task: string): Case[] => {
  const good = start(goodRun);
  const spec = (value: object) => patch(`${runs}/${run}`, { spec: value }, as.operator);
  return [
    ...refusedReferences.map(([attempt, code, spec]): Case => ({
      attempt,
      code,
      bad: inBareSpace(spec),
      good: inBareSpace({}),
    })),
    ...refusedRuns.map(([attempt, code, bad]): Case => ({ attempt, code, bad: start(bad), good })),
    {
      attempt: "the same by who brings up the stacks: no exemption",
      code: "073",
      bad: start(withPod("build", { runtimeClassName: "networked" }), as.stack),
      good: start(goodRun, as.stack),
    },
    {
      attempt: "a claim with a status, beside a run as Tekton's webhook hands it on",
      code: "074",
      bad: start(
        withWorkspace({
          volumeClaimTemplate: { ...goodRun.spec.workspaces[2]?.volumeClaimTemplate, status: { phase: "Bound" } },
        }),
      ),
      good: start(afterDefaults),
    },
    {
      attempt: "a default that does not match, beside one that is left out",
      code: "081",
      bad: start(setParam("directory", "/")),
      good: start(withParams((all) => all.filter(({ name }) => name !== "directory"))),
    },
    {
      attempt: "a label of Triggers that it does not use, beside those that it does",
      code: "078",
      bad: start(triggered("push", { "triggers.tekton.dev/other": "x" }), as.trigger),
      good: start(pushed, as.trigger),
    },
    {
      attempt: "a label of Triggers, by a person",
      code: "078",
      bad: start(withMetadata({ labels: { ...goodRun.metadata.labels, "triggers.tekton.dev/trigger": "push" } })),
      good: start(pushed, as.trigger),
    },
    {
      attempt: "a trigger that there is not",
      code: "078",
      bad: start(triggered("push", { [TRIGGER_LABEL]: "pull" }), as.trigger),
      good: start(triggered("schedule"), as.trigger),
    },
    {
      attempt: "an event's run that says a person started it",
      code: "TRIGGER-002",
      bad: start(setParam("trigger", "manual"), as.trigger),
      good: start(setParam("trigger", "schedule"), as.trigger),
    },
    {
      attempt: "an event's run that does not say what started it",
      code: "TRIGGER-002",
      bad: start(
        withParams((all) => all.filter(({ name }) => name !== "trigger")),
        as.trigger,
      ),
      good: start(pushed, as.trigger),
    },
    ...[as.member, as.stack].flatMap((person) =>
      [
        ["trigger", "push", "manual"],
        ["trigger", "schedule", "manual"],
        ["event", "0".repeat(24), "none"],
      ].map(([name = "", claimed, own]): Case => ({
        attempt: `${name} ${claimed ?? ""} by ${person.user}`,
        code: "TRIGGER-003",
        bad: start(setParam(name, claimed), person),
        good: start(setParam(name, own), person),
      })),
    ),
    {
      attempt: "a label that says a push started the run, by a person",
      code: "TRIGGER-003",
      bad: inBareSpace({}, withMetadata({ labels: { [TRIGGER_LABEL]: "push" } })),
      good: inBareSpace({}, withMetadata({ labels: { [TRIGGER_LABEL]: "manual" } })),
    },
    {
      attempt: "a push that the trigger of another team claims",
      code: "TRIGGER-003",
      bad: inBareSpace({}, pushed, as.trigger),
      good: inBareSpace({}, pushed, as.bareTrigger),
    },
    {
      attempt: "a pause of a run that exists, beside its cancellation",
      code: "076",
      bad: spec({ status: "PipelineRunPending" }),
      good: spec({ status: "CancelledRunFinally" }),
    },
    {
      attempt: "other parameters of a run that exists",
      code: "077",
      bad: spec({ params: [{ name: "commit", value: "1".repeat(40) }] }),
      good: spec({ status: "Cancelled" }),
    },
    {
      attempt: "a new field in a run that exists",
      code: "077",
      bad: spec({ managedBy: "me.test/controller" }),
      good: spec({ status: "StoppedRunFinally" }),
    },
    {
      attempt: "a new annotation on a run that exists",
      code: "079",
      bad: patch(`${runs}/${run}`, { metadata: { annotations: { colour: "green" } } }, as.operator),
      good: patch(`${runs}/${run}`, { metadata: { finalizers: ["example.test/x"] } }, as.garbageCollector),
    },
    {
      attempt: "a stage that runs by itself",
      code: "032",
      bad: create(taskRuns, child({}), as.stack),
      good: create(taskRuns, child({}), as.tekton),
    },
    {
      attempt: "a custom run that Tekton has not made",
      code: "032",
      bad: create(customRuns, customRun, as.operator),
      good: create(customRuns, customRun, as.tekton),
    },
    ...(
      [
        ["by plain name", { taskRef: { name: "go-build" } }],
        ["by resolver git", { taskRef: reference("git", ownTask) }],
        ["of another namespace", { taskRef: reference("cluster", { ...ownTask, namespace: "elsewhere" }) }],
        ["within the run", { taskRef: undefined, taskSpec: { steps: [] } }],
      ] as const
    ).map(([how, bad]): Case => ({
      attempt: `a task ${how}`,
      code: "033",
      bad: create(taskRuns, child(bad), as.tekton),
      good: create(taskRuns, child({}), as.tekton),
    })),
    {
      attempt: "another account in the run of a stage",
      code: "034",
      bad: patch(`${taskRuns}/${task}`, { spec: { serviceAccountName: "publish" } }, as.operator),
      good: patch(`${taskRuns}/${task}`, { metadata: { finalizers: ["example.test/x"] } }, as.garbageCollector),
    },
    ...[`${runs}/${run}`, `${taskRuns}/${task}`].map((path): Case => {
      const results = { status: { podName: "x", results: [{ name: "IMAGE_DIGEST", value: "sha256:evil" }] } };
      return {
        attempt: `results that no stage has left: ${path.split("/").at(-2) ?? ""}`,
        code: "035",
        bad: patch(`${path}/status`, results, as.operator),
        good: patch(`${path}/status`, results, as.tekton),
      };
    }),
  ];
};

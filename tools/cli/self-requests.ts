import { GATE_NAMESPACE } from "../../components/gate";
import { STAGE_LABEL } from "../../components/lib/labels";
import type { Workload } from "../../components/lib/workload-api";
import type { PipelineRun } from "../../pipelines";
import { FACTORY_NAMESPACES, type FactoryImages, SYSTEM_NAMESPACE, users } from "../../policies/admission";
import { type Addressed, type ApiServer, messageOf } from "./api-server";
import type { Check } from "./provenance";
import { selfCheck } from "./self-checks";

/** One request of the API server, which stores nothing. */
export interface Request {
  method: "POST" | "PATCH";
  /** The object that it makes or changes. */
  about: Addressed;
  /** Part of the object, such as `status`. @default the object itself */
  subresource?: string;
  /** @default `dryRun=All` */
  query?: string;
  body: object;
  /** User in whose name it is sent. @default the administrator */
  as?: string;
  /** An error that says that the request got past every rule. @default none */
  reached?: RegExp;
}

/** A request that a rule must refuse, and the nearest one that it must admit. */
export interface Question {
  rule: string;
  bad: Request;
  good: Request;
  /** Another rule that refuses everything that this one refuses, so that this one cannot be seen to. @default none */
  behind?: string;
}

/** What requests are made of. What a factory has only after its first build may be missing. */
export interface RequestWorld {
  /** Namespace of a team, and one that belongs to none. */
  namespace: string;
  elsewhere: string;
  /** RuntimeClasses of the cluster; null where it has none. */
  runtimeClasses: { jailed: string; networked: string } | null;
  /** Images that may run. */
  images: FactoryImages;
  /** A run that a member may start. */
  goodRun: PipelineRun;
  /** Names of objects in the team's namespace. */
  task?: string;
  networkPolicy?: string;
  run?: string;
  pod?: string;
  /** An image that the team built, by digest. */
  built?: string;
}

const absent = "ssf-self-absent";
const strange = `ssf.local/self@sha256:${"1".repeat(64)}`;

const digestOfNothing = `@sha256:${"0".repeat(64)}`;

const create = (object: Addressed, as?: string): Request => ({ method: "POST", about: object, body: object, as });

const patch = (about: Addressed, body: object, as?: string): Request => ({ method: "PATCH", about, body, as });

const patchStatus = (about: Addressed, body: object, as?: string): Request => ({
  ...patch(about, body, as),
  subresource: "status",
});

const named = (apiVersion: string, kind: string, name: string, namespace?: string): Addressed => ({
  apiVersion,
  kind,
  metadata: { name, namespace },
});

const coloured = (field: "labels" | "annotations") => ({ metadata: { [field]: { colour: "green" } } });

const resolverOf = (namespace: string, kind: string, name: string) => ({
  resolver: "cluster",
  params: Object.entries({ kind, name, namespace }).map(([key, value]) => ({ name: key, value })),
});

/** The questions that can be asked in a world, at most one for each rule. */
export const questions = (world: RequestWorld): Question[] => {
  const { namespace, elsewhere, runtimeClasses, images, goodRun, task, networkPolicy, run, pod, built } = world;
  const [image = ""] = images.stages;
  const teamRule = `ssf-runs-${namespace}`;
  const podOf = (spec: object = {}, labels: object = {}, runs = image) => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: absent, namespace, labels },
    spec: {
      runtimeClassName: runtimeClasses?.jailed,
      restartPolicy: "Never",
      securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: "RuntimeDefault" } },
      containers: [
        {
          name: "main",
          image: runs,
          resources: { requests: { cpu: "1m", memory: "1Mi" }, limits: { cpu: "1m", memory: "1Mi" } },
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
        },
      ],
      ...spec,
    },
  });
  const goodPod = create(podOf());
  const componentOf = (where: string, runs: string) => {
    const { metadata, spec, ...kind } = podOf({ runtimeClassName: undefined }, {}, runs);
    return { ...kind, metadata: { ...metadata, namespace: where }, spec };
  };
  const [identityUser] = images.identityUsers;
  const signedInAs = ({ namespace: where, serviceAccount: serviceAccountName }: Workload, runs: string) => {
    const { metadata, ...pod } = podOf({ runtimeClassName: undefined, serviceAccountName }, {}, runs);
    return { ...pod, metadata: { ...metadata, namespace: where } };
  };
  const gated = (runs: string, securityContext: object = { readOnlyRootFilesystem: true }) => {
    const { metadata, spec, ...kind } = podOf({ runtimeClassName: undefined, automountServiceAccountToken: false });
    const containers = spec.containers.map((container) => ({
      ...container,
      image: runs,
      securityContext: { ...container.securityContext, ...securityContext },
    }));
    const behindGate = { ...kind, metadata: { ...metadata, namespace: GATE_NAMESPACE }, spec: { ...spec, containers } };
    return create(behindGate);
  };
  const runOf = (spec: object, metadata: object = {}) => ({
    ...goodRun,
    metadata: { ...goodRun.metadata, ...metadata },
    spec: { ...goodRun.spec, ...spec },
  });
  const taskRun = {
    apiVersion: "tekton.dev/v1",
    kind: "TaskRun",
    metadata: { name: absent, namespace },
    spec: { taskRef: resolverOf(namespace, "task", task ?? absent) },
  };
  const stepAction = (where: string) => ({
    apiVersion: "tekton.dev/v1beta1",
    kind: "StepAction",
    metadata: { name: absent, namespace: where },
    spec: { image, script: "true" },
  });
  const resolutionRequest = {
    apiVersion: "resolution.tekton.dev/v1beta1",
    kind: "ResolutionRequest",
    metadata: { name: absent, namespace, labels: { "resolution.tekton.dev/type": "cluster" } },
    spec: { params: [] },
  };
  const isAbsent = new RegExp(`pods "${absent}" not found`);
  const exec = (where: string): Request => ({
    method: "POST",
    about: named("v1", "Pod", absent, where),
    subresource: "exec",
    query: "command=true",
    body: {},
    reached: isAbsent,
  });
  // Bound to a pod that is not there, so that no token is ever made.
  const token = (where: string): Request => ({
    method: "POST",
    about: named("v1", "ServiceAccount", "default", where),
    subresource: "token",
    body: {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenRequest",
      spec: { audiences: [absent], boundObjectRef: { apiVersion: "v1", kind: "Pod", name: absent } },
    },
    reached: isAbsent,
  });
  return [
    ...(runtimeClasses === null
      ? []
      : [
          {
            rule: "ssf-network-jail",
            bad: create(podOf({ runtimeClassName: runtimeClasses.networked })),
            good: goodPod,
          },
          {
            rule: "ssf-runtime-classes",
            ...changedByStranger(named("node.k8s.io/v1", "RuntimeClass", runtimeClasses.jailed), "labels"),
          },
        ]),
    {
      rule: "ssf-pod-form",
      bad: create(podOf({ hostAliases: [{ ip: "192.0.2.1", hostnames: ["a.test"] }] })),
      good: goodPod,
    },
    ...(
      [
        ["ssf-factory-images", FACTORY_NAMESPACES[0]],
        ["ssf-system-images", SYSTEM_NAMESPACE],
      ] as const
    ).map(([rule, where]) => ({
      rule,
      bad: create(componentOf(where, strange)),
      good: create(componentOf(where, images.components[0] ?? "")),
    })),
    ...(identityUser === undefined
      ? []
      : [
          {
            rule: "ssf-identity-users",
            bad: create(signedInAs(identityUser, image)),
            good: create(signedInAs(identityUser, identityUser.images[0] ?? "")),
          },
        ]),
    {
      rule: "ssf-registrations",
      ...changedByStranger(named("spire.spiffe.io/v1alpha1", "ClusterStaticEntry", "nodes"), "labels"),
    },
    { rule: "ssf-pod-access", bad: exec(namespace), good: exec(elsewhere) },
    { rule: "ssf-account-tokens", bad: token(namespace), good: token(elsewhere) },
    { rule: "ssf-reserved-metadata", bad: create(podOf({}, { [STAGE_LABEL]: "build" })), good: goodPod },
    {
      rule: "ssf-run-reference",
      bad: create(runOf({ pipelineRef: { name: "other" } })),
      good: create(goodRun),
      behind: teamRule,
    },
    {
      rule: "ssf-run-trigger",
      bad: create(runOf({ params: triggeredBy(goodRun, "push") })),
      good: create(runOf({ params: triggeredBy(goodRun, "manual") })),
    },
    { rule: teamRule, bad: create(runOf({}, { annotations: { colour: "green" } })), good: create(goodRun) },
    { rule: "ssf-child-runs", bad: create(taskRun), good: create(taskRun, users.tekton) },
    { rule: "ssf-step-actions", bad: create(stepAction(namespace)), good: create(stepAction(elsewhere)) },
    {
      rule: "ssf-resolution-requests",
      bad: create(resolutionRequest),
      good: create(resolutionRequest, users.tekton),
    },
    {
      rule: "ssf-team-namespaces",
      bad: patch(named("v1", "Namespace", namespace), coloured("labels"), users.garbageCollector),
      good: patch(named("v1", "Namespace", namespace), coloured("annotations"), users.garbageCollector),
    },
    ...(built === undefined
      ? []
      : [
          { rule: "ssf-images-by-digest", bad: gated(built.replace(/@.*/, ":latest")), good: gated(built) },
          { rule: "ssf-image-provenance", bad: gated(built.replace(/@.*/, digestOfNothing)), good: gated(built) },
          { rule: "ssf-workload-bounds", bad: gated(built, {}), good: gated(built) },
        ]),
    ...(task === undefined
      ? []
      : [
          {
            rule: "ssf-definitions",
            ...changedByStranger(named("tekton.dev/v1", "Task", task, namespace), "annotations"),
          },
        ]),
    ...(networkPolicy === undefined
      ? []
      : [
          {
            rule: "ssf-network-policies",
            ...changedByStranger(named("networking.k8s.io/v1", "NetworkPolicy", networkPolicy, namespace), "labels"),
          },
        ]),
    ...(run === undefined ? [] : questionsOfRun(named("tekton.dev/v1", "PipelineRun", run, namespace))),
    ...(pod === undefined ? [] : questionsOfPod(named("v1", "Pod", pod, namespace))),
  ];
};

/** A change of an object by a controller that has no business with it, and by whoever may. */
const changedByStranger = (object: Addressed, field: "labels" | "annotations") => ({
  bad: patch(object, coloured(field), users.garbageCollector),
  good: patch(object, coloured(field)),
});

const questionsOfRun = (run: Addressed): Question[] => {
  const started = { status: { startTime: "2000-01-01T00:00:00Z" } };
  return [
    {
      rule: "ssf-healed-runs",
      bad: patch(run, { metadata: { finalizers: [`secure-software-factory.dev/${absent}`] } }, users.healer),
      good: patch(run, { metadata: { annotations: { "chains.tekton.dev/signed": null } } }, users.healer),
    },
    { rule: "ssf-run-status", bad: patchStatus(run, started), good: patchStatus(run, started, users.tekton) },
  ];
};

const questionsOfPod = (pod: Addressed): Question[] => {
  const unstarted = { status: { message: absent } };
  return [
    {
      rule: "ssf-pod-images",
      bad: patch(pod, [{ op: "replace", path: "/spec/containers/0/image", value: strange }]),
      good: patch(pod, coloured("labels")),
    },
    {
      rule: "ssf-pod-status",
      bad: patchStatus(pod, unstarted),
      good: patchStatus(pod, unstarted, users.garbageCollector),
    },
  ];
};

const triggeredBy = ({ spec }: PipelineRun, value: string) => [
  ...(spec.params ?? []).filter(({ name }) => name !== "trigger"),
  { name: "trigger", value },
];

/** What became of a request. */
type Answer = { is: "admitted" } | { is: "refused"; by: string } | { is: "unclear"; message: string };

/** Policies that Gatekeeper makes of its rules are bound under the rule's name; its webhook names the rule itself. */
const denials = [
  /ValidatingAdmissionPolicy 'gatekeeper-(?<kind>[^']+)' with binding 'gatekeeper-\k<kind>-(?<rule>[^']+)' denied request/,
  /ValidatingAdmissionPolicy '(?<rule>[^']+)' with binding '[^']+' denied request/,
  /admission webhook "validation\.gatekeeper\.sh" denied the request: \[(?<rule>[^\]]+)\]/,
];

/** What the API server's message says about a request that it did not grant. */
export const answerOf = (message: string, reached?: RegExp): Answer => {
  const by = denials.map((denial) => denial.exec(message)?.groups?.rule).find((rule) => rule !== undefined);
  if (by !== undefined) return { is: "refused", by };
  return reached?.test(message) === true ? { is: "admitted" } : { is: "unclear", message };
};

const ask = async (api: ApiServer, request: Request): Promise<Answer> => {
  const { method, about, subresource, query = "dryRun=All", body, as, reached } = request;
  const isOfCollection = method === "POST" && subresource === undefined;
  const object = isOfCollection ? [] : [about.metadata.name, ...(subresource === undefined ? [] : [subresource])];
  const path = [await api.collection(about), ...object].join("/");
  const identity = as === undefined ? undefined : { user: as, groups: [] };
  const answer = await api.send(method, `${path}?${query}`, body, identity);
  return answer.status < 300 ? { is: "admitted" } : answerOf(messageOf(answer), reached);
};

/** A rule of which nothing was shown either way, and why. */
export interface NotAsked {
  rule: string;
  why: string;
  /** Whether another rule, which was asked, refuses all that it refuses. */
  isCovered: boolean;
}

/** What was found out about a rule by asking. */
export type Finding = { rule: string; fault?: string } | NotAsked;

/** What the two answers say about a rule. */
export const judge = ({ rule, behind }: Question, bad: Answer, good: Answer): Finding => {
  const notAsked = (why: string, isCovered = false): NotAsked => ({ rule, why, isCovered });
  if (bad.is === "admitted") return { rule, fault: "admits a bad request" };
  if (bad.is === "unclear") return notAsked(bad.message);
  if (good.is === "refused" && good.by === rule) return { rule, fault: "refuses a good request" };
  if (bad.by !== rule) return notAsked(`${bad.by} refuses the request as well`, bad.by === behind);
  if (good.is !== "admitted")
    return notAsked(good.is === "refused" ? `${good.by} refuses its good twin` : good.message);
  return { rule };
};

/** Asks about every rule, in the first world that knows how. Nothing is stored. */
export const askRules = async (
  api: ApiServer,
  rules: readonly string[],
  worlds: readonly RequestWorld[],
): Promise<{ check: Check; findings: Finding[]; notAsked: NotAsked[] }> => {
  const known = worlds.flatMap(questions);
  const findings: Finding[] = [];
  for (const rule of rules) {
    const question = known.find((one) => one.rule === rule);
    findings.push(
      question === undefined
        ? { rule, why: "no team has built anything that the request could be about", isCovered: false }
        : judge(question, ...(await Promise.all([ask(api, question.bad), ask(api, question.good)]))),
    );
  }
  const notAsked = findings.filter((finding) => "why" in finding);
  const faults = findings.flatMap((finding) =>
    "fault" in finding && finding.fault !== undefined ? [`${finding.rule} ${finding.fault}`] : [],
  );
  const asked = findings.length - notAsked.length;
  return {
    check: selfCheck("alive", asked === 0 ? ["no rule could be asked"] : faults, `${asked} rules asked`),
    findings,
    notAsked,
  };
};

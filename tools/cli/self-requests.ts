import { GATE_NAMESPACE } from "../../components/gate";
import { STAGE_LABEL } from "../../components/lib/labels";
import type { Workload } from "../../components/lib/workload-api";
import type { PipelineRun } from "../../pipelines";
import { FACTORY_NAMESPACES, type FactoryImages, SYSTEM_NAMESPACE, users } from "../../policies/admission";
import { FactoryError } from "../../components/lib/errors";
import type { Kubectl } from "./kubectl";
import type { Check } from "./provenance";
import { selfCheck } from "./self-checks";

/** One request of the API server, which stores nothing. */
export interface Request {
  /** Arguments of kubectl. */
  args: readonly string[];
  /** What it sends. @default nothing */
  input?: object;
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

const create = (object: object, as?: string): Request => ({
  args: ["create", "--dry-run=server", "--output=name", "--filename=-"],
  input: object,
  as,
});

const post = (path: string, object: object, reached: RegExp): Request => ({
  args: ["create", "--raw", path, "--filename=-"],
  input: object,
  reached,
});

const patch = (target: readonly string[], change: object, as?: string): Request => ({
  args: [
    "patch",
    ...target,
    `--type=${Array.isArray(change) ? "json" : "merge"}`,
    `--patch=${JSON.stringify(change)}`,
    "--dry-run=server",
    "--output=name",
  ],
  as,
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
  const inTeam = `--namespace=${namespace}`;
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
    return create({ ...kind, metadata: { ...metadata, namespace: GATE_NAMESPACE }, spec: { ...spec, containers } });
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
  const exec = (where: string) => post(`/api/v1/namespaces/${where}/pods/${absent}/exec?command=true`, {}, isAbsent);
  // Bound to a pod that is not there, so that no token is ever made.
  const token = (where: string) =>
    post(
      `/api/v1/namespaces/${where}/serviceaccounts/default/token?dryRun=All`,
      {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenRequest",
        spec: { audiences: [absent], boundObjectRef: { apiVersion: "v1", kind: "Pod", name: absent } },
      },
      isAbsent,
    );
  const unstarted = { status: { message: absent } };
  const [runs, pods] = [run, pod].map((name, index) => [
    index === 0 ? "pipelineruns.tekton.dev" : "pods",
    name ?? absent,
    inTeam,
  ]) as [string[], string[]];
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
            bad: patch(
              ["runtimeclasses.node.k8s.io", runtimeClasses.jailed],
              coloured("labels"),
              users.garbageCollector,
            ),
            good: patch(["runtimeclasses.node.k8s.io", runtimeClasses.jailed], coloured("labels")),
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
      bad: patch(["clusterstaticentries.spire.spiffe.io", "nodes"], coloured("labels"), users.garbageCollector),
      good: patch(["clusterstaticentries.spire.spiffe.io", "nodes"], coloured("labels")),
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
      bad: patch(["namespaces", namespace], coloured("labels"), users.garbageCollector),
      good: patch(["namespaces", namespace], coloured("annotations"), users.garbageCollector),
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
            bad: patch(["tasks.tekton.dev", task, inTeam], coloured("annotations"), users.garbageCollector),
            good: patch(["tasks.tekton.dev", task, inTeam], coloured("annotations")),
          },
        ]),
    ...(networkPolicy === undefined
      ? []
      : [
          {
            rule: "ssf-network-policies",
            bad: patch(
              ["networkpolicies.networking.k8s.io", networkPolicy, inTeam],
              coloured("labels"),
              users.garbageCollector,
            ),
            good: patch(["networkpolicies.networking.k8s.io", networkPolicy, inTeam], coloured("labels")),
          },
        ]),
    ...(run === undefined
      ? []
      : [
          {
            rule: "ssf-healed-runs",
            bad: patch(runs, { metadata: { finalizers: [`secure-software-factory.dev/${absent}`] } }, users.healer),
            good: patch(runs, { metadata: { annotations: { "chains.tekton.dev/signed": null } } }, users.healer),
          },
          {
            rule: "ssf-run-status",
            bad: patch([...runs, "--subresource=status"], { status: { startTime: "2000-01-01T00:00:00Z" } }),
            good: patch(
              [...runs, "--subresource=status"],
              { status: { startTime: "2000-01-01T00:00:00Z" } },
              users.tekton,
            ),
          },
        ]),
    ...(pod === undefined
      ? []
      : [
          {
            rule: "ssf-pod-images",
            bad: patch(pods, [{ op: "replace", path: "/spec/containers/0/image", value: strange }]),
            good: patch(pods, coloured("labels")),
          },
          {
            rule: "ssf-pod-status",
            bad: patch([...pods, "--subresource=status"], unstarted),
            good: patch([...pods, "--subresource=status"], unstarted, users.garbageCollector),
          },
        ]),
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

/** What an error of kubectl says about a request. */
export const answerOf = (message: string, reached?: RegExp): Answer => {
  const by = denials.map((denial) => denial.exec(message)?.groups?.rule).find((rule) => rule !== undefined);
  if (by !== undefined) return { is: "refused", by };
  return reached?.test(message) === true ? { is: "admitted" } : { is: "unclear", message };
};

const ask = async (kubectl: Kubectl, { args, input, as, reached }: Request): Promise<Answer> => {
  const identity = as === undefined ? [] : [`--as=${as}`];
  try {
    await kubectl.text([...args, ...identity], input === undefined ? undefined : JSON.stringify(input));
    return { is: "admitted" };
  } catch (error) {
    if (!(error instanceof FactoryError)) throw error;
    return answerOf(error.problems[0]?.given ?? "", reached);
  }
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
  kubectl: Kubectl,
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
        : judge(question, ...(await Promise.all([ask(kubectl, question.bad), ask(kubectl, question.good)]))),
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

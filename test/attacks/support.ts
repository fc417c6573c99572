import type { PipelineModel, Stage } from "../../pipelines";
import { signDefinition } from "../../pipelines";
import { stageTask, type Task } from "../../pipelines/tekton";
import type { ClusterObject, Session } from "../../tools/cli/attack-session";
import type { Attack, Expectation } from "../../tools/cli/attacks";
import { builtImage } from "../../tools/cli/built-image";
import type { Kubectl } from "../../tools/cli/kubectl";

/** An attack on a factory. */
export type FactoryAttack = Attack<Session>;

/** A real program that is built soon, from the top of the repository. */
export const example = "examples/pip-service";

/** An image that the factory has built: one that is there, or else the {@link example}. */
export const anyBuilt = async (session: Session): Promise<string> =>
  (await builtImage(session.kubectl, session.team)) ?? (await session.build(example)).image;

/** Refused before it exists: by the factory's rules, by Tekton's webhook, by Pod Security or by the API server's own rules. */
export const atAdmission: Expectation = {
  by: ["admission policy", "Tekton's webhook", "Pod Security"],
  message: /SSF-ADMISSION-\d+|every pod is jailed|tekton\.dev" denied the request|violates PodSecurity/,
};

/** Refused because the role of a team's members does not hold the right. */
export const byRights: Expectation = { by: ["RBAC"], message: /cannot/ };

/** A user and group that images without another one have. */
const nonRoot = 65532;

/** What Pod Security `restricted` asks of a container. */
export const restrictedContainer = {
  allowPrivilegeEscalation: false,
  runAsNonRoot: true,
  runAsUser: nonRoot,
  capabilities: { drop: ["ALL"] },
  seccompProfile: { type: "RuntimeDefault" },
} as const;

/** A pod. */
export interface Pod extends ClusterObject {
  kind: "Pod";
  spec: Record<string, unknown> & { containers: object[] };
}

/** A pod such as the factory lets into a team's namespace: jailed, restricted, without token. */
export const jailedPod = (session: Session, name: string, namespace: string, container: object): Pod => {
  const runtimeClass = session.factory.runtimeClasses?.jailed;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace },
    spec: {
      serviceAccountName: "default",
      restartPolicy: "Never",
      terminationGracePeriodSeconds: 0,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: nonRoot,
        fsGroup: nonRoot,
        seccompProfile: { type: "RuntimeDefault" },
      },
      ...(runtimeClass === undefined ? {} : { runtimeClassName: runtimeClass }),
      containers: [
        {
          name: "main",
          image: session.image("shell"),
          imagePullPolicy: "IfNotPresent",
          securityContext: restrictedContainer,
          resources: { limits: { cpu: "500m", memory: "128Mi" }, requests: { cpu: "10m", memory: "64Mi" } },
          ...container,
        },
      ],
    },
  };
};

/** Gives a deployment so many pods, and waits until they are there, or gone. */
export const scale = async (
  kubectl: Kubectl,
  { namespace, name }: { namespace: string; name: string },
  replicas: 0 | 1,
): Promise<void> => {
  const deployment = `deployment/${name}`;
  await kubectl.text(["scale", deployment, `--namespace=${namespace}`, `--replicas=${replicas}`]);
  const wait = replicas === 0 ? ["pod", "--all", "--for=delete"] : [deployment, "--for=condition=Available"];
  await kubectl.text(["wait", `--namespace=${namespace}`, "--timeout=180s", ...wait]);
};

/** Ends pods of a namespace at once; what makes them makes them again. @param which as kubectl selects them */
export const killPods = (kubectl: Kubectl, namespace: string, which = "--all"): Promise<string> =>
  kubectl.text(["delete", "pods", which, `--namespace=${namespace}`, "--grace-period=0", "--force", "--wait=false"]);

/** A claim of storage. */
export const claim = (namespace: string, name: string): ClusterObject => ({
  apiVersion: "v1",
  kind: "PersistentVolumeClaim",
  metadata: { name, namespace },
  spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "16Mi" } } },
});

/** A program that does nothing, for at most ten minutes. */
export const idle = { command: ["sleep", "600"] };

/** Waits a second. */
export const pause = () => new Promise((resume) => setTimeout(resume, 1000));

/** Asks every second until the answer is there, for at most three minutes. */
export const until = async <T>(session: Session, what: string, ask: () => Promise<T | undefined>): Promise<T> => {
  for (let seconds = 0; seconds < 180; seconds++) {
    session.signal.throwIfAborted();
    const answer = await ask();
    if (answer !== undefined) return answer;
    await pause();
  }
  throw new Error(`${what}: not after three minutes`);
};

/** As much of a pod's status as is looked at. */
interface PodStatus {
  phase?: string;
  podIP?: string;
  containerStatuses?: { name: string; state?: { terminated?: { exitCode: number } } }[];
}

/** The object as the API server has it now. */
const current = async ({ api }: Session, object: ClusterObject): Promise<unknown> =>
  api.read(`${await api.collection(object)}/${object.metadata.name}`);

/** The pod's status as soon as its phase is one of these. */
export const phase = (
  session: Session,
  pod: ClusterObject & { kind: "Pod" },
  phases: readonly string[],
): Promise<PodStatus> =>
  until(session, `pod ${pod.metadata.name}`, async () => {
    const { status = {} } = (await current(session, pod)) as { status?: PodStatus };
    return phases.includes(status.phase ?? "") ? status : undefined;
  });

/** What a container has printed so far. */
export const logOf = (session: Session, { metadata }: ClusterObject, container = "main"): Promise<string> =>
  session.kubectl.text(["logs", metadata.name, `--namespace=${metadata.namespace ?? ""}`, `--container=${container}`]);

/** Makes a pod, waits until it has ended and returns what its container printed. */
export const outputOf = async (session: Session, pod: Pod): Promise<string> => {
  await session.create(pod);
  await phase(session, pod, ["Succeeded", "Failed"]);
  return logOf(session, pod);
};

/** A signed definition of one stage that runs this script. */
export const signedTask = (session: Session, namespace: string, name: string, change: Partial<Stage>): Task => {
  const stage: Stage = {
    name,
    description: "A definition for an attack.",
    image: session.image("shell"),
    script: "true",
    params: [],
    results: [],
    reads: [],
    network: "none",
    env: {},
    mounts: [],
    resources: { cpu: "500m", memory: "128Mi", scratch: "64Mi" },
    ...change,
  };
  const model: PipelineModel = {
    name: "attack",
    description: "Definitions for attacks.",
    params: [],
    workspaces: [],
    stages: [stage],
    results: [],
  };
  return signDefinition(stageTask(model, stage, { team: session.team.team, namespace }), session.signer);
};

/** A run of a definition, as Tekton's controller would make it. */
export const taskRun = (
  name: string,
  namespace: string,
  definition: { name: string; namespace: string },
): ClusterObject => ({
  apiVersion: "tekton.dev/v1",
  kind: "TaskRun",
  metadata: { name, namespace },
  spec: {
    serviceAccountName: "default",
    taskRef: {
      resolver: "cluster",
      params: Object.entries({ kind: "task", ...definition }).map(([param, value]) => ({ name: param, value })),
    },
    podTemplate: {
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, runAsUser: nonRoot, seccompProfile: { type: "RuntimeDefault" } },
    },
  },
});

/** How a run of Tekton ended. */
export interface RunEnd {
  conditions: { type: string; status: string; reason?: string; message?: string }[];
  podName?: string;
  results?: { name: string; value: unknown }[];
}

/** The status of a run when it has ended. */
export const runEnd = (session: Session, run: ClusterObject): Promise<RunEnd> =>
  until(session, `${run.kind} ${run.metadata.name}`, async () => {
    const { status } = (await current(session, run)) as { status?: RunEnd };
    const outcome = status?.conditions.find(({ type }) => type === "Succeeded");
    return outcome === undefined || outcome.status === "Unknown" ? undefined : status;
  });

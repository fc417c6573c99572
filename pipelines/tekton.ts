import { FactoryError } from "../components/lib/errors";
import { standardLabels, TEAM_LABEL } from "../components/lib/labels";
import { workloadApiMount, workloadApiVariable, workloadApiVolume } from "../components/lib/workload-api";
import type { TektonObject } from "./canonical";
import {
  digestParamName,
  variableName,
  type Mount,
  type PipelineModel,
  type RunParam,
  type Stage,
  type Workspace,
} from "./model";
import { matchesPattern } from "./patterns";
import { stageParams, stageScript } from "./shell";

/** Value of a parameter, as Tekton writes it. */
export interface TektonParam {
  name: string;
  value: string;
}

/** A reference that a resolver of Tekton follows. */
export interface TektonReference {
  resolver: "cluster";
  params: TektonParam[];
}

/** A parameter that a Task or Pipeline declares. */
export interface TektonParamSpec {
  name: string;
  type: "string";
  description: string;
  default?: string;
}

/** A volume of a Task's pod. */
export interface TektonVolume {
  name: string;
  emptyDir?: { sizeLimit: string };
  configMap?: { name: string; items: { key: string; path: string }[]; defaultMode: number };
  csi?: { driver: string; readOnly: true };
}

/** The only step of a Task. */
export interface TektonStep {
  name: string;
  image: string;
  imagePullPolicy: "IfNotPresent";
  env: { name: string; value: string }[];
  computeResources: { limits: Record<string, string>; requests: Record<string, string> };
  volumeMounts: { name: string; mountPath: string; readOnly?: true }[];
  securityContext: {
    capabilities: { drop: string[] };
    runAsUser: number;
    runAsGroup: number;
    runAsNonRoot: true;
    readOnlyRootFilesystem: true;
    allowPrivilegeEscalation: false;
    seccompProfile: { type: "RuntimeDefault" };
  };
  script: string;
}

/** A Task: the definition of one stage. */
export interface Task extends TektonObject {
  kind: "Task";
  spec: {
    description: string;
    params: TektonParamSpec[];
    workspaces: { name: string; description: string; mountPath: string; readOnly?: true }[];
    results: { name: string; type: "string"; description: string }[];
    steps: TektonStep[];
    volumes: TektonVolume[];
  };
}

/** A Pipeline: the definition of how the stages hang together. */
export interface Pipeline extends TektonObject {
  kind: "Pipeline";
  spec: {
    description: string;
    params: TektonParamSpec[];
    workspaces: { name: string; description: string }[];
    tasks: {
      name: string;
      taskRef: TektonReference;
      params: TektonParam[];
      workspaces: { name: string; workspace: string }[];
    }[];
    results: { name: string; type: "string"; description: string; value: string }[];
  };
}

/** What a run's pods have in common, or one stage's pod has of its own. */
export interface PodTemplate {
  securityContext: {
    runAsNonRoot: true;
    runAsUser: number;
    runAsGroup: number;
    fsGroup: number;
    fsGroupChangePolicy: "OnRootMismatch";
    seccompProfile: { type: "RuntimeDefault" };
  };
  automountServiceAccountToken: false;
  enableServiceLinks: false;
  runtimeClassName?: string;
  dnsPolicy?: "None";
  dnsConfig?: { nameservers?: readonly string[]; options?: readonly { name: string; value: string }[] };
}

/** A run. */
export interface PipelineRun {
  apiVersion: "tekton.dev/v1";
  kind: "PipelineRun";
  metadata: {
    generateName: string;
    namespace: string;
    labels: Record<string, string>;
    annotations?: Record<string, string>;
  };
  spec: {
    pipelineRef: TektonReference;
    params?: TektonParam[];
    timeouts: { pipeline: string };
    taskRunTemplate: { podTemplate: PodTemplate };
    taskRunSpecs: { pipelineTaskName: string; serviceAccountName: string; podTemplate: PodTemplate }[];
    workspaces: {
      name: string;
      volumeClaimTemplate: {
        spec: { accessModes: ["ReadWriteOnce"]; resources: { requests: { storage: string } } };
      };
    }[];
  };
}

/** A VerificationPolicy: the rule by which Tekton refuses what the factory has not signed. */
export interface VerificationPolicy<Text = string> {
  apiVersion: "tekton.dev/v1alpha1";
  kind: "VerificationPolicy";
  metadata: { name: string; namespace: string; labels: Record<string, string> };
  spec: {
    mode: "enforce";
    resources: { pattern: string }[];
    authorities: { name: string; key: { data: Text; hashAlgorithm: "sha256" } }[];
  };
}

/** A key whose signatures Tekton accepts on definitions. */
export interface DefinitionAuthority<Text = string> {
  /** Lower-case words joined by `-`; Tekton names it when it refuses. */
  name: string;
  /** The key, as SPKI PEM. */
  publicKeyPem: Text;
}

/** Names of the node's runtime classes, one without a network and one with. */
export interface RuntimeClasses {
  jailed: string;
  networked: string;
}

/** Whose pipeline it is and where it lives. */
export interface Placement {
  team: string;
  namespace: string;
}

/** What a run template needs beside the model. */
export interface RunSettings {
  /** Runtime classes of the cluster; `null` when NetworkPolicies alone are the jail. */
  runtimeClasses: RuntimeClasses | null;
  /** How long a run may take, as Go writes durations. */
  timeout: string;
}

/** User and group of every process of a stage. */
const user = 65532;
const filesReadableByGroup = 0o440;
const scratchPath = "/tmp";
/** Annotation by which a run template carries its own rules; it never reaches the cluster. */
const paramsAnnotation = "secure-software-factory.dev/params";

/** Labels of everything that a team's pipeline is made of; all are in place before anything is signed. */
const labels = ({ team }: Placement, more: Record<string, string> = {}): Record<string, string> => ({
  ...standardLabels("pipeline"),
  [TEAM_LABEL]: team,
  ...more,
});

/** Name of the Task of a stage. */
export const taskName = (model: PipelineModel, stage: Stage): string => `${model.name}-${stage.name}`;

const volumeOf = ({ name, source, files }: Mount): TektonVolume => ({
  name,
  configMap: {
    name: source,
    items: Object.entries(files).map(([key, path]) => ({ key, path })),
    defaultMode: filesReadableByGroup,
  },
});

const whereIdentified = <T>({ identity = false }: Stage, part: T): T[] => (identity ? [part] : []);

const workspacePath = (name: string): string => `/workspace/${name}`;

const environment = (stage: Stage): TektonStep["env"] => {
  const workspaces = [...stage.reads, ...(stage.writes === undefined ? [] : [stage.writes])];
  return [
    { name: "HOME", value: `${scratchPath}/home` },
    { name: "TMPDIR", value: scratchPath },
    ...workspaces.map((name) => ({ name: variableName("WORKSPACE", name), value: workspacePath(name) })),
    ...stageParams(stage).map(({ name }) => ({ name: variableName("PARAM", name), value: `$(params.${name})` })),
    ...stageResults(stage).map(({ name }) => ({
      name: variableName("RESULT", name),
      value: `$(results.${name}.path)`,
    })),
    ...whereIdentified(stage, workloadApiVariable),
    ...Object.entries(stage.env)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, value]) => ({ name, value })),
  ];
};

const stageResults = (stage: Stage): { name: string; description: string }[] => [
  ...stage.results,
  ...(stage.writes === undefined
    ? []
    : [{ name: "digest", description: `Digest of what the stage wrote to workspace ${stage.writes}.` }]),
];

const describeWorkspace = (model: PipelineModel, name: string): string =>
  model.workspaces.find((workspace) => workspace.name === name)?.description ?? name;

/** The Task of a stage. */
export const stageTask = (model: PipelineModel, stage: Stage, placement: Placement): Task => ({
  apiVersion: "tekton.dev/v1",
  kind: "Task",
  metadata: {
    name: taskName(model, stage),
    namespace: placement.namespace,
    labels: labels(placement, {
      "secure-software-factory.dev/stage": stage.name,
      "secure-software-factory.dev/network": stage.network,
    }),
  },
  spec: {
    description: stage.description,
    params: stageParams(stage).map(({ name, description }) => ({ name, type: "string", description })),
    workspaces: [
      ...stage.reads.map((name) => ({
        name,
        description: describeWorkspace(model, name),
        mountPath: workspacePath(name),
        readOnly: true as const,
      })),
      ...(stage.writes === undefined
        ? []
        : [
            {
              name: stage.writes,
              description: describeWorkspace(model, stage.writes),
              mountPath: workspacePath(stage.writes),
            },
          ]),
    ],
    results: stageResults(stage).map(({ name, description }) => ({ name, type: "string", description })),
    steps: [
      {
        name: stage.name,
        image: stage.image,
        imagePullPolicy: "IfNotPresent",
        env: environment(stage),
        computeResources: {
          limits: { cpu: stage.resources.cpu, memory: stage.resources.memory },
          requests: { cpu: "50m", memory: stage.resources.memory },
        },
        volumeMounts: [
          { name: "scratch", mountPath: scratchPath },
          ...stage.mounts.map((mount) => ({ name: mount.name, mountPath: mount.path, readOnly: true as const })),
          ...whereIdentified(stage, workloadApiMount),
        ],
        securityContext: {
          capabilities: { drop: ["ALL"] },
          runAsUser: user,
          runAsGroup: user,
          runAsNonRoot: true,
          readOnlyRootFilesystem: true,
          allowPrivilegeEscalation: false,
          seccompProfile: { type: "RuntimeDefault" },
        },
        script: stageScript(stage),
      },
    ],
    volumes: [
      { name: "scratch", emptyDir: { sizeLimit: stage.resources.scratch } },
      ...stage.mounts.map(volumeOf),
      ...whereIdentified(stage, workloadApiVolume),
    ],
  },
});

const clusterReference = (kind: "task" | "pipeline", name: string, namespace: string): TektonReference => ({
  resolver: "cluster",
  params: [
    { name: "kind", value: kind },
    { name: "name", value: name },
    { name: "namespace", value: namespace },
  ],
});

const writerOf = (model: PipelineModel, workspace: string): string =>
  model.stages.find((stage) => stage.writes === workspace)?.name ?? "";

/** The Pipeline of a model that {@link checkPipeline} has let through. */
export const pipelineOf = (model: PipelineModel, placement: Placement): Pipeline => ({
  apiVersion: "tekton.dev/v1",
  kind: "Pipeline",
  metadata: { name: model.name, namespace: placement.namespace, labels: labels(placement) },
  spec: {
    description: model.description,
    params: model.params.map(({ name, description, default: fallback }) => ({
      name,
      type: "string",
      description,
      ...(fallback === undefined ? {} : { default: fallback }),
    })),
    workspaces: model.workspaces.map(({ name, description }) => ({ name, description })),
    tasks: model.stages.map((stage) => ({
      name: stage.name,
      taskRef: clusterReference("task", taskName(model, stage), placement.namespace),
      params: [
        ...stage.params.map(({ name, from }) => ({
          name,
          value: "stage" in from ? `$(tasks.${from.stage}.results.${from.result})` : `$(params.${from.run})`,
        })),
        ...stage.reads.map((workspace) => ({
          name: digestParamName(workspace),
          value: `$(tasks.${writerOf(model, workspace)}.results.digest)`,
        })),
      ],
      workspaces: [...stage.reads, ...(stage.writes === undefined ? [] : [stage.writes])].map((name) => ({
        name,
        workspace: name,
      })),
    })),
    results: model.results.map(({ name, description, from }) => ({
      name,
      type: "string",
      description,
      value: `$(tasks.${from.stage}.results.${from.result})`,
    })),
  },
});

const podTemplate = (jailed: boolean, runtimeClasses: RuntimeClasses | null): PodTemplate => ({
  securityContext: {
    runAsNonRoot: true,
    runAsUser: user,
    runAsGroup: user,
    fsGroup: user,
    fsGroupChangePolicy: "OnRootMismatch",
    seccompProfile: { type: "RuntimeDefault" },
  },
  automountServiceAccountToken: false,
  enableServiceLinks: false,
  ...(runtimeClasses === null ? {} : { runtimeClassName: jailed ? runtimeClasses.jailed : runtimeClasses.networked }),
});

const claim = ({ name, storage }: Workspace): PipelineRun["spec"]["workspaces"][number] => ({
  name,
  volumeClaimTemplate: { spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage } } } },
});

/** No name server in the jail. Only for a stage of its own: what all stages share, an unjailed one would inherit. */
const noNames = { dnsPolicy: "None", dnsConfig: { nameservers: ["127.0.0.1"] } } as const;

/** Names are asked for as they are written: a policy by names would refuse them with the cluster's suffixes. */
const wholeNames = { dnsConfig: { options: [{ name: "ndots", value: "1" }] } } as const;

/** A run of the pipeline that still lacks its parameters; {@link pipelineRun} adds them. */
export const runTemplateOf = (model: PipelineModel, placement: Placement, settings: RunSettings): PipelineRun => ({
  apiVersion: "tekton.dev/v1",
  kind: "PipelineRun",
  metadata: {
    generateName: `${model.name}-`,
    namespace: placement.namespace,
    labels: labels(placement),
    annotations: { [paramsAnnotation]: JSON.stringify(model.params) },
  },
  spec: {
    pipelineRef: clusterReference("pipeline", model.name, placement.namespace),
    timeouts: { pipeline: settings.timeout },
    taskRunTemplate: { podTemplate: podTemplate(true, settings.runtimeClasses) },
    taskRunSpecs: model.stages.map((stage) => ({
      pipelineTaskName: stage.name,
      serviceAccountName: stage.name,
      podTemplate:
        stage.network === "none"
          ? { ...podTemplate(true, settings.runtimeClasses), ...noNames }
          : { ...podTemplate(false, settings.runtimeClasses), ...wholeNames },
    })),
    workspaces: model.workspaces.map(claim),
  },
});

/** The parameters that a run template asks for, with their patterns and defaults. */
export const runParams = (runTemplate: PipelineRun): RunParam[] =>
  JSON.parse(runTemplate.metadata.annotations?.[paramsAnnotation] ?? "[]") as RunParam[];

/** The run to submit: the template with these parameters, each checked against the pattern that its stage checks too. */
export const pipelineRun = (
  runTemplate: PipelineRun,
  params: Readonly<Record<string, string | undefined>>,
): PipelineRun => {
  const declared = runParams(runTemplate);
  const values = declared.map((param) => ({ ...param, value: params[param.name] ?? param.default }));
  const unknown = Object.keys(params).filter((name) => !declared.some((param) => param.name === name));
  const problems = [
    ...unknown.map((name) => ({
      code: "SSF-PIPELINE-011",
      path: `params.${name}`,
      given: `"${params[name] ?? ""}"`,
      rule: "A run has the parameters that its pipeline declares and no others.",
      fix: `Give ${declared.map((param) => param.name).join(", ")}.`,
    })),
    ...values
      .filter(({ value, pattern }) => value === undefined || !matchesPattern(value, pattern))
      .map(({ name, value, pattern, description }) => ({
        code: "SSF-PIPELINE-011",
        path: `params.${name}`,
        given: value === undefined ? "nothing" : JSON.stringify(value),
        rule: `The whole value matches ${pattern}`,
        fix: `Give ${description}`,
      })),
  ];
  const [first, ...others] = problems;
  if (first !== undefined) throw new FactoryError(first, ...others);
  const { generateName, namespace, labels: templateLabels } = runTemplate.metadata;
  return {
    ...runTemplate,
    metadata: { generateName, namespace, labels: templateLabels },
    spec: { ...runTemplate.spec, params: values.map(({ name, value = "" }) => ({ name, value })) },
  };
};

/**
 * The policy of a team's namespace: what Tekton takes from there must carry a signature of this key.
 * What comes from anywhere else matches no policy, which Tekton's setting `fail` refuses.
 */
export const verificationPolicyOf = <Text = string>(
  placement: Placement,
  authorities: readonly DefinitionAuthority<Text>[],
): VerificationPolicy<Text> => ({
  apiVersion: "tekton.dev/v1alpha1",
  kind: "VerificationPolicy",
  metadata: { name: "definitions", namespace: placement.namespace, labels: labels(placement) },
  spec: {
    mode: "enforce",
    resources: [
      {
        pattern: `^/apis/tekton[.]dev/v1/namespaces/${placement.namespace}/(task|pipeline)/[a-z0-9.-]+@[0-9a-f-]+$`,
      },
    ],
    authorities: authorities.map(({ name, publicKeyPem }) => ({
      name,
      key: { data: publicKeyPem, hashAlgorithm: "sha256" },
    })),
  },
});

import { digest } from "./canonical";
import { checkPipeline } from "./graph";
import type { Language, PipelineModel, RunParam, RunResult } from "./model";
import { patterns } from "./patterns";
import { signDefinition, type DefinitionSigner, type Signed } from "./sign";
import { ingestSource, signerResults } from "./stages/ingest-source";
import { publish, publishResults, type ArtefactKind } from "./stages/publish";
import { reproduce, reproducedWorkspace, reproduceResults } from "./stages/reproduce";
import { sbomWorkspace, scan, scanResults, type ScanArgs } from "./stages/scan";
import { triggerParams } from "./trigger";
import {
  pipelineOf,
  runTemplateOf,
  stageTask,
  taskName,
  verificationPolicyOf,
  type Pipeline,
  type PipelineRun,
  type RuntimeClasses,
  type Task,
  type VerificationPolicy,
} from "./tekton";

/** What {@link teamPipeline} needs, without the key. */
export interface TeamPipelineArgs extends Pick<ScanArgs, "deniedPackages" | "deniedLicenses"> {
  /** Team that owns the pipeline. */
  team: string;
  /** Namespace of its definitions and runs. */
  namespace: string;
  /** Images of the stages by name (`stage-git`, `stage-scan`, `stage-publish` and the language's), each by digest. */
  images: Readonly<Record<string, string>>;
  /** Language of the team's programs. */
  language: Language;
  /** Where its images go. */
  registry: {
    /** `<host>[:<port>]/<path>`; the image's name is added to it. */
    repository: string;
    /** ConfigMap of the namespace whose key `ca.crt` holds the registry's authority. @default the image's own */
    caConfigMap?: string;
  };
  /** ConfigMap of the namespace whose key `ca.crt` holds the authorities that both ingest stages trust. @default the image's own */
  caBundleConfigMap?: string;
  /**
   * ConfigMap of the namespace whose key `ca.crt` holds the authority of the factory's own forge.
   * @default that of the registry, since the factory has one authority for all its services
   */
  forgeCaConfigMap?: string;
  /** Forges that sources come from, each as `<name>:<port>`. @default any that the network lets it reach */
  forges?: readonly string[];
  /** Who may sign the commits that are built, in the format of OpenSSH's `allowed_signers`. @default any commit is built */
  allowedSigners?: string;
  /** What a run publishes. @default image */
  artefact?: ArtefactKind;
  /** Whether a run builds twice, and publishes only what comes out the same. @default false */
  reproduce?: boolean;
  /** Runtime classes of the cluster; `null` when NetworkPolicies alone are the jail. */
  runtimeClasses: RuntimeClasses | null;
  /** Size of each workspace. @default 1Gi, dependencies 4Gi */
  storage?: { source?: string; dependencies?: string; output?: string };
  /** How long a run may take, as Go writes durations. @default 1h0m0s */
  timeout?: string;
}

/** What {@link teamPipeline} needs. */
export interface SignedTeamPipelineArgs<Text = string> extends TeamPipelineArgs {
  /** Signs every definition. */
  signer: DefinitionSigner<Text>;
  /** Keys, as SPKI PEM, that signed definitions before and still verify. @default none */
  formerKeys?: readonly Text[];
}

/** One stage, as whoever makes its service account or verifies its run needs it. */
export interface StageSummary {
  /** Name of the stage, and of its task in the Pipeline. */
  name: string;
  /** Name of its Task. */
  task: string;
  /** Service account that runs it. */
  serviceAccount: string;
  /** Whether it has no network. */
  jailed: boolean;
  /** What it may reach. */
  network: string;
  /** Workspaces that it sees, read-only. */
  reads: readonly string[];
  /** The workspace that it alone fills. @default none */
  writes?: string;
}

/** A team's pipeline, ready to apply. */
export interface TeamPipeline {
  /** Name of the pipeline. */
  name: string;
  /** One definition a stage, in the order of {@link stages}. */
  tasks: Task[];
  /** The definition that joins them. */
  pipeline: Pipeline;
  /** A run without its parameters; see `pipelineRun`. */
  runTemplate: PipelineRun;
  /** Checksum of each definition by `<kind>/<name>`, kind in lower case, as provenance shows it. */
  digests: Record<string, string>;
  /** The stages. */
  stages: StageSummary[];
  /** What a run is given. */
  params: RunParam[];
}

/** A team's pipeline whose definitions are signed. */
export interface SignedTeamPipeline<Text = string> extends Omit<TeamPipeline, "tasks" | "pipeline"> {
  /** One definition a stage, in the order of {@link stages}. */
  tasks: Signed<Task, Text>[];
  /** The definition that joins them. */
  pipeline: Signed<Pipeline, Text>;
  /** The policy that makes Tekton ask for those signatures; the same for every pipeline of a team. */
  verificationPolicy: VerificationPolicy<Text>;
}

const sourceParams: RunParam[] = [
  {
    name: "repository",
    description: "the https address of the git repository, without user name.",
    pattern: patterns.repository,
  },
  { name: "commit", description: "the full id of a commit in it.", pattern: patterns.commit },
  {
    name: "directory",
    description: "the directory that is built, as a path from the repository's top.",
    pattern: patterns.directory,
    default: ".",
  },
];

const imageParam: RunParam = {
  name: "name",
  description: "the last part of the image's name: lower-case letters and digits.",
  pattern: patterns.imageName,
};

const commonResults: RunResult[] = [
  {
    name: "CHAINS-GIT_URL",
    description: "Address of the source.",
    from: { stage: "ingest-source", result: "CHAINS-GIT_URL" },
  },
  {
    name: "CHAINS-GIT_COMMIT",
    description: "Commit of the source.",
    from: { stage: "ingest-source", result: "CHAINS-GIT_COMMIT" },
  },
  {
    name: "source-digest",
    description: "Digest of the tree of the source.",
    from: { stage: "ingest-source", result: "digest" },
  },
  {
    name: "dependencies-digest",
    description: "Digest of the tree of the dependencies.",
    from: { stage: "ingest-dependencies", result: "digest" },
  },
];

/** The stages of the reference architecture for one language: ingest source, those of the language, scan, publish. */
export const teamModel = (args: TeamPipelineArgs): PipelineModel => {
  const { images, language, registry, caBundleConfigMap, storage } = args;
  const { allowedSigners, artefact, deniedLicenses = [], deniedPackages = [] } = args;
  const forgeCaConfigMap = args.forgeCaConfigMap ?? registry.caConfigMap;
  const bundle = caBundleConfigMap === undefined ? {} : { caBundleConfigMap };
  const languageStages = language.stages({ images, ...bundle });
  const again = languageStages.filter(({ name }) => args.reproduce === true && name === language.outputStage);
  return {
    name: language.name,
    description: `From a commit to an artefact by digest, for programs in ${language.name}.`,
    params: [...sourceParams, ...language.params, imageParam, ...triggerParams],
    workspaces: [
      { name: "source", description: "The tree of the commit.", storage: storage?.source ?? "1Gi" },
      { name: "dependencies", description: "All that the lock file names.", storage: storage?.dependencies ?? "4Gi" },
      { name: "output", description: "Root file system of the image.", storage: storage?.output ?? "1Gi" },
      ...again.map(() => reproducedWorkspace(storage?.output ?? "1Gi")),
      sbomWorkspace,
    ],
    stages: [
      ingestSource({
        image: images["stage-git"] ?? "",
        ...bundle,
        ...(forgeCaConfigMap === undefined ? {} : { forgeCaConfigMap }),
        ...(args.forges === undefined ? {} : { forges: args.forges }),
        ...(allowedSigners === undefined ? {} : { allowedSigners }),
      }),
      ...languageStages,
      ...again.map(reproduce),
      scan({ image: images["stage-scan"] ?? "", deniedLicenses, deniedPackages }),
      publish({
        image: images["stage-publish"] ?? "",
        repository: registry.repository,
        ...(registry.caConfigMap === undefined ? {} : { caConfigMap: registry.caConfigMap }),
        entrypoint: language.entrypoint,
        outputStage: language.outputStage,
        ...(artefact === undefined ? {} : { artefact }),
        ...(again.length === 0 ? {} : { reproduceStage: "reproduce" }),
      }),
    ],
    results: [
      ...publishResults,
      ...commonResults,
      ...(allowedSigners === undefined ? [] : signerResults),
      ...scanResults,
      ...again.flatMap(() => reproduceResults),
      {
        name: "output-digest",
        description: "Digest of the tree of the output, which is the digest of the image's layer before compression.",
        from: { stage: language.outputStage, result: "digest" },
      },
      ...language.results,
    ],
  };
};

/**
 * The model of a language before a team has any settings; for whoever shows it, since it names nothing that exists.
 *
 * @param images images of the stages by name. @default none, which is enough to draw it
 */
export const defaultPipeline = (language: Language, images: TeamPipelineArgs["images"] = {}): PipelineModel =>
  teamModel({
    team: "team",
    namespace: "team",
    images,
    language,
    registry: { repository: "registry.example.com/team" },
    runtimeClasses: null,
  });

/** A team's pipeline without signatures: for whoever has no key at hand, or gets it only while applying. */
export const unsignedTeamPipeline = (args: TeamPipelineArgs): TeamPipeline => {
  const model = teamModel(args);
  checkPipeline(model);
  const tasks = model.stages.map((stage) => stageTask(model, stage, args));
  const pipeline = pipelineOf(model, args);
  const definitions = [...tasks, pipeline];
  return {
    name: model.name,
    tasks,
    pipeline,
    runTemplate: runTemplateOf(model, args, {
      runtimeClasses: args.runtimeClasses,
      timeout: args.timeout ?? "1h0m0s",
    }),
    digests: Object.fromEntries(
      definitions.map((definition) => [
        `${definition.kind.toLowerCase()}/${definition.metadata.name}`,
        digest(definition),
      ]),
    ),
    stages: model.stages.map((stage) => ({
      name: stage.name,
      task: taskName(model, stage),
      serviceAccount: stage.name,
      jailed: stage.network === "none",
      network: stage.network,
      reads: stage.reads,
      ...(stage.writes === undefined ? {} : { writes: stage.writes }),
    })),
    params: [...model.params],
  };
};

/**
 * A team's pipeline with every definition signed.
 * @example
 * const { tasks, pipeline, verificationPolicy, runTemplate } = teamPipeline({
 *   team: "team-a", namespace: "team-a", images, language: go(), runtimeClasses: null,
 *   registry: { repository: "registry.example/team-a" },
 *   signer: definitionSigner(privateKeyPem),
 * });
 */
export const teamPipeline = <Text = string>(args: SignedTeamPipelineArgs<Text>): SignedTeamPipeline<Text> => {
  const unsigned = unsignedTeamPipeline(args);
  return {
    ...unsigned,
    tasks: unsigned.tasks.map((task) => signDefinition(task, args.signer)),
    pipeline: signDefinition(unsigned.pipeline, args.signer),
    verificationPolicy: verificationPolicyOf(args, [
      { name: "current", publicKeyPem: args.signer.publicKeyPem },
      ...(args.formerKeys ?? []).map((publicKeyPem, index) => ({ name: `former-${index + 1}`, publicKeyPem })),
    ]),
  };
};

/** Networks that a stage may reach; `none` is the jail. */
export type Network = "none" | "forge" | "dependencies" | "registry";

/** A value that the person who starts a run gives. */
export interface RunParam {
  /** Lower-case words joined by `-`. */
  name: string;
  /** One sentence for the person who starts a run. */
  description: string;
  /** What the whole value must match: an expression that JavaScript and POSIX (extended) read alike. */
  pattern: string;
  /** Value when the run gives none. @default the run must give one */
  default?: string;
}

/** Where a stage's parameter comes from: a parameter of the run, or a result of an earlier stage. */
export type ParamSource = { run: string } | { stage: string; result: string };

/** A value that a stage is given. It reaches the script as the environment variable `PARAM_<NAME>`, nowhere else. */
export interface Param {
  /** Lower-case words joined by `-`. */
  name: string;
  /** One sentence. */
  description: string;
  /** What the stage itself checks before it uses the value; see {@link RunParam.pattern}. */
  pattern: string;
  /** Where the value comes from. */
  from: ParamSource;
}

/** A value that a stage leaves behind, by writing the file that the variable `RESULT_<NAME>` names. */
export interface Result {
  /** Words joined by `-` or `_`; upper case is for the names that Chains looks for. */
  name: string;
  /** One sentence. */
  description: string;
}

/**
 * Storage that exactly one stage writes and later stages read.
 * What is in it lies in the folder `tree` of the directory that `WORKSPACE_<NAME>` names.
 */
export interface Workspace {
  /** Lower-case words joined by `-`. */
  name: string;
  /** One sentence. */
  description: string;
  /** Size as a Kubernetes quantity, such as `1Gi`. */
  storage: string;
}

/** Files of a ConfigMap of the team's namespace that a stage sees; it sees no Secret. */
export interface Mount {
  /** Name within the stage: lower-case words joined by `-`. */
  name: string;
  /** Name of the ConfigMap. */
  source: string;
  /** File name for each key that the stage needs; it sees no other key. */
  files: Readonly<Record<string, string>>;
  /** Absolute directory in which the files appear. */
  path: string;
}

/** What a stage may use of its node. */
export interface StageResources {
  /** CPUs at most, as a Kubernetes quantity. */
  cpu: string;
  /** Memory, requested and at most, as a Kubernetes quantity. */
  memory: string;
  /** Space for temporary files, as a Kubernetes quantity. */
  scratch: string;
}

/**
 * One step of the way from source to image; it becomes one Task, run by the service account of the same name.
 *
 * Around the script the generator puts: the check of every parameter, the check that each workspace in `reads` still
 * has the digest that its writer left (before the script and after it), and for a stage that writes the result
 * `digest` of what it wrote.
 */
export interface Stage {
  /** Lower-case words joined by `-`. */
  name: string;
  /** One sentence. */
  description: string;
  /** Image by digest. */
  image: string;
  /** POSIX shell. It reads parameters, workspaces and results through the environment only. */
  script: string;
  /** Parameters that the script uses. */
  params: readonly Param[];
  /** Results that the script writes. */
  results: readonly Result[];
  /** Workspaces that it sees, read-only. */
  reads: readonly string[];
  /** The workspace that it alone fills. @default none */
  writes?: string;
  /** What it may reach. Everything but `none` is reserved for the stage of that purpose. */
  network: Network;
  /** Fixed environment of the script. */
  env: Readonly<Record<string, string>>;
  /** Files of ConfigMaps that it sees. */
  mounts: readonly Mount[];
  /** Whether it gets an identity from SPIRE; only a stage with a network does. @default false */
  identity?: boolean;
  /** What it may use of its node. */
  resources: StageResources;
}

/** A result of a stage that the run shows as its own, and that Chains therefore records. */
export interface RunResult {
  /** See {@link Result.name}. */
  name: string;
  /** One sentence. */
  description: string;
  /** Stage and result whose value it is. */
  from: { stage: string; result: string };
}

/** A whole pipeline, before it becomes Tekton objects. */
export interface PipelineModel {
  /** Lower-case words joined by `-`; the Pipeline has this name, its Tasks start with it. */
  name: string;
  /** One sentence. */
  description: string;
  /** What a run is given. */
  params: readonly RunParam[];
  /** Storage that the stages share. */
  workspaces: readonly Workspace[];
  /** The stages, in the order in which a person reads them; what runs first follows from parameters and workspaces. */
  stages: readonly Stage[];
  /** What a run shows. */
  results: readonly RunResult[];
}

/** What a language is told when it makes its stages. */
export interface LanguageContext {
  /** Images of the stages by name, each by digest. */
  images: Readonly<Record<string, string>>;
  /** ConfigMap whose key `ca.crt` holds the certificate authorities to trust outside. @default the image's own */
  caBundleConfigMap?: string;
}

/**
 * All that a language adds to the common stages; a new language is one file that exports one of these.
 *
 * Its stages read workspace `source` (and the results of stage `ingest-source`), fill `dependencies` in a stage
 * `ingest-dependencies`, and fill `output` in the stage {@link Language.outputStage} with the root file system of the image.
 */
export interface Language {
  /** Lower-case words joined by `-`; names the pipeline too. */
  name: string;
  /** What a run is given beside the source and the image's name. */
  params: readonly RunParam[];
  /** The stages between *ingest source* and *publish*. */
  stages(context: LanguageContext): Stage[];
  /** Name of the stage that fills `output`; it has a result `platform` such as `linux/amd64`. */
  outputStage: string;
  /** What the image runs: absolute paths within `output`. */
  entrypoint: readonly string[];
  /** Results of its stages that the run shows as well. */
  results: readonly RunResult[];
}

/** Digest of a tree, as the stages write and check it. */
export const digestPattern = "sha256:[0-9a-f]{64}";

/** `PARAM_SOURCE_DIGEST` for prefix `PARAM` and name `source-digest`. */
export const variableName = (prefix: "PARAM" | "RESULT" | "WORKSPACE", name: string): string =>
  `${prefix}_${name.replaceAll("-", "_").toUpperCase()}`;

/** Name of the parameter by which a reader of a workspace is told its digest. */
export const digestParamName = (workspace: string): string => `${workspace}-digest`;

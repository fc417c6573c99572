import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { describeHost, hostOf } from "../../components/lib/hosts";
import type { Finding, LogFindings } from "./log";
import {
  checkSignature,
  CLOCK_TOLERANCE_SECONDS,
  type LogEntry,
  type SignatureTrust,
  type SignedStatement,
  statementPayloadType,
  timeOf,
} from "./signature";

/** One thing that was looked at, and what was found. */
export interface Check {
  /** Stable code; each check has its own, held or not. */
  code: string;
  title: string;
  held: boolean;
  /** What was found: the value that held, or what is wrong. */
  detail: string;
}

/** A generated pipeline, as its team's stack says it is. */
export interface ExpectedPipeline {
  name: string;
  stages: { name: string; task: string; serviceAccount: string; jailed: boolean }[];
  /** SHA-256 of each definition in hexadecimal, by `<kind>/<name>`. */
  digests: Record<string, string>;
  /** The run without its parameters. */
  runTemplate: { spec?: unknown };
}

/** What an image's provenance must say. */
export interface Expectations {
  signature: SignatureTrust;
  /** The image's name without tag or digest, and its digest as `sha256:<hex>`. */
  image: { name: string; digest: string };
  /** Bills of materials that are attached to the image in the registry, by the digest of their manifests. */
  sboms: { digest: string; packages: number }[];
  builderId: string;
  /** Namespace of the team. */
  namespace: string;
  pipelines: ExpectedPipeline[];
  /** Images that stages may run, by digest: those that the trust repository has signed as the factory's. */
  stageImages: string[];
  /** Runtime class of jailed stages; null where network policies alone are the jail. */
  jailedRuntimeClass: string | null;
  /** Forges that the source may come from, each as `<name>:<port>`. @default any, which is shown */
  forges?: readonly string[];
  /** Address that the source must come from. @default any, which is shown */
  source?: string;
  /** Commit that the source must be. @default any, which is shown */
  commit?: string;
  /** Time before which nothing may have been signed. @default any, which is shown */
  notBefore?: Date;
}

const digestSet = z.record(z.string(), z.string());
const descriptor = z.object({
  name: z.string().default(""),
  uri: z.string().default(""),
  digest: digestSet.default({}),
});
const param = z.object({ name: z.string(), value: z.unknown().optional() });
const podTemplate = z.record(z.string(), z.unknown());

const runSpecSchema = z.object({
  pipelineRef: z.object({ resolver: z.string().optional(), params: z.array(param).default([]) }).optional(),
  pipelineSpec: z.unknown().optional(),
  params: z.array(param).default([]),
  taskRunTemplate: z.object({ podTemplate: podTemplate.optional() }).default({}),
  taskRunSpecs: z
    .array(
      z.looseObject({
        pipelineTaskName: z.string(),
        serviceAccountName: z.string().optional(),
        podTemplate: podTemplate.optional(),
      }),
    )
    .default([]),
});

const statementSchema = z.object({
  _type: z.string(),
  predicateType: z.string(),
  subject: z.array(descriptor),
  predicate: z.object({
    buildDefinition: z.object({
      buildType: z.string(),
      externalParameters: z.object({ runSpec: runSpecSchema }),
      resolvedDependencies: z.array(descriptor).default([]),
    }),
    runDetails: z.object({
      builder: z.object({ id: z.string() }),
      metadata: z.object({ startedOn: z.string().optional(), finishedOn: z.string().optional() }).default({}),
      byproducts: z.array(z.object({ name: z.string().default(""), content: z.string().default("") })).default([]),
    }),
  }),
});

type Statement = z.infer<typeof statementSchema>;
type RunSpec = z.infer<typeof runSpecSchema>;

const statementType = "https://in-toto.io/Statement/v1";
const predicateType = "https://slsa.dev/provenance/v1";
const buildType = "https://tekton.dev/chains/v2/slsa";

/** What each check is called, in the order in which they are shown. */
const titles = {
  signature: ["SSF-PROVENANCE-001", "signed by this factory"],
  subject: ["SSF-PROVENANCE-002", "about this image"],
  predicate: ["SSF-PROVENANCE-003", "SLSA v1 provenance of a run"],
  builder: ["SSF-PROVENANCE-004", "made by this builder"],
  source: ["SSF-PROVENANCE-005", "from this source and commit"],
  pipeline: ["SSF-PROVENANCE-006", "by our generated pipeline"],
  stages: ["SSF-PROVENANCE-007", "every stage by our generated definition, and no other"],
  images: ["SSF-PROVENANCE-008", "every step in an image of the factory"],
  run: ["SSF-PROVENANCE-009", "the run changed no stage"],
  jail: ["SSF-PROVENANCE-010", "build stage jailed"],
  sbom: ["SSF-PROVENANCE-011", "bill of materials attached and attested"],
  reproduced: ["SSF-PROVENANCE-012", "built twice with the same result"],
  logged: ["SSF-PROVENANCE-013", "in the log"],
  grown: ["SSF-PROVENANCE-014", "the log only grew"],
  valid: ["SSF-PROVENANCE-015", "free of revocation"],
  recent: ["SSF-PROVENANCE-016", "signed recently enough"],
  time: ["SSF-PROVENANCE-017", "entered in the log after its run"],
} as const;

type CheckName = keyof typeof titles;

const check = (name: CheckName, fault: string | undefined, found: string): Check => {
  const [code, title] = titles[name];
  return { code, title, held: fault === undefined, detail: fault ?? found };
};

const parseStatement = (payload: string): Statement | undefined => {
  try {
    return statementSchema.safeParse(JSON.parse(Buffer.from(payload, "base64").toString())).data;
  } catch {
    return undefined;
  }
};

const hex = (digest: string): string => digest.replace(/^.*@/, "").replace(/^sha256:/, "");

const quoted = (values: readonly string[]): string => (values.length === 0 ? "none" : values.join(", "));

/** A run ends after it has begun, and is signed and entered in the log after that. */
const timeFault = ({ predicate }: Statement, entry: LogEntry | undefined): string | undefined => {
  const { startedOn = "never", finishedOn = "never" } = predicate.runDetails.metadata;
  const [started, finished] = [Date.parse(startedOn), Date.parse(finishedOn)];
  const entered = (entry?.integratedTime ?? 0) * 1000;
  if (Number.isNaN(started) || Number.isNaN(finished))
    return `the run began ${startedOn} and ended ${finishedOn}, which are no two times`;
  if (finished < started) return `the run ended at ${finishedOn}, before it began at ${startedOn}`;
  return finished <= entered + CLOCK_TOLERANCE_SECONDS * 1000
    ? undefined
    : `the log took it at ${entry === undefined ? "no time" : timeOf(entry)}, before the run ended at ${finishedOn}`;
};

const subjectFault = ({ subject }: Statement, { image }: Expectations): string | undefined =>
  subject.some(({ name, digest }) => name === image.name && digest.sha256 === hex(image.digest))
    ? undefined
    : `it speaks about ${quoted(subject.map(({ name, digest }) => `${name}@sha256:${digest.sha256 ?? "?"}`))}`;

const paramValue = (params: RunSpec["params"], name: string): string | undefined => {
  const value = params.find((candidate) => candidate.name === name)?.value;
  return typeof value === "string" ? value : undefined;
};

const dependencies = ({ predicate }: Statement, name: string) =>
  predicate.buildDefinition.resolvedDependencies.filter((dependency) => dependency.name === name);

/** A git address as Chains writes it: with scheme `git+` and ending in `.git`. */
const gitUri = (url: string): string => `git+${url.replace(/\.git$/, "")}.git`;

const sourceOf = (statement: Statement) => {
  const { params } = statement.predicate.buildDefinition.externalParameters.runSpec;
  return { repository: paramValue(params, "repository"), commit: paramValue(params, "commit") };
};

const sourceFault = (statement: Statement, expected: Expectations): string | undefined => {
  const { repository, commit } = sourceOf(statement);
  if (repository === undefined || commit === undefined) return "the run names no repository or commit";
  const checkedOut = dependencies(statement, "inputs/result");
  if (checkedOut.length === 0) return "no stage recorded what it checked out";
  const other = checkedOut.find(
    ({ uri, digest }) =>
      gitUri(uri.replace(/^git\+/, "")) !== gitUri(repository) || !Object.values(digest).includes(commit),
  );
  if (other)
    return `asked for ${repository} at ${commit}, but ${other.uri} at ${quoted(Object.values(other.digest))} was checked out`;
  const forge = URL.canParse(repository) ? describeHost(hostOf(repository)) : repository;
  if (expected.forges !== undefined && !expected.forges.includes(forge))
    return `expected a source at ${quoted(expected.forges)}, found ${repository}`;
  if (expected.source !== undefined && gitUri(expected.source) !== gitUri(repository))
    return `expected source ${expected.source}, found ${repository}`;
  if (expected.commit !== undefined && expected.commit !== commit)
    return `expected commit ${expected.commit}, found ${commit}`;
  return undefined;
};

const definitionUri = (namespace: string, kind: string, name: string): string =>
  `/apis/tekton.dev/v1/namespaces/${namespace}/${kind}/${name}@`;

const isDefinition = (uri: string, namespace: string, kind: string, name: string): boolean => {
  const start = definitionUri(namespace, kind, name);
  return uri.startsWith(start) && /^[0-9a-f-]+$/.test(uri.slice(start.length));
};

const pipelineOf = (statement: Statement, { namespace, pipelines }: Expectations): ExpectedPipeline | undefined => {
  const [found] = dependencies(statement, "pipeline");
  return pipelines.find(({ name }) => found !== undefined && isDefinition(found.uri, namespace, "pipeline", name));
};

const pipelineFault = (statement: Statement, pipeline: ExpectedPipeline | undefined, expected: Expectations) => {
  const found = dependencies(statement, "pipeline");
  if (pipeline === undefined || found.length !== 1)
    return `expected one of the pipelines ${quoted(expected.pipelines.map(({ name }) => name))} of ${expected.namespace}, found ${quoted(found.map(({ uri }) => uri))}`;
  const digest = pipeline.digests[`pipeline/${pipeline.name}`];
  const given = found[0]?.digest.sha256;
  return digest !== undefined && given === digest
    ? undefined
    : `pipeline ${pipeline.name} has digest ${digest ?? "none"}, the run used ${given ?? "none"}`;
};

const stagesFault = (statement: Statement, pipeline: ExpectedPipeline | undefined, { namespace }: Expectations) => {
  if (pipeline === undefined) return "the run has none of our pipelines";
  const ran = dependencies(statement, "pipelineTask");
  const faults = pipeline.stages.flatMap(({ name, task }) => {
    const used = ran.filter(({ uri }) => isDefinition(uri, namespace, "task", task));
    if (used.length === 0) return [`stage ${name} did not run`];
    const digest = pipeline.digests[`task/${task}`];
    const other = used.find((candidate) => digest === undefined || candidate.digest.sha256 !== digest);
    return other
      ? [`stage ${name} ran a definition with digest ${other.digest.sha256 ?? "none"}, not ${digest ?? "none"}`]
      : [];
  });
  const foreign = ran.filter(
    ({ uri }) => !pipeline.stages.some(({ task }) => isDefinition(uri, namespace, "task", task)),
  );
  faults.push(...foreign.map(({ uri }) => `${uri} ran, which is no stage of the pipeline`));
  return faults.length === 0 ? undefined : faults.join("; ");
};

const known = new Set(["pipeline", "pipelineTask", "inputs/result"]);

const imagesFault = ({ predicate }: Statement, { stageImages }: Expectations): string | undefined => {
  const allowed = new Set(stageImages.map(hex));
  const foreign = predicate.buildDefinition.resolvedDependencies.filter(
    ({ name, digest }) => !known.has(name) && !allowed.has(digest.sha256 ?? ""),
  );
  return foreign.length === 0
    ? undefined
    : `not signed as images of the factory: ${foreign.map(({ uri, digest }) => `${uri}@sha256:${digest.sha256 ?? "?"}`).join(", ")}`;
};

/** Without the members that say nothing, which the API server adds and leaves out as it likes. */
const essence = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(essence);
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value)
    .map(([key, inner]): [string, unknown] => [key, essence(inner)])
    .filter(([, inner]) => inner !== null && inner !== undefined && !isDeepStrictEqual(inner, {}));
  return Object.fromEntries(members);
};

const same = (one: unknown, other: unknown): boolean => isDeepStrictEqual(essence(one), essence(other));

const runFault = (statement: Statement, pipeline: ExpectedPipeline | undefined, { namespace }: Expectations) => {
  const { runSpec } = statement.predicate.buildDefinition.externalParameters;
  if (pipeline === undefined) return "the run has none of our pipelines";
  const template = runSpecSchema.safeParse(pipeline.runTemplate.spec).data;
  if (template === undefined) return "the team's stack has no run template; bring it up again";
  const reference = runSpec.pipelineRef;
  if (runSpec.pipelineSpec !== undefined && runSpec.pipelineSpec !== null) return "the run brought its own pipeline";
  const named = ["kind", "name", "namespace"].map((name) => paramValue(reference?.params ?? [], name));
  if (reference?.resolver !== "cluster" || !isDeepStrictEqual(named, ["pipeline", pipeline.name, namespace]))
    return "the run did not name the pipeline by the cluster resolver";
  if (!same(runSpec.taskRunTemplate.podTemplate, template.taskRunTemplate.podTemplate))
    return "the run changed the pods of all stages";
  const byStage = (specs: RunSpec["taskRunSpecs"]) =>
    [...specs].sort((a, b) => (a.pipelineTaskName < b.pipelineTaskName ? -1 : 1));
  return same(byStage(runSpec.taskRunSpecs), byStage(template.taskRunSpecs))
    ? undefined
    : "the run changed service account, pod or steps of a stage";
};

const jailFault = (
  statement: Statement,
  pipeline: ExpectedPipeline | undefined,
  { jailedRuntimeClass }: Expectations,
) => {
  const jailed = pipeline?.stages.filter((stage) => stage.jailed) ?? [];
  if (jailed.length === 0) return "no stage of the pipeline is jailed";
  const { taskRunSpecs } = statement.predicate.buildDefinition.externalParameters.runSpec;
  const faults = jailed.flatMap(({ name, serviceAccount }) => {
    const specs = taskRunSpecs.filter(({ pipelineTaskName }) => pipelineTaskName === name);
    const [spec] = specs;
    if (spec === undefined || specs.length > 1) return [`stage ${name} has ${specs.length} specifications`];
    if (spec.serviceAccountName !== serviceAccount)
      return [`stage ${name} ran as ${spec.serviceAccountName ?? "nobody"}, not as ${serviceAccount}`];
    const found = spec.podTemplate?.runtimeClassName;
    return jailedRuntimeClass === null || found === jailedRuntimeClass
      ? []
      : [
          `stage ${name} ran with runtime class ${typeof found === "string" ? found : "none"}, not ${jailedRuntimeClass}`,
        ];
  });
  return faults.length === 0 ? undefined : faults.join("; ");
};

const attestedSboms = ({ subject }: Statement, { image, sboms }: Expectations) =>
  sboms.filter(({ digest }) => subject.some((one) => one.name === image.name && one.digest.sha256 === hex(digest)));

const sbomFault = (statement: Statement, expected: Expectations): string | undefined => {
  if (expected.sboms.length === 0) return "no bill of materials is attached to the image";
  const { length } = attestedSboms(statement, expected);
  if (length === 1) return undefined;
  const attached = quoted(expected.sboms.map(({ digest }) => digest));
  return `the statement speaks about ${length === 0 ? "none" : length} of the attached ones: ${attached}`;
};

/** A result of the run, as Chains records it: JSON in base64. */
const runResult = ({ predicate }: Statement, name: string): unknown => {
  const found = predicate.runDetails.byproducts.filter(
    (byproduct) => byproduct.name.startsWith("pipelineRunResults/") && byproduct.name.endsWith(`/${name}`),
  );
  if (found.length !== 1) return undefined;
  try {
    return JSON.parse(Buffer.from(found[0]?.content ?? "", "base64").toString());
  } catch {
    return undefined;
  }
};

const reproducedFault = (statement: Statement): string | undefined => {
  const digests = ["output-digest", "reproduced-digest"].map((name) => runResult(statement, name));
  const [first, second] = digests;
  return typeof first === "string" && first === second
    ? undefined
    : `the two builds made ${digests.map((digest) => (typeof digest === "string" ? digest : "nothing")).join(" and ")}`;
};

/**
 * Checks one signed statement against what the factory and the team say. Pure: all that counts is in the arguments.
 * A statement that is not signed by the factory is not read any further.
 */
export const checkProvenance = (signed: SignedStatement, expected: Expectations): Check[] => {
  const { envelope, entry } = signed;
  const finding = checkSignature(signed, expected.signature);
  if (finding.fault !== undefined) return [check("signature", finding.fault, "")];
  const { identity, issuer } = finding.policy;
  const signature = check("signature", undefined, `${identity}, known to ${issuer}, ${entry ? timeOf(entry) : ""}`);
  const statement = envelope.payloadType === statementPayloadType ? parseStatement(envelope.payload) : undefined;
  if (statement === undefined)
    return [signature, check("predicate", "the signed content is no provenance of a pipeline run", "")];
  const { predicate } = statement;
  const pipeline = pipelineOf(statement, expected);
  const { repository = "?", commit = "?" } = sourceOf(statement);
  const types = [statement._type, statement.predicateType, predicate.buildDefinition.buildType];
  const builder = predicate.runDetails.builder.id;
  const jail = expected.jailedRuntimeClass;
  return [
    signature,
    check("subject", subjectFault(statement, expected), `${expected.image.name}@${expected.image.digest}`),
    check(
      "predicate",
      isDeepStrictEqual(types, [statementType, predicateType, buildType]) ? undefined : `found ${types.join(", ")}`,
      predicateType,
    ),
    check(
      "builder",
      builder === expected.builderId ? undefined : `expected ${expected.builderId}, found ${builder}`,
      builder,
    ),
    check("time", timeFault(statement, entry), `the run ended at ${predicate.runDetails.metadata.finishedOn ?? ""}`),
    check("source", sourceFault(statement, expected), `${repository} at ${commit}`),
    check(
      "pipeline",
      pipelineFault(statement, pipeline, expected),
      `pipeline ${pipeline?.name ?? ""} of ${expected.namespace}`,
    ),
    check("stages", stagesFault(statement, pipeline, expected), quoted(pipeline?.stages.map(({ name }) => name) ?? [])),
    check("images", imagesFault(statement, expected), "by digest, from the list of the factory"),
    check("run", runFault(statement, pipeline, expected), "service accounts, pods and steps as generated"),
    check(
      "jail",
      jailFault(statement, pipeline, expected),
      jail === null ? "by network policies alone: this factory has no runtime class for it" : `runtime class ${jail}`,
    ),
    check(
      "sbom",
      sbomFault(statement, expected),
      attestedSboms(statement, expected)
        .map(({ digest, packages }) => `${packages} packages, ${digest}`)
        .join(),
    ),
    ...(pipeline?.stages.some(({ name }) => name === "reproduce") === true
      ? [check("reproduced", reproducedFault(statement), String(runResult(statement, "output-digest")))]
      : []),
    ...(entry === undefined || expected.notBefore === undefined
      ? []
      : [check("recent", ageFault(entry, expected.notBefore), timeOf(entry))]),
  ];
};

const ageFault = (entry: LogEntry, notBefore: Date): string | undefined =>
  entry.integratedTime * 1000 >= notBefore.getTime()
    ? undefined
    : `signed at ${timeOf(entry)}, and what is older than ${notBefore.toISOString()} is to be built anew`;

/** Whether the trust repository has revoked the image itself; with that, nothing else about it counts. */
export const checkRevocation = (revokedAt: string | undefined): Check =>
  check(
    "valid",
    revokedAt === undefined ? undefined : `revoked at ${revokedAt} in the trust repository: build it anew`,
    "not revoked in the trust repository",
  );

/** What the log answered about a statement's entry, as checks. */
export const checkLog = ({ inclusion, growth }: LogFindings): Check[] => {
  const logCheck = (name: CheckName, { fault, found }: Finding) => check(name, fault, found);
  return [logCheck("logged", inclusion), logCheck("grown", growth)];
};

/** Whether every check held; nothing at all proves nothing. */
export const allHeld = (checks: readonly Check[]): boolean => checks.length > 0 && checks.every(({ held }) => held);

/** The checks of the statement that comes nearest to what is expected, of all that lie beside an image. */
export const bestOf = (results: readonly Check[][]): Check[] => {
  const score = (checks: Check[]) => (allHeld(checks) ? Infinity : checks.filter(({ held }) => held).length);
  return results.reduce<Check[]>((best, checks) => (score(checks) > score(best) ? checks : best), results[0] ?? []);
};

/** The check that fails when there is no signed statement at all. */
export const unsignedImage = (): Check => check("signature", "no signed statement lies beside the image", "");

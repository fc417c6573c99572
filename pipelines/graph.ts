import { FactoryError, type Problem } from "../components/lib/errors";
import { workloadApiVolume } from "../components/lib/workload-api";
import { isCanonicalQuantity } from "./canonical";
import { credentialProblems } from "./lint";
import {
  digestParamName,
  variableName,
  type Network,
  type Param,
  type PipelineModel,
  type RunParam,
  type Stage,
} from "./model";
import { isPortablePattern, matchesPattern } from "./patterns";

/** The only stages that may leave the jail, and where each of them may go. */
export const networkOfStage: Readonly<Record<string, Network>> = {
  "ingest-source": "forge",
  "ingest-dependencies": "dependencies",
  publish: "registry",
};

const namePattern = /^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/;
const resultNamePattern = /^[A-Za-z][A-Za-z0-9]*(?:[_-][A-Za-z0-9]+)*$/;
const imagePattern = /^[a-z0-9][A-Za-z0-9./:_-]*@sha256:[0-9a-f]{64}$/;
const variablePattern = /^[A-Z][A-Z0-9_]*$/;
const reservedVariable = /^(?:HOME|TMPDIR|PATH|SPIFFE_ENDPOINT_SOCKET|PARAM_.*|RESULT_.*|WORKSPACE_.*|TEKTON_.*)$/;
/** Kubernetes allows 63 characters; the pipeline's name, a hyphen and Tekton's suffixes need their share. */
const longestName = 30;

type Report = (problem: Problem) => void;

const duplicates = (names: readonly string[]): string[] => [
  ...new Set(names.filter((name, index) => names.indexOf(name) !== index)),
];

const checkName = (report: Report, path: string, name: string, pattern = namePattern): void => {
  if (pattern.test(name) && name.length <= longestName) return;
  report({
    code: "SSF-PIPELINE-001",
    path,
    given: `"${name}"`,
    rule: `A name has letters and digits, words joined by "-", and at most ${longestName} characters.`,
    fix: "Choose a shorter or simpler name.",
  });
};

const checkUnique = (report: Report, path: string, what: string, names: readonly string[]): void => {
  for (const name of duplicates(names)) {
    report({
      code: "SSF-PIPELINE-002",
      path,
      given: `"${name}" twice`,
      rule: `Each ${what} has a name of its own.`,
      fix: `Rename or remove one of the two.`,
    });
  }
};

const checkPattern = (report: Report, path: string, param: RunParam | Param): void => {
  if (!isPortablePattern(param.pattern)) {
    report({
      code: "SSF-PIPELINE-010",
      path: `${path}.pattern`,
      given: param.pattern,
      rule: "A pattern means the same to JavaScript and to grep -E: no backslash, quote, anchor, group option or lazy repeat.",
      fix: "Write it with bracket expressions, plain groups and repeats; it is matched against the whole value.",
    });
  } else if ("default" in param && param.default !== undefined && !matchesPattern(param.default, param.pattern)) {
    report({
      code: "SSF-PIPELINE-010",
      path: `${path}.default`,
      given: `"${param.default}"`,
      rule: `A default matches the pattern ${param.pattern}.`,
      fix: "Mend the default or the pattern.",
    });
  }
};

const checkQuantity = (report: Report, path: string, value: string): void => {
  if (isCanonicalQuantity(value) && value !== "0") return;
  report({
    code: "SSF-PIPELINE-013",
    path,
    given: `"${value}"`,
    rule: "A quantity is a whole number above zero with the largest suffix that keeps it whole.",
    fix: 'Write for instance "500m", "2" or "1Gi".',
  });
};

const checkJail = (report: Report, stage: Stage): void => {
  if (stage.network === "none" || networkOfStage[stage.name] === stage.network) return;
  report({
    code: "SSF-PIPELINE-007",
    path: `stages.${stage.name}.network`,
    given: stage.network,
    rule: "Only ingest-source (forge), ingest-dependencies (dependencies) and publish (registry) leave the jail.",
    fix: 'Set network to "none", and move what needs a network into the stage of that purpose.',
  });
};

const checkIdentity = (report: Report, stage: Stage): void => {
  if (stage.identity !== true || stage.network !== "none") return;
  report({
    code: "SSF-PIPELINE-018",
    path: `stages.${stage.name}.identity`,
    given: "true",
    rule: "A jailed stage has no identity: there is nobody whom it could show one.",
    fix: "Leave it out, and move what needs an identity into the stage that publishes.",
  });
};

const checkScript = (report: Report, stage: Stage): void => {
  const forbidden = /\$\((?:params|results|workspaces|context|tasks|steps|step|credentials)[.[]/.exec(stage.script);
  if (forbidden) {
    report({
      code: "SSF-PIPELINE-009",
      path: `stages.${stage.name}.script`,
      given: forbidden[0],
      rule: "Values reach a script through its environment only; Tekton would splice this one into the text.",
      fix: "Use the variable instead: PARAM_..., RESULT_... or WORKSPACE_....",
    });
  }
  if (stage.script.startsWith("#!")) {
    report({
      code: "SSF-PIPELINE-009",
      path: `stages.${stage.name}.script`,
      given: stage.script.split("\n", 1)[0] ?? "",
      rule: "The generator writes the first line of every script: POSIX shell, stopping at the first failure.",
      fix: "Remove the line.",
    });
  }
};

const checkEnvironment = (report: Report, stage: Stage): void => {
  for (const [name, value] of Object.entries(stage.env)) {
    if (variablePattern.test(name) && !reservedVariable.test(name) && !value.includes("$(")) continue;
    report({
      code: "SSF-PIPELINE-015",
      path: `stages.${stage.name}.env.${name}`,
      given: `"${value}"`,
      rule: "A fixed variable has an upper-case name that the generator does not use itself, and no $( in its value.",
      fix: "Rename it, or make it a parameter.",
    });
  }
};

const checkImage = (report: Report, stage: Stage): void => {
  if (imagePattern.test(stage.image)) return;
  report({
    code: "SSF-PIPELINE-008",
    path: `stages.${stage.name}.image`,
    given: `"${stage.image}"`,
    rule: "An image is named by digest: <repository>@sha256:<64 hexadecimal digits>.",
    fix: "Take the reference from toolchain.lock.json.",
  });
};

const checkStage = (report: Report, stage: Stage): void => {
  const path = `stages.${stage.name}`;
  checkName(report, path, stage.name);
  checkJail(report, stage);
  checkIdentity(report, stage);
  checkImage(report, stage);
  checkScript(report, stage);
  checkEnvironment(report, stage);
  stage.params.forEach((param) => {
    checkName(report, `${path}.params.${param.name}`, param.name);
    checkPattern(report, `${path}.params.${param.name}`, param);
  });
  stage.results.forEach((result) =>
    checkName(report, `${path}.results.${result.name}`, result.name, resultNamePattern),
  );
  stage.mounts.forEach((mount) => checkName(report, `${path}.mounts.${mount.name}`, mount.name));
  const digests = stage.reads.map(digestParamName);
  checkUnique(report, `${path}.params`, "parameter", [...stage.params.map((param) => param.name), ...digests]);
  const results = [...stage.results.map((result) => result.name), ...(stage.writes === undefined ? [] : ["digest"])];
  checkUnique(
    report,
    `${path}.results`,
    "result's variable",
    results.map((name) => variableName("RESULT", name)),
  );
  checkUnique(report, `${path}.mounts`, "mount", [
    "scratch",
    workloadApiVolume.name,
    ...stage.mounts.map((mount) => mount.name),
  ]);
  for (const [name, value] of Object.entries(stage.resources))
    checkQuantity(report, `${path}.resources.${name}`, value as string);
};

const checkWorkspaces = (report: Report, model: PipelineModel): void => {
  const declared = new Set(model.workspaces.map((workspace) => workspace.name));
  for (const workspace of model.workspaces) {
    checkName(report, `workspaces.${workspace.name}`, workspace.name);
    checkQuantity(report, `workspaces.${workspace.name}.storage`, workspace.storage);
    const writers = model.stages.filter((stage) => stage.writes === workspace.name).map((stage) => stage.name);
    if (writers.length === 1) continue;
    report({
      code: "SSF-PIPELINE-003",
      path: `workspaces.${workspace.name}`,
      given: writers.length === 0 ? "no stage writes it" : `written by ${writers.join(" and ")}`,
      rule: "Exactly one stage writes a workspace.",
      fix: "Give each writing stage a workspace of its own, and let the others read it.",
    });
  }
  for (const stage of model.stages) {
    const used = [...stage.reads, ...(stage.writes === undefined ? [] : [stage.writes])];
    for (const name of used.filter((workspace) => !declared.has(workspace))) {
      report({
        code: "SSF-PIPELINE-004",
        path: `stages.${stage.name}`,
        given: `workspace "${name}"`,
        rule: "A stage uses workspaces that the pipeline declares.",
        fix: "Declare the workspace, or correct its name.",
      });
    }
    for (const name of duplicates(used)) {
      report({
        code: "SSF-PIPELINE-004",
        path: `stages.${stage.name}`,
        given: `workspace "${name}" twice`,
        rule: "A stage either reads a workspace or writes it, once.",
        fix: "Write to another workspace, or remove the second use.",
      });
    }
  }
};

const resultNames = (stage: Stage): string[] => [
  ...stage.results.map((result) => result.name),
  ...(stage.writes === undefined ? [] : ["digest"]),
];

const checkReferences = (report: Report, model: PipelineModel): void => {
  const runParams = new Set(model.params.map((param) => param.name));
  const checkResult = (path: string, from: { stage: string; result: string }): void => {
    const stage = model.stages.find((candidate) => candidate.name === from.stage);
    if (stage !== undefined && resultNames(stage).includes(from.result)) return;
    report({
      code: "SSF-PIPELINE-005",
      path,
      given: `result "${from.result}" of stage "${from.stage}"`,
      rule: "A reference names a result that a stage of this pipeline declares.",
      fix: stage === undefined ? "Correct the stage's name." : `Take one of ${resultNames(stage).join(", ")}.`,
    });
  };
  for (const stage of model.stages) {
    for (const param of stage.params) {
      const path = `stages.${stage.name}.params.${param.name}`;
      if ("stage" in param.from) {
        checkResult(path, param.from);
      } else if (!runParams.has(param.from.run)) {
        report({
          code: "SSF-PIPELINE-005",
          path,
          given: `parameter "${param.from.run}" of the run`,
          rule: "A reference names a parameter that the pipeline declares.",
          fix: `Take one of ${[...runParams].join(", ")}, or declare it.`,
        });
      }
    }
  }
  model.results.forEach((result) => checkResult(`results.${result.name}`, result.from));
};

/** Names of the stages that must end before this one starts. */
export const stagesBefore = (model: PipelineModel, stage: Stage): string[] => [
  ...new Set([
    ...stage.params.flatMap((param) => ("stage" in param.from ? [param.from.stage] : [])),
    ...stage.reads.flatMap((name) =>
      model.stages.filter((candidate) => candidate.writes === name).map((writer) => writer.name),
    ),
  ]),
];

const checkCycles = (report: Report, model: PipelineModel): void => {
  const done = new Set<string>();
  const visit = (stage: Stage, trail: readonly string[]): void => {
    if (done.has(stage.name)) return;
    if (trail.includes(stage.name)) {
      report({
        code: "SSF-PIPELINE-006",
        path: `stages.${stage.name}`,
        given: [...trail.slice(trail.indexOf(stage.name)), stage.name].join(" -> "),
        rule: "No stage waits for itself.",
        fix: "Remove one of these references.",
      });
      return;
    }
    for (const name of stagesBefore(model, stage)) {
      const before = model.stages.find((candidate) => candidate.name === name);
      if (before !== undefined) visit(before, [...trail, stage.name]);
    }
    done.add(stage.name);
  };
  model.stages.forEach((stage) => visit(stage, []));
};

/**
 * A run's volumes lie on the node of the first stage that writes one; a later stage is put there by what it reads. A
 * second stage that reads nothing could start on another node, and what reads from both could start nowhere.
 */
const checkPlacement = (report: Report, model: PipelineModel): void => {
  const first = model.stages.filter((stage) => stage.writes !== undefined && stage.reads.length === 0);
  if (first.length < 2) return;
  for (const stage of first.slice(1)) {
    report({
      code: "SSF-PIPELINE-040",
      path: `stages.${stage.name}`,
      given: `writes workspace "${stage.writes ?? ""}" and reads none, like ${first[0]?.name ?? ""}`,
      rule: "One stage writes a workspace without reading one, so that all workspaces of a run lie on one node.",
      fix: `Let it read a workspace that an earlier stage wrote, such as "${first[0]?.writes ?? ""}".`,
    });
  }
};

/** Refuses a pipeline that breaks a rule of the factory, with every problem at once. */
export const checkPipeline = (model: PipelineModel): void => {
  const problems: Problem[] = [];
  const report: Report = (problem) => problems.push(problem);
  checkName(report, "name", model.name);
  model.params.forEach((param) => {
    checkName(report, `params.${param.name}`, param.name);
    checkPattern(report, `params.${param.name}`, param);
  });
  const unique: [string, readonly { name: string }[]][] = [
    ["parameter", model.params],
    ["workspace", model.workspaces],
    ["stage", model.stages],
    ["result", model.results],
  ];
  for (const [what, entries] of unique) {
    checkUnique(
      report,
      `${what}s`,
      what,
      entries.map((entry) => entry.name),
    );
  }
  model.results.forEach((result) => checkName(report, `results.${result.name}`, result.name, resultNamePattern));
  model.stages.forEach((stage) => checkStage(report, stage));
  checkWorkspaces(report, model);
  checkReferences(report, model);
  checkCycles(report, model);
  checkPlacement(report, model);
  problems.push(...credentialProblems(model));
  const [first, ...others] = problems;
  if (first !== undefined) throw new FactoryError(first, ...others);
};

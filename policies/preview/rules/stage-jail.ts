import { RECORD_KEY, RECORD_LABEL } from "../../admission/gate/records";
import { STAGE_LABEL, TEAM_LABEL } from "../../../components/lib/labels";
import { FACTORY_NAMESPACES, UNJAILED_STAGES } from "../../admission";
import { describePath, isObject, isWithin, namespaceOf, type Path, type PreviewedResource, valueAt } from "../resource";
import { notChecked, passed, type PreviewRule, together, type Verdicts, violation } from "../rule";
import { jailConfig, type Settings } from "../settings";

/** The parts of a run that say how its stages run. */
interface Run {
  taskRunTemplate?: Placed;
  taskRunSpecs?: (Placed & { pipelineTaskName?: string })[];
}

interface Placed {
  serviceAccountName?: string;
  podTemplate?: { runtimeClassName?: string };
}

/** Where runs stand in each kind that holds some. */
const RUNS: Readonly<Record<string, Path>> = {
  PipelineRun: ["spec"],
  TaskRun: ["spec"],
  TriggerTemplate: ["spec", "resourcetemplates"],
};

const isRecord = (resource: PreviewedResource): boolean =>
  resource.inputs.kind === "ConfigMap" && typeof valueAt(resource, "metadata", "labels", RECORD_LABEL) === "string";

const RECORD: Path = ["data", RECORD_KEY];

/** The runs that an object holds, each with where it stands. */
const runsOf = (resource: PreviewedResource): { path: string; run: Run }[] => {
  const { kind } = resource.inputs;
  if (isRecord(resource)) {
    const record = JSON.parse(String(valueAt(resource, ...RECORD))) as {
      pipelines: { name: string; runTemplate: { spec: Run } }[];
    };
    return record.pipelines.map(({ name, runTemplate }) => ({ path: `${RECORD_KEY} ${name}`, run: runTemplate.spec }));
  }
  if (kind === "TriggerTemplate")
    return ((valueAt(resource, ...(RUNS.TriggerTemplate ?? [])) ?? []) as { spec?: Run }[]).map(
      ({ spec = {} }, index) => ({
        path: `spec.resourcetemplates[${index}]`,
        run: spec,
      }),
    );
  if (kind === "TaskRun") return [{ path: "spec", run: { taskRunTemplate: resource.inputs.spec as Placed } }];
  return kind === "PipelineRun" ? [{ path: "spec", run: resource.inputs.spec ?? {} }] : [];
};

/** How a run could let a stage out: a class other than the jail's, for an account that is not that of a networked stage. */
const unjailed = (resource: PreviewedResource, jailed: string): Verdicts => {
  const holder = isRecord(resource) ? RECORD : RUNS[String(resource.inputs.kind)];
  if (holder === undefined) return passed;
  const unknown = resource.unknown.filter((path) => isWithin(path, holder) || isWithin(holder, path));
  if (unknown.length > 0)
    return together(unknown.map((path) => notChecked(resource, describePath(path), "SSF-PREVIEW-050")));
  return together(
    runsOf(resource).flatMap(({ path, run: { taskRunTemplate = {}, taskRunSpecs = [] } }) =>
      [
        { name: "every stage", placed: taskRunTemplate },
        ...taskRunSpecs.map((placed) => ({ name: placed.pipelineTaskName ?? "", placed })),
      ]
        .filter(
          ({ placed }) =>
            !UNJAILED_STAGES.includes(placed.serviceAccountName ?? "") &&
            (placed.podTemplate ?? taskRunTemplate.podTemplate)?.runtimeClassName !== jailed,
        )
        .map(({ name, placed }) =>
          violation(resource, {
            code: "SSF-PREVIEW-050",
            path: `${path}: ${name}`,
            given: `runtime class '${(placed.podTemplate ?? taskRunTemplate.podTemplate)?.runtimeClassName ?? ""}' for account '${placed.serviceAccountName ?? ""}'`,
            rule: `A stage is jailed unless it is one of ${UNJAILED_STAGES.join(", ")}, under its own account.`,
            fix: `Set podTemplate.runtimeClassName to '${jailed}', or generate the run by pipelines/.`,
          }),
        ),
    ),
  );
};

/** Kinds of network policies, with where each says which pods it is about. */
const SELECTORS: Readonly<Record<string, string>> = {
  NetworkPolicy: "podSelector",
  CiliumNetworkPolicy: "endpointSelector",
};

/** A policy of a team's namespace that lets pods out which are not those of one networked stage. */
const letOut = (resource: PreviewedResource): Verdicts => {
  const selector = SELECTORS[String(resource.inputs.kind)];
  if (selector === undefined || typeof valueAt(resource, "metadata", "labels", TEAM_LABEL) !== "string") return passed;
  // No stage runs in the factory's own namespaces, though what listens there for a team is the team's.
  const namespace = namespaceOf(resource);
  if (FACTORY_NAMESPACES.some((own) => own === namespace)) return passed;
  const looked: Path[] = [
    ["spec", selector],
    ["spec", "egress"],
  ];
  const unknown = resource.unknown.filter((path) =>
    looked.some((one) => isWithin(one, path) || (one[1] === selector && isWithin(path, one))),
  );
  if (unknown.length > 0)
    return together(unknown.map((path) => notChecked(resource, describePath(path), "SSF-PREVIEW-051")));
  const egress = valueAt(resource, "spec", "egress");
  if (!Array.isArray(egress) || egress.length === 0) return passed;
  const labels = (valueAt(resource, "spec", selector, "matchLabels") ?? {}) as Record<string, string>;
  const stage = labels[STAGE_LABEL] ?? labels[`k8s:${STAGE_LABEL}`];
  if (stage !== undefined && UNJAILED_STAGES.includes(stage)) return passed;
  return violation(resource, {
    code: "SSF-PREVIEW-051",
    path: `spec.${selector}`,
    given: stage === undefined ? "pods of any stage" : `pods of stage '${stage}'`,
    rule: `Only the stages ${UNJAILED_STAGES.join(", ")} reach anything, each by a policy of its own.`,
    fix: `Select the label ${STAGE_LABEL} of one of these stages, or leave egress empty.`,
  });
};

const judge = (resources: readonly PreviewedResource[], { runtimeClasses }: Settings): Verdicts =>
  together(
    resources
      .filter(isObject)
      .flatMap((one) => [runtimeClasses === null ? passed : unjailed(one, runtimeClasses.jailed), letOut(one)]),
  );

/** No stage gets a network that it does not need. */
export const stageJail: PreviewRule = {
  name: "stage-jail",
  protects: "A stage is jailed, unless it is one of the three that need a network.",
  level: "mandatory",
  config: jailConfig,
  judge,
};

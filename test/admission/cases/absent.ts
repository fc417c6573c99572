import { SYSTEM_NAMESPACE } from "../../../policies/admission";
import { SIGNING_REQUESTED } from "../../../policies/admission/reserved-metadata";
import { as, bareSpace, factorySpace, pipeline, teamSpace } from "../support/world";
import { create, inNamespace, patch, type Request } from "./case";
import { pod } from "./pods";
import { goodChild, goodRun, inBareSpace } from "./runs";

/** An object that lacks a field which a condition reads, and what must come of it. */
export interface AbsentCase {
  /** Code of the condition, after `SSF-`, where `ADMISSION-` is left out. */
  code: string;
  /** What is not there. */
  field: string;
  request: Request;
  /** Codes of which one refuses it. @default it is admitted */
  refusedBy?: string;
}

const runs = inNamespace("tekton.dev/v1", teamSpace, "pipelineruns");
const bareRuns = inNamespace("tekton.dev/v1", bareSpace, "pipelineruns");
const taskRuns = inNamespace("tekton.dev/v1", teamSpace, "taskruns");

const madePod = (spec: object, by: Request["as"] = as.operator, namespace: string = teamSpace) =>
  create(inNamespace("v1", namespace, "pods"), pod(spec, { namespace }), by);
const listed = { containers: pod().spec.containers };
const started = (spec: object, by: Request["as"] = as.member) =>
  create(runs, { ...goodRun, spec: { ...goodRun.spec, ...spec } }, by);
const withoutSpec = (
  { metadata, ...run }: { metadata: object; apiVersion: string; kind: string },
  namespace: string,
) => ({
  ...run,
  metadata: { ...metadata, namespace },
  spec: undefined,
});
const publish = { serviceAccountName: "publish", runtimeClassName: "networked" };
const networked = { serviceAccountName: "ingest-source", runtimeClassName: undefined };
const noted = { metadata: { annotations: { colour: "green" } } };

/** One object at least for each condition; `run` is a run without annotations, `running` a pod that Tekton has made. */
export const absentCases = (run: string, running: string): AbsentCase[] => [
  { code: "001", field: "spec.runtimeClassName", request: madePod({ runtimeClassName: undefined }), refusedBy: "001" },
  { code: "001", field: "spec.serviceAccountName", request: madePod({ serviceAccountName: undefined }) },
  { code: "002", field: "spec.serviceAccountName", request: madePod({ serviceAccountName: undefined }, as.stack) },
  { code: "003", field: "spec.runtimeClassName", request: madePod(networked, as.tekton) },
  {
    code: "004",
    field: "spec.dnsConfig.nameservers",
    request: madePod({ dnsConfig: { options: [{ name: "ndots" }] } }),
  },
  { code: "005", field: "spec.schedulerName", request: madePod({ schedulerName: undefined }) },
  { code: "006", field: "spec.containers[].env", request: madePod({ initContainers: [] }) },
  {
    code: "008",
    field: "spec.automountServiceAccountToken",
    request: madePod({ automountServiceAccountToken: undefined }),
  },
  {
    code: "009",
    field: "spec.volumes[].csi.readOnly",
    request: madePod({ ...publish, volumes: [{ name: "files", csi: { driver: "csi.spiffe.io" } }] }, as.tekton),
    refusedBy: "009",
  },
  { code: "010", field: "spec.volumes", request: madePod({ volumes: undefined }) },
  { code: "011", field: "spec.hostUsers", request: madePod({ hostUsers: undefined }) },
  {
    code: "012",
    field: "spec.initContainers",
    request: patch(`${inNamespace("v1", teamSpace, "pods")}/${running}`, noted, as.operator),
  },
  { code: "020", field: "metadata.labels", request: madePod({}) },
  { code: "021", field: "metadata.annotations", request: madePod({}) },
  {
    code: "022",
    field: "metadata.annotations",
    request: patch(`${runs}/${run}`, { metadata: { annotations: { [SIGNING_REQUESTED]: "now" } } }, as.healer),
  },
  { code: "023", field: "spec.initContainers", request: madePod(listed, as.stack, factorySpace) },
  {
    code: "024",
    field: "spec.initContainers",
    request: madePod({ ...listed, serviceAccountName: "signer" }, as.stack, factorySpace),
  },
  {
    code: "025",
    field: "spec.serviceAccountName",
    request: madePod({ ...listed, serviceAccountName: undefined }, as.stack, factorySpace),
  },
  { code: "026", field: "spec.initContainers", request: madePod(listed, as.stack, SYSTEM_NAMESPACE) },
  { code: "030", field: "spec.pipelineRef", request: inBareSpace({ pipelineRef: undefined }), refusedBy: "030" },
  {
    code: "030",
    field: "spec",
    request: create(bareRuns, withoutSpec(goodRun, bareSpace), as.operator),
    refusedBy: "030",
  },
  { code: "031", field: "spec.pipelineRef.resolver", request: inBareSpace({ pipelineRef: {} }), refusedBy: "031" },
  {
    code: "031",
    field: "spec.pipelineRef.params",
    request: inBareSpace({ pipelineRef: { resolver: "cluster" } }),
    refusedBy: "031",
  },
  {
    code: "TRIGGER-002",
    field: "spec.params",
    request: inBareSpace({ params: undefined }, goodRun, as.bareTrigger),
    refusedBy: "TRIGGER-002",
  },
  { code: "TRIGGER-003", field: "spec.params", request: inBareSpace({ params: undefined }) },
  {
    code: "TRIGGER-003",
    field: "metadata.labels",
    request: inBareSpace({}, { ...goodRun, metadata: { ...goodRun.metadata, labels: undefined } }),
  },
  {
    code: "033",
    field: "spec.taskRef",
    request: create(taskRuns, { ...goodChild, spec: {} }, as.tekton),
    refusedBy: "033",
  },
  {
    code: "033",
    field: "spec",
    request: create(taskRuns, withoutSpec(goodChild, teamSpace), as.tekton),
    refusedBy: "033",
  },
  {
    code: "050",
    field: "metadata.deletionTimestamp",
    request: patch(
      `${inNamespace("tekton.dev/v1", teamSpace, "pipelines")}/${pipeline.pipeline.metadata.name}`,
      noted,
      as.garbageCollector,
    ),
    refusedBy: "050",
  },
  {
    code: "053",
    field: "metadata.deletionTimestamp",
    request: patch(
      `${inNamespace("networking.k8s.io/v1", teamSpace, "networkpolicies")}/deny-all`,
      noted,
      as.garbageCollector,
    ),
    refusedBy: "053",
  },
  {
    code: "060",
    field: "metadata.labels",
    request: create(
      "/api/v1/namespaces",
      { apiVersion: "v1", kind: "Namespace", metadata: { name: "new" } },
      as.operator,
    ),
  },
  {
    code: "061",
    field: "metadata.deletionTimestamp",
    request: patch("/apis/node.k8s.io/v1/runtimeclasses/jailed", noted, as.garbageCollector),
    refusedBy: "061",
  },
  { code: "070", field: "spec.pipelineRef", request: started({ pipelineRef: undefined }), refusedBy: "(030|031|070)" },
  {
    code: "071",
    field: "spec",
    request: create(runs, withoutSpec(goodRun, teamSpace), as.member),
    refusedBy: "(030|070)",
  },
  { code: "072", field: "spec.taskRunTemplate", request: started({ taskRunTemplate: undefined }), refusedBy: "072" },
  { code: "073", field: "spec.taskRunSpecs", request: started({ taskRunSpecs: undefined }), refusedBy: "073" },
  { code: "074", field: "spec.workspaces", request: started({ workspaces: undefined }), refusedBy: "074" },
  { code: "075", field: "spec.timeouts", request: started({ timeouts: undefined }), refusedBy: "075" },
  { code: "076", field: "spec.status", request: started({ status: undefined }) },
  {
    code: "077",
    field: "a field of the spec that was there",
    request: patch(`${runs}/${run}`, { spec: { timeouts: null } }, as.operator),
    refusedBy: "077",
  },
  {
    code: "078",
    field: "metadata.labels",
    request: create(runs, { ...goodRun, metadata: { ...goodRun.metadata, labels: undefined } }, as.member),
  },
  { code: "079", field: "metadata.annotations", request: started({}) },
  { code: "080", field: "spec.params", request: started({ params: undefined }), refusedBy: "081" },
  { code: "081", field: "spec.params", request: started({ params: undefined }), refusedBy: "081" },
];

const REQUEST_ALONE = "looks at the request, of which nothing is absent";

/** Conditions that read nothing that may be absent, with why. */
export const NOTHING_ABSENT: Readonly<Record<string, string>> = {
  "007": "the API server itself refuses a container without an image; the rest may be absent in 006 as well",
  "032": REQUEST_ALONE,
  "034": "033 refuses a run that has no spec",
  "035": REQUEST_ALONE,
  "036": REQUEST_ALONE,
  "040": "refuses all",
  "041": "refuses all",
  "051": "refuses all",
  "052": REQUEST_ALONE,
  "062": REQUEST_ALONE,
};

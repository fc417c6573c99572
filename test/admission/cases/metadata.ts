import { as, teamSpace } from "../support/world";
import { type Case, create, inNamespace, patch } from "./case";
import { pod } from "./pods";
import { goodChild, goodRun } from "./runs";

const runs = inNamespace("tekton.dev/v1", teamSpace, "pipelineruns");
const taskRuns = inNamespace("tekton.dev/v1", teamSpace, "taskruns");
const pods = inNamespace("v1", teamSpace, "pods");

const marked = (annotations: object) => ({ metadata: { annotations } });
const labelled = (labels: object) => ({ metadata: { labels } });

/** Marks of Tekton and Chains; `run` has the mark of Chains that it is signed, `running` is a pod that Tekton has made. */
export const metadataCases = (run: string, running: string): Case[] => [
  ...["signed", "retries", "transparency-upload"].map((mark): Case => ({
    attempt: `a run that is made with chains.tekton.dev/${mark}`,
    code: "(021|079)",
    bad: create(
      runs,
      { ...goodRun, metadata: { ...goodRun.metadata, annotations: { [`chains.tekton.dev/${mark}`]: "true" } } },
      as.member,
    ),
    good: create(runs, goodRun, as.member),
  })),
  {
    attempt: "a run of a stage that Tekton makes with a mark of Chains",
    code: "021",
    bad: create(
      taskRuns,
      {
        ...goodChild,
        metadata: { ...goodChild.metadata, name: "c", annotations: { "chains.tekton.dev/signed": "true" } },
      },
      as.tekton,
    ),
    good: create(
      taskRuns,
      {
        ...goodChild,
        metadata: { ...goodChild.metadata, name: "c", annotations: { "pipeline.tekton.dev/release": "x" } },
      },
      as.tekton,
    ),
  },
  {
    attempt: "the mark that a run is signed, later",
    code: "(021|079)",
    bad: patch(`${runs}/${run}`, marked({ "chains.tekton.dev/signed": "failed" }), as.operator),
    good: patch(`${runs}/${run}`, marked({ "chains.tekton.dev/signed": "failed" }), as.chains),
  },
  {
    attempt: "the removal of the mark that a run is signed",
    code: "021",
    bad: patch(`${runs}/${run}`, marked({ "chains.tekton.dev/signed": null }), as.operator),
    good: patch(`${runs}/${run}`, marked({ "chains.tekton.dev/signed": null }), as.stack),
  },
  ...(
    [
      [
        "the mark that a run is signed, by the healer",
        "(021|022|079)",
        marked({ "chains.tekton.dev/signed": "failed" }),
      ],
      [
        "a parameter of a run, by the healer",
        "(022|07[0-9])",
        { spec: { params: [{ name: "repository", value: "x" }] } },
      ],
      ["a label of a run, by the healer", "(020|022|078)", labelled({ "tekton.dev/x": "y" })],
      ["an annotation of a run, by the healer", "(022|079)", marked({ colour: "green" })],
      ["a finalizer of a run, by the healer", "022", { metadata: { finalizers: ["x.example/y"] } }],
    ] as const
  ).map(([attempt, code, change]): Case => ({
    attempt,
    code,
    bad: patch(`${runs}/${run}`, change, as.healer),
    good: patch(`${runs}/${run}`, marked({ "chains.tekton.dev/signed": null }), as.healer),
  })),
  {
    attempt: "a request for a signature by anyone",
    code: "079",
    bad: patch(`${runs}/${run}`, marked({ "secure-software-factory.dev/signing-requested": "now" }), as.operator),
    good: patch(`${runs}/${run}`, marked({ "secure-software-factory.dev/signing-requested": "now" }), as.healer),
  },
  {
    attempt: "a mark of Tekton, written by Chains",
    code: "021",
    bad: patch(`${runs}/${run}`, marked({ "tekton.dev/x": "y" }), as.chains),
    good: patch(`${runs}/${run}`, marked({ "tekton.dev/x": "y" }), as.tekton),
  },
  {
    attempt: "a run of another pipeline by its label",
    code: "(020|078)",
    bad: create(
      runs,
      {
        ...goodRun,
        metadata: { ...goodRun.metadata, labels: { ...goodRun.metadata.labels, "tekton.dev/pipeline": "x" } },
      },
      as.member,
    ),
    good: create(runs, goodRun, as.member),
  },
  {
    attempt: "a pod that says it is a stage",
    code: "020",
    bad: create(pods, pod({}, { labels: { "tekton.dev/pipelineTask": "ingest-source" } }), as.stack),
    good: create(pods, pod({}, { labels: { "tekton.dev/pipelineTask": "ingest-source" } }), as.tekton),
  },
  {
    attempt: "a pod that becomes a stage",
    code: "020",
    bad: patch(`${pods}/${running}`, labelled({ "tekton.dev/pipelineTask": "ingest-source" }), as.operator),
    good: patch(`${pods}/${running}`, labelled({ colour: "green" }), as.operator),
  },
  {
    attempt: "a pod's execution mode",
    code: "021",
    bad: create(pods, pod({}, { annotations: { "experimental.tekton.dev/execution-mode": "none" } }), as.operator),
    good: create(pods, pod({}, { annotations: { colour: "green" } }), as.operator),
  },
];

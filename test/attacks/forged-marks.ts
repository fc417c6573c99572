import { variants, withValue, type Actor } from "../../tools/cli/attack-session";
import type { Attempt } from "../../tools/cli/attacks";
import { atAdmission, byRights, example, type FactoryAttack } from "./support";

const annotation = (name: string) => ["metadata", "annotations", name] as const;
const label = (name: string) => ["metadata", "labels", name] as const;

/** Who asks for a run with a mark of Chains; Tekton's webhook takes such marks away, and a run that keeps one is through. */
const withMark = (who: Actor, run: object, name: string, value: string): Attempt["run"] => {
  const marked = withValue(run, annotation(`chains.tekton.dev/${name}`), value);
  return async () => {
    const show = "--output=jsonpath=marks:{.metadata.annotations}";
    const answer = await who.ask(["create", "--dry-run=server", show, "--filename=-"], marked);
    return answer.is === "accepted" && answer.detail.startsWith("marks:") && !answer.detail.includes(name)
      ? { is: "refused", by: "Tekton's webhook", message: "the run has lost the mark" }
      : answer;
  };
};

/** Marks of Chains, each with a value that would change what Chains does. */
const chainsMarks: readonly (readonly [name: string, value: string])[] = [
  ["signed", "true"],
  ["signed", "failed"],
  ["signed", "false"],
  ["retries", "3"],
  ["transparency", "https://log.example.com/1"],
  ["transparency-upload", "false"],
  ["payload-pipelinerun", "e30="],
];

export const forgedMarks: FactoryAttack = {
  name: "forged-marks",
  covers: "Labels and annotations by which Tekton and Chains keep their books, written by whoever submits a run.",
  tries: "to start runs that Chains would take for signed, failed or tried too often, or Tekton for something else",
  refusal: { by: atAdmission.by, message: /SSF-ADMISSION-\d+|lost the mark|tekton\.dev" denied the request/ },
  control: "The same run without them is accepted, and a real one gets signed.",
  builds: [example],
  prepare: (session) => {
    const { member, admin, goodRun, team } = session;
    const mark = async (who: Actor) => {
      const { run } = await session.build(example);
      const object = ["pipelinerun.v1.tekton.dev", run, `--namespace=${team.namespace}`];
      return who.ask(["annotate", ...object, "chains.tekton.dev/signed=failed", "--overwrite", "--dry-run=server"]);
    };
    return Promise.resolve({
      attempts: [
        ...chainsMarks.map(([name, value]) => ({
          name: `${name}: ${value}`,
          run: withMark(member, goodRun, name, value),
        })),
        ...variants(member, goodRun, [
          ["execution mode", [annotation("experimental.tekton.dev/execution-mode"), ""]],
          ["signature of a definition", [annotation("tekton.dev/signature"), "AAAA"]],
          ["pipeline's name", [label("tekton.dev/pipeline"), "other"]],
          ["parent run", [label("tekton.dev/pipelineRun"), "other"]],
          ["stage", [label("tekton.dev/pipelineTask"), "publish"]],
          ["member of the control plane", [label("tekton.dev/memberOf"), "tasks"]],
        ]),
        { name: "mark on a run that is there, as a member", expected: byRights, run: () => mark(member) },
        { name: "mark on a run that is there, as an administrator", run: () => mark(admin) },
      ],
      controls: [
        { name: "run without marks", run: () => member.wouldCreate(goodRun) },
        {
          name: "a real run is signed",
          run: async () => {
            const { annotations, image } = await session.build(example);
            return annotations["chains.tekton.dev/signed"] === "true"
              ? { is: "accepted", detail: `${image} is signed` }
              : { is: "unproven", detail: "the run carries no mark of Chains" };
          },
        },
      ],
    });
  },
};

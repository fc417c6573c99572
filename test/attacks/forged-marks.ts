import { variants, type Actor } from "../../tools/cli/attack-session";
import { atAdmission, byRights, type FactoryAttack } from "./support";

/** A real program, from the top of the repository. */
const example = "examples/go-service";

const annotation = (name: string) => ["metadata", "annotations", name] as const;
const label = (name: string) => ["metadata", "labels", name] as const;

export const forgedMarks: FactoryAttack = {
  name: "forged-marks",
  covers: "Labels and annotations by which Tekton and Chains keep their books, written by whoever submits a run.",
  tries: "to start runs that Chains would take for signed, failed or tried too often, or Tekton for something else",
  refusal: atAdmission,
  control: "The same run without them is accepted, and a real one gets signed.",
  prepare: (session) => {
    const { member, admin, goodRun, team } = session;
    const mark = async (who: Actor) => {
      const { run } = await session.build(example);
      const object = ["pipelinerun.v1.tekton.dev", run, `--namespace=${team.namespace}`];
      return who.ask(["annotate", ...object, "chains.tekton.dev/signed=failed", "--overwrite", "--dry-run=server"]);
    };
    return Promise.resolve({
      attempts: [
        ...variants(member, goodRun, [
          ...["true", "failed", "false"].map(
            (value) => [`signed: ${value}`, [annotation("chains.tekton.dev/signed"), value]] as const,
          ),
          ["retries", [annotation("chains.tekton.dev/retries"), "3"]],
          ["transparency entry", [annotation("chains.tekton.dev/transparency"), "https://log.example.com/1"]],
          ["upload to a log", [annotation("chains.tekton.dev/transparency-upload"), "false"]],
          ["payload of a signature", [annotation("chains.tekton.dev/payload-pipelinerun"), "e30="]],
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

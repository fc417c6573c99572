import { variants, withValue, type Session } from "../../tools/cli/attack-session";
import { atAdmission, byRights, taskRun, type FactoryAttack } from "./support";

const spec = (session: Session) => ({ steps: [{ name: "run", image: session.image("shell"), script: "true" }] });

export const inlineSpecs: FactoryAttack = {
  name: "inline-specs",
  covers: "Specs that stand in the run itself, where nothing could verify them.",
  tries: "to start runs that bring their own pipeline or task",
  refusal: atAdmission,
  control: "The same run by reference to the signed pipeline is accepted.",
  prepare: (session) => {
    const { member, admin, goodRun } = session;
    const taskSpec = spec(session);
    const inline = { tasks: [{ name: "run", taskSpec }] };
    const { namespace } = session.team;
    const referenced = taskRun(`attack-${session.id}`, namespace, { name: "any", namespace });
    const inlineTask = withValue(referenced, ["spec"], { serviceAccountName: "default", taskSpec });
    return Promise.resolve({
      attempts: [
        ...variants(member, goodRun, [
          [
            "pipelineSpec instead of the reference",
            [["spec", "pipelineSpec"], inline],
            [["spec", "pipelineRef"], undefined],
          ],
          ["pipelineSpec beside the reference", [["spec", "pipelineSpec"], inline]],
        ]),
        { name: "TaskRun with taskSpec, as a member", expected: byRights, run: () => member.wouldCreate(inlineTask) },
        { name: "TaskRun with taskSpec, as an administrator", run: () => admin.wouldCreate(inlineTask) },
        {
          name: "Pipeline with taskSpec, as an administrator",
          run: () =>
            admin.wouldCreate({
              apiVersion: "tekton.dev/v1",
              kind: "Pipeline",
              metadata: { name: `attack-${session.id}`, namespace },
              spec: inline,
            }),
        },
        {
          name: "CustomRun with a spec, as an administrator",
          run: () =>
            admin.wouldCreate({
              apiVersion: "tekton.dev/v1beta1",
              kind: "CustomRun",
              metadata: { name: `attack-${session.id}`, namespace },
              spec: { customSpec: { apiVersion: "example.test/v1", kind: "Any", spec: {} } },
            }),
        },
      ],
      controls: [{ name: "run by reference", run: () => member.wouldCreate(goodRun) }],
    });
  },
};

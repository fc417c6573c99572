import { attackLabel, type Actor, type Session } from "../../tools/cli/attack-session";
import type { Attempt } from "../../tools/cli/attacks";
import { atAdmission, byRights, signedTask, type FactoryAttack } from "./support";

/** Whoever Tekton's controller is to the API server: the strongest identity that a hole in Tekton would give away. */
const controller = "system:serviceaccount:tekton-pipelines:tekton-pipelines-controller";

const label = (session: Session, kind: string, name: string) => [
  ...["label", kind, name, `--namespace=${session.team.namespace}`, "--dry-run=server", "--overwrite"],
  `${attackLabel}=${session.id}`,
];

const remove = (session: Session, kind: string, name: string) => [
  ...["delete", kind, name, `--namespace=${session.team.namespace}`, "--dry-run=server"],
];

/** Changes of what the team has, and additions to it. */
const changes = (session: Session, who: Actor, title: string): Attempt[] => {
  const [pipeline] = Object.values(session.team.pipelines);
  const task = pipeline?.stages[0]?.task ?? "";
  const inTeam = `--namespace=${session.team.namespace}`;
  const added = signedTask(session, session.team.namespace, `attack-${session.id}`, {});
  const on = (name: string, run: Attempt["run"]): Attempt => ({ name: `${title} ${name}`, run });
  return [
    on("edits a Task", () => who.ask(label(session, "tasks.v1.tekton.dev", task))),
    on("deletes a Task", () => who.ask(remove(session, "tasks.v1.tekton.dev", task))),
    on("edits a Pipeline", () => who.ask(label(session, "pipelines.v1.tekton.dev", pipeline?.name ?? ""))),
    on("deletes a Pipeline", () => who.ask(remove(session, "pipelines.v1.tekton.dev", pipeline?.name ?? ""))),
    on("adds a signed Task", () => {
      session.defer(`Task ${added.metadata.name}`, () =>
        session.kubectl.text(["delete", "tasks.v1.tekton.dev", added.metadata.name, inTeam, "--ignore-not-found"]),
      );
      // Not as a trial: Tekton's controller may try what it has resolved, and store nothing.
      return who.ask(["create", "--filename=-"], added);
    }),
  ];
};

const stepAction = ({ team, id }: Session, imageReference: string) => ({
  apiVersion: "tekton.dev/v1beta1",
  kind: "StepAction",
  metadata: { name: `attack-${id}`, namespace: team.namespace },
  spec: { image: imageReference, script: "true" },
});

export const definitionsChanged: FactoryAttack = {
  name: "definitions-changed",
  covers: "Tasks, Pipelines, StepActions and the policy that verifies them, changed by anybody but the stack.",
  tries: "to change, add and delete definitions as a member, and as Tekton's own controller",
  refusal: { by: [...byRights.by, ...atAdmission.by], message: /cannot|SSF-ADMISSION-\d+/ },
  control: "The stack's identity may change the same definition.",
  prepare: (session) => {
    const policy = ["verificationpolicies.v1alpha1.tekton.dev", "definitions"] as const;
    const { member, admin } = session;
    const shell = session.image("shell");
    const [pipeline] = Object.values(session.team.pipelines);
    return Promise.resolve({
      attempts: [
        ...changes(session, member, "a member"),
        ...changes(session, session.as(controller), "Tekton's controller"),
        { name: "a member adds a StepAction", run: () => member.wouldCreate(stepAction(session, shell)) },
        { name: "an administrator adds a StepAction", run: () => admin.wouldCreate(stepAction(session, shell)) },
        { name: "a member edits the policy", run: () => member.ask(label(session, ...policy)) },
        { name: "a member deletes the policy", run: () => member.ask(remove(session, ...policy)) },
      ],
      controls: [
        {
          name: "the stack edits a Task",
          run: () => admin.ask(label(session, "tasks.v1.tekton.dev", pipeline?.stages[0]?.task ?? "")),
        },
      ],
    });
  },
};

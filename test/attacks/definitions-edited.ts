import { createHash } from "node:crypto";
import {
  definitionSigner,
  ed25519KeyPair,
  signatureAnnotation,
  signDefinition,
  verificationPolicyOf,
} from "../../pipelines";
import type { Task } from "../../pipelines/tekton";
import { withValue, type ClusterObject, type Path, type Session } from "../../tools/cli/attack-session";
import type { Answer, Attempt } from "../../tools/cli/attacks";
import { runEnd, signedTask, taskRun, type FactoryAttack } from "./support";

const signaturePath: Path = ["metadata", "annotations", signatureAnnotation];
const step: Path = ["spec", "steps", 0];

/** What an attacker with the rights of the stack changes after signing. */
const edits: readonly (readonly [string, Path, (task: Task) => unknown])[] = [
  ["one byte of the script", [...step, "script"], (task) => `${task.spec.steps[0]?.script ?? ""} `],
  ["image", [...step, "image"], () => `elsewhere.test/shell@sha256:${"1".repeat(64)}`],
  [
    "environment",
    [...step, "env"],
    (task) => [...(task.spec.steps[0]?.env ?? []), { name: "LD_PRELOAD", value: "/tmp/x.so" }],
  ],
  ["security context", [...step, "securityContext", "runAsUser"], () => 0],
  ["working directory", [...step, "workingDir"], () => "/tmp"],
  ["second step", ["spec", "steps", 1], (task) => ({ ...task.spec.steps[0], name: "second" })],
  ["sidecar", ["spec", "sidecars"], (task) => [{ name: "side", image: task.spec.steps[0]?.image, script: "true" }]],
  ["step template", ["spec", "stepTemplate"], () => ({ env: [{ name: "X", value: "y" }] })],
  ["volume", ["spec", "volumes"], (task) => [...task.spec.volumes, { name: "more", emptyDir: {} }]],
  ["result", ["spec", "results"], () => [{ name: "IMAGES", type: "string", description: "Foreign." }]],
  ["annotation", ["metadata", "annotations", "experimental.tekton.dev/execution-mode"], () => "hermetic"],
  ["label", ["metadata", "labels", "secure-software-factory.dev/network"], () => "registry"],
];

const otherKey = definitionSigner(
  ed25519KeyPair(createHash("sha256").update("an attacker's key").digest("base64")).privateKeyPem,
);

const podsOf = async (session: Session, namespace: string, run: string): Promise<unknown[]> => {
  const pods = await session.kubectl.json([
    "get",
    "pods",
    `--namespace=${namespace}`,
    `--selector=tekton.dev/taskRun=${run}`,
  ]);
  return (pods as { items: unknown[] }).items;
};

/** Whether a TaskRun gets as far as a pod. */
export const runs = async (session: Session, run: ClusterObject): Promise<Answer> => {
  await session.create(run);
  const { name, namespace = "" } = run.metadata;
  const { conditions } = await runEnd(session, run);
  const pods = await podsOf(session, namespace, name);
  const outcome = conditions.find(({ type }) => type === "Succeeded");
  const message = `${outcome?.reason ?? ""}: ${outcome?.message ?? ""}`;
  if (outcome?.status === "True" || pods.length > 0)
    return { is: "accepted", detail: `${pods.length} pods, ${message}` };
  return { is: "refused", by: "Tekton", message };
};

export const definitionsEdited: FactoryAttack = {
  name: "definitions-edited",
  covers: "Definitions that were edited after signing, signed by somebody else, or taken from another namespace.",
  tries: "with an administrator's rights, to run definitions that differ from what was signed",
  refusal: { by: ["Tekton"], message: /VerificationFailed|verif/i },
  control: "The definition as it was signed runs.",
  prepare: async (session) => {
    const namespace = await session.workbench();
    await session.create(definitionPolicy(session.team, namespace));
    const tries = (name: string, task: Task): Attempt => ({
      name,
      run: async () => {
        await session.create({ ...task });
        return runs(session, taskRun(task.metadata.name, namespace, { name: task.metadata.name, namespace }));
      },
    });
    const signed = (name: string) => signedTask(session, namespace, name, {});
    const edited = edits.map(([what, path, value], index) => {
      const task = signed(`edited-${index}`);
      return tries(what, withValue(task, path, value(task)));
    });
    const foreign = signed("other-key");
    const plain = signed("unsigned");
    const { metadata } = signed("borrowed-from");
    const [stage] = Object.values(session.team.pipelines)[0]?.stages ?? [];
    const attempts = [
      ...edited,
      tries("signature of another key", signDefinition(withValue(foreign, signaturePath, undefined), otherKey)),
      tries("no signature", withValue(plain, signaturePath, undefined)),
      tries(
        "signature of another definition",
        withValue(signed("borrower"), signaturePath, metadata.annotations?.[signatureAnnotation]),
      ),
      {
        name: "good definition of another namespace",
        run: () =>
          runs(session, taskRun("foreign", namespace, { name: stage?.task ?? "", namespace: session.team.namespace })),
      },
    ];
    return { attempts, controls: [tries("definition as signed", signed("good"))] };
  },
};

/** The policy of a team, for the namespace of an attack. */
export const definitionPolicy = (
  { team, definitionsPublicKeyPem }: Session["team"],
  namespace: string,
): ClusterObject => ({
  ...verificationPolicyOf({ team, namespace }, [{ name: "current", publicKeyPem: definitionsPublicKeyPem }]),
});

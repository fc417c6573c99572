import { digestPattern } from "../../pipelines/model";
import { verificationPolicyOf } from "../../pipelines";
import { withValue, type Session } from "../../tools/cli/attack-session";
import type { Answer, Attempt } from "../../tools/cli/attacks";
import { logOf, phase, runEnd, signedTask, taskRun, type FactoryAttack, type RunEnd } from "./support";

const good = `sha256:${"a".repeat(64)}`;
const foreign = `sha256:${"f".repeat(64)}`;
const image = `registry.example.com/foreign@${foreign}`;

/** What a step does that user code has taken over. */
const scripts: readonly (readonly [name: string, script: string])[] = [
  ["longer than a result may be", `head -c 5000 /dev/zero | tr '\\0' a >"$RESULT_VALUE"`],
  ["link to a file that the step may not read", `ln -sf /etc/shadow "$RESULT_VALUE"`],
  ["link to the API token", `ln -sf /var/run/secrets/kubernetes.io/serviceaccount/token "$RESULT_VALUE"`],
  ["link to the node's files", `ln -sf /proc/1/root/var/lib/kubelet/config.yaml "$RESULT_VALUE"`],
  ["directory in place of the file", `mkdir "$RESULT_VALUE"`],
  ["hint of a foreign image, as a file", `printf '%s' '${image}' >/tekton/results/IMAGES`],
  ["hint of a foreign digest, as a file", `printf '%s' '${foreign}' >/tekton/results/X_IMAGE_DIGEST`],
];

const text = ({ conditions, results = [] }: RunEnd): string => JSON.stringify({ conditions, results });

/** Refused when nothing of what was planted shows: neither a file's content nor a foreign digest. */
const judged = (status: RunEnd): Answer => {
  if (status.podName === undefined || status.podName === "")
    return { is: "unproven", detail: `no pod ran: ${text(status)}` };
  const planted = /root:|kind: KubeletConfiguration|eyJ|registry\.example\.com|f{64}|a{4097}/.exec(text(status));
  if (planted !== null) return { is: "accepted", detail: `the run shows ${planted[0].slice(0, 40)}` };
  const outcome = status.conditions.find(({ type }) => type === "Succeeded");
  return { is: "refused", by: "Tekton", message: `${outcome?.reason ?? ""}: the run shows nothing of it` };
};

const digestParam = { name: "value", description: "A digest.", pattern: digestPattern, from: { run: "value" } };

const stage = (session: Session, namespace: string, name: string, script: string) =>
  signedTask(session, namespace, name, { script, results: [{ name: "value", description: "A value." }] });

export const results: FactoryAttack = {
  name: "results",
  covers: "Results: too long, through links, not declared, and with line ends in them.",
  tries: "to get foreign content or foreign digests into what a run shows and Chains signs",
  refusal: { by: ["Tekton", "stage"], message: /shows nothing of it|refused: parameter value/ },
  control: "A declared result of the right form is shown, and accepted as a parameter.",
  prepare: async (session) => {
    const namespace = await session.workbench();
    await session.create({
      ...verificationPolicyOf({ team: session.team.team, namespace }, [
        { name: "current", publicKeyPem: session.team.definitionsPublicKeyPem },
      ]),
    });
    const end = async (name: string, script: string): Promise<RunEnd> => {
      const task = stage(session, namespace, name, script);
      await session.create({ ...task });
      const run = taskRun(name, namespace, { name: task.metadata.name, namespace });
      await session.create(run);
      return runEnd(session, run);
    };

    const consumer = signedTask(session, namespace, "consumer", { params: [digestParam] });
    await session.create({ ...consumer });
    const consume = async (name: string, value: string): Promise<Answer> => {
      const plain = taskRun(name, namespace, { name: consumer.metadata.name, namespace });
      const run = withValue(plain, ["spec", "params"], [{ name: "value", value }]);
      await session.create(run);
      const status = await runEnd(session, run);
      if (status.conditions.some(({ type, status: is }) => type === "Succeeded" && is === "True"))
        return { is: "accepted", detail: "the reading stage took it" };
      const pod = { apiVersion: "v1", kind: "Pod" as const, metadata: { name: status.podName ?? "", namespace } };
      // The kubelet gives the log a moment after Tekton knows the end.
      await phase(session, pod, ["Succeeded", "Failed"]);
      return { is: "refused", by: "stage", message: await logOf(session, pod, "step-consumer") };
    };

    const attempts: Attempt[] = [
      ...scripts.map(([name, script], index) => ({
        name,
        run: async () => judged(await end(`result-${index}`, script)),
      })),
      ...[`${good}\n`, `${good}\n${foreign}`, `${good} `, `$(id)`, `${good};id`].map((value, index) => ({
        name: `digest for the next stage: ${JSON.stringify(value.replaceAll(/[af]{64}/g, "<digest>"))}`,
        run: () => consume(`consume-${index}`, value),
      })),
    ];
    return {
      attempts,
      controls: [
        {
          name: "a declared result",
          run: async () => {
            const shown = (await end("result-good", `printf '%s' '${good}' >"$RESULT_VALUE"`)).results ?? [];
            return shown.some(({ name, value }) => name === "value" && value === good)
              ? { is: "accepted", detail: good }
              : { is: "unproven", detail: JSON.stringify(shown) };
          },
        },
        { name: "a digest for the next stage", run: () => consume("consume-good", good) },
      ],
    };
  },
};

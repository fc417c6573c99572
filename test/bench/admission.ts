import { GATE_NAMESPACE } from "../../components/gate";
import { VERIFIER_NAMESPACE } from "../../policies/admission/gate/records";
import type { ApiServer } from "../../tools/cli/api-server";
import type { Kubectl } from "../../tools/cli/kubectl";
import { columns } from "../../tools/cli/columns";
import { quantile, short, tail } from "./statistics";

const ROUNDS = 100;
const COLD_ROUNDS = 5;

/** A pod that every rule of its namespace admits. */
const pod = (namespace: string, image: string, runtimeClassName?: string) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "bench", namespace },
  spec: {
    automountServiceAccountToken: false,
    runtimeClassName,
    restartPolicy: "Never",
    securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: "RuntimeDefault" } },
    containers: [
      {
        name: "main",
        image,
        resources: { requests: { cpu: "1m", memory: "1Mi" }, limits: { cpu: "1m", memory: "1Mi" } },
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] },
        },
      },
    ],
  },
});

/** What admission is measured with. */
export interface AdmissionSubjects {
  api: ApiServer;
  kubectl: Kubectl;
  /** Namespace of a team, an image that its pods may run, and their runtime class. */
  team: { namespace: string; image: string; runtimeClass?: string };
  /** An image that may run behind the gate. */
  built: string;
}

/** The same pod as a form of pods, which no policy and no webhook looks at. */
const template = (namespace: string, image: string) => {
  const { apiVersion, metadata, spec } = pod(namespace, image);
  return {
    apiVersion,
    kind: "PodTemplate",
    metadata,
    template: { metadata, spec: { ...spec, restartPolicy: "Always" } },
  };
};

type Asked = ReturnType<typeof pod> | ReturnType<typeof template>;

const ask = async (api: ApiServer, body: Asked): Promise<number> => {
  const { kind, metadata } = body;
  const { namespace } = metadata;
  const answer = await api.send("POST", `/api/v1/namespaces/${namespace}/${kind.toLowerCase()}s?dryRun=All`, body);
  const { status, milliseconds } = answer;
  if (status !== 201) throw new Error(`a ${kind} in ${namespace} was not admitted: ${JSON.stringify(answer.body)}`);
  return milliseconds;
};

/** The first answer of a verifier that has seen nothing yet. */
const askCold = async ({ api, kubectl, built }: AdmissionSubjects): Promise<number> => {
  const inVerifier = `--namespace=${VERIFIER_NAMESPACE}`;
  await kubectl.text(["delete", "pods", "--all", inVerifier]);
  await kubectl.text(["rollout", "status", "deployment/verifier", inVerifier, "--timeout=120s"]);
  return ask(api, pod(GATE_NAMESPACE, built));
};

/**
 * Time from a request to the API server's decision: where nobody is asked, by one rule alone, where Gatekeeper is asked and no
 * rule applies, by the rules of a team, and behind the gate, with a verifier that knows the image and with one that does not.
 */
export const measureAdmission = async (subjects: AdmissionSubjects): Promise<string[]> => {
  const { api, team, built } = subjects;
  const warm: Record<string, Asked> = {
    "no policy (a PodTemplate)": template("default", built),
    "one rule, Gatekeeper not asked (kube-system)": pod("kube-system", team.image),
    "Gatekeeper asked, no rule (default)": pod("default", built),
    "structural rules (a team)": pod(team.namespace, team.image, team.runtimeClass),
    "behind the gate, image known": pod(GATE_NAMESPACE, built),
  };
  const samples: Record<string, number[]> = Object.fromEntries(Object.keys(warm).map((name) => [name, []]));
  for (const one of Object.values(warm)) await ask(api, one);
  // In turns, so that whatever else the machine does meets all of them alike.
  for (let round = 0; round < ROUNDS; round++)
    for (const [name, one] of Object.entries(warm)) samples[name]?.push(await ask(api, one));
  const cold: number[] = [];
  for (let round = 0; round < COLD_ROUNDS; round++) cold.push(await askCold(subjects));
  samples["behind the gate, image unknown"] = cold;

  const base = quantile(Object.values(samples)[0] ?? [], 0.5);
  return columns([
    ["admission of a pod", "p50 ms", "p99 ms", "p50 by no policy"],
    ...Object.entries(samples).map(([name, times]) => [
      name,
      short(quantile(times, 0.5)),
      tail(times),
      `${short(quantile(times, 0.5) / base)}x`,
    ]),
  ]);
};

import { CHAINS_WORKLOAD } from "../../components/chains";
import { restrictedContainer, restrictedPod } from "../../components/lib/pods";
import { workloadApiMount, workloadApiVolume } from "../../components/lib/workload-api";
import type { ClusterObject, Session } from "../../tools/cli/attack-session";
import type { Answer, Attempt } from "../../tools/cli/attacks";
import { type FulcioQuestion, mintToken, openFulcio, withClaims } from "./services";
import { byRights, type FactoryAttack, pause, until } from "./support";

/** A pod that looks like the signer's but for its account. */
const impostor = (session: Session): ClusterObject => {
  const { namespace, labels } = CHAINS_WORKLOAD;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: `attack-${session.id}`, namespace, labels },
    spec: {
      automountServiceAccountToken: false,
      securityContext: restrictedPod,
      containers: [
        {
          name: "main",
          image: session.image("shell"),
          command: ["sleep", "600"],
          securityContext: restrictedContainer,
          volumeMounts: [workloadApiMount],
        },
      ],
      volumes: [workloadApiVolume],
    },
  };
};

/** What came of a pod that asks for the Workload API: the kubelet's refusal to start it, or that it started. */
const mounted = async (session: Session, pod: ClusterObject): Promise<Answer> => {
  await session.create(pod);
  const { name, namespace = "" } = pod.metadata;
  const about = [`--namespace=${namespace}`, `--field-selector=involvedObject.name=${name}`];
  return until(session, `pod ${name}`, async () => {
    const events = await session.kubectl.text(["get", "events", ...about]);
    const [refusal] = /FailedMount[^\n]*PermissionDenied[^\n]*/.exec(events) ?? [];
    if (refusal !== undefined) return { is: "refused", by: "Workload API", message: refusal };
    return /\bStarted\b/.test(events) ? { is: "accepted", detail: events } : undefined;
  });
};

export const stolenIdentities: FactoryAttack = {
  name: "stolen-identities",
  covers:
    "The identity that signs, taken on by somebody else: by its labels, its account, its tokens, or tokens like them.",
  tries:
    "to get the signer's certificate as another workload, as a member of a team, and with tokens that are not good",
  refusal: { by: ["Fulcio"], message: /HTTP status 4\d\d/ },
  control: "A token of SPIRE for Fulcio gets a certificate, for the identity that it names and no other.",
  prepare: async (session) => {
    const { kubectl, member, factory } = session;
    const { namespace, serviceAccount } = CHAINS_WORKLOAD;
    const { identity } = factory.trust.signer;
    const fulcio = await openFulcio(session);
    const present = (name: string, question: () => Promise<FulcioQuestion>): Attempt => ({
      name,
      run: async () => {
        const answer = await fulcio(await question());
        return answer.leaf === undefined
          ? { is: "refused", by: "Fulcio", message: answer.refusal }
          : { is: "accepted", detail: answer.leaf.certificatePem };
      },
    });
    const asMember = (name: string, ...args: string[]): Attempt => ({
      name,
      expected: byRights,
      run: () => member.ask([...args, `--namespace=${namespace}`]),
    });
    const signerPod = impostor(session);
    return {
      attempts: [
        {
          name: "a pod with the signer's labels, beside it, as another account",
          expected: { by: ["Workload API"], message: /PermissionDenied/ },
          run: () => mounted(session, signerPod),
        },
        present("the token of the signer's Kubernetes account", async () => {
          const args = ["create", "token", serviceAccount, `--namespace=${namespace}`, "--audience=sigstore"];
          return { token: (await kubectl.text(args)).trim() };
        }),
        present("a token of SPIRE for somebody else than Fulcio", async () => ({
          token: await mintToken(session, { audience: "elsewhere" }),
        })),
        present("a token of SPIRE that has expired", async () => {
          const token = await mintToken(session, { seconds: 1 });
          await pause();
          await pause();
          return { token };
        }),
        present("a token of SPIRE that was changed to name the signer", async () => ({
          token: withClaims(await mintToken(session), { sub: identity }),
        })),
        present("a good token with a key that is not at hand", async () => ({
          token: await mintToken(session),
          proof: identity,
        })),
        asMember("a member asks for a token of the signer's account", "create", "token", serviceAccount),
        {
          name: "a member starts a pod beside the signer",
          expected: byRights,
          run: () =>
            member.wouldCreate({
              ...signerPod,
              spec: { ...(signerPod.spec as object), serviceAccountName: serviceAccount },
            }),
        },
      ],
      controls: [present("a good token of SPIRE", async () => ({ token: await mintToken(session) }))],
    };
  },
};

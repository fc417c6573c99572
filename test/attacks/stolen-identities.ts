import { z } from "zod";
import { CHAINS_WORKLOAD } from "../../components/chains";
import { restrictedContainer, restrictedPod } from "../../components/lib/pods";
import { workloadApiMount, type Workload, workloadApiVolume } from "../../components/lib/workload-api";
import { type Session, withValue } from "../../tools/cli/attack-session";
import type { Answer, Attempt, Expectation } from "../../tools/cli/attacks";
import { commandSpire, type FulcioQuestion, mintToken, openFulcio, withClaims } from "./services";
import { atAdmission, byRights, type FactoryAttack, type Pod, pause, until } from "./support";

/** Directory of the node in which the agent's own socket lies. */
const AGENT_SOCKETS = "/run/spire/agent";

/** The identity that signs is used by Chains' own program alone. */
const byIdentityUsers: Expectation = { by: ["admission policy"], message: /SSF-ADMISSION-02[45]/ };

/** The driver gives the Workload API to the pods of the accounts that ask it, and to no others. */
const byDriver: Expectation = { by: ["Workload API"], message: /PermissionDenied/ };

/** A pod that has the Workload API, as an account of its namespace. */
const listening = (session: Session, { namespace, serviceAccount }: Workload, labels: Record<string, string>): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: `attack-${session.id}`, namespace, labels },
  spec: {
    serviceAccountName: serviceAccount,
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 0,
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
});

/** The same pod with something else in its specification. */
const changed = (pod: Pod, spec: object): Pod => ({ ...pod, spec: { ...pod.spec, ...spec } });

const entries = z.object({ entries: z.array(z.object({ id: z.string() })).default([]) });

/** How many of SPIRE's entries fit a pod, by all that the agent finds out about one. */
const entriesFor = async (session: Session, { metadata, spec }: Pod): Promise<number> => {
  const selectors = [
    `ns:${metadata.namespace ?? ""}`,
    `sa:${String(spec.serviceAccountName)}`,
    `pod-name:${metadata.name}`,
    ...Object.entries(metadata.labels ?? {}).map(([key, value]) => `pod-label:${key}:${value}`),
  ];
  const flags = [
    ...selectors.map((selector) => `-selector=k8s:${selector}`),
    "-matchSelectorsOn=subset",
    "-output=json",
  ];
  return entries.parse(JSON.parse(await commandSpire(session, ["entry", "show"], flags))).entries.length;
};

/**
 * What comes of a pod that asks for the Workload API: it is refused when the kubelet does not start it for that, and SPIRE
 * knows no identity that would be its own.
 */
const asksForIdentity = async (session: Session, pod: Pod): Promise<Answer> => {
  await session.create(pod);
  const { name, namespace = "" } = pod.metadata;
  const about = [`--namespace=${namespace}`, `--field-selector=involvedObject.name=${name}`];
  const answer = await until(session, `pod ${name}`, async (): Promise<Answer | undefined> => {
    const events = await session.kubectl.text(["get", "events", ...about]);
    const [refusal] = /FailedMount[^\n]*PermissionDenied[^\n]*/.exec(events) ?? [];
    if (refusal !== undefined) return { is: "refused", by: "Workload API", message: refusal };
    return /\bStarted\b/.test(events) ? { is: "accepted", detail: events } : undefined;
  });
  const found = await entriesFor(session, pod);
  return found === 0 ? answer : { is: "accepted", detail: `${found} entries of SPIRE fit the pod` };
};

/** The signer's own account, by name, in a namespace where it is nobody's. */
const namesake = async (session: Session): Promise<Answer> => {
  const { serviceAccount, labels } = CHAINS_WORKLOAD;
  const namespace = await session.workbench();
  await session.create({
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata: { name: serviceAccount, namespace },
    automountServiceAccountToken: false,
  });
  return asksForIdentity(session, listening(session, { namespace, serviceAccount }, labels));
};

export const stolenIdentities: FactoryAttack = {
  name: "stolen-identities",
  covers:
    "The identity that signs, taken on by somebody else: by its labels, its account, its program, its agent's socket, its tokens, or tokens like them.",
  tries:
    "to get the signer's certificate as another workload, as a member of a team, and with tokens that are not good",
  refusal: { by: ["Fulcio"], message: /HTTP status 4\d\d/ },
  control:
    "A token of SPIRE for Fulcio gets a certificate for the identity that it names and no other; the signer's own pod is admitted, and has one entry.",
  prepare: async (session) => {
    const { admin, kubectl, member, factory } = session;
    const { namespace, serviceAccount, labels } = CHAINS_WORKLOAD;
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
    const beside = listening(session, { namespace, serviceAccount: "default" }, labels);
    const asSigner = listening(session, CHAINS_WORKLOAD, labels);
    const own = { image: session.image("chains-controller"), command: undefined };
    const running = (change: object): Pod =>
      changed(asSigner, { containers: asSigner.spec.containers.map((container) => ({ ...container, ...change })) });
    /** The same pod under another name, since an attempt may have made it. */
    const another = (pod: Pod): Pod => withValue(pod, ["metadata", "name"], `${pod.metadata.name}-control`);
    const tries = (name: string, pod: Pod, expected = byIdentityUsers): Attempt => ({
      name,
      expected,
      run: () => admin.wouldCreate(pod),
    });
    return {
      attempts: [
        {
          name: "a pod with the signer's labels, beside it, as another account",
          expected: byDriver,
          run: () => asksForIdentity(session, beside),
        },
        {
          name: "a pod with an account of the signer's name, in another namespace",
          expected: byDriver,
          run: () => namesake(session),
        },
        tries("another program of the factory with the signer's account", running({ command: undefined })),
        tries(
          "the signer's program with its account, but for another command",
          running({ ...own, command: ["/usr/bin/docker-credential-spiffe", "get"] }),
        ),
        tries(
          "the agent's socket, by its directory on the node",
          changed(beside, {
            volumes: [{ name: workloadApiVolume.name, hostPath: { path: AGENT_SOCKETS, type: "Directory" } }],
          }),
          atAdmission,
        ),
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
          run: () => member.wouldCreate(asSigner),
        },
      ],
      controls: [
        present("a good token of SPIRE", async () => ({ token: await mintToken(session) })),
        { name: "the signer's own program with its account", run: () => admin.wouldCreate(another(running(own))) },
        { name: "a pod beside the signer without the node's directory", run: () => admin.wouldCreate(another(beside)) },
        {
          name: "the signer's own entry",
          run: async () => {
            const found = await entriesFor(session, asSigner);
            const detail = `${found} entries of SPIRE fit the signer's pod`;
            return found === 1 ? { is: "accepted", detail } : { is: "unproven", detail };
          },
        },
      ],
    };
  },
};

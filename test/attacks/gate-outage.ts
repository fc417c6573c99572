import { GATEKEEPER_NAMESPACE } from "../../components/gatekeeper";
import { NetworkPolicies } from "../../components/lib/network-policies";
import { VERIFIER_NAMESPACE } from "../../policies/admission/gate/records";
import { PROVIDER_OBJECT } from "../../policies/admission/gate";
import type { Session } from "../../tools/cli/attack-session";
import type { Answer, Attempt } from "../../tools/cli/attacks";
import { makeAuthority } from "../cli/support/authority";
import { anyBuilt, type FactoryAttack, scale, until } from "./support";
import { workload } from "./unproven-images";

/** Something without which the gate cannot decide. */
interface Fault {
  name: string;
  /** Makes it so; what undoes it is handed to the session first. */
  begin: () => Promise<unknown>;
  /** Makes it good again. @default it comes back by itself */
  end?: () => Promise<unknown>;
  /** What the refusal says that is due to it. */
  says: RegExp;
  /** Its first moments are like any other, so an image is asked about that nothing proves. @default one that was built */
  unproven?: true;
}

const REGISTRY = { namespace: "ssf-registry", name: "registry" };
const LOG = { namespace: "ssf-rekor", name: "rekor" };
const TRUST = { namespace: "ssf-tuf", name: "tuf" };

/** What the API server says when nobody answers in the gate's place. */
const silent = /failed calling webhook|SSF-GATE-004/;

/** Ends every pod of a namespace at once; what makes them makes them again. */
const kill = ({ kubectl }: Session, namespace: string): Promise<string> =>
  kubectl.text(["delete", "pods", "--all", `--namespace=${namespace}`, "--grace-period=0", "--force", "--wait=false"]);

const killed = (session: Session, name: string, namespaces: readonly string[]): Fault => ({
  name,
  begin: () => Promise.all(namespaces.map((namespace) => kill(session, namespace))),
  says: silent,
  unproven: true,
});

/** A verifier that has seen no image yet, and so must ask. */
const forget = async ({ kubectl }: Session): Promise<void> => {
  const inVerifier = `--namespace=${VERIFIER_NAMESPACE}`;
  await kubectl.text(["delete", "pods", "--all", inVerifier, "--grace-period=1"]);
  await kubectl.text(["rollout", "status", "deployment/verifier", inVerifier, "--timeout=25s"]);
};

/** Whoever the verifier asks is not there. */
const away = (session: Session, deployment: typeof REGISTRY, says: RegExp): Fault => ({
  name: `${deployment.name} is not there`,
  begin: async () => {
    session.defer(`deployment ${deployment.name}`, () => scale(session.kubectl, deployment, 1));
    await scale(session.kubectl, deployment, 0);
    await forget(session);
  },
  end: () => scale(session.kubectl, deployment, 1),
  says,
});

/** Packets are dropped, so that whoever asks waits. */
const mute = (session: Session, name: string, rule: object, says: RegExp): Fault => {
  const metadata = { name: `attack-${session.id}`, namespace: VERIFIER_NAMESPACE };
  const type = "ciliumnetworkpolicies.cilium.io";
  const remove = () =>
    session.kubectl.text(["delete", type, metadata.name, `--namespace=${metadata.namespace}`, "--ignore-not-found"]);
  return {
    name: `${name} is silent`,
    begin: async () => {
      session.defer("network policy", remove);
      const policy = {
        apiVersion: "cilium.io/v2",
        kind: "CiliumNetworkPolicy",
        metadata,
        spec: { endpointSelector: {}, ...rule },
      };
      await session.kubectl.text(["create", "--filename=-"], JSON.stringify(policy));
      await forget(session);
    },
    end: remove,
    says,
  };
};

const namespaceOf = (namespace: string) => ({ matchLabels: { "k8s:io.kubernetes.pod.namespace": namespace } });

/** The verifier shows a certificate that Gatekeeper's provider does not name the authority of. */
const foreignVerifier = (session: Session): Fault => {
  const { kubectl } = session;
  const provider = ["provider.externaldata.gatekeeper.sh", PROVIDER_OBJECT.metadata.name];
  const trust = (caBundle: string) =>
    kubectl.text(["patch", ...provider, "--type=merge", `--patch=${JSON.stringify({ spec: { caBundle } })}`]);
  let before = "";
  return {
    name: "the verifier shows a certificate of somebody else",
    begin: async () => {
      before = await kubectl.text(["get", ...provider, "--output=jsonpath={.spec.caBundle}"]);
      session.defer("authority of the provider", () => trust(before));
      await trust(Buffer.from(makeAuthority().certificatePem).toString("base64"));
      await forget(session);
    },
    end: () => trust(before),
    says: /SSF-GATE-004/,
  };
};

const faultsOf = (session: Session): Fault[] => {
  const asks = (namespace: string) => ({ egressDeny: [{ toEndpoints: [namespaceOf(namespace)] }] });
  const asked = { ingressDeny: [{ fromEndpoints: [namespaceOf(GATEKEEPER_NAMESPACE)] }] };
  const late = /SSF-GATE-003 .*no (answer|verdict) within/;
  return [
    killed(session, "Gatekeeper is killed", [GATEKEEPER_NAMESPACE]),
    killed(session, "the verifier is killed", [VERIFIER_NAMESPACE]),
    killed(session, "both are killed", [GATEKEEPER_NAMESPACE, VERIFIER_NAMESPACE]),
    away(session, REGISTRY, /SSF-GATE-003 .*SSF-VERIFY-002/),
    away(session, LOG, /SSF-GATE-003 .*SSF-VERIFY-005/),
    away(session, TRUST, /SSF-GATE-003 .*SSF-TRUST-010/),
    foreignVerifier(session),
    ...(session.factory.networkPolicies === NetworkPolicies.Cilium
      ? [
          mute(session, "registry", asks(REGISTRY.namespace), late),
          mute(session, "log", asks(LOG.namespace), late),
          mute(session, "verifier", asked, silent),
        ]
      : []),
  ];
};

export const gateOutage: FactoryAttack = {
  name: "gate-outage",
  covers: "Moments in which the gate cannot decide: it is killed, or what it asks is away, silent or somebody else.",
  tries: "to start an image while nothing can prove it",
  refusal: { by: ["admission policy"], message: /SSF-GATE-\d+|failed calling webhook/ },
  control: "The gate comes back by itself each time, and then lets the image in.",
  onlyByName: true,
  inTurn: true,
  prepare: async (session) => {
    const built = await anyBuilt(session);
    const ask = (image = built) => session.admin.wouldCreate(workload(session, image));
    const accepted = () => until(session, "the gate", async () => ((await ask()).is === "accepted" ? true : undefined));
    const nobodys = built.replace(/[0-9a-f]{64}$/, "0".repeat(64));
    const during = ({ name, begin, end, says, unproven }: Fault): Attempt => ({
      name,
      expected: { by: ["admission policy"], message: says },
      run: async () => {
        await begin();
        const answer = await until<Answer>(session, "the gate", async () => {
          const given = await ask(unproven ? nobodys : built);
          return given.is !== "refused" || says.test(given.message) ? given : undefined;
        });
        await end?.();
        await accepted();
        return answer;
      },
    });
    return {
      attempts: faultsOf(session).map(during),
      controls: [{ name: "the image, afterwards", run: () => ask() }],
    };
  },
};

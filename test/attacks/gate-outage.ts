import { GATEKEEPER_NAMESPACE } from "../../components/gatekeeper";
import { NetworkPolicies } from "../../components/lib/network-policies";
import { PROVIDER_OBJECT } from "../../policies/admission/gate";
import { VERIFIER_NAMESPACE } from "../../policies/admission/gate/records";
import { withValue, type Session } from "../../tools/cli/attack-session";
import type { Answer, Attempt } from "../../tools/cli/attacks";
import { type Failure, foreignCertificates, openStandIn, type Service, type StandIn } from "./stand-in";
import { anyBuilt, type FactoryAttack, killPods, type Pod, until } from "./support";
import { IMAGE_OF_WORKLOAD, workload } from "./unproven-images";

/** Something without which the gate cannot decide. */
interface Fault {
  name: string;
  /** Makes it so; what undoes it is handed to the session first. @default it is so already */
  begin?: () => Promise<unknown>;
  /** What the refusal says that is due to it, and to nothing else that was wrong before. */
  says: RegExp;
  /** What is asked about meanwhile. */
  pod: Pod;
  /** Makes it good again. @default what comes next does */
  end?: () => Promise<unknown>;
}

const service = (namespace: string, name: string, containerPort = 8443): Service => ({
  namespace,
  name,
  certificate: `${name}-tls`,
  port: { containerPort, name: "https" },
});

const GATEKEEPER: Service = {
  namespace: GATEKEEPER_NAMESPACE,
  name: "gatekeeper-webhook-service",
  certificate: "gatekeeper-webhook-server-cert",
  port: { containerPort: 8443, name: "webhook-server" },
};
const VERIFIER = service(VERIFIER_NAMESPACE, "verifier");
const TRUST = service("ssf-tuf", "tuf");
const REGISTRY = service("ssf-registry", "registry", 5000);
const LOG = service("ssf-rekor", "rekor");

/** Whoever is asked for a verdict, in the order in which they are asked. */
const CHAIN = [GATEKEEPER, VERIFIER, TRUST, REGISTRY, LOG] as const;

/** Pods behind the gate. */
interface Pods {
  /** Of an image that was built. */
  built: Pod;
  /** Of one that nobody built. */
  unknown: Pod;
  /** Of one by its tag. */
  byTag: Pod;
}

/** Ends every pod of the factory in a namespace at once; what makes them makes them again. */
const kill = ({ kubectl, id }: Session, namespace: string): Promise<string> =>
  killPods(kubectl, namespace, `--selector=attack!=${id}`);

const killed = (session: Session, name: string, namespaces: readonly string[], pod: Pod): Fault => ({
  name,
  begin: () => Promise.all(namespaces.map((namespace) => kill(session, namespace))),
  says: /failed calling webhook|SSF-GATE-004/,
  pod,
});

/** The value at a JSON pointer, if there is one. */
const valueAt = (object: unknown, pointer: string): unknown =>
  pointer
    .split("/")
    .slice(1)
    .reduce((value, key) => (value as Record<string, unknown> | undefined)?.[key.replace("~1", "/")], object);

/**
 * Puts another authority in the place of the one that an object trusts.
 *
 * @param pointer where it stands
 */
const swapAuthority = (session: Session, object: readonly string[], pointer: string) => {
  const { kubectl, defer } = session;
  const injection = "/metadata/annotations/cert-manager.io~1inject-ca-from";
  const patch = (changes: readonly object[]) =>
    kubectl.text(["patch", ...object, "--type=json", `--patch=${JSON.stringify(changes)}`]);
  let undo = () => Promise.resolve("");
  return {
    swap: async (authorityPem: string) => {
      const before = await kubectl.json(["get", ...object]);
      // Where cert-manager writes the authority, it would write it again.
      const paths = [pointer, injection].filter((path) => valueAt(before, path) !== undefined);
      undo = () => patch(paths.map((path) => ({ op: "add", path, value: valueAt(before, path) })));
      defer(`authority of ${object.join(" ")}`, () => undo());
      const value = Buffer.from(authorityPem).toString("base64");
      const changes = paths.map((path) => (path === pointer ? { op: "replace", path, value } : { op: "remove", path }));
      // Gatekeeper is asked about its own objects, and may have come back a moment ago.
      await until(session, object.join(" "), () =>
        patch(changes).catch((error: unknown) => {
          if (String(error).includes("failed calling webhook")) return undefined;
          throw error;
        }),
      );
    },
    restore: () => undo(),
  };
};

const namespaceOf = (namespace: string) => ({ matchLabels: { "k8s:io.kubernetes.pod.namespace": namespace } });

/** Packets to or from the verifier are dropped, so that whoever asks waits; only Cilium can deny. */
const dropping = (session: Session, rule: object, fault: Pick<Fault, "name" | "says" | "pod">): Fault[] => {
  const metadata = { name: `attack-${session.id}`, namespace: VERIFIER_NAMESPACE };
  const type = "ciliumnetworkpolicies.cilium.io";
  const remove = () =>
    session.kubectl.text(["delete", type, metadata.name, `--namespace=${metadata.namespace}`, "--ignore-not-found"]);
  const policy = {
    apiVersion: "cilium.io/v2",
    kind: "CiliumNetworkPolicy",
    metadata,
    spec: { endpointSelector: {}, ...rule },
  };
  const begin = () => {
    session.defer("network policy", remove);
    return session.kubectl.text(["create", "--filename=-"], JSON.stringify(policy));
  };
  return session.factory.networkPolicies === NetworkPolicies.Cilium ? [{ ...fault, begin, end: remove }] : [];
};

/**
 * Everybody who is asked loses his pods at once, and gets them back one after the other, each when he has failed in every
 * way. So no fault is hidden by an answer from before it, and one restart of the verifier is enough.
 */
const siege = (session: Session, { built, unknown, byTag }: Pods): { faults: Fault[]; end: () => Promise<unknown> } => {
  const certificates = foreignCertificates(CHAIN);
  const standIns = new Map<Service, StandIn>();
  const standInOf = (service: Service): StandIn => {
    const standIn = standIns.get(service);
    if (standIn === undefined) throw new Error(`no stand-in of ${service.name} has started`);
    return standIn;
  };
  const takeAll = async () => {
    const open = async (service: Service) => standIns.set(service, await openStandIn(session, service, certificates));
    await Promise.all(CHAIN.map(open));
    for (const service of CHAIN) await standInOf(service).takeOver();
    // The API server keeps its connections.
    await kill(session, GATEKEEPER_NAMESPACE);
  };
  const fails = (service: Service, failure: Failure, name: string, says: RegExp, pod: Pod): Fault => ({
    name,
    begin: () => standInOf(service).fail(failure),
    says,
    pod,
  });
  const isExpired = (
    service: Service,
    authority: ReturnType<typeof swapAuthority>,
    ...rest: [name: string, says: RegExp, pod: Pod]
  ): Fault => ({
    ...fails(service, "expired", ...rest),
    begin: async () => {
      await authority.swap(certificates.authorityPem);
      await standInOf(service).fail("expired");
    },
    end: authority.restore,
  });

  const tooLate = "(deadline exceeded|Client\\.Timeout|i/o timeout)";
  const uncalled = (reason: string) => new RegExp(`failed calling webhook .*${reason}`);
  const webhook = ["validatingwebhookconfiguration", "gatekeeper-validating-webhook-configuration"];
  const webhookAuthority = swapAuthority(session, webhook, "/webhooks/0/clientConfig/caBundle");
  const gatekeeper: Fault[] = [
    { name: "Gatekeeper is not there", begin: takeAll, says: uncalled(""), pod: unknown },
    {
      name: "an image by its tag, while Gatekeeper is not there",
      says: /ValidatingAdmissionPolicy 'gatekeeper-imagesbydigest' .*SSF-GATE-001/,
      pod: byTag,
    },
    fails(
      GATEKEEPER,
      "foreign",
      "Gatekeeper shows a certificate of somebody else",
      uncalled("unknown authority"),
      unknown,
    ),
    isExpired(
      GATEKEEPER,
      webhookAuthority,
      "Gatekeeper's certificate has expired",
      uncalled("certificate has expired"),
      unknown,
    ),
    fails(GATEKEEPER, "silent", "Gatekeeper is silent", uncalled(tooLate), unknown),
    fails(GATEKEEPER, "erroring", "Gatekeeper answers with an error", uncalled("an error on the server"), unknown),
  ];

  const unanswered = (reason: string) => new RegExp(`SSF-GATE-004 .*${reason}`);
  const provider = ["provider.externaldata.gatekeeper.sh", PROVIDER_OBJECT.metadata.name];
  const verifier: Fault[] = [
    {
      name: "the verifier is not there",
      begin: () => standInOf(GATEKEEPER).leave(),
      says: unanswered(""),
      pod: unknown,
      // The next one knows no image, and has no connection.
      end: () => kill(session, VERIFIER_NAMESPACE),
    },
    fails(
      VERIFIER,
      "foreign",
      "the verifier shows a certificate of somebody else",
      unanswered("unknown authority"),
      unknown,
    ),
    isExpired(
      VERIFIER,
      swapAuthority(session, provider, "/spec/caBundle"),
      "the verifier's certificate has expired",
      unanswered("certificate has expired"),
      unknown,
    ),
    fails(VERIFIER, "silent", "the verifier is silent", unanswered(tooLate), unknown),
    fails(VERIFIER, "erroring", "the verifier answers with an error", unanswered("failed to unmarshal"), unknown),
    ...dropping(
      session,
      { ingressDeny: [{ fromEndpoints: [namespaceOf(GATEKEEPER_NAMESPACE)] }] },
      { name: "what is sent to the verifier is dropped", says: unanswered(tooLate), pod: unknown },
    ),
  ];

  const late = /SSF-GATE-003 .*no (answer|verdict) within/;
  const source = (before: Service, service: Service, what: string, code: string): Fault[] => {
    const unread = (reason: string) => new RegExp(`SSF-GATE-003 .*${code} .*${reason}`);
    return [
      { name: `${what} is not there`, begin: () => standInOf(before).leave(), says: unread(""), pod: built },
      fails(
        service,
        "foreign",
        `${what} shows a certificate of somebody else`,
        unread("unable to .* certificate"),
        built,
      ),
      fails(service, "silent", `${what} is silent`, late, built),
      fails(service, "erroring", `${what} answers with an error`, unread("HTTP status 500"), built),
    ];
  };
  const lost = (service: Service, what: string): Fault[] =>
    dropping(
      session,
      { egressDeny: [{ toEndpoints: [namespaceOf(service.namespace)] }] },
      { name: `what is sent to ${what} is dropped`, says: late, pod: built },
    );
  return {
    faults: [
      ...gatekeeper,
      ...verifier,
      ...source(VERIFIER, TRUST, "the trust repository", "SSF-TRUST-010"),
      ...source(TRUST, REGISTRY, "the registry", "SSF-VERIFY-002"),
      ...lost(REGISTRY, "the registry"),
      ...source(REGISTRY, LOG, "the log", "SSF-VERIFY-005"),
      ...lost(LOG, "the log"),
    ],
    end: () => Promise.all([...standIns.values()].map((standIn) => standIn.leave())),
  };
};

export const gateOutage: FactoryAttack = {
  name: "gate-outage",
  covers:
    "Moments in which the gate cannot decide: it is killed, or it or what it asks is away, silent, erroneous, expired or somebody else.",
  tries: "to start an image while nothing can prove it",
  refusal: { by: ["admission policy"], message: /SSF-GATE-\d+|failed calling webhook/ },
  control: "The gate comes back by itself each time, and then lets the image in.",
  onlyByName: true,
  inTurn: true,
  prepare: async (session) => {
    const image = await anyBuilt(session);
    const built = workload(session, image);
    const [repository = ""] = image.split("@");
    const pods: Pods = {
      built,
      unknown: withValue(built, IMAGE_OF_WORKLOAD, `${repository}@sha256:${"0".repeat(64)}`),
      byTag: withValue(built, IMAGE_OF_WORKLOAD, `${repository}:latest`),
    };
    const ask = (pod: Pod) => session.admin.wouldCreate(pod);
    const accepted = () =>
      until(session, "the gate", async () => {
        const answer = await ask(built);
        return answer.is === "accepted" ? answer : undefined;
      });
    const during = ({ name, begin, says, pod, end }: Fault): Attempt => ({
      name,
      expected: { by: ["admission policy"], message: says },
      run: async () => {
        await begin?.();
        const answer = await until<Answer>(session, "the gate", async () => {
          const given = await ask(pod);
          return given.is !== "refused" || says.test(given.message) ? given : undefined;
        });
        await end?.();
        return answer;
      },
    });
    const kills = [
      killed(session, "Gatekeeper is killed", [GATEKEEPER_NAMESPACE], pods.unknown),
      killed(session, "the verifier is killed", [VERIFIER_NAMESPACE], pods.unknown),
      killed(session, "both are killed", [GATEKEEPER_NAMESPACE, VERIFIER_NAMESPACE], pods.unknown),
    ];
    const { faults, end } = siege(session, pods);
    return {
      attempts: [...kills.map((fault) => during({ ...fault, end: accepted })), ...faults.map(during)],
      controls: [{ name: "the image, afterwards", run: () => end().then(accepted) }],
    };
  },
};

import { isDeepStrictEqual } from "node:util";
import { EXEMPT_NAMESPACES } from "../../components/gatekeeper";
import { GATE_LABEL, TEAM_LABEL } from "../../components/lib/labels";
import type { Workload } from "../../components/lib/workload-api";
import { nodesRegistration, type Registration, workloadRegistration } from "../../components/spire";
import { UNJAILED_STAGES } from "../../policies/admission";
import type { Check } from "./provenance";
import type { ClusterObjects } from "./self-cluster";

/** What the factory promises about itself. */
export interface Promises {
  /** Images by digest that may run outside the namespaces of teams. */
  images: readonly string[];
  /** Images by digest that may run in the namespaces of teams. */
  teamImages: readonly string[];
  /** Those of both that are signed in the trust repository. */
  signedImages: readonly string[];
  /** Admission rules that must be there. */
  rules: readonly string[];
  /** Rules of the gate that must be there. */
  gateRules: readonly string[];
  /** Name that every identity begins with. */
  trustDomain: string;
  /** Components that have an identity. */
  components: readonly Workload[];
  /** Policies of the API server that Gatekeeper must have made of them, each with its binding. */
  generatedRules: readonly { policy: string; binding: string }[];
  now: Date;
}

/** What each check is called, in the order in which they are shown. */
const titles = {
  images: ["SSF-SELF-001", "every container runs an image of the factory, by digest"],
  bound: ["SSF-SELF-002", "every admission rule is there, bound with Deny, and fails closed"],
  typed: ["SSF-SELF-003", "Kubernetes finds no fault in the expressions of any rule"],
  scoped: ["SSF-SELF-004", "every rule matches a live object, or a request where none is at rest"],
  alive: ["SSF-SELF-005", "every rule refuses a bad request and admits a good one"],
  closed: ["SSF-SELF-006", "every webhook fails closed"],
  answering: ["SSF-SELF-007", "every webhook has an authority and a service that answers"],
  tokens: ["SSF-SELF-008", "no long-lived token of a service account exists"],
  mounts: ["SSF-SELF-009", "tokens are mounted automatically only where listed"],
  lifetimes: ["SSF-SELF-010", "identities live an hour at most"],
  identities: [
    "SSF-SELF-011",
    "only components and stages with a network have an identity, as they were given it; no other trust domain is trusted",
  ],
  certificates: ["SSF-SELF-012", "every certificate is ready and not past its renewal"],
  podSecurity: ["SSF-SELF-013", "every namespace has its level of Pod Security"],
  gate: ["SSF-SELF-014", "every rule of the gate is enforced by the webhook, and by the API server where it is in CEL"],
  exempt: ["SSF-SELF-015", "the gate is asked about every namespace but those without which it could not come up"],
  signed: ["SSF-SELF-016", "every image of the factory is signed in its trust repository"],
  lives: ["SSF-SELF-018", "every certificate lives no longer than its class may"],
} as const;

/** A check that failed when it has offenders. */
export const selfCheck = (name: keyof typeof titles, offenders: readonly string[], found: string): Check => {
  const [code, title] = titles[name];
  return { code, title, held: offenders.length === 0, detail: offenders.length === 0 ? found : offenders.join("; ") };
};

/** Service accounts whose pods Kubernetes may give a token by itself, by namespace, and why. */
const automounts: Readonly<Record<string, string>> = {
  "kube-system": "Kubernetes' and the network's own pods",
  "gatekeeper-system": "upstream's controllers",
  "ssf-cert-manager": "upstream's controllers",
  "ssf-storage": "makes volumes",
  "ssf-triggers": "event listeners start runs",
  "tekton-chains/tekton-chains-controller": "upstream's controller",
  "tekton-pipelines": "upstream's controllers",
  "tekton-pipelines-resolvers": "upstream's controller",
};

/** Namespaces whose pods are not held to `restricted`, and why. */
const privileged: Readonly<Record<string, string>> = {
  "ssf-falco": "sees the system calls of the node",
  "ssf-node-trust": "writes the authority to the node",
  "ssf-spire-agent": "asks the kubelet, and shares a socket with the node",
  "ssf-storage": "makes directories on the node",
};

const ownWithoutLevel = "kube-system";

const labelOfLevel = "pod-security.kubernetes.io/enforce";

/** An object as a person names it. */
export const place = ({ namespace, name }: { namespace: string; name: string }): string => `${namespace}/${name}`;

const digestOf = (image: string): string | undefined => /@(sha256:[0-9a-f]{64})$/.exec(image)?.[1];

const labelled = ({ namespaces }: ClusterObjects, label: string): Set<string> =>
  new Set(namespaces.filter(({ metadata }) => label in metadata.labels).map(({ metadata }) => metadata.name));

const checkImages = (objects: ClusterObjects, { images, teamImages }: Promises): Check => {
  const teams = labelled(objects, TEAM_LABEL);
  const gated = labelled(objects, GATE_LABEL);
  // What runs behind the gate was built by the factory, and is no part of it.
  const own = objects.pods.filter(({ metadata }) => !gated.has(metadata.namespace));
  let count = 0;
  const offenders = own.flatMap(({ metadata, spec, status }) => {
    const allowed = teams.has(metadata.namespace) ? teamImages : images;
    const ran = [...status.containerStatuses, ...status.initContainerStatuses, ...status.ephemeralContainerStatuses];
    return [...spec.containers, ...spec.initContainers, ...spec.ephemeralContainers].flatMap(({ name, image }) => {
      count += 1;
      const who = `${place(metadata)}, container ${name}`;
      const digest = digestOf(image);
      if (digest === undefined) return [`${who}: ${image} is not by digest`];
      if (!allowed.includes(image)) return [`${who}: ${image} is not of the factory`];
      const id = ran.find((one) => one.name === name)?.imageID ?? "";
      return id === "" || digestOf(id) === digest ? [] : [`${who}: asked for ${digest}, runs ${id}`];
    });
  });
  return selfCheck("images", offenders, `${count} containers in ${own.length} pods`);
};

const checkSigned = ({ images, teamImages, signedImages }: Promises): Check => {
  const all = [...new Set([...images, ...teamImages])];
  const offenders = all.filter((image) => !signedImages.includes(image)).map((image) => `${image} is not signed`);
  return selfCheck("signed", offenders, `${all.length} images`);
};

/** Whether a policy of the API server is one of the factory's own. */
export const isFactoryRule = ({ metadata }: ClusterObjects["policies"][number]): boolean =>
  metadata.labels["app.kubernetes.io/part-of"] === "secure-software-factory";

/** Names of the factory's admission rules that the cluster has. */
export const ruleNames = ({ policies }: ClusterObjects): string[] =>
  policies.filter(isFactoryRule).map(({ metadata }) => metadata.name);

const checkPolicies = (objects: ClusterObjects, { rules }: Promises): Check[] => {
  const ours = objects.policies.filter(isFactoryRule);
  const denying = objects.bindings.filter(({ spec }) => spec.validationActions.includes("Deny"));
  const present = new Set(ours.map(({ metadata }) => metadata.name));
  const bound = ours.flatMap(({ metadata, spec }) => [
    ...(spec.failurePolicy === "Fail" ? [] : [`${metadata.name}: failurePolicy ${spec.failurePolicy}`]),
    ...(denying.some((binding) => binding.spec.policyName === metadata.name)
      ? []
      : [`${metadata.name}: no binding with Deny`]),
  ]);
  const absent = rules.filter((name) => !present.has(name)).map((name) => `${name}: not there`);
  const typed = ours.flatMap(({ metadata, status }) => {
    if (status.observedGeneration !== metadata.generation) return [`${metadata.name}: not looked at yet`];
    const faults = status.typeChecking?.expressionWarnings ?? [];
    return faults.length === 0 ? [] : [`${metadata.name}: ${faults.map(({ fieldRef }) => fieldRef).join(", ")}`];
  });
  const found = `${ours.length} rules`;
  return [selfCheck("bound", [...absent, ...bound], found), selfCheck("typed", typed, found)];
};

const checkWebhooks = ({ webhooks, endpointSlices }: ClusterObjects): Check[] => {
  const all = webhooks.flatMap(({ kind, metadata, webhooks: hooks }) =>
    hooks.map((hook) => ({
      ...hook,
      who: `${kind.replace("WebhookConfiguration", "")} ${metadata.name}, ${hook.name}`,
    })),
  );
  const open = all
    .filter(({ failurePolicy }) => failurePolicy !== "Fail")
    .map(({ who, failurePolicy }) => `${who}: failurePolicy ${failurePolicy}`);
  const silent = all.flatMap(({ who, clientConfig: { caBundle, service } }) => {
    if (service === undefined) return [`${who}: not a service of the cluster`];
    const hasEndpoint = endpointSlices.some(
      ({ metadata, endpoints }) =>
        metadata.namespace === service.namespace &&
        metadata.labels["kubernetes.io/service-name"] === service.name &&
        (endpoints ?? []).some(({ conditions }) => conditions.ready),
    );
    return [
      ...(caBundle === "" ? [`${who}: no caBundle`] : []),
      ...(hasEndpoint ? [] : [`${who}: service ${place(service)} has no ready endpoint`]),
    ];
  });
  const found = `${all.length} webhooks`;
  return [selfCheck("closed", open, found), selfCheck("answering", silent, found)];
};

const GATE_WEBHOOK = "validation.gatekeeper.sh";

/** What is wrong with a policy that Gatekeeper made of a template, and with the binding that it made of its rule. */
const generatedFaults = (
  { policies, bindings }: ClusterObjects,
  { policy, binding }: Promises["generatedRules"][number],
): string[] => {
  const made = policies.find(({ metadata }) => metadata.name === policy);
  if (made === undefined) return [`${policy}: not there`];
  const bound = bindings.find(({ metadata, spec }) => metadata.name === binding && spec.policyName === policy);
  const actions = bound?.spec.validationActions ?? [];
  return [
    ...(made.spec.failurePolicy === "Fail" ? [] : [`${policy}: failurePolicy ${made.spec.failurePolicy}`]),
    ...(bound === undefined ? [`${policy}: no binding ${binding}`] : []),
    ...(bound !== undefined && !actions.includes("Deny") ? [`${binding}: ${actions.join(", ")} without Deny`] : []),
  ];
};

const checkGate = (objects: ClusterObjects, { gateRules, generatedRules }: Promises): Check[] => {
  const { constraints, webhooks } = objects;
  const faults = gateRules.flatMap((name) => {
    const rule = constraints.find(({ metadata }) => metadata.name === name);
    if (rule === undefined) return [`${name}: not there`];
    const { enforcementAction } = rule.spec;
    const answering = rule.status.byPod.filter(({ operations }) => operations.includes("webhook"));
    return [
      ...(enforcementAction === "deny" ? [] : [`${name}: enforcementAction ${enforcementAction}`]),
      ...(answering.length > 0 && answering.every(({ enforced }) => enforced) ? [] : [`${name}: not enforced`]),
    ];
  });
  const expected = { key: "kubernetes.io/metadata.name", operator: "NotIn", values: [...EXEMPT_NAMESPACES] };
  const hooks = webhooks.flatMap((one) => one.webhooks).filter(({ name }) => name === GATE_WEBHOOK);
  const open = hooks
    .filter(
      ({ namespaceSelector: { matchLabels, matchExpressions } = { matchLabels: {}, matchExpressions: [] } }) =>
        Object.keys(matchLabels).length > 0 || !isDeepStrictEqual(matchExpressions, [expected]),
    )
    .map(({ namespaceSelector }) => `${GATE_WEBHOOK} selects namespaces by ${JSON.stringify(namespaceSelector ?? {})}`);
  return [
    selfCheck(
      "gate",
      [...faults, ...generatedRules.flatMap((rule) => generatedFaults(objects, rule))],
      [...gateRules, ...generatedRules.map(({ policy }) => policy)].join(", "),
    ),
    selfCheck("exempt", hooks.length === 0 ? [`${GATE_WEBHOOK}: not there`] : open, EXEMPT_NAMESPACES.join(", ")),
  ];
};

const checkTokens = ({ tokenSecrets, pods }: ClusterObjects): Check[] => {
  const mounting = pods.filter(({ spec }) => spec.volumes.some(({ name }) => name.startsWith("kube-api-access-")));
  const unlisted = mounting
    .map(({ metadata, spec }) => ({ metadata, account: `${metadata.namespace}/${spec.serviceAccountName}` }))
    .filter(({ metadata, account }) => !(metadata.namespace in automounts) && !(account in automounts))
    .map(({ metadata, account }) => `${place(metadata)} as ${account}`);
  return [
    selfCheck("tokens", tokenSecrets, "no Secret of that type"),
    selfCheck("mounts", unlisted, `${mounting.length} pods, all listed: ${Object.keys(automounts).join(", ")}`),
  ];
};

/** Seconds of a duration in the form of Go, such as `1h0m0s`; undefined for another form. */
export const seconds = (duration: string): number | undefined => {
  const parts = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/.exec(duration);
  if (parts === null || duration === "") return undefined;
  const [hours = 0, minutes = 0, rest = 0] = parts.slice(1).map((part: string | undefined) => Number(part ?? 0));
  return hours * 3600 + minutes * 60 + rest;
};

const isWithin = (duration: string, limit: number): boolean => {
  const length = seconds(duration);
  return length !== undefined && length > 0 && length <= limit;
};

/** What must be registered: the nodes, the factory's components, and of each team the stages with a network. */
const expectedRegistrations = (
  { namespaces }: ClusterObjects,
  { trustDomain, components }: Promises,
): Registration[] => {
  const teams = namespaces.filter(({ metadata }) => TEAM_LABEL in metadata.labels);
  const stages = teams.flatMap(({ metadata: { name } }) =>
    UNJAILED_STAGES.map((serviceAccount) => ({ namespace: name, serviceAccount })),
  );
  return [
    nodesRegistration(trustDomain),
    ...[...components, ...stages].map((workload) => workloadRegistration(trustDomain, workload)),
  ];
};

const checkIdentities = (objects: ClusterObjects, promises: Promises): Check[] => {
  const { identities, registrations, federations } = objects;
  const lives = [
    ...identities.map(({ metadata: { name }, spec: { ttl, jwtTtl } }) => ({ name, ttl, jwtTtl })),
    ...registrations.map(({ metadata: { name }, spec }) => ({ name, ttl: spec.x509SVIDTTL, jwtTtl: spec.jwtSVIDTTL })),
  ];
  const long = lives.flatMap(({ name, ttl, jwtTtl }) => [
    ...(isWithin(ttl, 3600) ? [] : [`${name}: ttl ${ttl}`]),
    ...(isWithin(jwtTtl, 3600) ? [] : [`${name}: jwtTtl ${jwtTtl}`]),
  ]);
  const expected = new Map(expectedRegistrations(objects, promises).map(({ name, spec }) => [name, spec]));
  const present = new Set(registrations.map(({ metadata }) => metadata.name));
  const others = registrations
    .filter(({ metadata: { name }, spec }) => !isDeepStrictEqual(spec, expected.get(name)))
    .map(({ metadata: { name }, spec: { spiffeID, selectors } }) => {
      const fault = expected.has(name) ? "not as it was made" : "nobody's";
      return `${name}: ${fault}, gives ${spiffeID} to ${selectors.join(", ")}`;
    });
  const patterns = identities.map(({ metadata, spec }) => `${metadata.name}: nobody's, gives ${spec.spiffeIDTemplate}`);
  const foreign = federations.map(({ metadata, spec }) => `${metadata.name}: nobody's, trusts ${spec.trustDomain}`);
  const absent = [...expected.keys()].filter((name) => !present.has(name)).map((name) => `${name}: not there`);
  const found = [...expected.keys()].join(", ");
  const lengths = (of: "ttl" | "jwtTtl"): string => [...new Set(lives.map((life) => life[of]))].join(", ");
  const bounds = `${lives.length} registrations: certificates ${lengths("ttl")}, tokens ${lengths("jwtTtl")}`;
  return [
    selfCheck("lifetimes", lives.length === 0 ? ["nothing is registered"] : long, bounds),
    selfCheck("identities", [...others, ...patterns, ...foreign, ...absent], found),
  ];
};

const checkCertificates = ({ certificates }: ClusterObjects, { now }: Promises): Check => {
  const late = certificates.flatMap(({ metadata, status: { conditions, renewalTime, notAfter } }) => {
    if (!conditions.some(({ type, status }) => type === "Ready" && status === "True"))
      return [`${place(metadata)}: not ready`];
    const limit = renewalTime ?? notAfter;
    return limit !== undefined && now < new Date(limit) ? [] : [`${place(metadata)}: to be renewed at ${limit ?? "?"}`];
  });
  return selfCheck("certificates", late, `${certificates.length} certificates`);
};

const checkPodSecurity = ({ namespaces, pods }: ClusterObjects): Check => {
  const crowded = new Set(pods.map(({ metadata }) => metadata.namespace));
  const offenders = namespaces.flatMap(({ metadata: { name, labels } }) => {
    const level = labels[labelOfLevel] ?? "none";
    if (name === ownWithoutLevel || (level === "none" && !crowded.has(name) && !/^(ssf|tekton)-/.test(name))) return [];
    const expected = name in privileged ? "privileged" : "restricted";
    return level === expected ? [] : [`${name}: ${level}, not ${expected}`];
  });
  const exceptions = Object.keys(privileged).filter((name) =>
    namespaces.some(({ metadata }) => metadata.name === name),
  );
  return selfCheck(
    "podSecurity",
    offenders,
    `restricted, but for ${[ownWithoutLevel, ...exceptions].join(", ")} and namespaces without pods`,
  );
};

/** Everything that can be said of a cluster by looking at its objects. Pure: all that counts is in the arguments. */
export const checkObjects = (objects: ClusterObjects, promises: Promises): Check[] => [
  checkImages(objects, promises),
  checkSigned(promises),
  ...checkPolicies(objects, promises),
  ...checkWebhooks(objects),
  ...checkTokens(objects),
  ...checkIdentities(objects, promises),
  checkCertificates(objects, promises),
  checkPodSecurity(objects),
  ...checkGate(objects, promises),
];

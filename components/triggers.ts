import { join } from "node:path";

import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";

import { nameServer } from "./lib/egress";
import { issueCertificate } from "./lib/certificates";
import { podSecurity, selectorLabels, standardLabels } from "./lib/labels";
import {
  containerOf,
  createObjects,
  type DeploymentObject,
  dropDescriptions,
  type KubernetesObject,
  Manifests,
  overrideData,
  waitForAuthority,
  type PolicyRule,
  type RoleObject,
} from "./lib/manifests";
import { resources } from "./lib/pods";
import { timeouts } from "./lib/timeouts";
import type { Workload } from "./lib/workload-api";

/** The images of {@link Triggers}, each by digest. */
export interface TriggersImages {
  controller: string;
  webhook: string;
  /** What the controller runs for every EventListener. */
  eventListener: string;
}

/** Arguments of {@link Triggers}. */
export interface TriggersArgs {
  /** Directory with upstream's `config`. */
  source: string;
  images: TriggersImages;
  /** Version that the images were built from, as Triggers reports it. */
  version: string;
  /** ClusterIssuer that the webhooks' certificate comes from. */
  issuer: pulumi.Input<string>;
}

const SYSTEM = "tekton-pipelines";
const CONTROLLER = "tekton-triggers-controller";
const WEBHOOK = "tekton-triggers-webhook";
const INTERCEPTORS = "tekton-triggers-core-interceptors";

/** The pods of Triggers, as SPIRE knows them. */
export const TRIGGERS_WORKLOADS: Workload[] = [CONTROLLER, WEBHOOK].map((serviceAccount) => ({
  namespace: SYSTEM,
  serviceAccount,
}));

/** Namespace of every team's webhook and event listener; a team's own namespace lets no such pod in. */
export const TRIGGERS_NAMESPACE = "ssf-triggers";

/** Secret with the certificate of every team's webhook. */
export const WEBHOOK_CERTIFICATE = "webhook-tls";

/** Port of every team's webhook. */
export const WEBHOOK_PORT = 8443;

/** Port of every event listener; the controller sets it. */
export const LISTENER_PORT = 8080;

/** Label of a namespace whose pods may call the webhooks, such as that of the cluster's ingress controller. */
const WEBHOOK_CALLER_LABEL = "secure-software-factory.dev/calls-webhooks";

/** Parts of a team's trigger, as the label `app.kubernetes.io/name` of their pods. */
export const TRIGGER_PARTS = { webhook: "team-webhook", schedule: "team-schedule" } as const;

/** ClusterRoles of upstream that an event listener's account gets, in its namespace and in the cluster. */
export const LISTENER_ROLES = {
  namespace: "tekton-triggers-eventlistener-roles",
  cluster: "tekton-triggers-eventlistener-clusterroles",
} as const;

/**
 * Tekton Triggers: makes runs out of events. It comes without upstream's interceptors, which would have to read every
 * Secret of the cluster; each team's own webhook checks signatures instead, see `TeamTrigger`.
 *
 * The namespace of the teams' webhooks and event listeners denies all traffic but the way of an event: from a forge to
 * the webhook, from there to the event listener, from there to the API server.
 */
export class Triggers extends pulumi.ComponentResource {
  /** Namespace of the teams' webhooks, once Triggers answers. */
  public readonly namespace: pulumi.Output<string>;

  constructor(name: string, args: TriggersArgs, opts?: pulumi.ComponentResourceOptions) {
    super("secure-software-factory:index:Triggers", name, args, opts);
    const child = { parent: this, customTimeouts: timeouts.plain };
    const labels = standardLabels("triggers");

    const namespace = new k8s.core.v1.Namespace(
      `${name}-ns`,
      { metadata: { name: TRIGGERS_NAMESPACE, labels: { ...labels, ...podSecurity("restricted") } } },
      child,
    );
    const inNamespace = { ...child, dependsOn: [namespace], deletedWith: namespace };
    const objects = createObjects(triggersObjects(args), { name, parent: this, dependsOn: [namespace] });

    const policies = Object.entries(triggersPolicies()).map(
      ([policy, spec]) =>
        new k8s.networking.v1.NetworkPolicy(
          `${name}-policy-${policy}`,
          { metadata: { name: policy, namespace: TRIGGERS_NAMESPACE, labels }, spec },
          inNamespace,
        ),
    );
    const certificate = issueCertificate(
      `${name}-certificate`,
      {
        name: WEBHOOK_CERTIFICATE,
        namespace: TRIGGERS_NAMESPACE,
        labels,
        issuer: args.issuer,
        dnsNames: [`*.${TRIGGERS_NAMESPACE}.svc.cluster.local`, `*.${TRIGGERS_NAMESPACE}.svc`, "localhost"],
        ipAddresses: ["127.0.0.1"],
        isReread: false,
      },
      inNamespace,
    );

    this.namespace = pulumi
      .all([...objects, ...policies, certificate].map((resource) => resource.id))
      .apply(() => TRIGGERS_NAMESPACE);
    this.registerOutputs({ namespace: this.namespace });
  }
}

const look = ["get", "list", "watch"];
const manage = [...look, "create", "update", "patch", "delete"];

const harden = (deployment: DeploymentObject, container: string): void => {
  deployment.spec.replicas = 1;
  containerOf(deployment, container).resources = resources(
    { cpu: "10m", memory: "48Mi" },
    { cpu: "500m", memory: "256Mi" },
  );
};

/** Definitions of Triggers' kinds. */
export const triggersCrds = (source: string): readonly KubernetesObject[] =>
  Manifests.read(join(source, "config"))
    .only("CustomResourceDefinition")
    .patchAll("CustomResourceDefinition", (crd) => {
      // An older version beside the stored one would be a second door to the same objects.
      crd.spec.versions = crd.spec.versions.filter(({ storage }) => storage);
      dropDescriptions(crd);
    })
    .list();

/** Upstream's objects without the interceptors, with our images, and with the rights that are used. */
export const triggersObjects = ({ source, version, images }: TriggersArgs): readonly KubernetesObject[] => {
  const upstream = Manifests.read(join(source, "config"))
    .without("CustomResourceDefinition")
    .patch("ConfigMap", "triggers-info", (info) => overrideData(info, { version }))
    .patch("ClusterRole", "tekton-triggers-admin", (role) => (role.rules = clusterRights))
    .patch("Role", "tekton-triggers-admin-webhook", (role) => {
      role.rules = [
        { apiGroups: [""], resources: ["secrets"], verbs: look },
        { apiGroups: [""], resources: ["secrets"], resourceNames: ["triggers-webhook-certs"], verbs: ["update"] },
      ];
    })
    .patch("ClusterRole", LISTENER_ROLES.namespace, (role) => {
      role.rules = [
        {
          apiGroups: ["triggers.tekton.dev"],
          resources: ["eventlisteners", "interceptors", "triggers", "triggerbindings", "triggertemplates"],
          verbs: look,
        },
      ];
    })
    .patch("ClusterRole", LISTENER_ROLES.cluster, (role) => {
      role.rules = [
        {
          apiGroups: ["triggers.tekton.dev"],
          resources: ["clusterinterceptors", "clustertriggerbindings"],
          verbs: look,
        },
      ];
    })
    // Who may make triggers is said by the stacks alone.
    .remove("ClusterRole", "tekton-triggers-aggregate-edit")
    .remove("ServiceAccount", INTERCEPTORS)
    .remove("ClusterRole", INTERCEPTORS)
    .remove("ClusterRole", `${INTERCEPTORS}-secrets`)
    .remove("ClusterRoleBinding", INTERCEPTORS)
    .remove("ClusterRoleBinding", `${INTERCEPTORS}-secrets`)
    .remove("Role", INTERCEPTORS)
    .remove("RoleBinding", INTERCEPTORS)
    .patch("Deployment", CONTROLLER, (deployment) => harden(deployment, CONTROLLER))
    .patch("Deployment", WEBHOOK, (deployment) => harden(deployment, "webhook"))
    .patchAll("ValidatingWebhookConfiguration", waitForAuthority)
    .patchAll("MutatingWebhookConfiguration", waitForAuthority)
    .replaceImages({
      "ko://github.com/tektoncd/triggers/cmd/controller": images.controller,
      "ko://github.com/tektoncd/triggers/cmd/webhook": images.webhook,
      "ko://github.com/tektoncd/triggers/cmd/eventlistenersink": images.eventListener,
    })
    .list();
  return [
    ...upstream,
    ...grant(
      "tekton-triggers-system",
      SYSTEM,
      [CONTROLLER, WEBHOOK],
      [
        { apiGroups: [""], resources: ["configmaps"], verbs: look },
        { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: manage },
      ],
    ),
    ...grant(
      "event-listeners",
      TRIGGERS_NAMESPACE,
      [CONTROLLER],
      [
        { apiGroups: ["apps"], resources: ["deployments"], verbs: manage },
        { apiGroups: [""], resources: ["services"], verbs: manage },
      ],
    ),
  ];
};

const WEBHOOK_KINDS = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"];

/** Upstream would let the controller and the webhook change Deployments, Services and ConfigMaps of every namespace. */
const clusterRights: PolicyRule[] = [
  { apiGroups: ["apps"], resources: ["deployments"], verbs: look },
  { apiGroups: [""], resources: ["services"], verbs: look },
  { apiGroups: [""], resources: ["events"], verbs: ["create", "patch"] },
  { apiGroups: ["triggers.tekton.dev"], resources: ["*"], verbs: look },
  {
    apiGroups: ["triggers.tekton.dev"],
    resources: ["clusterinterceptors/status", "eventlisteners/status", "interceptors/status"],
    verbs: ["update", "patch"],
  },
  { apiGroups: ["triggers.tekton.dev"], resources: ["eventlisteners/finalizers"], verbs: ["update"] },
  { apiGroups: ["admissionregistration.k8s.io"], resources: WEBHOOK_KINDS, verbs: look },
  {
    apiGroups: ["admissionregistration.k8s.io"],
    resources: WEBHOOK_KINDS,
    resourceNames: [
      "config.webhook.triggers.tekton.dev",
      "validation.webhook.triggers.tekton.dev",
      "webhook.triggers.tekton.dev",
    ],
    verbs: ["update"],
  },
  { apiGroups: [""], resources: ["namespaces"], resourceNames: [SYSTEM], verbs: ["get"] },
  { apiGroups: [""], resources: ["namespaces/finalizers"], resourceNames: [SYSTEM], verbs: ["update"] },
];

/** A Role of these accounts of upstream's namespace, with its binding. */
const grant = (name: string, namespace: string, accounts: string[], rules: PolicyRule[]): KubernetesObject[] => {
  const metadata = { name, namespace, labels: standardLabels("triggers") };
  const apiVersion = "rbac.authorization.k8s.io/v1";
  const role: RoleObject = { apiVersion, kind: "Role", metadata, rules };
  const binding: KubernetesObject & { roleRef: object; subjects: object[] } = {
    apiVersion,
    kind: "RoleBinding",
    metadata,
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name },
    subjects: accounts.map((account) => ({ kind: "ServiceAccount", name: account, namespace: SYSTEM })),
  };
  return [role, binding];
};

const listeners = { matchLabels: { "app.kubernetes.io/managed-by": "EventListener" } };
const webhooks = { matchLabels: selectorLabels(TRIGGER_PARTS.webhook) };
const schedules = { matchLabels: selectorLabels(TRIGGER_PARTS.schedule) };
const port = (number: number) => ({ port: number, protocol: "TCP" });

/** Ports on which API servers answer: the usual one, and that of most hosted clusters. */
const API_SERVER_PORTS = [6443, 443];

/** The way of an event, hop by hop; each team adds where its own schedule may look up a commit. */
export const triggersPolicies = () => ({
  "deny-all": { podSelector: {}, policyTypes: ["Ingress", "Egress"] },
  webhooks: {
    podSelector: webhooks,
    policyTypes: ["Ingress", "Egress"],
    ingress: [
      {
        from: [{ namespaceSelector: { matchLabels: { [WEBHOOK_CALLER_LABEL]: "true" } } }, { podSelector: listeners }],
        ports: [port(WEBHOOK_PORT)],
      },
    ],
    egress: [nameServer, { to: [{ podSelector: listeners }], ports: [port(LISTENER_PORT)] }],
  },
  "event-listeners": {
    podSelector: listeners,
    policyTypes: ["Ingress", "Egress"],
    ingress: [{ from: [{ podSelector: webhooks }, { podSelector: schedules }], ports: [port(LISTENER_PORT)] }],
    egress: [
      nameServer,
      { to: [{ podSelector: webhooks }], ports: [port(WEBHOOK_PORT)] },
      // An API server is no pod, and its address is a node's or a load balancer's.
      { ports: API_SERVER_PORTS.map(port) },
    ],
  },
});

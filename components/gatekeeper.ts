import { join } from "node:path";

import * as pulumi from "@pulumi/pulumi";

import { deadlines } from "../policies/admission/gate/deadlines";
import { issueCertificate } from "./lib/certificates";
import { podSecurity, standardLabels } from "./lib/labels";
import {
  type Container,
  containerOf,
  createObjects,
  type DeploymentObject,
  dropDescriptions,
  type KubernetesObject,
  Manifests,
  waitForAuthority,
  type WebhookRule,
} from "./lib/manifests";
import { podPeer } from "./lib/network-policies";
import { resources } from "./lib/pods";
import type { Workload } from "./lib/workload-api";

/** Arguments of {@link Gatekeeper}. */
export interface GatekeeperArgs {
  /** Directory with upstream's `deploy`. */
  source: string;
  /** Image of Gatekeeper's one program, by digest. */
  image: string;
  /** Version that the image was built from, as upstream tags it. */
  version: string;
  /** ClusterIssuer that its certificate comes from. */
  issuer: pulumi.Input<string>;
  /** How many pods answer the API server. @default 1 */
  replicas?: number;
}

/** Namespace of Gatekeeper; its program has the name of its service account's namespace built in. */
export const GATEKEEPER_NAMESPACE = "gatekeeper-system";

/** Name in the certificate that Gatekeeper shows to providers of external data. */
export const GATEKEEPER_CLIENT = `gatekeeper-webhook-service.${GATEKEEPER_NAMESPACE}.svc`;

/** Gatekeeper's pods, as SPIRE knows them. */
export const GATEKEEPER_WORKLOAD: Workload = { namespace: GATEKEEPER_NAMESPACE, serviceAccount: "gatekeeper-admin" };

/** The webhook's pods, for the network policies of what they ask. */
export const gatekeeperPeer = podPeer(GATEKEEPER_NAMESPACE, { "gatekeeper.sh/operation": "webhook" });

/** Namespaces whose requests never wait for Gatekeeper: without them it could not come up again. */
export const EXEMPT_NAMESPACES = ["kube-system", GATEKEEPER_NAMESPACE] as const;

const CERTIFICATE = "gatekeeper-webhook-server-cert";
const MANAGER = "gatekeeper-manager-role";
const WEBHOOK = "gatekeeper-validating-webhook-configuration";

/**
 * Gatekeeper: asks the policies of the gate, by its webhook and by ValidatingAdmissionPolicies that it generates.
 *
 * It fails closed. While it is down no workload is admitted outside {@link EXEMPT_NAMESPACES}, which are named and
 * cannot be joined by a label. It mutates nothing, keeps no answers of providers, and reads no Secret.
 * @example
 * new Gatekeeper("gatekeeper", { source, image, version: "v3.23.1", issuer: authority.issuer });
 */
export class Gatekeeper extends pulumi.ComponentResource {
  /** Namespace of its pods, once the webhook is asked. */
  public readonly namespace: pulumi.Output<string>;

  constructor(name: string, args: GatekeeperArgs, opts?: pulumi.ComponentResourceOptions) {
    super("secure-software-factory:index:Gatekeeper", name, args, opts);
    const objects = gatekeeperObjects(args);
    const isNamespace = ({ kind }: KubernetesObject): boolean => kind === "Namespace";
    const made = createObjects(objects.filter(isNamespace), { name, parent: this });
    const [namespace] = made;

    const certificate = issueCertificate(
      `${name}-certificate`,
      {
        name: CERTIFICATE,
        namespace: GATEKEEPER_NAMESPACE,
        labels: standardLabels("gatekeeper"),
        issuer: args.issuer,
        dnsNames: [GATEKEEPER_CLIENT],
        isClient: true,
        isReread: true,
      },
      { parent: this, dependsOn: made, deletedWith: namespace },
    );
    const rest = createObjects(
      objects.filter((object) => !isNamespace(object)),
      { name, parent: this, namespace, dependsOn: [...made, certificate] },
    );
    this.namespace = pulumi.all(rest.map(({ id }) => id)).apply(() => GATEKEEPER_NAMESPACE);
    this.registerOutputs({ namespace: this.namespace });
  }
}

/** Kinds of mutation and of expanding templates of pods. Those of exporting findings are watched even where it is off. */
const UNUSED_CRDS = [
  "assign.mutations.gatekeeper.sh",
  "assignimage.mutations.gatekeeper.sh",
  "assignmetadata.mutations.gatekeeper.sh",
  "modifyset.mutations.gatekeeper.sh",
  "mutatorpodstatuses.status.gatekeeper.sh",
  "expansiontemplate.expansion.gatekeeper.sh",
  "expansiontemplatepodstatuses.status.gatekeeper.sh",
];

const withArgs = (container: Container, unwanted: readonly string[], added: readonly string[]): void => {
  container.args = [...(container.args ?? []).filter((argument) => !unwanted.includes(argument)), ...added];
};

/**
 * What both programs must agree on. What providers say is not kept, since errors would be kept as well. The scope of the
 * webhook is that of the generated policies too, by default.
 */
const common = [
  "--enable-generator-resource-expansion=false",
  "--external-data-provider-response-cache-ttl=0s",
  "--default-create-vap-for-templates=true",
  "--default-create-vap-binding-for-constraints=true",
  "--default-k8s-native-validation-failure-policy=Fail",
];

/** Answers the API server. */
const hardenWebhook = (deployment: DeploymentObject, replicas: number): void => {
  deployment.spec.replicas = replicas;
  withArgs(
    containerOf(deployment, "manager"),
    ["--operation=mutation-webhook"],
    [...common, "--disable-cert-rotation", "--log-denies"],
  );
};

/** Makes ValidatingAdmissionPolicies of templates, and looks at what was there before them. */
const hardenAudit = (deployment: DeploymentObject): void => {
  withArgs(
    containerOf(deployment, "manager"),
    ["--operation=mutation-status"],
    [...common, "--default-wait-for-vapb-generation=0", "--audit-interval=300", "--audit-match-kind-only=true"],
  );
};

const WORKLOADS: readonly { apiGroup: string; resources: readonly string[] }[] = [
  { apiGroup: "", resources: ["pods", "replicationcontrollers"] },
  { apiGroup: "apps", resources: ["deployments", "daemonsets", "statefulsets", "replicasets"] },
  { apiGroup: "batch", resources: ["jobs", "cronjobs"] },
];

const ruleOf = (apiGroup: string, names: readonly string[]): WebhookRule => ({
  apiGroups: [apiGroup],
  apiVersions: ["*"],
  operations: ["CREATE", "UPDATE"],
  resources: [...names],
  scope: "*",
});

/**
 * What the gate looks at: workloads, and Gatekeeper's own kinds, of which it refuses those that it would not understand.
 * Were it asked about everything, leases and nodes would wait for it as well, and the cluster could not come up again.
 */
const ASKED_ABOUT: WebhookRule[] = [
  ...WORKLOADS.map(({ apiGroup, resources: names }) =>
    ruleOf(apiGroup, apiGroup === "" ? [...names, "pods/ephemeralcontainers"] : names),
  ),
  ...["templates", "constraints", "externaldata", "config"].map((group) => ruleOf(`${group}.gatekeeper.sh`, ["*"])),
];

/** Definitions of Gatekeeper's kinds, as far as it watches them. */
export const gatekeeperCrds = (source: string): readonly KubernetesObject[] =>
  UNUSED_CRDS.reduce(
    (manifests, crd) => manifests.remove("CustomResourceDefinition", crd),
    Manifests.read(join(source, "deploy")).only("CustomResourceDefinition"),
  )
    .patchAll("CustomResourceDefinition", dropDescriptions)
    .list();

/** Upstream's objects with our image, fewer rights, and a webhook that fails closed. */
export const gatekeeperObjects = ({ source, image, version, replicas = 1 }: GatekeeperArgs) => {
  const upstream = Manifests.read(join(source, "deploy"))
    .without("CustomResourceDefinition")
    .patch("Namespace", GATEKEEPER_NAMESPACE, ({ metadata }) => {
      metadata.labels = { "gatekeeper.sh/system": "yes", ...podSecurity("restricted") };
    })
    // cert-manager issues it; then Gatekeeper needs no Secret, and providers know whom they talk to.
    .remove("Secret", CERTIFICATE)
    .patch("Role", MANAGER, (role) => {
      role.rules = role.rules.filter(({ resources: names }) => !names.includes("secrets"));
    })
    .patch("ClusterRole", MANAGER, (role) => {
      const look = ["get", "list", "watch"];
      role.rules = [
        ...role.rules
          .filter(({ apiGroups }) => !apiGroups.includes("*"))
          .filter(({ resources: names }) => !names.includes("mutatingwebhookconfigurations"))
          // It would change its own webhook, and with it what it is asked about.
          .filter(({ resourceNames }) => resourceNames === undefined),
        { apiGroups: [""], resources: ["namespaces"], verbs: look },
        { apiGroups: ["syncset.gatekeeper.sh"], resources: ["syncsets"], verbs: look },
        ...WORKLOADS.map(({ apiGroup, resources: names }) => ({
          apiGroups: [apiGroup],
          resources: [...names],
          verbs: look,
        })),
      ];
    })
    .patchAll("Deployment", (deployment) => {
      const container = containerOf(deployment, "manager");
      delete container.imagePullPolicy;
      container.resources = resources({ cpu: "50m", memory: "96Mi" }, { cpu: "1", memory: "512Mi" });
    })
    .patch("Deployment", "gatekeeper-controller-manager", (deployment) => {
      hardenWebhook(deployment, replicas);
    })
    .patch("Deployment", "gatekeeper-audit", hardenAudit)
    .remove("MutatingWebhookConfiguration", "gatekeeper-mutating-webhook-configuration")
    .patch("ValidatingWebhookConfiguration", WEBHOOK, (configuration) => {
      // The second one guards a label that exempts namespaces. Here that label exempts none.
      configuration.webhooks = configuration.webhooks.filter(({ name }) => name === "validation.gatekeeper.sh");
      for (const webhook of configuration.webhooks) {
        webhook.failurePolicy = "Fail";
        webhook.timeoutSeconds = deadlines.webhookSeconds;
        webhook.namespaceSelector = {
          matchExpressions: [{ key: "kubernetes.io/metadata.name", operator: "NotIn", values: [...EXEMPT_NAMESPACES] }],
        };
        webhook.rules = ASKED_ABOUT;
      }
      waitForAuthority(configuration);
      configuration.metadata.annotations = {
        ...configuration.metadata.annotations,
        "cert-manager.io/inject-ca-from": `${GATEKEEPER_NAMESPACE}/${CERTIFICATE}`,
      };
    })
    .replaceImages({ [`openpolicyagent/gatekeeper:${version}`]: image });
  return (
    // With one pod it would keep every node from being drained.
    (replicas > 1 ? upstream : upstream.remove("PodDisruptionBudget", "gatekeeper-controller-manager")).list()
  );
};

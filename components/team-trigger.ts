import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";

import { nameServer, outside } from "./lib/egress";
import { configHash } from "./lib/hash";
import { selectorLabels, standardLabels, TEAM_LABEL } from "./lib/labels";
import { podPeer } from "./lib/network-policies";
import { MAXIMUM_TEAM_NAME, requireDnsLabel, teamNamespace } from "./lib/names";
import { resources, restrictedContainer, restrictedPod } from "./lib/pods";
import { timeouts } from "./lib/timeouts";
import {
  LISTENER_PORT,
  LISTENER_ROLES,
  TRIGGER_PARTS,
  TRIGGERS_NAMESPACE,
  WEBHOOK_CERTIFICATE,
  WEBHOOK_PORT,
} from "./triggers";

/** What a trigger makes: an object with the places `$(tt.params.<field>)` for what an event says. */
export interface TriggeredObject {
  apiVersion: string;
  kind: string;
  metadata: TriggeredMetadata;
  spec: object;
}

/** Metadata of a {@link TriggeredObject}. */
export interface TriggeredMetadata {
  name: string;
  namespace: string;
  labels: Record<string, string>;
}

/** Arguments of {@link TeamTrigger}. */
export interface TeamTriggerArgs {
  /** Name of the team: a DNS label of at most 40 characters. */
  team: string;
  /** Image with the webhook's program and git, by digest. */
  image: string;
  /** https address of the only repository whose events count. */
  repository: string;
  /** Branch whose pushes and commits are built. */
  branch: string;
  /** What an event runs, in the team's namespace. */
  run: TriggeredObject;
  /** What an event says; each has its place in {@link run}. */
  eventFields: string[];
  /** When the branch is built without a push, as a CronJob writes it. @default never */
  schedule?: string;
  /** Ranges of the addresses of the cluster's pods, services and nodes; a repository outside is in none of them. */
  clusterCidrs: string[];
  /** Certificate of the factory's authority, as PEM; the webhook's certificate comes from it. */
  caPem: pulumi.Input<string>;
  /** Certificates of the authorities of the repository's server, as PEM. @default those of the image */
  repositoryCaPem?: string;
}

/**
 * What starts a team's runs: a push that its forge announces to a webhook, and a schedule.
 *
 * The webhook checks the HMAC-SHA256 of what the forge sends, and hands on three values: the commit, that it was a push,
 * and a number for the event. The event listener asks the webhook whether an event is its own, and may create runs in
 * the team's namespace, nothing else.
 */
export class TeamTrigger extends pulumi.ComponentResource {
  /** Address of the webhook within the cluster, for the forge. */
  public readonly url: pulumi.Output<string>;
  /** What the forge signs with; secret. */
  public readonly secret: pulumi.Output<string>;

  constructor(name: string, args: TeamTriggerArgs, opts?: pulumi.ComponentResourceOptions) {
    super("secure-software-factory:index:TeamTrigger", name, args, opts);
    const team = requireDnsLabel("team", args.team, MAXIMUM_TEAM_NAME);
    const child = { parent: this, customTimeouts: timeouts.plain };
    const webhook = webhookName(team);
    const labels = labelsOf(team);
    const metadata = (objectName = team) => ({ name: objectName, namespace: TRIGGERS_NAMESPACE, labels });

    const key = (role: string): pulumi.Output<string> =>
      new random.RandomPassword(`${name}-${role}-key`, { length: 48, special: false }, { parent: this }).result;
    const [forgeKey, listenerKey] = [key("forge"), key("listener")];
    const keys = new k8s.core.v1.Secret(
      `${name}-keys`,
      { metadata: metadata(webhook), stringData: { forge: forgeKey, listener: listenerKey } },
      child,
    );
    const selector = { ...selectorLabels(TRIGGER_PARTS.webhook), [TEAM_LABEL]: team };
    const deployment = new k8s.apps.v1.Deployment(
      `${name}-webhook`,
      {
        metadata: metadata(webhook),
        spec: {
          replicas: 1,
          selector: { matchLabels: selector },
          template: {
            metadata: { labels: { ...labels, ...selector }, annotations: configHash(forgeKey, listenerKey) },
            spec: webhookPod(args),
          },
        },
      },
      { ...child, dependsOn: [keys], customTimeouts: timeouts.workload },
    );
    const service = new k8s.core.v1.Service(
      `${name}-service`,
      {
        metadata: { ...metadata(webhook), annotations: { "pulumi.com/skipAwait": "true" } },
        spec: {
          type: "ClusterIP",
          selector,
          ports: [{ name: "https", port: WEBHOOK_PORT, targetPort: WEBHOOK_PORT, protocol: "TCP" }],
        },
      },
      child,
    );

    const group = "triggers.tekton.dev";
    const interceptor = new k8s.apiextensions.CustomResource(
      `${name}-interceptor`,
      {
        apiVersion: `${group}/v1alpha1`,
        kind: "ClusterInterceptor",
        // Event listeners trust the authorities of those that carry the label.
        metadata: { name: webhook, labels: { ...labels, "server/type": "https" } },
        spec: {
          clientConfig: {
            service: { name: webhook, namespace: TRIGGERS_NAMESPACE, path: "intercept", port: WEBHOOK_PORT },
            caBundle: pulumi.output(args.caPem).apply((pem) => Buffer.from(pem).toString("base64")),
          },
        },
      },
      child,
    );
    const binding = new k8s.apiextensions.CustomResource(
      `${name}-binding`,
      {
        apiVersion: `${group}/v1beta1`,
        kind: "TriggerBinding",
        metadata: metadata(),
        spec: { params: args.eventFields.map((field) => ({ name: field, value: `$(body.${field})` })) },
      },
      child,
    );
    const template = new k8s.apiextensions.CustomResource(
      `${name}-template`,
      {
        apiVersion: `${group}/v1beta1`,
        kind: "TriggerTemplate",
        metadata: metadata(),
        spec: { params: args.eventFields.map((field) => ({ name: field })), resourcetemplates: [args.run] },
      },
      child,
    );
    const rights = listenerRights(name, team, child);
    const listener = new k8s.apiextensions.CustomResource(
      `${name}-listener`,
      {
        apiVersion: `${group}/v1beta1`,
        kind: "EventListener",
        metadata: { ...metadata(), annotations: { "pulumi.com/waitFor": "condition=Available" } },
        spec: listenerSpec(team),
      },
      {
        ...child,
        dependsOn: [deployment, service, interceptor, binding, template, ...rights],
        customTimeouts: timeouts.workload,
      },
    );
    if (args.schedule !== undefined) makeSchedule(name, args, args.schedule, { ...child, dependsOn: [keys, listener] });

    this.url = pulumi
      .output(listener.id)
      .apply(() => `https://${webhook}.${TRIGGERS_NAMESPACE}.svc.cluster.local:${WEBHOOK_PORT}/`);
    this.secret = pulumi.secret(forgeKey);
    this.registerOutputs({ url: this.url, secret: this.secret });
  }
}

const webhookName = (team: string): string => `webhook-${team}`;

const labelsOf = (team: string) => ({ ...standardLabels("team-trigger"), [TEAM_LABEL]: team });

const pod = { automountServiceAccountToken: false, enableServiceLinks: false, securityContext: restrictedPod };

const container = (image: string) => ({
  image,
  securityContext: restrictedContainer,
  resources: resources({ cpu: "5m", memory: "16Mi" }, { cpu: "200m", memory: "128Mi" }),
});

/** What both ways of the program are told. */
const sourceArgs = ({ team, repository, branch }: TeamTriggerArgs): string[] => [
  `--repository=${repository}`,
  `--branch=${branch}`,
  `--listener=http://el-${team}.${TRIGGERS_NAMESPACE}.svc.cluster.local:${LISTENER_PORT}/`,
  "--listener-key=/etc/webhook/listener",
];

const keyMount = { name: "keys", mountPath: "/etc/webhook", readOnly: true };

const keyVolume = (team: string, ...files: string[]) => ({
  name: "keys",
  secret: { secretName: webhookName(team), items: files.map((file) => ({ key: file, path: file })) },
});

const webhookPod = (args: TeamTriggerArgs) => ({
  ...pod,
  containers: [
    {
      ...container(args.image),
      name: "webhook",
      args: [
        "serve",
        ...sourceArgs(args),
        "--forge-key=/etc/webhook/forge",
        "--certificate=/etc/webhook-tls/tls.crt",
        "--certificate-key=/etc/webhook-tls/tls.key",
      ],
      ports: [{ name: "https", containerPort: WEBHOOK_PORT }],
      readinessProbe: { tcpSocket: { port: WEBHOOK_PORT }, periodSeconds: 2 },
      livenessProbe: { tcpSocket: { port: WEBHOOK_PORT }, initialDelaySeconds: 10, periodSeconds: 20 },
      volumeMounts: [keyMount, { name: "tls", mountPath: "/etc/webhook-tls", readOnly: true }],
    },
  ],
  volumes: [keyVolume(args.team, "forge", "listener"), { name: "tls", secret: { secretName: WEBHOOK_CERTIFICATE } }],
});

/** One trigger, for events that the team's webhook vouches for. */
const listenerSpec = (team: string) => ({
  serviceAccountName: team,
  triggers: [
    {
      name: "run",
      interceptors: [{ ref: { name: webhookName(team), kind: "ClusterInterceptor" } }],
      bindings: [{ ref: team, kind: "TriggerBinding" }],
      template: { ref: team },
    },
  ],
  resources: {
    kubernetesResource: {
      replicas: 1,
      spec: {
        template: {
          spec: {
            containers: [{ resources: resources({ cpu: "10m", memory: "48Mi" }, { cpu: "200m", memory: "256Mi" }) }],
          },
        },
      },
    },
  },
});

/** The event listener's account: it reads triggers, and creates runs in the namespace of its team. */
const listenerRights = (name: string, team: string, opts: pulumi.CustomResourceOptions): pulumi.Resource[] => {
  const labels = labelsOf(team);
  const apiGroup = "rbac.authorization.k8s.io";
  const account = { metadata: { name: team, namespace: TRIGGERS_NAMESPACE, labels } };
  const subjects = [{ kind: "ServiceAccount", name: team, namespace: TRIGGERS_NAMESPACE }];
  const inTeam = { name: "trigger", namespace: teamNamespace(team), labels };
  return [
    new k8s.core.v1.ServiceAccount(`${name}-account`, account, opts),
    new k8s.rbac.v1.RoleBinding(
      `${name}-account-reads`,
      { ...account, roleRef: { apiGroup, kind: "ClusterRole", name: LISTENER_ROLES.namespace }, subjects },
      opts,
    ),
    new k8s.rbac.v1.ClusterRoleBinding(
      `${name}-account-reads-interceptors`,
      {
        metadata: { name: `${TRIGGERS_NAMESPACE}-${team}`, labels },
        roleRef: { apiGroup, kind: "ClusterRole", name: LISTENER_ROLES.cluster },
        subjects,
      },
      opts,
    ),
    new k8s.rbac.v1.Role(
      `${name}-runs`,
      { metadata: inTeam, rules: [{ apiGroups: ["tekton.dev"], resources: ["pipelineruns"], verbs: ["create"] }] },
      opts,
    ),
    new k8s.rbac.v1.RoleBinding(
      `${name}-account-runs`,
      { metadata: inTeam, roleRef: { apiGroup, kind: "Role", name: inTeam.name }, subjects },
      opts,
    ),
  ];
};

/** Where the repository is: at the factory's own forge, or outside the cluster. */
const forgeOf = ({ repository, clusterCidrs }: TeamTriggerArgs) => {
  const { hostname, port } = new URL(repository);
  const to = hostname.endsWith(".ssf-forge.svc.cluster.local") ? podPeer("ssf-forge") : outside(clusterCidrs);
  return { to: [to], ports: [{ port: port === "" ? 443 : Number(port), protocol: "TCP" }] };
};

/** A job that looks up the branch's commit, and sends the event listener what a push of it would. */
const makeSchedule = (
  name: string,
  args: TeamTriggerArgs,
  schedule: string,
  opts: pulumi.CustomResourceOptions,
): void => {
  const { team, repositoryCaPem } = args;
  const selector = { ...selectorLabels(TRIGGER_PARTS.schedule), [TEAM_LABEL]: team };
  const metadata = { name: team, namespace: TRIGGERS_NAMESPACE, labels: labelsOf(team) };
  new k8s.networking.v1.NetworkPolicy(
    `${name}-schedule-policy`,
    {
      metadata: { ...metadata, name: `schedule-${team}` },
      spec: {
        podSelector: { matchLabels: selector },
        policyTypes: ["Egress"],
        egress: [
          nameServer,
          forgeOf(args),
          {
            to: [{ podSelector: { matchLabels: { eventlistener: team } } }],
            ports: [{ port: LISTENER_PORT, protocol: "TCP" }],
          },
        ],
      },
    },
    opts,
  );
  if (repositoryCaPem !== undefined) {
    new k8s.core.v1.ConfigMap(
      `${name}-schedule-authority`,
      { metadata: { ...metadata, name: `schedule-${team}` }, data: { "ca.crt": repositoryCaPem } },
      opts,
    );
  }
  new k8s.batch.v1.CronJob(
    `${name}-schedule`,
    {
      metadata,
      spec: {
        schedule,
        timeZone: "Etc/UTC",
        concurrencyPolicy: "Forbid",
        startingDeadlineSeconds: 600,
        successfulJobsHistoryLimit: 1,
        failedJobsHistoryLimit: 3,
        jobTemplate: {
          spec: {
            backoffLimit: 2,
            activeDeadlineSeconds: 600,
            template: { metadata: { labels: { ...labelsOf(team), ...selector } }, spec: schedulePod(args) },
          },
        },
      },
    },
    opts,
  );
};

const schedulePod = (args: TeamTriggerArgs) => {
  const directory = "/etc/repository-authority";
  const authority =
    args.repositoryCaPem === undefined
      ? { env: [], mounts: [], volumes: [] }
      : {
          env: [{ name: "GIT_SSL_CAINFO", value: `${directory}/ca.crt` }],
          mounts: [{ name: "authority", mountPath: directory, readOnly: true }],
          volumes: [{ name: "authority", configMap: { name: `schedule-${args.team}` } }],
        };
  return {
    ...pod,
    restartPolicy: "Never",
    containers: [
      {
        ...container(args.image),
        name: "schedule",
        args: ["schedule", ...sourceArgs(args), "--job=$(JOB)"],
        env: [
          {
            name: "JOB",
            valueFrom: { fieldRef: { fieldPath: "metadata.labels['batch.kubernetes.io/job-name']" } },
          },
          { name: "HOME", value: "/tmp" },
          { name: "GIT_ALLOW_PROTOCOL", value: "https" },
          { name: "GIT_CONFIG_NOSYSTEM", value: "1" },
          { name: "GIT_TERMINAL_PROMPT", value: "0" },
          ...authority.env,
        ],
        volumeMounts: [keyMount, { name: "tmp", mountPath: "/tmp" }, ...authority.mounts],
      },
    ],
    volumes: [keyVolume(args.team, "listener"), { name: "tmp", emptyDir: { sizeLimit: "16Mi" } }, ...authority.volumes],
  };
};

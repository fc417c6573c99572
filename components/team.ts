import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";

import { ruleDigest, type RuleDigest, type RunnablePipeline, teamRuns, UNJAILED_STAGES } from "../policies/admission";
import { enforce, enforcedObjects } from "./lib/admission-policy";
import { ciliumPolicy } from "./lib/cilium-policy";
import { ciliumEgress, type EgressHosts, kubernetesEgress } from "./lib/egress";
import { OWNER_ANNOTATION, STAGE_LABEL, standardLabels, TEAM_LABEL } from "./lib/labels";
import { openNamespace } from "./lib/namespace";
import { MAXIMUM_TEAM_NAME, requireDnsLabel, teamNamespace, teamRepository } from "./lib/names";
import { NetworkPolicies } from "./lib/network-policies";
import { dockerConfig } from "./lib/registry-config";
import { register, workloadRegistration } from "./spire";

/** Names of the objects that the definitions of a team refer to. */
export const TEAM_OBJECTS = {
  /** ConfigMap with the certificate of the factory's authority. */
  authority: "factory-ca",
  /** ConfigMap with the authorities to trust outside the cluster. */
  caBundle: "ca-bundle",
  /** Secret with the login that pulls. */
  reader: "registry-reader",
} as const;

/** One service account of a team. */
export interface TeamAccount {
  /** Name of the account, which is the name of its stage. */
  name: string;
  /** Networks of its stage: `none`, `forge`, `dependencies` or `registry`. */
  network: string;
}

/** One object of `tekton.dev`, ready to be made as it is. */
export interface TeamDefinition {
  apiVersion: string;
  kind: string;
  metadata: TeamDefinitionMetadata;
  /** What the object says; covered by its signature. */
  spec: object;
}

/** Metadata of a {@link TeamDefinition}. */
export interface TeamDefinitionMetadata {
  name: string;
  namespace: string;
  labels?: Record<string, string>;
  /** The signature among them may be known only once a service has given it. */
  annotations?: Record<string, pulumi.Input<string>>;
}

/** What all pods of a team may use together. */
export interface TeamQuota {
  /** CPUs, as a Kubernetes quantity. */
  cpu: string;
  /** Memory, as a Kubernetes quantity. */
  memory: string;
  /** Volumes, as a Kubernetes quantity. */
  storage: string;
  /** Number of pods. */
  pods: number;
}

/** A user of the registry, as a team's Secrets name it. */
export interface TeamLogin {
  username: string;
  /** Secret. */
  password: pulumi.Input<string>;
}

/** Arguments of {@link Team}. */
export interface TeamArgs {
  /** Name of the team: a DNS label of at most 40 characters. */
  team: string;
  /** The one who may make and change the team: another text than that of whoever made it is refused by the API server. */
  owner: pulumi.Input<string>;
  /** Service accounts of the stages. */
  accounts: TeamAccount[];
  /** Signed definitions and the policy that verifies them. */
  definitions: TeamDefinition[];
  /** Pipelines among them; a run is admitted when it is a run of one of these. */
  pipelines: RunnablePipeline[];
  /** Registry host and port, as in an image reference. */
  registryHost: string;
  /** Login that pulls what was published. */
  reader: TeamLogin;
  /** SPIFFE trust domain of the factory; every stage that is not jailed has an identity in it. */
  trustDomain: string;
  /** Certificate of the factory's authority, as PEM. */
  caPem: pulumi.Input<string>;
  /** Certificates of the authorities to trust outside the cluster, as PEM. @default those of the images */
  caBundlePem?: string;
  /** What all pods of the team may use together. */
  quota: TeamQuota;
  /** Policies that the cluster's network enforces. */
  networkPolicies: NetworkPolicies;
  /** What the stages may reach outside the cluster. */
  egress: EgressHosts;
  /** Ranges of the addresses of the cluster's pods, services and nodes, which "outside" leaves out where policies know no names. */
  clusterCidrs: string[];
}

/**
 * A tenant: its namespace with everything in it, and nothing that another team shares.
 *
 * Pods are restricted, have no API token, and reach only what their stage needs; without a rule of their stage they
 * reach nothing. Members start runs and read their logs; definitions, accounts and Secrets are not theirs to change.
 */
export class Team extends pulumi.ComponentResource {
  /** Namespace of the team; known already at preview. */
  public readonly namespace: pulumi.Output<string>;
  /** UID of that namespace, of which what lies elsewhere and belongs to the team is a dependent. */
  public readonly namespaceUid: pulumi.Output<string>;
  /** Repositories of the team's images start with this. */
  public readonly registryRepository: pulumi.Output<string>;
  /** What the team's rule of admission says, by digest, once it is bound. */
  public readonly ruleDigests: pulumi.Output<RuleDigest[]>;

  constructor(name: string, args: TeamArgs, opts?: pulumi.ComponentResourceOptions) {
    super("secure-software-factory:index:Team", name, args, opts);
    const namespace = teamNamespace(requireDnsLabel("team", args.team, MAXIMUM_TEAM_NAME));
    const labels = { ...standardLabels("team"), [TEAM_LABEL]: args.team };

    const { namespace: ns, inNamespace } = openNamespace(name, this, {
      name: namespace,
      labels,
      annotations: { [OWNER_ANNOTATION]: args.owner },
      level: "restricted",
    });
    // After the namespace, which refuses another owner before anything of the team is touched.
    const rule = teamRuns({ team: args.team, namespace }, args.pipelines);
    const admission = enforce(`${name}-runs`, rule, this, [ns]);
    const metadata = (objectName: string) => ({ name: objectName, namespace, labels });

    const { cpu, memory, storage, pods } = args.quota;
    new k8s.core.v1.ResourceQuota(
      `${name}-quota`,
      {
        metadata: { ...metadata("team"), annotations: { "pulumi.com/skipAwait": "true" } },
        spec: {
          hard: {
            "limits.cpu": cpu,
            "limits.memory": memory,
            "requests.storage": storage,
            pods: String(pods),
            "services.nodeports": "0",
            "services.loadbalancers": "0",
          },
        },
      },
      inNamespace,
    );
    new k8s.core.v1.LimitRange(
      `${name}-limits`,
      {
        metadata: metadata("team"),
        spec: {
          limits: [
            {
              type: "Container",
              default: { cpu: "500m", memory: "256Mi" },
              defaultRequest: { cpu: "10m", memory: "32Mi" },
            },
          ],
        },
      },
      inNamespace,
    );

    const deny = new k8s.networking.v1.NetworkPolicy(
      `${name}-deny`,
      { metadata: metadata("deny-all"), spec: { podSelector: {}, policyTypes: ["Ingress", "Egress"] } },
      inNamespace,
    );
    for (const account of args.accounts) {
      const [policy, policyMetadata] = [`${name}-egress-${account.name}`, metadata(`egress-${account.name}`)];
      if (args.networkPolicies === NetworkPolicies.Cilium) {
        const spec = ciliumEgress(account.name, account.network, args.egress);
        if (spec !== undefined) ciliumPolicy(policy, policyMetadata, spec, inNamespace);
        continue;
      }
      const egress = kubernetesEgress(account.network, args.egress, args.clusterCidrs);
      if (egress.length === 0) continue;
      new k8s.networking.v1.NetworkPolicy(
        policy,
        {
          metadata: policyMetadata,
          spec: { podSelector: { matchLabels: { [STAGE_LABEL]: account.name } }, policyTypes: ["Egress"], egress },
        },
        inNamespace,
      );
    }

    new k8s.core.v1.ServiceAccountPatch(
      `${name}-account-default`,
      {
        metadata: { name: "default", namespace, annotations: { "pulumi.com/patchForce": "true" } },
        automountServiceAccountToken: false,
      },
      inNamespace,
    );
    const accounts = args.accounts.map(
      (account) =>
        new k8s.core.v1.ServiceAccount(
          `${name}-account-${account.name}`,
          { metadata: metadata(account.name), automountServiceAccountToken: false },
          inNamespace,
        ),
    );

    const { username, password } = args.reader;
    const identities = UNJAILED_STAGES.map((serviceAccount) =>
      register(
        `${name}-identity-${serviceAccount}`,
        workloadRegistration(args.trustDomain, { namespace, serviceAccount }),
        { parent: this, dependsOn: [ns] },
      ),
    );
    const files = [
      new k8s.core.v1.Secret(
        `${name}-reader`,
        {
          metadata: metadata(TEAM_OBJECTS.reader),
          type: "kubernetes.io/dockerconfigjson",
          stringData: {
            ".dockerconfigjson": pulumi
              .secret(password)
              .apply((plain) => dockerConfig(args.registryHost, { username, password: plain })),
          },
        },
        inNamespace,
      ),
      new k8s.core.v1.ConfigMap(
        `${name}-authority`,
        { metadata: metadata(TEAM_OBJECTS.authority), data: { "ca.crt": args.caPem } },
        inNamespace,
      ),
      ...(args.caBundlePem === undefined
        ? []
        : [
            new k8s.core.v1.ConfigMap(
              `${name}-ca-bundle`,
              { metadata: metadata(TEAM_OBJECTS.caBundle), data: { "ca.crt": args.caBundlePem } },
              inNamespace,
            ),
          ]),
    ];

    const role = new k8s.rbac.v1.Role(
      `${name}-member`,
      {
        metadata: metadata("team-member"),
        rules: [
          { apiGroups: ["tekton.dev"], resources: ["pipelineruns"], verbs: ["create", "get", "list", "watch"] },
          {
            apiGroups: ["tekton.dev"],
            resources: ["taskruns", "tasks", "pipelines"],
            verbs: ["get", "list", "watch"],
          },
          { apiGroups: [""], resources: ["pods", "pods/log", "events"], verbs: ["get", "list", "watch"] },
        ],
      },
      inNamespace,
    );
    new k8s.rbac.v1.RoleBinding(
      `${name}-members`,
      {
        metadata: metadata("team-members"),
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "team-member" },
        subjects: [
          { apiGroup: "rbac.authorization.k8s.io", kind: "Group", name: `secure-software-factory:${namespace}` },
        ],
      },
      { ...inNamespace, dependsOn: [ns, role] },
    );

    for (const definition of args.definitions) {
      new k8s.apiextensions.CustomResource(
        `${name}-${definition.kind.toLowerCase()}-${definition.metadata.name}`,
        // Spelled out, because the definition's signature covers exactly this and nothing may be added to it.
        {
          apiVersion: definition.apiVersion,
          kind: definition.kind,
          metadata: definition.metadata,
          spec: definition.spec,
        },
        { ...inNamespace, dependsOn: [ns, deny, admission, ...identities, ...accounts, ...files] },
      );
    }

    this.namespace = pulumi.output(namespace);
    // What a preview answers has no UID; the id is unknown then, so that this is, too.
    this.namespaceUid = pulumi.all([ns.id, ns.metadata.uid]).apply(([, uid]) => uid);
    this.registryRepository = pulumi.output(teamRepository(args.registryHost, args.team));
    this.ruleDigests = admission.id.apply(() => enforcedObjects(rule).map(ruleDigest));
    this.registerOutputs({
      namespace: this.namespace,
      namespaceUid: this.namespaceUid,
      registryRepository: this.registryRepository,
      ruleDigests: this.ruleDigests,
    });
  }
}

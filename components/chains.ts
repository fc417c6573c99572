import { join } from "node:path";

import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";

import { configHash } from "./lib/hash";
import { podSecurity, standardLabels } from "./lib/labels";
import { containerOf, createObjects, type KubernetesObject, Manifests, overrideData, setData } from "./lib/manifests";
import { podPeer } from "./lib/network-policies";
import { resources, restrictedContainer } from "./lib/pods";
import { identityConfig } from "./lib/registry-config";
import { timeouts } from "./lib/timeouts";
import { workloadApiMount, workloadApiPathVariable, workloadApiVolume } from "./lib/workload-api";

/** How Chains proves that provenance is its own: by a certificate of ten minutes, and an entry in the log. */
export interface ChainsSigner {
  /** Address of Fulcio, which gives Chains a certificate for its identity. */
  fulcioUrl: string;
  /** Address of Rekor, where every signature is entered. */
  rekorUrl: string;
  /** Key that Rekor's answers are verified with, as PEM. */
  rekorPublicKeyPem: pulumi.Input<string>;
}

/** The registry as Chains reaches it. */
export interface ChainsRegistry {
  /** Host and port, as in an image reference. */
  host: string;
  /** Certificate of the authority that the registry's certificate comes from. */
  caPem: pulumi.Input<string>;
}

/** Arguments of {@link Chains}. */
export interface ChainsArgs {
  /** Directory with upstream's `config`. */
  source: string;
  /** Image of the controller, by digest. */
  image: string;
  /** Version that the image was built from, as Chains reports it. */
  version: string;
  /** What provenance names as the builder; verifiers compare it, so it must never change its meaning. */
  builderId: string;
  /** How provenance is signed. */
  signer: ChainsSigner;
  /** Where provenance is stored: beside the image that it is about. */
  registry: ChainsRegistry;
}

const NAMESPACE = "tekton-chains";
const CONTROLLER = "tekton-chains-controller";
const LOGIN = "registry-login";
const AUTHORITY = "factory-ca";

/** The workload that signs provenance, with the labels of its pod, which have no part in its identity. */
export const CHAINS_WORKLOAD = {
  namespace: NAMESPACE,
  serviceAccount: CONTROLLER,
  labels: { "app.kubernetes.io/name": "controller" },
};

/** Chains' pod, for the network policies of what it asks. */
export const chainsPeer = podPeer(NAMESPACE, CHAINS_WORKLOAD.labels);

/**
 * Tekton Chains: after every run it signs SLSA 1.0 provenance of the whole run and stores it beside the image.
 *
 * It watches the runs of every namespace. It stores as itself, never with what a team's account can reach.
 * @example
 * new Chains("chains", { source, image, version, builderId, signer, registry });
 */
export class Chains extends pulumi.ComponentResource {
  /** What provenance names as the builder. */
  public readonly builderId: pulumi.Output<string>;

  constructor(name: string, args: ChainsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("secure-software-factory:index:Chains", name, args, opts);
    const labels = standardLabels("tekton-chains");

    // The namespace goes first and by itself, because the ConfigMaps below are not part of upstream's manifests.
    const objects = chainsObjects(args);
    const [namespace] = createObjects(
      objects.filter(({ kind }) => kind === "Namespace"),
      { name, parent: this },
    );
    if (namespace === undefined) throw new pulumi.ResourceError("upstream's manifests hold no Namespace", this, true);
    const inNamespace = {
      parent: this,
      dependsOn: [namespace],
      deletedWith: namespace,
      customTimeouts: timeouts.plain,
    };

    const login = identityConfig(args.registry.host);
    const registryLogin = new k8s.core.v1.ConfigMap(
      `${name}-registry-login`,
      { metadata: { name: LOGIN, namespace: NAMESPACE, labels }, data: { "config.json": login } },
      inNamespace,
    );
    const authorities = { "ca.crt": args.registry.caPem, "rekor.pub": args.signer.rekorPublicKeyPem };
    const authority = new k8s.core.v1.ConfigMap(
      `${name}-authority`,
      { metadata: { name: AUTHORITY, namespace: NAMESPACE, labels }, data: authorities },
      inNamespace,
    );
    const controller = createObjects(
      objects.filter(({ kind }) => kind !== "Namespace"),
      {
        name,
        parent: this,
        dependsOn: [namespace, registryLogin, authority],
        namespace,
        podAnnotations: {
          [CONTROLLER]: configHash(login, ...Object.values(authorities)),
        },
      },
    );

    this.builderId = pulumi.all(controller.map((resource) => resource.id)).apply(() => args.builderId);
    this.registerOutputs({ builderId: this.builderId });
  }
}

/** Chains' settings: provenance of whole runs only, in SLSA 1.0, signed, logged, and stored beside the image. */
export const chainsSettings = ({
  builderId,
  signer,
}: Pick<ChainsArgs, "builderId" | "signer">): Record<string, string> => ({
  "artifacts.pipelinerun.format": "slsa/v2alpha4",
  "artifacts.pipelinerun.storage": "oci",
  "artifacts.pipelinerun.signer": "x509",
  // Code that a stage runs can add results to its TaskRun; only those that the signed Pipeline declares count.
  "artifacts.pipelinerun.enable-deep-inspection": "false",
  "artifacts.taskrun.format": "slsa/v2alpha4",
  // Provenance of a single task would be a second, weaker statement about the same image.
  "artifacts.taskrun.storage": "",
  "artifacts.taskrun.signer": "x509",
  "artifacts.oci.format": "simplesigning",
  "artifacts.oci.storage": "oci",
  "artifacts.oci.signer": "x509",
  "builder.id": builderId,
  "signers.x509.fulcio.enabled": "true",
  "signers.x509.fulcio.provider": "spiffe",
  "signers.x509.fulcio.address": signer.fulcioUrl,
  "transparency.enabled": "true",
  "transparency.url": signer.rekorUrl,
});

/** Upstream's objects, with our image and settings, in a restricted namespace, and with the rights that are used. */
export const chainsObjects = (args: ChainsArgs): readonly KubernetesObject[] =>
  Manifests.read(join(args.source, "config"))
    .patch("Namespace", NAMESPACE, (namespace) => {
      namespace.metadata.labels = { ...namespace.metadata.labels, ...podSecurity("restricted") };
    })
    .remove("Secret", "signing-secrets")
    .patch("ConfigMap", "chains-config", (config) => setData(config, chainsSettings(args)))
    .patch("ConfigMap", "chains-info", (info) => overrideData(info, { version: args.version }))
    .patch("ClusterRole", "tekton-chains-controller-cluster-access", (role) => {
      role.rules = [
        { apiGroups: [""], resources: ["pods"], verbs: ["list", "watch"] },
        {
          apiGroups: ["tekton.dev"],
          resources: ["taskruns", "pipelineruns"],
          verbs: ["get", "list", "watch", "update", "patch"],
        },
        {
          apiGroups: ["tekton.dev"],
          resources: ["taskruns/finalizers", "pipelineruns/finalizers", "taskruns/status", "pipelineruns/status"],
          verbs: ["get", "update", "patch"],
        },
      ];
    })
    .patch("ClusterRole", "tekton-chains-controller-tenant-access", (role) => {
      // Upstream lets Chains read every Secret and change pods and volumes of the whole cluster.
      role.rules = [
        { apiGroups: [""], resources: ["events"], verbs: ["create", "update", "patch"] },
        { apiGroups: [""], resources: ["configmaps", "serviceaccounts"], verbs: ["get", "list", "watch"] },
      ];
    })
    .patch("Deployment", CONTROLLER, (deployment) => {
      deployment.spec.replicas = 1;
      const container = containerOf(deployment, CONTROLLER);
      container.securityContext = { ...restrictedContainer, runAsUser: 65532, runAsGroup: 65532 };
      container.resources = resources({ cpu: "20m", memory: "64Mi" }, { cpu: "500m", memory: "512Mi" });
      container.env = [
        ...(container.env ?? []),
        // Where the registry's client finds the helper that logs in.
        { name: "PATH", value: "/usr/bin" },
        { name: "DOCKER_CONFIG", value: `/etc/${LOGIN}` },
        { name: "SSL_CERT_FILE", value: `/etc/${AUTHORITY}/ca.crt` },
        { name: "SIGSTORE_REKOR_PUBLIC_KEY", value: `/etc/${AUTHORITY}/rekor.pub` },
        workloadApiPathVariable,
      ];
      // In place of upstream's long-lived key, token and password: an identity that SPIRE gives to this pod alone.
      container.volumeMounts = [
        workloadApiMount,
        { name: LOGIN, mountPath: `/etc/${LOGIN}`, readOnly: true },
        { name: AUTHORITY, mountPath: `/etc/${AUTHORITY}`, readOnly: true },
      ];
      deployment.spec.template.spec.volumes = [
        workloadApiVolume,
        { name: LOGIN, configMap: { name: LOGIN } },
        { name: AUTHORITY, configMap: { name: AUTHORITY } },
      ];
    })
    .replaceImages({ "ko://github.com/tektoncd/chains/cmd/controller": args.image })
    .list();

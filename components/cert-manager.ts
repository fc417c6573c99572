import { join } from "node:path";

import * as k8s from "@pulumi/kubernetes";
import * as certManager from "@pulumi/kubernetes-cert-manager";
import * as pulumi from "@pulumi/pulumi";

import { CertManagerEngine } from "./lib/cert-manager-engine";
import { authorityChain } from "./lib/certificates";
import { imageParts } from "./lib/images";
import { podSecurity, standardLabels } from "./lib/labels";
import { dropDescriptions, type KubernetesObject, Manifests, WAIT_FOR_AUTHORITY } from "./lib/manifests";
import { resources, restrictedContainer, restrictedPod } from "./lib/pods";
import { timeouts } from "./lib/timeouts";
import type { Workload } from "./lib/workload-api";

/** The images of {@link CertManager}, each by digest. */
export interface CertManagerImages {
  controller: string;
  webhook: string;
  cainjector: string;
}

/** Arguments of {@link CertManager}. */
export interface CertManagerArgs {
  /** Directory with upstream's `deploy/charts/cert-manager`. */
  source: string;
  /** Images of cert-manager's three programs. */
  images: CertManagerImages;
  /** What installs it. @default CertManagerEngine.Chart */
  engine?: CertManagerEngine;
  /** Version of the published chart, for the engine `component`; must fit the images. */
  chartVersion: string;
}

const NAMESPACE = "ssf-cert-manager";
const AUTHORITY = "ssf-ca";
const ROOT = "ssf-root";

/** cert-manager's pods, as SPIRE knows them. */
export const CERT_MANAGER_WORKLOADS: Workload[] = [
  "cert-manager",
  "cert-manager-webhook",
  "cert-manager-cainjector",
].map((serviceAccount) => ({ namespace: NAMESPACE, serviceAccount }));

/**
 * cert-manager and the factory's certificate authority: ClusterIssuer `ssf-ca`, whose key never leaves the cluster.
 *
 * Only the controllers for an authority of our own are switched on: no ACME, no Vault, no ingress.
 * @example
 * const authority = new CertManager("cert-manager", { source, images, chartVersion: "v1.11.5" });
 * new Registry("registry", { image, clusterIp, issuer: authority.issuer });
 */
export class CertManager extends pulumi.ComponentResource {
  /** Name of the ClusterIssuer, once it can issue. */
  public readonly issuer: pulumi.Output<string>;
  /** Certificate of the authority, as PEM; public. */
  public readonly caPem: pulumi.Output<string>;

  constructor(name: string, args: CertManagerArgs, opts?: pulumi.ComponentResourceOptions) {
    super("secure-software-factory:index:CertManager", name, args, opts);
    const child = { parent: this, customTimeouts: timeouts.plain };
    const labels = standardLabels("cert-manager");

    const namespace = new k8s.core.v1.Namespace(
      `${name}-ns`,
      { metadata: { name: NAMESPACE, labels: { ...labels, ...podSecurity("restricted") } } },
      child,
    );
    const engine = installEngine(`${name}-engine`, args, { parent: this, dependsOn: [namespace] });

    const object = (
      role: string,
      kind: string,
      metadata: { name: string; namespace?: string },
      spec: object,
      dependsOn: pulumi.Resource[],
    ): k8s.apiextensions.CustomResource =>
      new k8s.apiextensions.CustomResource(
        `${name}-${role}`,
        {
          apiVersion: "cert-manager.io/v1",
          kind,
          metadata: { ...metadata, labels, annotations: { "pulumi.com/waitFor": "condition=Ready" } },
          spec,
        },
        { parent: this, dependsOn, customTimeouts: timeouts.reconciled },
      );
    const root = object("root", "Issuer", { name: ROOT, namespace: NAMESPACE }, { selfSigned: {} }, [engine]);
    const authority = object(
      "authority",
      "Certificate",
      { name: AUTHORITY, namespace: NAMESPACE },
      {
        isCA: true,
        commonName: "Secure Software Factory CA",
        secretName: AUTHORITY,
        duration: "87600h0m0s",
        renewBefore: "720h0m0s",
        privateKey: { algorithm: "ECDSA", size: 256, rotationPolicy: "Never" },
        usages: ["cert sign", "crl sign", "digital signature"],
        issuerRef: { group: "cert-manager.io", kind: "Issuer", name: ROOT },
      },
      [root],
    );
    const issuer = object("issuer", "ClusterIssuer", { name: AUTHORITY }, { ca: { secretName: AUTHORITY } }, [
      authority,
    ]);
    this.issuer = issuer.metadata.name;
    this.caPem = authorityChain(
      name,
      {
        name: "ssf-ca-proof",
        namespace: NAMESPACE,
        labels,
        issuer: { kind: "ClusterIssuer", name: AUTHORITY },
      },
      { parent: this, dependsOn: [issuer] },
    );
    this.registerOutputs({ issuer: this.issuer, caPem: this.caPem });
  }
}

/** Definitions of cert-manager's kinds, which upstream keeps as templates of its chart: only their labels are templated. */
export const certManagerCrds = (source: string): readonly KubernetesObject[] =>
  Manifests.read(join(source, "deploy/crds"))
    .patchAll("CustomResourceDefinition", (crd) => {
      crd.metadata.labels = standardLabels("cert-manager");
      dropDescriptions(crd);
    })
    .list();

const installEngine = (
  logicalName: string,
  args: CertManagerArgs,
  opts: pulumi.ComponentResourceOptions,
): pulumi.Resource => {
  const values = chartValues(args.images);
  if (args.engine === CertManagerEngine.Component) {
    return new certManager.CertManager(
      logicalName,
      {
        installCRDs: false,
        helmOptions: { name: "cert-manager", namespace: NAMESPACE, version: args.chartVersion, values },
      },
      opts,
    );
  }
  return new k8s.helm.v4.Chart(
    logicalName,
    {
      chart: join(args.source, "deploy/charts/cert-manager"),
      name: "cert-manager",
      namespace: NAMESPACE,
      skipCrds: true,
      values,
    },
    opts,
  );
};

const CONTROLLERS = [
  "issuers",
  "clusterissuers",
  "certificates-issuing",
  "certificates-key-manager",
  "certificates-metrics",
  "certificates-readiness",
  "certificates-request-manager",
  "certificates-revision-manager",
  "certificates-trigger",
  "certificaterequests-approver",
  "certificaterequests-issuer-ca",
  "certificaterequests-issuer-selfsigned",
];

/** Values of upstream's chart: our images, one replica each, restricted pods, only the controllers that we use. */
export const chartValues = (images: CertManagerImages): Record<string, unknown> => {
  const pod = (role: keyof CertManagerImages, memory: string) => ({
    replicaCount: 1,
    image: { ...imageParts(`images.${role}`, images[role]), pullPolicy: "IfNotPresent" },
    securityContext: restrictedPod,
    containerSecurityContext: restrictedContainer,
    resources: resources({ cpu: "10m", memory: "32Mi" }, { cpu: "500m", memory }),
  });
  return {
    ...pod("controller", "256Mi"),
    installCRDs: false,
    global: { leaderElection: { namespace: NAMESPACE } },
    // A Secret goes with its Certificate, so that no key outlives its use.
    extraArgs: [`--controllers=${CONTROLLERS.join(",")}`, "--enable-certificate-owner-ref=true"],
    // The chart insists on a solver's image, which is never started: no controller for ACME is.
    acmesolver: { image: imageParts("images.controller", images.controller) },
    prometheus: { enabled: false },
    startupapicheck: { enabled: false },
    webhook: {
      ...pod("webhook", "128Mi"),
      validatingWebhookConfigurationAnnotations: WAIT_FOR_AUTHORITY,
      mutatingWebhookConfigurationAnnotations: WAIT_FOR_AUTHORITY,
    },
    cainjector: pod("cainjector", "256Mi"),
  };
};

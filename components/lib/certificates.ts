import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";

import { timeouts } from "./timeouts";

/** What a service's certificate says. */
export interface CertificateRequest {
  /** Name of the Certificate and of the Secret that it fills. */
  name: string;
  namespace: string;
  labels: Record<string, string>;
  /** ClusterIssuer that signs it. */
  issuer: pulumi.Input<string>;
  dnsNames: string[];
  ipAddresses?: string[];
}

/**
 * A server certificate from the factory's authority, issued when the resource is ready.
 * It lives five years, because the servers of the factory read it once, at their start.
 */
export const issueCertificate = (
  logicalName: string,
  request: CertificateRequest,
  opts: pulumi.CustomResourceOptions,
): k8s.apiextensions.CustomResource =>
  new k8s.apiextensions.CustomResource(
    logicalName,
    {
      apiVersion: "cert-manager.io/v1",
      kind: "Certificate",
      metadata: {
        name: request.name,
        namespace: request.namespace,
        labels: request.labels,
        annotations: { "pulumi.com/waitFor": "condition=Ready" },
      },
      spec: {
        secretName: request.name,
        duration: "43800h0m0s",
        renewBefore: "720h0m0s",
        privateKey: { algorithm: "ECDSA", size: 256, rotationPolicy: "Always" },
        usages: ["digital signature", "server auth"],
        dnsNames: request.dnsNames,
        ...(request.ipAddresses === undefined ? {} : { ipAddresses: request.ipAddresses }),
        issuerRef: { group: "cert-manager.io", kind: "ClusterIssuer", name: request.issuer },
      },
    },
    { ...opts, customTimeouts: timeouts.reconciled },
  );

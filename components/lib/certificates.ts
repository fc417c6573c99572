import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";

import { timeouts } from "./timeouts";

/** How long a certificate lives, in the form of Go, by whether what shows it reads a renewed one by itself. */
const LIFETIMES = { reread: "2160h0m0s", readOnce: "43800h0m0s" };

/** How long before its end a certificate is renewed. */
const RENEW_BEFORE = "720h0m0s";

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
  /** Whether its server reads a renewed one without a restart. Then it lives 90 days, and five years otherwise. */
  isReread: boolean;
  /** Whether its holder also shows it to servers that it calls. @default false */
  isClient?: boolean;
}

/** A server certificate from the factory's authority, issued when the resource is ready. */
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
        duration: request.isReread ? LIFETIMES.reread : LIFETIMES.readOnce,
        renewBefore: RENEW_BEFORE,
        privateKey: { algorithm: "ECDSA", size: 256, rotationPolicy: "Always" },
        usages: ["digital signature", "server auth", ...(request.isClient === true ? ["client auth"] : [])],
        dnsNames: request.dnsNames,
        ...(request.ipAddresses === undefined ? {} : { ipAddresses: request.ipAddresses }),
        issuerRef: { group: "cert-manager.io", kind: "ClusterIssuer", name: request.issuer },
      },
    },
    { ...opts, customTimeouts: timeouts.reconciled },
  );

/** An authority of cert-manager whose certificate is wanted. */
export interface AuthorityRequest {
  /** Name of the Certificate that is issued to ask for it, and of its Secret. */
  name: string;
  namespace: string;
  labels: Record<string, string>;
  /** What issues in the authority's name. */
  issuer: { kind: "Issuer" | "ClusterIssuer"; name: pulumi.Input<string> };
}

/**
 * The certificates of an authority as PEM, its own first and its root last.
 *
 * They are read from a certificate that nobody serves: it proves that the issuer answers, and its Secret holds the
 * authority's certificates beside a worthless key, so that the authority's own key is never read into the state.
 */
export const authorityChain = (
  resource: string,
  request: AuthorityRequest,
  opts: pulumi.CustomResourceOptions,
): pulumi.Output<string> => {
  const { name, namespace, labels, issuer } = request;
  const proof = new k8s.apiextensions.CustomResource(
    `${resource}-proof`,
    {
      apiVersion: "cert-manager.io/v1",
      kind: "Certificate",
      metadata: { name, namespace, labels, annotations: { "pulumi.com/waitFor": "condition=Ready" } },
      spec: {
        secretName: name,
        duration: LIFETIMES.reread,
        renewBefore: RENEW_BEFORE,
        privateKey: { algorithm: "ECDSA", size: 256, rotationPolicy: "Always" },
        usages: ["client auth"],
        dnsNames: [`ca-proof.${namespace}.svc`],
        issuerRef: { group: "cert-manager.io", ...issuer },
      },
    },
    { ...opts, customTimeouts: timeouts.reconciled },
  );
  const { data } = k8s.core.v1.Secret.get(
    `${resource}-bundle`,
    // Unknown until the certificate exists, so that the first preview does not look for a Secret that is not there.
    proof.id.apply(() => `${namespace}/${name}`),
    { parent: opts.parent, dependsOn: [proof] },
  );
  return pulumi.unsecret(
    data.apply((files) => {
      const read = (file: string) => pemCertificates(Buffer.from(files[file] ?? "", "base64").toString());
      const [, ...chain] = read("tls.crt");
      return [...new Set([...chain, ...read("ca.crt")])].join("");
    }),
  );
};

/** The certificates in a PEM text, one by one. */
const pemCertificates = (pem: string): string[] =>
  (pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map((block) => `${block}\n`);

import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";

import { plainAccount } from "./lib/accounts";
import { authorityChain, issueCertificate } from "./lib/certificates";
import { nameServer } from "./lib/egress";
import { configHash } from "./lib/hash";
import { selectorLabels, standardLabels } from "./lib/labels";
import { openNamespace } from "./lib/namespace";
import { ofEpoch } from "./lib/names";
import { podPeer } from "./lib/network-policies";
import { resources, restrictedContainer, restrictedPod } from "./lib/pods";
import { tlsService } from "./lib/services";
import { timeouts } from "./lib/timeouts";
import { proxySettings, TLS_PROXY_PORT, tlsProxy } from "./lib/tls-proxy";
import type { Workload } from "./lib/workload-api";

/** Arguments of {@link Fulcio}. */
export interface FulcioArgs {
  /** Images of the authority, each by digest. */
  images: FulcioImages;
  /** ClusterIssuer that the authority's own certificate comes from, and that of its server. */
  issuer: pulumi.Input<string>;
  /** The factory's authority as PEM, which the issuer of tokens is known by. */
  caPem: pulumi.Input<string>;
  /** Counts the authority's keys; another number makes another key, and removes the one before. */
  keyEpoch: number;
  /** What issues the tokens that are taken in exchange for certificates. */
  tokens: FulcioTokens;
  /** Who may open a connection. */
  clients: k8s.types.input.networking.v1.NetworkPolicyPeer[];
}

/** The images of {@link Fulcio}, each by digest. */
export interface FulcioImages {
  fulcio: string;
  tlsProxy: string;
}

/** Tokens that Fulcio takes: JWT-SVIDs of one trust domain. */
export interface FulcioTokens {
  /** Address of their issuer, where the keys that they are verified with are published. */
  issuer: string;
  /** Where the issuer runs. */
  peer: k8s.types.input.networking.v1.NetworkPolicyPeer;
  port: number;
  trustDomain: string;
}

const NAMESPACE = "ssf-fulcio";
const NAME = "fulcio";
const FULCIO_PORT = 5555;

/** Audience that a token for Fulcio must name. */
const CLIENT_ID = "sigstore";

const HOST = `${NAME}.${NAMESPACE}.svc.cluster.local`;

/** Address of the authority. */
export const FULCIO_URL = `https://${HOST}:${TLS_PROXY_PORT}`;

/** Fulcio's pod, as SPIRE knows it. */
export const FULCIO_WORKLOAD: Workload = { namespace: NAMESPACE, serviceAccount: NAME };

/** Fulcio's pod, for the network policies of what it asks. */
export const fulcioPeer = podPeer(NAMESPACE, selectorLabels(NAME));

/**
 * Fulcio: exchanges the token of a workload for a certificate of ten minutes that names the workload.
 *
 * Its key comes from the factory's authority and never leaves the cluster; its certificate is for signing code only.
 * @example
 * new Fulcio("fulcio", { images, issuer: authority.issuer, caPem: authority.caPem, keyEpoch: 1, tokens, clients: [chains] });
 */
export class Fulcio extends pulumi.ComponentResource {
  /** Address of the authority, once it answers. */
  public readonly url: pulumi.Output<string>;
  /** Certificates that signers' certificates are verified with, as PEM: Fulcio's own first, then the factory's. */
  public readonly caPem: pulumi.Output<string>;

  constructor(name: string, args: FulcioArgs, opts?: pulumi.ComponentResourceOptions) {
    super("secure-software-factory:index:Fulcio", name, args, opts);
    const labels = standardLabels(NAME);
    const metadata = (object: string) => ({ name: object, namespace: NAMESPACE, labels });
    const { namespace, inNamespace } = openNamespace(name, this, { name: NAMESPACE, labels, level: "restricted" });
    const account = plainAccount(name, metadata(NAME), inNamespace);

    // Names of its own for each key: a Certificate keeps the key of its Secret, and the Secret goes with it.
    const ca = ofEpoch("fulcio-ca", args.keyEpoch);
    const authority = new k8s.apiextensions.CustomResource(
      `${name}-${ofEpoch("authority", args.keyEpoch)}`,
      {
        apiVersion: "cert-manager.io/v1",
        kind: "Certificate",
        metadata: { ...metadata(ca), annotations: { "pulumi.com/waitFor": "condition=Ready" } },
        spec: {
          isCA: true,
          commonName: "Secure Software Factory Fulcio",
          secretName: ca,
          duration: "43800h0m0s",
          renewBefore: "720h0m0s",
          privateKey: { algorithm: "ECDSA", size: 256, rotationPolicy: "Never" },
          usages: ["cert sign", "crl sign", "code signing"],
          issuerRef: { group: "cert-manager.io", kind: "ClusterIssuer", name: args.issuer },
        },
      },
      { ...inNamespace, customTimeouts: timeouts.reconciled },
    );
    const issuer = new k8s.apiextensions.CustomResource(
      `${name}-${ofEpoch("issuer", args.keyEpoch)}`,
      {
        apiVersion: "cert-manager.io/v1",
        kind: "Issuer",
        metadata: { ...metadata(ca), annotations: { "pulumi.com/waitFor": "condition=Ready" } },
        spec: { ca: { secretName: ca } },
      },
      { ...inNamespace, dependsOn: [namespace, authority], customTimeouts: timeouts.reconciled },
    );
    const certificate = issueCertificate(
      `${name}-certificate`,
      { ...metadata("fulcio-tls"), issuer: args.issuer, dnsNames: [HOST], isReread: false },
      inNamespace,
    );
    const settings = {
      "lighttpd.conf": proxySettings(FULCIO_PORT),
      "fulcio.json": fulcioSettings(args.tokens.issuer, args.tokens.trustDomain),
      "ca.crt": args.caPem,
    };
    const config = new k8s.core.v1.ConfigMap(
      `${name}-config`,
      { metadata: metadata("fulcio-config"), data: settings },
      inNamespace,
    );
    const policy = new k8s.networking.v1.NetworkPolicy(
      `${name}-policy`,
      {
        metadata: metadata("fulcio-clients"),
        spec: {
          podSelector: {},
          policyTypes: ["Ingress", "Egress"],
          ingress: [{ from: args.clients, ports: [{ port: TLS_PROXY_PORT, protocol: "TCP" }] }],
          egress: [{ to: [args.tokens.peer], ports: [{ port: args.tokens.port, protocol: "TCP" }] }, nameServer],
        },
      },
      inNamespace,
    );
    const proxy = tlsProxy({
      image: args.images.tlsProxy,
      settings: "fulcio-config",
      certificate: "fulcio-tls",
      healthPath: "/api/v2/configuration",
    });
    const deployment = new k8s.apps.v1.Deployment(
      `${name}-deployment`,
      {
        metadata: metadata(NAME),
        spec: {
          replicas: 1,
          selector: { matchLabels: selectorLabels(NAME) },
          template: {
            metadata: { labels, annotations: configHash(...Object.values(settings)) },
            spec: {
              serviceAccountName: account.metadata.name,
              automountServiceAccountToken: false,
              enableServiceLinks: false,
              securityContext: restrictedPod,
              initContainers: [proxy.container],
              containers: [
                {
                  name: NAME,
                  image: args.images.fulcio,
                  args: [
                    "serve",
                    "--log_type=prod",
                    "--config-path=/etc/fulcio/fulcio.json",
                    "--ca=fileca",
                    "--fileca-cert=/etc/fulcio-ca/tls.crt",
                    "--fileca-key=/etc/fulcio-ca/tls.key",
                    "--fileca-key-passwd=",
                    "--ct-log-url=",
                    "--http-host=127.0.0.1",
                    `--http-port=${FULCIO_PORT}`,
                    "--grpc-host=127.0.0.1",
                    "--grpc-port=5554",
                  ],
                  env: [{ name: "SSL_CERT_FILE", value: "/etc/fulcio/ca.crt" }],
                  readinessProbe: proxy.probe,
                  livenessProbe: { ...proxy.probe, initialDelaySeconds: 10, periodSeconds: 20 },
                  securityContext: restrictedContainer,
                  resources: resources({ cpu: "10m", memory: "32Mi" }, { cpu: "500m", memory: "256Mi" }),
                  volumeMounts: [
                    { name: "tls-proxy-settings", mountPath: "/etc/fulcio", readOnly: true },
                    { name: "authority", mountPath: "/etc/fulcio-ca", readOnly: true },
                    { name: "tmp", mountPath: "/tmp" },
                  ],
                },
              ],
              volumes: [...proxy.volumes, { name: "authority", secret: { secretName: ca } }],
            },
          },
        },
      },
      {
        ...inNamespace,
        dependsOn: [namespace, config, certificate, authority, policy],
        customTimeouts: timeouts.workload,
      },
    );
    const service = tlsService(`${name}-service`, metadata(NAME), TLS_PROXY_PORT, {
      ...inNamespace,
      dependsOn: [namespace, deployment],
    });

    this.url = service.id.apply(() => FULCIO_URL);
    this.caPem = authorityChain(
      ofEpoch(name, args.keyEpoch),
      { ...metadata(ofEpoch("fulcio-ca-proof", args.keyEpoch)), issuer: { kind: "Issuer", name: ca } },
      { parent: this, dependsOn: [issuer] },
    );
    this.registerOutputs({ url: this.url, caPem: this.caPem });
  }
}

/** Who may have certificates: workloads of one trust domain, by the tokens of its issuer. */
export const fulcioSettings = (issuer: string, trustDomain: string): string =>
  `${JSON.stringify(
    {
      OIDCIssuers: {
        [issuer]: {
          IssuerURL: issuer,
          ClientID: CLIENT_ID,
          Type: "spiffe",
          SPIFFETrustDomain: trustDomain,
        },
      },
    },
    undefined,
    2,
  )}\n`;

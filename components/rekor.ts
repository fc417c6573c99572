import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";

import { ecdsaKeyPair } from "../pipelines/keys";
import { plainAccount } from "./lib/accounts";
import { issueCertificate } from "./lib/certificates";
import { configHash } from "./lib/hash";
import { selectorLabels, standardLabels } from "./lib/labels";
import { openNamespace } from "./lib/namespace";
import { podPeer } from "./lib/network-policies";
import { resources, restrictedContainer, restrictedPod } from "./lib/pods";
import { tlsService } from "./lib/services";
import { timeouts } from "./lib/timeouts";
import { proxySettings, TLS_PROXY_PORT, tlsProxy } from "./lib/tls-proxy";
import { claimVolume } from "./lib/volumes";
import type { Workload } from "./lib/workload-api";

/** Arguments of {@link Rekor}. */
export interface RekorArgs {
  /** Images of the log, each by digest. */
  images: RekorImages;
  /** ClusterIssuer that the log's server certificate comes from. */
  issuer: pulumi.Input<string>;
  /** 32 random bytes in base64, from which the log's signing key is made; secret. */
  seed: pulumi.Input<string>;
  /** Class of the volume. @default the cluster's default class */
  storageClass?: pulumi.Input<string>;
  /** Who may open a connection. */
  clients: k8s.types.input.networking.v1.NetworkPolicyPeer[];
}

/** The images of {@link Rekor}, each by digest. */
export interface RekorImages {
  /** Rekor, Trillian and PostgreSQL. */
  rekor: string;
  tlsProxy: string;
}

const NAMESPACE = "ssf-rekor";
const NAME = "rekor";
const REKOR_PORT = 3000;
const SIGNING_KEY = "rekor-signing-key";

/** Host of the log, as its checkpoints and entries name it. */
export const REKOR_HOST = `${NAME}.${NAMESPACE}.svc.cluster.local`;

/** The log's pod, as SPIRE knows it. */
export const REKOR_WORKLOAD: Workload = { namespace: NAMESPACE, serviceAccount: NAME };

/** The log's pod, for the network policies of what asks it. */
export const rekorPeer = podPeer(NAMESPACE, selectorLabels(NAME));

/** Address of the log. */
export const REKOR_URL = `https://${REKOR_HOST}:${TLS_PROXY_PORT}`;

/**
 * Rekor, the factory's transparency log: an append-only Merkle tree (RFC 6962) of everything that was signed.
 *
 * One pod: Rekor before Trillian before PostgreSQL, which see each other by its loopback address and a socket, so that
 * between them there is no password, no certificate and no way for others. What it holds lies on one volume.
 * @example
 * const log = new Rekor("rekor", { images, issuer: authority.issuer, seed: seed.base64, clients: [chains] });
 */
export class Rekor extends pulumi.ComponentResource {
  /** Address of the log, once it answers. */
  public readonly url: pulumi.Output<string>;
  /** Namespace of the service. */
  public readonly namespace: pulumi.Output<string>;
  /** Name of the service. */
  public readonly service: pulumi.Output<string>;
  /** Key that entries and checkpoints are verified with, as PEM. */
  public readonly publicKeyPem: pulumi.Output<string>;

  constructor(name: string, args: RekorArgs, opts?: pulumi.ComponentResourceOptions) {
    super("secure-software-factory:index:Rekor", name, args, opts);
    const labels = standardLabels(NAME);
    const metadata = (object: string) => ({ name: object, namespace: NAMESPACE, labels });
    const { namespace, inNamespace } = openNamespace(name, this, { name: NAMESPACE, labels, level: "restricted" });
    const account = plainAccount(name, metadata(NAME), inNamespace);

    const keys = pulumi.output(args.seed).apply(ecdsaKeyPair);
    const signingKey = new k8s.core.v1.Secret(
      `${name}-signing-key`,
      { metadata: metadata(SIGNING_KEY), stringData: { "key.pem": pulumi.secret(keys.privateKeyPem) } },
      inNamespace,
    );
    const settings = { "lighttpd.conf": proxySettings(REKOR_PORT) };
    const config = new k8s.core.v1.ConfigMap(
      `${name}-config`,
      { metadata: metadata("rekor-config"), data: settings },
      inNamespace,
    );
    const certificate = issueCertificate(
      `${name}-certificate`,
      { ...metadata("rekor-tls"), issuer: args.issuer, dnsNames: [REKOR_HOST, "localhost"], isReread: false },
      inNamespace,
    );
    const claim = claimVolume(
      `${name}-volume`,
      metadata("rekor-data"),
      { size: "2Gi", storageClass: args.storageClass },
      inNamespace,
    );
    const policy = new k8s.networking.v1.NetworkPolicy(
      `${name}-policy`,
      {
        metadata: metadata("rekor-clients"),
        spec: {
          podSelector: {},
          policyTypes: ["Ingress", "Egress"],
          ingress: [{ from: args.clients, ports: [{ port: TLS_PROXY_PORT, protocol: "TCP" }] }],
        },
      },
      inNamespace,
    );
    const proxy = tlsProxy({
      image: args.images.tlsProxy,
      settings: "rekor-config",
      certificate: "rekor-tls",
      healthPath: "/ping",
    });
    const deployment = new k8s.apps.v1.Deployment(
      `${name}-deployment`,
      {
        metadata: metadata(NAME),
        spec: {
          replicas: 1,
          strategy: { type: "Recreate" },
          selector: { matchLabels: selectorLabels(NAME) },
          template: {
            metadata: { labels, annotations: configHash(...Object.values(settings), keys.publicKeyPem) },
            spec: {
              serviceAccountName: account.metadata.name,
              automountServiceAccountToken: false,
              enableServiceLinks: false,
              securityContext: restrictedPod,
              initContainers: [...databaseAndTree(args.images.rekor), proxy.container],
              containers: [
                {
                  ...part("rekor", args.images.rekor, REKOR_SCRIPT, { cpu: "20m", memory: "64Mi" }),
                  readinessProbe: proxy.probe,
                  livenessProbe: { ...proxy.probe, initialDelaySeconds: 10, periodSeconds: 20 },
                  volumeMounts: [
                    ...databaseSocket,
                    { name: "signing-key", mountPath: "/etc/rekor", readOnly: true },
                    { name: "tmp", mountPath: "/tmp" },
                  ],
                },
              ],
              volumes: [
                { name: "data", persistentVolumeClaim: { claimName: claim.metadata.name } },
                { name: "socket", emptyDir: { sizeLimit: "1Mi" } },
                { name: "signing-key", secret: { secretName: signingKey.metadata.name } },
                ...proxy.volumes,
              ],
            },
          },
        },
      },
      { ...inNamespace, dependsOn: [namespace, config, certificate, policy], customTimeouts: timeouts.workload },
    );
    const service = tlsService(`${name}-service`, metadata(NAME), TLS_PROXY_PORT, {
      ...inNamespace,
      dependsOn: [namespace, deployment],
    });

    this.url = service.id.apply(() => REKOR_URL);
    this.namespace = pulumi.output(NAMESPACE);
    this.service = service.metadata.name;
    this.publicKeyPem = pulumi.unsecret(keys.publicKeyPem);
    this.registerOutputs({
      url: this.url,
      namespace: this.namespace,
      service: this.service,
      publicKeyPem: this.publicKeyPem,
    });
  }
}

const databaseSocket = [{ name: "socket", mountPath: "/run/postgresql" }];

const part = (name: string, image: string, script: string, request: { cpu: string; memory: string }) => ({
  name,
  image,
  command: ["/bin/bash", "-euc", script],
  securityContext: restrictedContainer,
  resources: resources(request, { cpu: "1", memory: "512Mi" }),
});

/** Whether something listens on a port of the loopback address. */
const listens = (port: number) => ({
  exec: { command: ["/bin/bash", "-c", `exec 3<>/dev/tcp/127.0.0.1/${port}`] },
  periodSeconds: 1,
  failureThreshold: 120,
});

/** PostgreSQL and Trillian, each started when the one before it answers. */
const databaseAndTree = (image: string): k8s.types.input.core.v1.Container[] => {
  const small = { cpu: "20m", memory: "48Mi" };
  const sidecar = (name: string, script: string, startupProbe: k8s.types.input.core.v1.Probe) => ({
    ...part(name, image, script, small),
    restartPolicy: "Always",
    startupProbe,
    volumeMounts: databaseSocket,
  });
  const data = { name: "data", mountPath: "/var/lib/rekor" };
  const tmp = { name: "tmp", mountPath: "/tmp" };
  return [
    { ...part("make-database", image, MAKE_DATABASE_SCRIPT, small), volumeMounts: [data, tmp] },
    {
      ...sidecar("database", DATABASE_SCRIPT, {
        exec: { command: ["pg_isready", "--quiet"] },
        periodSeconds: 1,
        failureThreshold: 120,
      }),
      volumeMounts: [...databaseSocket, data, tmp],
    },
    { ...part("make-tables", image, MAKE_TABLES_SCRIPT, small), volumeMounts: databaseSocket },
    sidecar("trillian-log-server", trillianScript("trillian_log_server", 8090), listens(8090)),
    sidecar(
      "trillian-log-signer",
      `${trillianScript("trillian_log_signer", 8092)} --force_master --sequencer_interval=100ms`,
      listens(8092),
    ),
  ];
};

/**
 * Waits until no other pod has the volume: a pod that is gone for the API server may still be ending on the node, and
 * PostgreSQL knows its like only within one pod. The lock ends with the last process that the script becomes.
 */
const ALONE = `exec 9>/var/lib/rekor/lock
flock 9`;

/** A database that only processes of this pod's user reach, by a socket. */
const MAKE_DATABASE_SCRIPT = `${ALONE}
test -f /var/lib/rekor/postgresql/PG_VERSION && exit
rm -rf /var/lib/rekor/making
initdb --pgdata=/var/lib/rekor/making --username=rekor --auth-local=peer --auth-host=reject \\
  --encoding=UTF8 --locale=C --data-checksums
mv /var/lib/rekor/making /var/lib/rekor/postgresql`;

const DATABASE_SCRIPT = `${ALONE}
exec postgres -D /var/lib/rekor/postgresql -c listen_addresses= -c unix_socket_directories=/run/postgresql \\
  -c shared_buffers=32MB -c max_connections=60 -c log_destination=stderr -c logging_collector=off`;

const MAKE_TABLES_SCRIPT = `test "$(psql --dbname=postgres -Atc "select count(*) from pg_database where datname = 'trillian'")" = 1 || {
  psql --dbname=postgres --quiet -c 'drop database if exists making'
  createdb making
  psql --dbname=making --quiet --single-transaction -v ON_ERROR_STOP=1 --file=/usr/share/trillian/storage.sql
  psql --dbname=postgres --quiet -c 'alter database making rename to trillian'
}`;

const trillianScript = (program: string, port: number): string =>
  `exec ${program} --logtostderr --storage_system=postgresql --quota_system=noop \\
  --postgresql_uri='postgresql:///trillian?host=/run/postgresql&user=rekor' \\
  --rpc_endpoint=127.0.0.1:${port} --http_endpoint=127.0.0.1:${port + 1}`;

/** The tree is made at the first start and found at every other. */
const REKOR_SCRIPT = `tree=$(psql --dbname=trillian -Atc 'select treeid from trees order by createtimemillis limit 1')
test -n "$tree" || tree=$(createtree --admin_server=127.0.0.1:8090 --display_name=rekor)
exec rekor-server serve --log_type=prod --rekor_server.address=127.0.0.1 --port=${REKOR_PORT} \\
  --rekor_server.hostname=${REKOR_HOST} --rekor_server.signer=/etc/rekor/key.pem \\
  --trillian_log_server.address=127.0.0.1 --trillian_log_server.port=8090 --trillian_log_server.tlog_id="$tree" \\
  --enable_retrieve_api=false`;

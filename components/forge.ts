import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";

import { issueCertificate } from "./lib/certificates";
import { configHash } from "./lib/hash";
import { selectorLabels, STAGE_LABEL, standardLabels, TEAM_LABEL } from "./lib/labels";
import { openNamespace } from "./lib/namespace";
import { resources, restrictedContainer, restrictedPod } from "./lib/pods";
import { htpasswd } from "./lib/registry-config";
import { timeouts } from "./lib/timeouts";
import { TRIGGER_PARTS, TRIGGERS_NAMESPACE } from "./triggers";

/** Arguments of {@link Forge}. */
export interface ForgeArgs {
  /** Image with git and lighttpd, by digest. */
  image: string;
  /** ClusterIssuer that the forge's certificate comes from. */
  issuer: pulumi.Input<string>;
  /** Size of the volume. @default 2Gi */
  size?: string;
  /** Class of the volume. @default the cluster's default class */
  storageClass?: pulumi.Input<string>;
}

const NAMESPACE = "ssf-forge";
const NAME = "forge";
const PORT = 8443;
const USER = "developer";

/**
 * A development forge: git over HTTPS, for sources that are on no server yet.
 *
 * Everyone who reaches it may read, which the network policy grants to the stages that ingest sources; one user may
 * push. A push to a repository that does not exist makes it.
 */
export class Forge extends pulumi.ComponentResource {
  /** Address of the forge; `<url>/<name>.git` is a repository. Known already at preview. */
  public readonly url: pulumi.Output<string>;
  /** Namespace of the service. */
  public readonly namespace: pulumi.Output<string>;
  /** Name of the service. */
  public readonly service: pulumi.Output<string>;
  /** User that may push. */
  public readonly username: pulumi.Output<string>;
  /** Password of that user; secret. */
  public readonly password: pulumi.Output<string>;

  constructor(name: string, args: ForgeArgs, opts?: pulumi.ComponentResourceOptions) {
    super("secure-software-factory:index:Forge", name, args, opts);
    const labels = standardLabels(NAME);

    const { namespace, inNamespace } = openNamespace(name, this, { name: NAMESPACE, labels, level: "restricted" });

    const password = new random.RandomPassword(`${name}-password`, { length: 40, special: false }, { parent: this });
    const users = password.bcryptHash.apply((hash) => htpasswd([{ username: USER, hash }]));
    const secret = new k8s.core.v1.Secret(
      `${name}-users`,
      { metadata: { name: "forge-users", namespace: NAMESPACE, labels }, stringData: { htpasswd: users } },
      inNamespace,
    );
    const config = new k8s.core.v1.ConfigMap(
      `${name}-config`,
      {
        metadata: { name: "forge-config", namespace: NAMESPACE, labels },
        data: { "lighttpd.conf": SERVER_SETTINGS, "git.cgi": GATEWAY_SCRIPT },
      },
      inNamespace,
    );
    const certificate = issueCertificate(
      `${name}-certificate`,
      {
        name: "forge-tls",
        namespace: NAMESPACE,
        labels,
        issuer: args.issuer,
        dnsNames: [`${NAME}.${NAMESPACE}.svc.cluster.local`, `${NAME}.${NAMESPACE}.svc`, "localhost"],
        ipAddresses: ["127.0.0.1"],
      },
      inNamespace,
    );
    const claim = new k8s.core.v1.PersistentVolumeClaim(
      `${name}-volume`,
      {
        metadata: {
          name: "forge-data",
          namespace: NAMESPACE,
          labels,
          // It binds only when the pod below is scheduled, so waiting for it first would never end.
          annotations: { "pulumi.com/skipAwait": "true" },
        },
        spec: {
          accessModes: ["ReadWriteOnce"],
          storageClassName: args.storageClass,
          resources: { requests: { storage: args.size ?? "2Gi" } },
        },
      },
      inNamespace,
    );
    const policy = new k8s.networking.v1.NetworkPolicy(
      `${name}-policy`,
      {
        metadata: { name: "forge-clients", namespace: NAMESPACE, labels },
        spec: {
          podSelector: {},
          policyTypes: ["Ingress", "Egress"],
          ingress: [{ from: forgeClients, ports: [{ port: PORT, protocol: "TCP" }] }],
        },
      },
      inNamespace,
    );
    const deployment = new k8s.apps.v1.Deployment(
      `${name}-deployment`,
      {
        metadata: { name: NAME, namespace: NAMESPACE, labels },
        spec: {
          replicas: 1,
          strategy: { type: "Recreate" },
          selector: { matchLabels: selectorLabels(NAME) },
          template: {
            metadata: { labels, annotations: configHash(SERVER_SETTINGS, GATEWAY_SCRIPT, users) },
            spec: {
              automountServiceAccountToken: false,
              enableServiceLinks: false,
              securityContext: restrictedPod,
              containers: [
                {
                  name: NAME,
                  image: args.image,
                  command: ["/usr/sbin/lighttpd", "-D", "-f", "/etc/forge/lighttpd.conf"],
                  ports: [{ name: "https", containerPort: PORT }],
                  readinessProbe: { tcpSocket: { port: PORT }, periodSeconds: 2 },
                  livenessProbe: { tcpSocket: { port: PORT }, initialDelaySeconds: 10, periodSeconds: 20 },
                  securityContext: restrictedContainer,
                  resources: resources({ cpu: "10m", memory: "32Mi" }, { cpu: "500m", memory: "512Mi" }),
                  volumeMounts: [
                    { name: "config", mountPath: "/etc/forge", readOnly: true },
                    { name: "users", mountPath: "/etc/forge-users", readOnly: true },
                    { name: "tls", mountPath: "/etc/forge-tls", readOnly: true },
                    { name: "data", mountPath: "/srv/git" },
                    { name: "tmp", mountPath: "/tmp" },
                  ],
                },
              ],
              volumes: [
                { name: "config", configMap: { name: "forge-config", defaultMode: 0o555 } },
                { name: "users", secret: { secretName: "forge-users" } },
                { name: "tls", secret: { secretName: "forge-tls" } },
                { name: "data", persistentVolumeClaim: { claimName: "forge-data" } },
                { name: "tmp", emptyDir: { sizeLimit: "1Gi" } },
              ],
            },
          },
        },
      },
      {
        ...inNamespace,
        dependsOn: [namespace, secret, config, certificate, claim, policy],
        customTimeouts: timeouts.workload,
      },
    );
    const service = new k8s.core.v1.Service(
      `${name}-service`,
      {
        metadata: { name: NAME, namespace: NAMESPACE, labels, annotations: { "pulumi.com/skipAwait": "true" } },
        spec: {
          type: "ClusterIP",
          selector: selectorLabels(NAME),
          ports: [{ name: "https", port: PORT, targetPort: PORT, protocol: "TCP" }],
        },
      },
      { ...inNamespace, dependsOn: [namespace, deployment] },
    );

    this.url = pulumi.output(`https://${NAME}.${NAMESPACE}.svc.cluster.local:${PORT}`);
    this.namespace = pulumi.output(NAMESPACE);
    this.service = service.metadata.name;
    this.username = pulumi.output(USER);
    this.password = password.result;
    this.registerOutputs({
      url: this.url,
      namespace: this.namespace,
      service: this.service,
      username: this.username,
      password: this.password,
    });
  }
}

/** Who may open a connection: the stage that ingests sources, and the schedule that looks up a commit, of any team. */
export const forgeClients = [
  {
    namespaceSelector: { matchExpressions: [{ key: TEAM_LABEL, operator: "Exists" }] },
    podSelector: { matchLabels: { [STAGE_LABEL]: "ingest-source" } },
  },
  {
    namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": TRIGGERS_NAMESPACE } },
    podSelector: { matchLabels: selectorLabels(TRIGGER_PARTS.schedule) },
  },
];

/** TLS only, every path goes to the gateway, and whatever writes asks for the password first. */
export const SERVER_SETTINGS = `server.modules = ("mod_openssl", "mod_auth", "mod_authn_file", "mod_alias", "mod_cgi")
server.port = ${PORT}
server.document-root = "/var/empty"
server.upload-dirs = ("/tmp")
server.tag = "forge"
# Large pushes arrive without a length, which this server takes only over HTTP/1.1.
server.feature-flags = ("server.h2proto" => "disable")

ssl.engine = "enable"
ssl.pemfile = "/etc/forge-tls/tls.crt"
ssl.privkey = "/etc/forge-tls/tls.key"
ssl.openssl.ssl-conf-cmd = ("MinProtocol" => "TLSv1.2")

alias.url = ("/" => "/etc/forge/git.cgi/")
cgi.assign = ("git.cgi" => "/bin/sh")

auth.backend = "htpasswd"
auth.backend.htpasswd.userfile = "/etc/forge-users/htpasswd"
$HTTP["querystring"] =~ "service=git-receive-pack" {
  auth.require = ("" => ("method" => "basic", "realm" => "forge", "require" => "valid-user"))
}
$HTTP["url"] =~ "/git-receive-pack$" {
  auth.require = ("" => ("method" => "basic", "realm" => "forge", "require" => "valid-user"))
}
`;

/**
 * Hands a request to git's own gateway, which takes a push only from a user whose name the server has checked.
 * Such a push may name a repository that does not exist yet. Any commit may be fetched by its id.
 */
export const GATEWAY_SCRIPT = `#!/bin/sh
set -eu
repository=\${PATH_INFO#/}
repository=\${repository%%/*}
case "$repository" in
  *[!a-z0-9._-]* | .* | -* | .git | "") repository= ;;
  *.git) ;;
  *) repository= ;;
esac
if [ -z "$repository" ]; then
  printf 'Status: 404 Not Found\\r\\nContent-Type: text/plain\\r\\n\\r\\nA repository is named <name>.git: lower-case letters, digits, dots, hyphens.\\n'
  exit 0
fi
export HOME=/tmp GIT_PROJECT_ROOT=/srv/git GIT_HTTP_EXPORT_ALL=1 GIT_CONFIG_NOSYSTEM=1
export GIT_CONFIG_COUNT=3
export GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'
export GIT_CONFIG_KEY_1=uploadpack.allowAnySHA1InWant GIT_CONFIG_VALUE_1=true
export GIT_CONFIG_KEY_2=receive.fsckObjects GIT_CONFIG_VALUE_2=true
if [ -n "\${REMOTE_USER:-}" ] && [ ! -d "/srv/git/$repository" ]; then
  git init --quiet --bare --initial-branch=main "/srv/git/$repository" >&2
fi
exec /usr/lib/git-core/git-http-backend
`;

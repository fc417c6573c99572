import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";

import { selectorLabels, STAGE_LABEL, standardLabels, TEAM_LABEL } from "./lib/labels";
import { openNamespace } from "./lib/namespace";
import { podPeer } from "./lib/network-policies";
import { resources } from "./lib/pods";
import { makeServer } from "./lib/server";
import type { Workload } from "./lib/workload-api";
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

/** The forge's pod, as SPIRE knows it. */
export const FORGE_WORKLOAD: Workload = { namespace: NAMESPACE, serviceAccount: NAME };

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

    const opened = openNamespace(name, this, { name: NAMESPACE, labels, level: "restricted" });
    const password = new random.RandomPassword(`${name}-password`, { length: 40, special: false }, { parent: this });
    const service = makeServer(
      name,
      {
        name: NAME,
        namespace: NAMESPACE,
        labels,
        port: PORT,
        issuer: args.issuer,
        rereadsCertificate: false,
        clients: forgeClients,
        settings: { "lighttpd.conf": SERVER_SETTINGS, "git.cgi": GATEWAY_SCRIPT },
        users: {
          files: { htpasswd: password.bcryptHash.apply((hash) => `${USER}:${hash}\n`) },
          path: "/etc/forge-users",
        },
        volume: { size: args.size ?? "2Gi", storageClass: args.storageClass, path: "/srv/git" },
        paths: { settings: "/etc/forge", tls: "/etc/forge-tls" },
        container: {
          image: args.image,
          command: ["/usr/sbin/lighttpd", "-D", "-f", "/etc/forge/lighttpd.conf"],
          probe: { tcpSocket: { port: PORT } },
          resources: resources({ cpu: "10m", memory: "32Mi" }, { cpu: "500m", memory: "512Mi" }),
        },
      },
      opened,
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
  podPeer(TRIGGERS_NAMESPACE, selectorLabels(TRIGGER_PARTS.schedule)),
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

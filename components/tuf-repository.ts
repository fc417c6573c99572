import type * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";

import { type Files, isRepositoryFile, newestRoot, openRepository } from "../trust";
import { FactoryError } from "./lib/errors";
import { selectorLabels, standardLabels } from "./lib/labels";
import { openNamespace } from "./lib/namespace";
import { podPeer } from "./lib/network-policies";
import { resources } from "./lib/pods";
import { makeServer } from "./lib/server";
import type { Workload } from "./lib/workload-api";

/** Arguments of {@link TufRepository}. */
export interface TufRepositoryArgs {
  /** Image with lighttpd, by digest. */
  image: string;
  /** ClusterIssuer that the repository's certificate comes from. */
  issuer: pulumi.Input<string>;
  /** The public files of the repository by name, as `./factory trust` writes them. */
  metadata: Record<string, string>;
  /** Who may open a connection; nobody else may. */
  clients: k8s.types.input.networking.v1.NetworkPolicyPeer[];
}

const NAMESPACE = "ssf-tuf";
const NAME = "tuf";

/** Port of the trust repository. */
export const TUF_PORT = 8443;
/** What the API server takes of all files of a ConfigMap together, less room for its own fields. */
const MAXIMUM_BYTES = 1_000_000;

/** The repository's pod, as SPIRE knows it. */
export const TUF_WORKLOAD: Workload = { namespace: NAMESPACE, serviceAccount: NAME };

/** The repository's pods, for the network policies of what asks them. */
export const tufPeer = podPeer(NAMESPACE, selectorLabels(NAME));

/**
 * The factory's trust root: a read-only server of a TUF repository, whose targets say which authorities, logs and
 * builders count.
 *
 * It holds no key. Whoever changes its files changes nothing that a client takes: the client checks signatures,
 * versions and expiry from the root that it was given.
 * @example
 * new TufRepository("tuf", { image, issuer, metadata: readRepository(directory), clients });
 */
export class TufRepository extends pulumi.ComponentResource {
  /** Address of the directory with the files. Known already at preview. */
  public readonly url: pulumi.Output<string>;
  /** Namespace of the service. */
  public readonly namespace: pulumi.Output<string>;
  /** Name of the service. */
  public readonly service: pulumi.Output<string>;
  /** Port of the service. */
  public readonly port: pulumi.Output<number>;
  /** The newest root metadata: what clients start from. */
  public readonly rootJson: pulumi.Output<string>;

  constructor(name: string, args: TufRepositoryArgs, opts?: pulumi.ComponentResourceOptions) {
    super("secure-software-factory:index:TufRepository", name, args, opts);
    const files = requirePublic(args.metadata);
    const labels = standardLabels(NAME);

    const opened = openNamespace(name, this, { name: NAMESPACE, labels, level: "restricted" });
    const service = makeServer(
      name,
      {
        name: NAME,
        namespace: NAMESPACE,
        labels,
        port: TUF_PORT,
        issuer: args.issuer,
        rereadsCertificate: false,
        clients: args.clients,
        settings: { "lighttpd.conf": TUF_SERVER_SETTINGS },
        content: { files, path: "/srv/tuf" },
        paths: { settings: "/etc/tuf", tls: "/etc/tuf-tls" },
        container: {
          image: args.image,
          command: ["/usr/sbin/lighttpd", "-D", "-f", "/etc/tuf/lighttpd.conf"],
          probe: { httpGet: { path: "/timestamp.json", port: TUF_PORT, scheme: "HTTPS" } },
          resources: resources({ cpu: "10m", memory: "16Mi" }, { cpu: "200m", memory: "64Mi" }),
        },
      },
      opened,
    );

    this.url = pulumi.output(`https://${NAME}.${NAMESPACE}.svc.cluster.local:${TUF_PORT}`);
    this.namespace = pulumi.output(NAMESPACE);
    this.service = service.metadata.name;
    this.port = pulumi.output(TUF_PORT);
    this.rootJson = pulumi.output(newestRoot(files));
    this.registerOutputs({
      url: this.url,
      namespace: this.namespace,
      service: this.service,
      port: this.port,
      rootJson: this.rootJson,
    });
  }
}

/**
 * Checks that files may be published: a whole repository whose signatures hold, that fits into a ConfigMap, and nothing
 * beside it, a private key above all.
 *
 * @throws FactoryError `SSF-TRUST-013` for what may not be published, `SSF-TRUST-006` for what does not hold
 */
export const requirePublic = (files: Files): Record<string, string> => {
  const refuse = (path: string, given: string, rule: string, fix: string) =>
    new FactoryError({ code: "SSF-TRUST-013", path: `metadata ${path}`, given, rule, fix });
  for (const [name, text] of Object.entries(files)) {
    if (!isRepositoryFile(name))
      throw refuse(
        name,
        "no file of a repository",
        "What is published is metadata and targets under their digests.",
        "Take the files from a directory that ./factory trust wrote.",
      );
    if (text.includes("PRIVATE KEY"))
      throw refuse(
        name,
        "a private key",
        "Private keys are never published.",
        "Rotate that key at once, and take it out of the directory.",
      );
  }
  const bytes = Object.values(files).reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  if (bytes > MAXIMUM_BYTES)
    throw refuse(
      "of all files",
      `${bytes} bytes`,
      `All files together have at most ${MAXIMUM_BYTES} bytes.`,
      "Make the policy bundle smaller, which lists its files by digest.",
    );
  openRepository(files);
  return { ...files };
};

/** TLS only, files only, no lists of them. cosign asks for targets below a directory of their own. */
export const TUF_SERVER_SETTINGS = `server.modules = ("mod_openssl", "mod_alias")
server.port = ${TUF_PORT}
server.document-root = "/srv/tuf"
server.upload-dirs = ("/tmp")
server.tag = "tuf"
mimetype.assign = (".json" => "application/json")

ssl.engine = "enable"
ssl.pemfile = "/etc/tuf-tls/tls.crt"
ssl.privkey = "/etc/tuf-tls/tls.key"
ssl.openssl.ssl-conf-cmd = ("MinProtocol" => "TLSv1.2")

alias.url = ("/targets/" => "/srv/tuf/")
`;

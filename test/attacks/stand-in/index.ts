import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Session } from "../../../tools/cli/attack-session";
import { makeAuthority } from "../../cli/support/authority";
import { jailedPod, until } from "../support";

/** How a stand-in fails: by the certificate that it shows, or with the service's own one by what it answers. */
export type Failure = "foreign" | "expired" | "silent" | "erroring";

/** A service of the factory whose pods can be taken from it. */
export interface Service {
  namespace: string;
  name: string;
  /** Secret with the certificate that its pods show. */
  certificate: string;
  /** Port of its pods, and what they call it. */
  port: { containerPort: number; name: string };
}

/** In the place of a service's pods. */
export interface StandIn {
  /** Takes the service from its pods: nobody answers it. */
  takeOver: () => Promise<unknown>;
  /** Answers it in their place, and fails so. */
  fail: (failure: Failure) => Promise<void>;
  /** Gives it back to them. */
  leave: () => Promise<unknown>;
}

/** Certificates of an authority that nobody in the factory trusts, each with its key, by the names of files. */
export interface ForeignCertificates {
  authorityPem: string;
  files: Record<string, string>;
}

/** Makes certificates that are for these services alike. */
export const foreignCertificates = (services: readonly Service[]): ForeignCertificates => {
  const hosts = services.flatMap(({ namespace, name }) => [
    `${name}.${namespace}.svc`,
    `${name}.${namespace}.svc.cluster.local`,
  ]);
  const subjectAltName = hosts.map((host) => `DNS:${host}`).join(",");
  const authority = makeAuthority();
  const files = (name: "foreign" | "expired") => {
    const expired = name === "expired" || undefined;
    const leaf = authority.issue({ subjectAltName, extendedKeyUsage: "serverAuth", expired });
    const key = leaf.privateKey.export({ type: "pkcs8", format: "pem" }) as string;
    return { [`${name}.crt`]: leaf.certificatePem, [`${name}.key`]: key };
  };
  return { authorityPem: authority.certificatePem, files: { ...files("foreign"), ...files("expired") } };
};

/** Arguments of Node that run the server. @param certificates directory of them @param orders file of its orders */
export const serverArguments = (port: number, certificates: string, orders: string): string[] => [
  ...["--input-type=module", "--eval", readFileSync(join(__dirname, "server.mjs"), "utf8")],
  ...[String(port), certificates, orders],
];

const NODE = "/usr/bin/node";
const CERTIFICATES = "/etc/stand-in";
const ORDERS = "/tmp/order";
const GIVE_ORDER = `require("node:fs").writeFileSync("${ORDERS}", process.argv[1]); process.kill(1, "SIGHUP")`;

const serviceSchema = z.object({ spec: z.object({ selector: z.record(z.string(), z.string()) }) });

/**
 * Starts a stand-in beside the service's pods, in an image of the lock file. Nobody is led to it yet.
 */
export const openStandIn = async (
  session: Session,
  service: Service,
  { files }: ForeignCertificates,
): Promise<StandIn> => {
  const { kubectl, id, create, defer } = session;
  const { namespace } = service;
  const inNamespace = `--namespace=${namespace}`;
  const name = `attack-${id}`;
  const selector = (attack: string | null) => {
    const patch = JSON.stringify({ spec: { selector: { attack } } });
    return kubectl.text(["patch", "service", service.name, inNamespace, "--type=merge", `--patch=${patch}`]);
  };
  const { spec } = serviceSchema.parse(await kubectl.json(["get", "service", service.name, inNamespace]));
  const labels = Object.entries(spec.selector).map(([label, value]) => `${label}=${value}`);

  await create({ apiVersion: "v1", kind: "Secret", metadata: { name, namespace }, stringData: files });
  const own = {
    name: service.certificate,
    items: [
      ["tls.crt", "own.crt"],
      ["tls.key", "own.key"],
    ].map(([key, path]) => ({ key, path })),
  };
  const pod = jailedPod(session, name, namespace, {
    image: session.image("verifier"),
    command: [NODE, ...serverArguments(service.port.containerPort, CERTIFICATES, ORDERS)],
    ports: [service.port],
    readinessProbe: { tcpSocket: { port: service.port.containerPort }, periodSeconds: 1 },
    volumeMounts: [
      { name: "certificates", mountPath: CERTIFICATES, readOnly: true },
      { name: "tmp", mountPath: "/tmp" },
    ],
  });
  await create({
    ...pod,
    metadata: { ...pod.metadata, labels: { attack: id } },
    spec: {
      ...pod.spec,
      runtimeClassName: undefined,
      volumes: [
        { name: "certificates", projected: { sources: [{ secret: { name } }, { secret: own }] } },
        { name: "tmp", emptyDir: {} },
      ],
    },
  });
  await kubectl.text(["wait", `pod/${name}`, inNamespace, "--for=condition=Ready", "--timeout=60s"]);

  return {
    takeOver: () => {
      defer(`service ${service.name}`, () => selector(null));
      return selector(id);
    },
    fail: async (failure) => {
      await kubectl.text(["exec", name, inNamespace, "--", NODE, "--eval", GIVE_ORDER, failure]);
      // With these labels it would have been led to at once.
      const label = ["label", "pod", name, inNamespace, "--overwrite", ...labels];
      // Nobody may change a pod until the gate is back.
      await until(session, "labels of the stand-in", () => kubectl.text(label).catch(() => undefined));
    },
    leave: () => selector(null),
  };
};

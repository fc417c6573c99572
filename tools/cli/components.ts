import { z } from "zod";
import { CHAINS_WORKLOAD } from "../../components/chains";
import { SIGNING_HEALER, SIGNING_HEALER_PORT } from "../../components/signing-healer";
import type { StackOutputs } from "../../stacks/outputs";
import type { Toolchain } from "../../stacks/toolchain";
import { openCheckpoint } from "./checkpoint";
import { columns } from "./columns";
import type { Kubectl } from "./kubectl";
import { openLog } from "./log";
import { type ClusterObjects, readObjects } from "./self-cluster";

/** A workload of the factory and how it stands. */
export interface Component {
  namespace: string;
  name: string;
  /** Version of the image that gives it its name; undefined for an image that is not of the toolchain. */
  version?: string;
  ready: number;
  wanted: number;
  /** SPIFFE ID of its pods, where they have one. */
  identity?: string;
  /** How long a certificate of that identity lives at most, such as `1h0m0s`. */
  identityLife?: string;
  /** The certificate of cert-manager that its pods mount and that ends first, where they mount one. */
  certificate?: Expiry;
}

/** A certificate, and when it ends. */
interface Expiry {
  certificate: string;
  notAfter: string;
}

/** A run that is not signed yet. */
interface UnsignedRun {
  /** Namespace and name. */
  run: string;
  /** What the signing healer knows of it. */
  state: string;
  attempts: number;
}

/** What the cluster says about the factory. What it does not answer is left out. */
export interface Inside {
  components: Component[];
  /** The certificate that ends first. */
  firstExpiry?: Expiry;
  /** The log as its present checkpoint has it, and the checkpoint as the log signed it. */
  log?: { entries: number; rootHash: string; checkpoint: string };
  /** Runs that have no signature yet, and wait for one. */
  unsigned?: UnsignedRun[];
}

const containers = z.array(z.object({ name: z.string(), image: z.string() }));

const workloads = z.object({
  items: z.array(
    z.object({
      metadata: z.object({ namespace: z.string(), name: z.string() }),
      spec: z.object({
        replicas: z.int().default(1),
        template: z.object({
          spec: z.object({
            serviceAccountName: z.string().default("default"),
            containers,
            initContainers: containers.default([]),
            volumes: z.array(z.object({ secret: z.object({ secretName: z.string() }).optional() })).default([]),
          }),
        }),
      }),
      status: z.object({
        readyReplicas: z.int().default(0),
        numberReady: z.int().optional(),
        desiredNumberScheduled: z.int().optional(),
      }),
    }),
  ),
});

/** Entries that fit all pods of an account. */
const entriesOf = (
  registrations: ClusterObjects["registrations"],
  namespace: string,
  serviceAccount: string,
): ClusterObjects["registrations"] => {
  const known = [`k8s:ns:${namespace}`, `k8s:sa:${serviceAccount}`];
  return registrations.filter(({ spec }) => spec.selectors.every((selector) => known.includes(selector)));
};

/** Containers that give a workload its name, where they have another one. */
const namesakes: Readonly<Record<string, string>> = { "ssf-registry/registry": "distribution" };

/** Workloads with version, readiness and identity. Pure: all that counts is in the arguments. */
export const componentsOf = (
  list: unknown,
  images: Toolchain["images"],
  { registrations, certificates }: Pick<ClusterObjects, "registrations" | "certificates">,
): Component[] =>
  workloads.parse(list).items.map(({ metadata: { namespace, name }, spec: { replicas, template }, status }) => {
    const { serviceAccountName, containers: ownContainers, initContainers, volumes } = template.spec;
    const namesake = namesakes[`${namespace}/${name}`] ?? name;
    const { image } =
      [...initContainers, ...ownContainers].find((one) => one.name === namesake) ?? ownContainers[0] ?? {};
    const mounted = certificates.filter(
      ({ metadata, spec }) =>
        metadata.namespace === namespace && volumes.some(({ secret }) => secret?.secretName === spec.secretName),
    );
    const entries = entriesOf(registrations, namespace, serviceAccountName);
    return {
      namespace,
      name,
      version: Object.values(images).find(({ reference }) => reference === image)?.version,
      ready: status.numberReady ?? status.readyReplicas,
      wanted: status.desiredNumberScheduled ?? replicas,
      identity: entries.length === 0 ? undefined : entries.map(({ spec }) => spec.spiffeID).join(", "),
      identityLife: entries[0]?.spec.x509SVIDTTL,
      certificate: firstExpiryOf(mounted),
    };
  });

/** The certificate that ends first. */
export const firstExpiryOf = (certificates: ClusterObjects["certificates"]): Inside["firstExpiry"] =>
  certificates
    .flatMap(({ metadata, status: { notAfter } }) =>
      notAfter === undefined ? [] : [{ certificate: `${metadata.namespace}/${metadata.name}`, notAfter }],
    )
    .sort((one, other) => Date.parse(one.notAfter) - Date.parse(other.notAfter))[0];

const orNothing = async <T>(answer: Promise<T>): Promise<T | undefined> => {
  try {
    return await answer;
  } catch {
    return undefined;
  }
};

const logState = async (kubectl: Kubectl, { log }: StackOutputs["factory"]["provenance"]): Promise<Inside["log"]> => {
  const { port, close } = await kubectl.portForward(log.namespace, log.service, log.port);
  try {
    const checkpoint = openCheckpoint(await openLog({ ...log, localPort: port }).checkpoint(), log.publicKeyPem);
    return (
      checkpoint && {
        entries: checkpoint.size,
        rootHash: checkpoint.rootHash.toString("hex"),
        checkpoint: checkpoint.note,
      }
    );
  } finally {
    close();
  }
};

const unsignedSchema = z.array(
  z
    .object({ namespace: z.string(), name: z.string(), state: z.string(), attempts: z.int() })
    .transform(({ namespace, name, ...rest }): UnsignedRun => ({ run: `${namespace}/${name}`, ...rest })),
);

const unsignedPath = `/api/v1/namespaces/${CHAINS_WORKLOAD.namespace}/services/http:${SIGNING_HEALER}:${SIGNING_HEALER_PORT}/proxy/unsigned`;

/** Asks the cluster how the factory stands. */
export const lookInside = async (
  kubectl: Kubectl,
  { provenance }: StackOutputs["factory"],
  images: Toolchain["images"],
): Promise<Inside> => {
  const [list, registrations, certificates, log, unsigned] = await Promise.all([
    kubectl.json(["get", "deployments,daemonsets", "--all-namespaces"]),
    orNothing(readObjects(kubectl, "registrations")),
    orNothing(readObjects(kubectl, "certificates")),
    orNothing(logState(kubectl, provenance)),
    orNothing(kubectl.text(["get", "--raw", unsignedPath])),
  ]);
  return {
    components: componentsOf(list, images, { registrations: registrations ?? [], certificates: certificates ?? [] }),
    firstExpiry: firstExpiryOf(certificates ?? []),
    log,
    unsigned: unsigned === undefined ? undefined : unsignedSchema.parse(JSON.parse(unsigned)),
  };
};

const endOf = ({ certificate, identityLife }: Component): string => {
  if (certificate !== undefined) return certificate.notAfter.slice(0, 10);
  return identityLife === undefined ? "" : `within ${identityLife}`;
};

/** Whether all pods of every component are ready. */
export const allReady = ({ components }: Inside): boolean => components.every(({ ready, wanted }) => ready >= wanted);

/** What a person reads, as lines. */
export const describeInside = ({ components, firstExpiry, log, unsigned }: Inside): string[] => {
  const rows = [
    ["component", "version", "ready", "certificate ends", "identity"],
    ...components.map((component) => [
      `${component.namespace}/${component.name}`,
      component.version ?? "not ours",
      `${component.ready}/${component.wanted}`,
      endOf(component),
      component.identity ?? "",
    ]),
  ];
  return [
    ...columns(rows),
    `first certificate to end: ${firstExpiry ? `${firstExpiry.certificate}, ${firstExpiry.notAfter}` : "unknown"}`,
    `log: ${log ? `${log.entries} entries, root ${log.rootHash.slice(0, 12)}` : "no answer"}`,
    `runs without a signature: ${unsigned?.length ?? "no answer"}`,
  ];
};

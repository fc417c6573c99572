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
  /** Version of its first image; undefined for an image that is not of the toolchain. */
  version?: string;
  ready: number;
  wanted: number;
  /** SPIFFE ID of its pods, where they have one. */
  identity?: string;
}

/** What the cluster says about the factory. What it does not answer is left out. */
export interface Inside {
  components: Component[];
  /** The certificate that ends first. */
  firstExpiry?: { certificate: string; notAfter: string };
  /** The log as its present checkpoint has it. */
  log?: { entries: number; rootHash: string };
  /** Runs that have no signature yet, and wait for one. */
  unsigned?: number;
}

const workloads = z.object({
  items: z.array(
    z.object({
      metadata: z.object({ namespace: z.string(), name: z.string() }),
      spec: z.object({
        template: z.object({
          spec: z.object({
            serviceAccountName: z.string().default("default"),
            containers: z.array(z.object({ image: z.string() })),
          }),
        }),
      }),
      status: z.object({
        readyReplicas: z.int().default(0),
        replicas: z.int().default(0),
        numberReady: z.int().optional(),
        desiredNumberScheduled: z.int().optional(),
      }),
    }),
  ),
});

/** Identities of the pods of an account: of every entry that fits all of them. */
const identitiesOf = (
  registrations: ClusterObjects["registrations"],
  namespace: string,
  serviceAccount: string,
): string[] => {
  const known = [`k8s:ns:${namespace}`, `k8s:sa:${serviceAccount}`];
  return registrations
    .filter(({ spec }) => spec.selectors.every((selector) => known.includes(selector)))
    .map(({ spec }) => spec.spiffeID);
};

/** Workloads with version, readiness and identity. Pure: all that counts is in the arguments. */
export const componentsOf = (
  list: unknown,
  images: Toolchain["images"],
  registrations: ClusterObjects["registrations"],
): Component[] =>
  workloads.parse(list).items.map(({ metadata: { namespace, name }, spec: { template }, status }) => {
    const { serviceAccountName, containers } = template.spec;
    const identities = identitiesOf(registrations, namespace, serviceAccountName);
    return {
      namespace,
      name,
      version: Object.values(images).find(({ reference }) => reference === containers[0]?.image)?.version,
      ready: status.numberReady ?? status.readyReplicas,
      wanted: status.desiredNumberScheduled ?? status.replicas,
      identity: identities.length === 0 ? undefined : identities.join(", "),
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
    return checkpoint && { entries: checkpoint.size, rootHash: checkpoint.rootHash.toString("hex") };
  } finally {
    close();
  }
};

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
    components: componentsOf(list, images, registrations ?? []),
    firstExpiry: firstExpiryOf(certificates ?? []),
    log,
    unsigned: unsigned === undefined ? undefined : z.array(z.unknown()).parse(JSON.parse(unsigned)).length,
  };
};

/** What a person reads, as lines. */
export const describeInside = ({ components, firstExpiry, log, unsigned }: Inside): string[] => {
  const rows = [
    ["component", "version", "ready", "identity"],
    ...components.map(({ namespace, name, version, ready, wanted, identity }) => [
      `${namespace}/${name}`,
      version ?? "not ours",
      `${ready}/${wanted}`,
      identity ?? "",
    ]),
  ];
  return [
    ...columns(rows),
    `first certificate to end: ${firstExpiry ? `${firstExpiry.certificate}, ${firstExpiry.notAfter}` : "unknown"}`,
    `log: ${log ? `${log.entries} entries, root ${log.rootHash}` : "no answer"}`,
    `runs without a signature: ${unsigned ?? "no answer"}`,
  ];
};

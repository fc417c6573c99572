/** SPIRE's Workload API as a pod sees it: the CSI driver that mounts it, and the file of its socket below the mount. */
export const WORKLOAD_API = { driver: "csi.spiffe.io", socket: "api.sock" } as const;

/** Pods with an identity of their own: those that run as one service account. */
export interface Workload {
  namespace: string;
  serviceAccount: string;
}

/** Service account, and stage, that pushes what a team's runs have made; the only one of a team that uses its identity. */
export const PUBLISHER = "publish";

/** The volume that mounts the Workload API. */
export const workloadApiVolume = {
  name: "workload-api",
  csi: { driver: WORKLOAD_API.driver, readOnly: true },
} as const;

const PATH = "/spiffe-workload-api";

/** Where it is mounted, by whatever program asks for an identity. */
export const workloadApiMount = { name: workloadApiVolume.name, mountPath: PATH, readOnly: true } as const;

const SOCKET = `${PATH}/${WORKLOAD_API.socket}`;

/** Variable by which programs find the socket, as SPIFFE's specification of the Workload API has it. */
export const workloadApiVariable = { name: "SPIFFE_ENDPOINT_SOCKET", value: `unix://${SOCKET}` } as const;

/** The same for Sigstore's client, which takes a path. */
export const workloadApiPathVariable = { name: workloadApiVariable.name, value: SOCKET } as const;

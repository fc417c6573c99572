/** The user and group that every image of the factory runs as. */
const NON_ROOT = 65532;

/** Pod-level security of an ordinary service of the factory; holds under Pod Security `restricted`. */
export const restrictedPod = {
  runAsNonRoot: true,
  runAsUser: NON_ROOT,
  runAsGroup: NON_ROOT,
  fsGroup: NON_ROOT,
  seccompProfile: { type: "RuntimeDefault" },
};

/** Container-level security of an ordinary service of the factory; holds under Pod Security `restricted`. */
export const restrictedContainer = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  runAsNonRoot: true,
  capabilities: { drop: ["ALL"] },
  seccompProfile: { type: "RuntimeDefault" },
};

/** Container-level security of a service that needs files of its node's root, and no other right of root's. */
export const rootContainer = {
  runAsUser: 0,
  runAsGroup: 0,
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ["ALL"] },
  seccompProfile: { type: "RuntimeDefault" },
};

/**
 * What a container needs to talk to the API server as its pod's service account, for pods that mount no token by
 * themselves: a token of an hour, and the cluster's authority.
 */
export const apiAccess = {
  volume: {
    name: "api-access",
    projected: {
      defaultMode: 0o440,
      sources: [
        { serviceAccountToken: { path: "token", expirationSeconds: 3600 } },
        { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
        {
          downwardAPI: {
            items: [{ path: "namespace", fieldRef: { apiVersion: "v1", fieldPath: "metadata.namespace" } }],
          },
        },
      ],
    },
  },
  mount: { name: "api-access", mountPath: "/var/run/secrets/kubernetes.io/serviceaccount", readOnly: true },
};

/** Requests and limits in the spelling that the API server gives back, so that a second preview shows no change. */
export interface Resources {
  requests: { cpu: string; memory: string };
  limits: { cpu: string; memory: string };
}

/** Small requests, and limits high enough for the worst moment. */
export const resources = (
  request: { cpu: string; memory: string },
  limit: { cpu: string; memory: string },
): Resources => ({
  requests: { cpu: request.cpu, memory: request.memory },
  limits: { cpu: limit.cpu, memory: limit.memory },
});

import type * as k8s from "@pulumi/kubernetes";

/** Policies that the cluster's network enforces. */
export enum NetworkPolicies {
  /** Cilium's own as well as those of Kubernetes: names of hosts, questions to name servers, nodes. */
  Cilium = "cilium",
  /** Those of Kubernetes alone: addresses and pods. */
  Kubernetes = "kubernetes",
}

/** Pods of one namespace, as a peer of a NetworkPolicy. @param labels those of the pods; all pods without them */
export const podPeer = (
  namespace: string,
  labels?: Record<string, string>,
): k8s.types.input.networking.v1.NetworkPolicyPeer => ({
  namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": namespace } },
  ...(labels === undefined ? {} : { podSelector: { matchLabels: labels } }),
});

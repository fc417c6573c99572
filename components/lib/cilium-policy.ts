import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";

/** What a {@link ciliumPolicy} says; the fields of `spec` that the factory uses. */
export interface CiliumPolicySpec {
  /** One sentence. */
  description: string;
  endpointSelector: { matchLabels?: Record<string, string> };
  ingress?: object[];
  egress?: object[];
}

/** A CiliumNetworkPolicy. What it selects is denied what no policy allows, in the directions that it has rules for. */
export const ciliumPolicy = (
  name: string,
  metadata: { name: string; namespace: string; labels: Record<string, string> },
  spec: CiliumPolicySpec,
  opts: pulumi.CustomResourceOptions,
): k8s.apiextensions.CustomResource =>
  new k8s.apiextensions.CustomResource(
    name,
    { apiVersion: "cilium.io/v2", kind: "CiliumNetworkPolicy", metadata, spec },
    opts,
  );

/**
 * Lets the nodes themselves open connections to all pods of the policy's namespace: to Cilium a node is no pod and no
 * address, and policies of Kubernetes let in only the node that the pod runs on.
 */
export const fromNodes = (description: string, port: number): CiliumPolicySpec => ({
  description,
  endpointSelector: {},
  ingress: [{ fromEntities: ["host", "remote-node"], toPorts: [{ ports: [{ port: String(port), protocol: "TCP" }] }] }],
});

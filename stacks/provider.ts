import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";

/**
 * The one provider of a stack.
 * The identifier keeps the stack's objects when the kubeconfig's text changes, for instance by a new certificate.
 */
export const clusterProvider = (cluster: { kubeconfig: string; clusterIdentifier: string }): k8s.Provider =>
  new k8s.Provider("cluster", {
    kubeconfig: pulumi.secret(cluster.kubeconfig),
    clusterIdentifier: cluster.clusterIdentifier,
    enableServerSideApply: true,
  });

import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";

/** A service account without rights, which says whose pods these are; they mount no token by themselves. */
export const plainAccount = (
  resource: string,
  metadata: { name: string; namespace: string; labels: Record<string, string> },
  opts: pulumi.CustomResourceOptions,
): k8s.core.v1.ServiceAccount =>
  new k8s.core.v1.ServiceAccount(`${resource}-account`, { metadata, automountServiceAccountToken: false }, opts);

/** Arguments of {@link clusterAccount}. */
export interface ClusterAccountArgs {
  /** Name of the account, of its ClusterRole and of their binding. */
  name: string;
  namespace: string;
  labels: Record<string, string>;
  /** What its pods may do in the whole cluster. */
  rules: k8s.types.input.rbac.v1.PolicyRule[];
}

/** A service account with rights in the whole cluster; its pods mount no token by themselves. */
export const clusterAccount = (
  resource: string,
  { name, namespace, labels, rules }: ClusterAccountArgs,
  { child, inNamespace }: { child: pulumi.CustomResourceOptions; inNamespace: pulumi.CustomResourceOptions },
) => {
  const account = plainAccount(resource, { name, namespace, labels }, inNamespace);
  const role = new k8s.rbac.v1.ClusterRole(`${resource}-role`, { metadata: { name, labels }, rules }, child);
  const binding = new k8s.rbac.v1.ClusterRoleBinding(
    `${resource}-role-binding`,
    {
      metadata: { name, labels },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: role.metadata.name },
      subjects: [{ kind: "ServiceAccount", name, namespace }],
    },
    child,
  );
  return { account, binding };
};

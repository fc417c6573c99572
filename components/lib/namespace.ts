import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";

import { podSecurity } from "./labels";
import { timeouts } from "./timeouts";

/** Arguments of {@link openNamespace}. */
export interface NamespaceArgs {
  /** Name of the namespace. */
  name: string;
  /** Its labels, without those of Pod Security. */
  labels: Record<string, string>;
  /** Its annotations. @default none */
  annotations?: Record<string, pulumi.Input<string>>;
  /** Level of the Pod Security Standards that its pods are held to. */
  level: "restricted" | "privileged";
}

/**
 * A component's own namespace, and the options of what it makes: `child` for objects of the cluster, `inNamespace` for
 * those that come after the namespace and go with it.
 */
export const openNamespace = (resource: string, parent: pulumi.Resource, args: NamespaceArgs) => {
  const child = { parent, customTimeouts: timeouts.plain };
  const namespace = new k8s.core.v1.Namespace(
    `${resource}-ns`,
    {
      metadata: {
        name: args.name,
        labels: { ...args.labels, ...podSecurity(args.level) },
        ...(args.annotations === undefined ? {} : { annotations: args.annotations }),
      },
    },
    child,
  );
  return { child, namespace, inNamespace: { ...child, dependsOn: [namespace], deletedWith: namespace } };
};

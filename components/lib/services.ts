import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";

import { selectorLabels } from "./labels";

/**
 * The service of pods that serve TLS, under the name that they are labelled with.
 *
 * @param clusterIp its address; one of the cluster's choice without it
 */
export const tlsService = (
  resource: string,
  metadata: { name: string; namespace: string; labels: Record<string, string> },
  port: number,
  opts: pulumi.CustomResourceOptions,
  clusterIp?: string,
): k8s.core.v1.Service =>
  new k8s.core.v1.Service(
    resource,
    {
      metadata: { ...metadata, annotations: { "pulumi.com/skipAwait": "true" } },
      spec: {
        type: "ClusterIP",
        ...(clusterIp === undefined ? {} : { clusterIP: clusterIp }),
        selector: selectorLabels(metadata.name),
        ports: [{ name: "https", port, targetPort: port, protocol: "TCP" }],
      },
    },
    opts,
  );

import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";

/** What a server asks of its volume. */
export interface VolumeRequest {
  /** Size as a Kubernetes quantity. */
  size: string;
  /** Class of the volume. @default the cluster's default class */
  storageClass?: pulumi.Input<string>;
}

/** The claim of a volume that the pods of one node write. */
export const claimVolume = (
  resource: string,
  metadata: { name: string; namespace: string; labels: Record<string, string> },
  { size, storageClass }: VolumeRequest,
  opts: pulumi.CustomResourceOptions,
): k8s.core.v1.PersistentVolumeClaim =>
  new k8s.core.v1.PersistentVolumeClaim(
    resource,
    {
      // It binds only when its first pod is scheduled, so waiting for it before that would never end.
      metadata: { ...metadata, annotations: { "pulumi.com/skipAwait": "true" } },
      spec: {
        accessModes: ["ReadWriteOnce"],
        storageClassName: storageClass,
        resources: { requests: { storage: size } },
      },
    },
    opts,
  );

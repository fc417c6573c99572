import * as pulumi from "@pulumi/pulumi";

/** Types of what holds data that nothing could make again: clusters, volumes, and the seeds of keys and passwords. */
const HOLDERS = [
  "kind:index:Cluster",
  "kubernetes:core/v1:PersistentVolumeClaim",
  "random:index/randomBytes:RandomBytes",
  "random:index/randomPassword:RandomPassword",
];

/** Lets Pulumi refuse to remove what of the stack holds data, whatever component makes it. */
export const protectData = (): void => {
  pulumi.runtime.registerStackTransformation(({ type, props, opts }) =>
    HOLDERS.includes(type) ? { props, opts: { ...opts, protect: true } } : undefined,
  );
};

import * as pulumi from "@pulumi/pulumi";

import { sha256 } from "./digest";

/** Annotation of a pod template that changes when the pod's configuration does, so that the pods are replaced. */
const CONFIG_HASH = "secure-software-factory.dev/config-hash";

/**
 * {@link CONFIG_HASH} over all `contents`.
 * The digest of a secret says nothing about the secret as long as the secret cannot be guessed; all of ours are random.
 */
export const configHash = (...contents: pulumi.Input<string>[]): pulumi.Output<Record<string, string>> =>
  pulumi.unsecret(
    pulumi
      .all(contents)
      .apply((all): Record<string, string> => ({ [CONFIG_HASH]: sha256(all.map(sha256).join("\n")) })),
  );

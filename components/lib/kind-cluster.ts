import * as pulumi from "@pulumi/pulumi";

/** Inputs of {@link KindCluster}; see the provider in `tools/plugins/kind`. */
export interface KindClusterArgs {
  name: pulumi.Input<string>;
  nodeImage: pulumi.Input<string>;
  nodeArchive: pulumi.Input<string>;
  imageArchive: pulumi.Input<string>;
  bin: pulumi.Input<string>;
  config: pulumi.Input<string>;
  files: pulumi.Input<Record<string, string>>;
}

/** A kind cluster, served by the provider in `tools/plugins/kind`. */
export class KindCluster extends pulumi.CustomResource {
  declare public readonly kubeconfig: pulumi.Output<string>;

  constructor(name: string, args: KindClusterArgs, opts?: pulumi.CustomResourceOptions) {
    const secret = { additionalSecretOutputs: ["kubeconfig", "files"] };
    super("kind:index:Cluster", name, { ...args, kubeconfig: undefined }, pulumi.mergeOptions(secret, opts));
  }
}

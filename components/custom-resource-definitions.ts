import * as pulumi from "@pulumi/pulumi";

import { certManagerCrds } from "./cert-manager";
import { gatekeeperCrds } from "./gatekeeper";
import { createObjects } from "./lib/manifests";
import { spireCrds } from "./spire";
import { tektonCrds } from "./tekton";
import { triggersCrds } from "./triggers";

/** Arguments of {@link CustomResourceDefinitions}: directories with upstream's manifests. */
export interface CustomResourceDefinitionsArgs {
  certManager: string;
  gatekeeper: string;
  spireControllerManager: string;
  tekton: string;
  triggers: string;
}

/**
 * The kinds that a factory's components bring to its cluster.
 *
 * They belong to the cluster's stack: every component needs them first, and none of them changes with a factory's settings.
 * @example
 * new CustomResourceDefinitions("crds", { certManager, gatekeeper, spireControllerManager, tekton, triggers }, opts);
 */
export class CustomResourceDefinitions extends pulumi.ComponentResource {
  /** Their names, once the API server has them. */
  public readonly names: pulumi.Output<string[]>;

  /** @param opts with `deletedWith`, which takes them and all objects of their kinds with it when it goes */
  constructor(name: string, args: CustomResourceDefinitionsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("secure-software-factory:index:CustomResourceDefinitions", name, args, opts);
    const definitions = [
      ...certManagerCrds(args.certManager),
      ...gatekeeperCrds(args.gatekeeper),
      ...spireCrds(args.spireControllerManager),
      ...tektonCrds(args.tekton),
      ...triggersCrds(args.triggers),
    ];
    const made = createObjects(definitions, { name, parent: this, deletedWith: opts?.deletedWith });
    this.names = pulumi.all(made.map(({ id }) => id));
    this.registerOutputs({ names: this.names });
  }
}

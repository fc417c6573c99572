import { GATE_LABEL } from "../../../components/lib/labels";
import { imageProvenance } from "./image-provenance";
import { imagesByDigest } from "./images-by-digest";
import { celSource, type GateObject, type GateTemplate, workloadConstraint } from "./template";
import { workloadBounds } from "./workload-bounds";

export { PROVIDER_OBJECT, providerSpec } from "./image-provenance";
export type { GateObject, GateTemplate } from "./template";

/** Every template of the gate. */
export const gateTemplates: readonly GateTemplate[] = [imagesByDigest, workloadBounds, imageProvenance];

/** Every rule of the gate; they hold in the namespaces that ask for it by their label. */
export const gateConstraints: readonly GateObject[] = [
  workloadConstraint(imagesByDigest, "ssf-images-by-digest", GATE_LABEL),
  workloadConstraint(workloadBounds, "ssf-workload-bounds", GATE_LABEL),
  workloadConstraint(imageProvenance, "ssf-image-provenance", GATE_LABEL),
];

/**
 * The constraints of all templates as kubectl asks for them. Their category would name them too, but not to a kubectl that has
 * looked at the cluster a moment before they were there.
 */
export const CONSTRAINT_RESOURCES = gateTemplates
  .map(({ metadata }) => `${metadata.name}.constraints.gatekeeper.sh`)
  .join(",");

/** Names of the policies of the API server, and of their bindings, that Gatekeeper makes of the rules in CEL. */
export const generatedRules: readonly { policy: string; binding: string }[] = gateConstraints.flatMap(
  ({ kind, metadata }) =>
    gateTemplates
      .filter((template) => template.spec.crd.spec.names.kind === kind && celSource(template) !== undefined)
      .map((template) => {
        const policy = `gatekeeper-${template.metadata.name}`;
        return { policy, binding: `${policy}-${metadata.name}` };
      }),
);

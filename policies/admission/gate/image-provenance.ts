import { deadlines } from "./deadlines";
import { type GateTemplate, regoTemplate } from "./template";

/** Name of the provider that {@link imageProvenance} asks. */
export const PROVIDER = "image-provenance";

/** What the provider answers for an image that may run. */
export const ADMITTED = "admitted";

/**
 * Workloads run images whose provenance holds. Every image must have an answer of its own that admits it: an answer that
 * is missing, late, of another form or beside an error refuses, and so does a workload in which no image is found.
 */
export const imageProvenance: GateTemplate = regoTemplate(
  "ImageProvenance",
  "A workload runs images that this factory built, from the source and by the pipeline that their provenance names.",
  `package imageprovenance

pod := input.review.object.spec if input.review.object.kind == "Pod"

pod := input.review.object.spec.jobTemplate.spec.template.spec if input.review.object.kind == "CronJob"

pod := input.review.object.spec.template.spec if not input.review.object.kind in {"Pod", "CronJob"}

images contains object.get(container, "image", "") if {
	some field in ["initContainers", "containers", "ephemeralContainers"]
	some container in pod[field]
}

answer := external_data({"provider": "${PROVIDER}", "keys": [image | some image in images]})

admitted contains key if {
	object.get(answer, "system_error", "") == ""
	some [key, value] in answer.responses
	value == "${ADMITTED}"
	count(said(key)) == 0
}

said(image) := [reason | some [key, reason] in answer.errors; key == image]

reason(image) := concat(" ", said(image)) if count(said(image)) > 0

reason(image) := sprintf("SSF-GATE-004 %v: the verifier gave no answer: %v", [image, system_error]) if not count(said(image)) > 0

default system_error := "none came"

system_error := answer.system_error if answer.system_error != ""

violation contains {"msg": reason(image)} if {
	some image in images
	not image in admitted
}

violation contains {"msg": "SSF-GATE-005 containers[]: none found; rule: A workload names what it runs. fix: Give it containers."} if count(images) == 0
`,
);

/** The provider as an object of the cluster, but for its {@link providerSpec}. */
export const PROVIDER_OBJECT = {
  apiVersion: "externaldata.gatekeeper.sh/v1beta1",
  kind: "Provider",
  metadata: { name: PROVIDER },
} as const;

/** What Gatekeeper must know of the provider: where it is, whose certificate it shows, and how long it may take. */
export const providerSpec = (url: string, caPem: string) => ({
  url,
  timeout: deadlines.providerSeconds,
  caBundle: Buffer.from(caPem).toString("base64"),
});

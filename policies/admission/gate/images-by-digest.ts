import { text } from "../rule";
import { celTemplate, type GateObject } from "./template";

const byDigest = text("^[^@ ]+@sha256:[0-9a-f]{64}$");

const images = ["initContainers", "containers", "ephemeralContainers"]
  .map((field) => `variables.pod.?${field}.orValue([])`)
  .join(" + ");

/** Where the form of a pod stands in each kind of workload; where none stands, evaluation fails and refuses. */
const pod = [
  'variables.anyObject.kind == "Pod" ? variables.anyObject.spec',
  'variables.anyObject.kind == "CronJob" ? variables.anyObject.spec.jobTemplate.spec.template.spec',
  "variables.anyObject.spec.template.spec",
].join(" : ");

/** Workloads run images by digest only: a tag can name another image a moment after it was looked at. */
export const imagesByDigest: GateObject = celTemplate({
  kind: "ImagesByDigest",
  protects: "A workload runs the image that was looked at, and no other that took its tag.",
  variables: [
    { name: "pod", expression: pod },
    { name: "byTag", expression: `(${images}).filter(c, !c.?image.orValue("").matches(${byDigest}))` },
  ],
  validations: [
    {
      admits: "size(variables.byTag) == 0",
      message: [
        text("SSF-GATE-001 containers[].image: "),
        'variables.byTag.map(c, c.name + " runs " + c.?image.orValue("no image")).join(", ")',
        text("; rule: A workload names its images by digest. fix: Write <repository>@sha256:<64 hexadecimal digits>."),
      ].join(" + "),
    },
  ],
});

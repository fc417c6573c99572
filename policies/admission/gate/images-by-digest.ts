import { text } from "../rule";
import { eachOf, podVariables } from "./pod-template";
import { celTemplate, type GateTemplate } from "./template";

const byDigest = text("^[^@ ]+@sha256:[0-9a-f]{64}$");

/** Workloads run images by digest only: a tag can name another image a moment after it was looked at. */
export const imagesByDigest: GateTemplate = celTemplate({
  kind: "ImagesByDigest",
  protects: "A workload runs the image that was looked at, and no other that took its tag.",
  variables: [
    ...podVariables,
    { name: "byTag", expression: `variables.containers.filter(c, !c.?image.orValue("").matches(${byDigest}))` },
  ],
  validations: [
    {
      admits: "size(variables.byTag) == 0",
      message: [
        text("SSF-GATE-001 containers[].image: "),
        eachOf("variables.byTag", '" runs " + c.?image.orValue("no image")'),
        text("; rule: A workload names its images by digest. fix: Write <repository>@sha256:<64 hexadecimal digits>."),
      ].join(" + "),
    },
  ],
});

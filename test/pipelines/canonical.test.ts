import * as crypto from "node:crypto";
import { canonicalBytes, digest, type TektonObject } from "../../pipelines";
import { isCanonicalQuantity } from "../../pipelines/canonical";
import { canonicalCases } from "./canonical-cases";
import { problemsOf } from "./problems";

const task = (step: object, spec: object = {}): TektonObject => ({
  apiVersion: "tekton.dev/v1",
  kind: "Task",
  metadata: { name: "t", namespace: "n" },
  spec: { steps: [{ name: "one", ...step }], ...spec },
});

describe("canonical bytes", () => {
  test.each(canonicalCases)("of $name", ({ definition, bytes }) => {
    expect(canonicalBytes(definition).toString("utf8")).toBe(bytes);
    expect(digest(definition)).toBe(crypto.createHash("sha256").update(bytes, "utf8").digest("hex"));
  });

  test("leave the definition as it was", () => {
    for (const { definition } of canonicalCases) {
      const before = JSON.stringify(definition);
      canonicalBytes(definition);
      expect(JSON.stringify(definition)).toBe(before);
    }
  });

  test.each<[string, TektonObject, string]>([
    [
      "a field of the spec that Tekton has and we do not know",
      task({}, { sidecars: [] }),
      "SSF-PIPELINE-012 Task/t.spec.sidecars",
    ],
    ["a field of a step that nobody knows", task({ scrip: "" }), "SSF-PIPELINE-012 Task/t.spec.steps[0].scrip"],
    [
      "a host path",
      task({}, { volumes: [{ name: "v", hostPath: { path: "/" } }] }),
      "SSF-PIPELINE-012 Task/t.spec.volumes[0].hostPath",
    ],
    ["a number for text", task({ image: 1 }), "SSF-PIPELINE-013 Task/t.spec.steps[0].image"],
    ["null", task({ image: null }), "SSF-PIPELINE-013 Task/t.spec.steps[0].image"],
    [
      "text for a number",
      task({ securityContext: { runAsUser: "0" } }),
      "SSF-PIPELINE-013 Task/t.spec.steps[0].securityContext.runAsUser",
    ],
    [
      "text for a flag",
      task({ securityContext: { privileged: "true" } }),
      "SSF-PIPELINE-013 Task/t.spec.steps[0].securityContext.privileged",
    ],
    ["an object for a list", task({ args: {} }), "SSF-PIPELINE-013 Task/t.spec.steps[0].args"],
    ["a lone surrogate", task({ script: "\ud800" }), "SSF-PIPELINE-013 Task/t.spec.steps[0].script"],
    [
      "a quantity that Kubernetes would rewrite",
      task({ computeResources: { limits: { memory: "1024Mi" } } }),
      "SSF-PIPELINE-013 Task/t.spec.steps[0].computeResources.limits.memory",
    ],
  ])("are refused for %s", (_, definition, problem) => {
    expect(problemsOf(() => canonicalBytes(definition))).toEqual([problem]);
  });

  test.each(["0", "1", "500m", "1500m", "1k", "1023Mi", "1Gi", "1025Gi", "1024Ei", "999"])(
    "know quantity %s",
    (value) => {
      expect(isCanonicalQuantity(value)).toBe(true);
    },
  );

  test.each(["", "00", "01", "0Gi", "1000m", "1000", "1024Mi", "0.5", "1e3", "+1", "-1", " 1", "1GiB", "1K"])(
    "do not know quantity %j",
    (value) => {
      expect(isCanonicalQuantity(value)).toBe(false);
    },
  );
});

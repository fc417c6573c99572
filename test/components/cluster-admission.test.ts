import { ClusterAdmission } from "../../components/cluster-admission";
import { inputAt, render } from "../support/render";

const images = ["registry.test/component@sha256:1"];

test("what may run in kube-system is a list of images, and nothing is exempt from it", async () => {
  const rendering = await render(() => new ClusterAdmission("cluster-admission", { images }));
  const [policy, binding] = ["policy", "binding"].map((part) =>
    rendering.get(`cluster-admission-system-images-${part}`),
  );
  expect(policy && inputAt(policy, "metadata.name")).toBe("ssf-system-images");
  expect(policy && inputAt(policy, "spec.failurePolicy")).toBe("Fail");
  expect(JSON.stringify(policy && inputAt(policy, "spec.variables"))).toContain(images[0]);
  expect(binding && inputAt(binding, "spec")).toMatchObject({
    policyName: "ssf-system-images",
    validationActions: ["Deny", "Audit"],
    matchResources: { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "kube-system" } } },
  });
});

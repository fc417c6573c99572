import { SIGNING_HEALER, SigningHealer, signingHealerPeer } from "../../components/signing-healer";
import { inputAt, render, type Rendering, testImage, valueOf } from "../support/render";

describe("SigningHealer", () => {
  let rendering: Rendering;
  let healer: SigningHealer;
  beforeAll(async () => {
    rendering = await render(() => {
      healer = new SigningHealer("healer", {
        image: testImage("signing-healer"),
        namespace: "tekton-chains",
        caPem: "CA",
        requires: ["https://fulcio.test/configuration", "https://rekor.test/log"],
      });
    });
  });

  test("makes these objects and no others", () => {
    expect(rendering.childrenOf("healer")).toEqual([
      "apps/v1:Deployment healer-deployment",
      "core/v1:ConfigMap healer-authority",
      "core/v1:Service healer-service",
      "core/v1:ServiceAccount healer-account",
      "networking.k8s.io/v1:NetworkPolicy healer-policy",
      "rbac.authorization.k8s.io/v1:ClusterRole healer-role",
      "rbac.authorization.k8s.io/v1:ClusterRoleBinding healer-role-binding",
    ]);
  });

  test("may take marks away from runs, and nothing else", () => {
    expect(rendering.get("healer-role").inputs.rules).toEqual([
      { apiGroups: ["tekton.dev"], resources: ["pipelineruns"], verbs: ["get", "list", "watch", "patch"] },
    ]);
  });

  test("holds no Secret, and knows by the factory's authority whom it asks", () => {
    expect(inputAt(rendering.get("healer-deployment"), "spec.template.spec")).toMatchObject({
      automountServiceAccountToken: false,
      containers: [
        {
          image: testImage("signing-healer"),
          args: [
            "--ca=/etc/factory-ca/ca.crt",
            "--requires=https://fulcio.test/configuration",
            "--requires=https://rekor.test/log",
          ],
        },
      ],
    });
    expect(inputAt(rendering.get("healer-authority"), "data")).toEqual({ "ca.crt": "CA" });
    const deployment = JSON.stringify(rendering.get("healer-deployment").inputs);
    expect(deployment).not.toMatch(/"secret(Name|Ref|KeyRef)?":/);
  });

  test("is connected to by no pod, and is known to those that it asks", () => {
    const { podSelector } = signingHealerPeer("tekton-chains");
    expect(rendering.get("healer-policy").inputs.spec).toEqual({ podSelector, policyTypes: ["Ingress"] });
    expect(rendering.get("healer-deployment").dependsOn).toEqual(
      expect.arrayContaining(["healer-role-binding", "healer-policy"]),
    );
  });

  test("gives the service that lists what has no signature yet", async () => {
    await expect(valueOf(healer.service)).resolves.toBe(SIGNING_HEALER);
  });
});

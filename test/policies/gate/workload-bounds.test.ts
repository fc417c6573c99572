import { workloadBounds } from "../../../policies/admission/gate/workload-bounds";
import { describeWith } from "../../support/programs";
import { everywhere, type GateCase, verifyCases } from "./gator";

const container = (more: object = {}) => ({
  name: "web",
  image: "app",
  resources: { limits: { memory: "64Mi" } },
  securityContext: { readOnlyRootFilesystem: true },
  ...more,
});
const pod = (spec: object = {}) => ({ automountServiceAccountToken: false, containers: [container()], ...spec });
const object = (apiVersion: string, kind: string, spec: object) => ({
  apiVersion,
  kind,
  metadata: { name: "web", namespace: "shop" },
  spec,
});
const cronJob = (spec: object) =>
  object("batch/v1", "CronJob", { jobTemplate: { spec: { template: { spec: pod(spec) } } } });
const first = (more: object) => ({ initContainers: [container({ name: "first", ...more })] });

const cases: GateCase[] = [
  { name: "a pod within bounds", object: object("v1", "Pod", pod()) },
  { name: "a deployment within bounds", object: object("apps/v1", "Deployment", { template: { spec: pod() } }) },
  { name: "a cron job within bounds", object: cronJob({}) },
  { name: "an init container within bounds", object: object("v1", "Pod", pod(first({}))) },
  {
    name: "an ephemeral container, which can have no limits",
    object: object(
      "v1",
      "Pod",
      pod({ ephemeralContainers: [{ name: "debug", securityContext: { readOnlyRootFilesystem: true } }] }),
    ),
  },
  {
    name: "a container that may change its files",
    object: object("v1", "Pod", pod({ containers: [container({ securityContext: {} })] })),
    refusal: "^SSF-GATE-007 .*not true for web; rule: .* fix: ",
  },
  {
    name: "an init container that says nothing",
    object: object("v1", "Pod", pod(first({ securityContext: undefined }))),
    refusal: "SSF-GATE-007 .*not true for first;",
  },
  {
    name: "an ephemeral container that may",
    object: object("v1", "Pod", pod({ ephemeralContainers: [{ name: "debug" }] })),
    refusal: "SSF-GATE-007 .*not true for debug;",
  },
  {
    name: "a cron job whose container may",
    object: cronJob({ containers: [container({ securityContext: { readOnlyRootFilesystem: false } })] }),
    refusal: "SSF-GATE-007",
  },
  {
    name: "a container without limits",
    object: object("v1", "Pod", pod({ containers: [container({ resources: {} })] })),
    refusal: "^SSF-GATE-008 .*none for web; rule: .* fix: ",
  },
  {
    name: "a container with a limit of something else",
    object: object("v1", "Pod", pod({ containers: [container({ resources: { limits: { cpu: "1" } } })] })),
    refusal: "SSF-GATE-008",
  },
  {
    name: "an init container without resources",
    object: object("v1", "Pod", pod(first({ resources: undefined }))),
    refusal: "SSF-GATE-008 .*none for first;",
  },
  {
    name: "a pod that asks for a token",
    object: object("v1", "Pod", pod({ automountServiceAccountToken: true })),
    refusal: "^SSF-GATE-009 ",
  },
  {
    name: "a pod that does not say",
    object: object("v1", "Pod", pod({ automountServiceAccountToken: undefined })),
    refusal: "SSF-GATE-009 spec.automountServiceAccountToken: not false; rule: .* fix: ",
  },
];

describeWith("gator")("bounds of workloads, in Gatekeeper's own engine", () => {
  test("every case is admitted or refused as it must be", async () => {
    const report = await verifyCases(workloadBounds, everywhere(workloadBounds), cases);
    expect(report.match(/--- PASS: /g)).toHaveLength(cases.length + 1);
  }, 120_000);
});

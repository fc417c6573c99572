import { imagesByDigest } from "../../../policies/admission/gate/images-by-digest";
import { describeWith } from "../../support/programs";
import { everywhere, type GateCase, verifyCases } from "./gator";

const digest = `registry.test/app@sha256:${"a".repeat(64)}`;
const constraint = everywhere(imagesByDigest);

const object = (apiVersion: string, kind: string, spec: object) => ({
  apiVersion,
  kind,
  metadata: { name: "web", namespace: "shop" },
  spec,
});
const pod = (spec: object) => object("v1", "Pod", spec);
const running = (image?: string) => ({ containers: [{ name: "web", image }] });
const template = (image: string) => ({ template: { spec: running(image) } });

const cases: GateCase[] = [
  { name: "a pod by digest", object: pod(running(digest)) },
  { name: "a pod by tag and digest", object: pod(running(digest.replace("@", ":1.0@"))) },
  { name: "a deployment by digest", object: object("apps/v1", "Deployment", template(digest)) },
  { name: "a cron job by digest", object: object("batch/v1", "CronJob", { jobTemplate: { spec: template(digest) } }) },
  {
    name: "a pod by tag",
    object: pod(running("registry.test/app:1.0")),
    refusal:
      "^SSF-GATE-001 containers\\[\\]\\.image: web runs registry\\.test/app:1\\.0; rule: .* fix: Write .*@sha256:",
  },
  { name: "a pod without tag", object: pod(running("app")), refusal: "web runs app;" },
  { name: "a container without image", object: pod(running()), refusal: "web runs no image;" },
  { name: "an empty image", object: pod(running("")), refusal: "web runs ;" },
  { name: "a digest that is too short", object: pod(running(digest.slice(0, -1))), refusal: "SSF-GATE-001" },
  { name: "a digest with something behind it", object: pod(running(`${digest}f`)), refusal: "SSF-GATE-001" },
  {
    name: "a digest of another kind",
    object: pod(running(digest.replace("sha256", "sha512"))),
    refusal: "SSF-GATE-001",
  },
  {
    name: "a second container by tag",
    object: pod({
      containers: [
        { name: "web", image: digest },
        { name: "side", image: "side:1" },
      ],
    }),
    refusal: "image: side runs side:1;",
  },
  {
    name: "an init container by tag",
    object: pod({ ...running(digest), initContainers: [{ name: "init", image: "init:1" }] }),
    refusal: "init runs init:1",
  },
  {
    name: "an ephemeral container by tag",
    object: pod({ ...running(digest), ephemeralContainers: [{ name: "debug", image: "debug:1" }] }),
    refusal: "debug runs debug:1",
  },
  ...["Deployment", "DaemonSet", "StatefulSet", "ReplicaSet"].map((kind) => ({
    name: `a ${kind} by tag`,
    object: object("apps/v1", kind, template("app:1")),
    refusal: "web runs app:1",
  })),
  {
    name: "a ReplicationController by tag",
    object: object("v1", "ReplicationController", template("app:1")),
    refusal: "app:1",
  },
  { name: "a job by tag", object: object("batch/v1", "Job", template("app:1")), refusal: "web runs app:1" },
  {
    name: "a cron job by tag",
    object: object("batch/v1", "CronJob", { jobTemplate: { spec: template("app:1") } }),
    refusal: "web runs app:1",
  },
  // Not evaluable: neither engine admits it.
  { name: "a deployment without pods", object: object("apps/v1", "Deployment", {}), refusal: "." },
  { name: "a replication controller without pods", object: object("v1", "ReplicationController", {}), refusal: "." },
];

describeWith("gator")("images by digest, in Gatekeeper's own engine", () => {
  test("every case is admitted or refused as it must be", async () => {
    const report = await verifyCases(imagesByDigest, constraint, cases);
    expect(report.match(/--- PASS: /g)).toHaveLength(cases.length + 1);
  }, 120_000);
});

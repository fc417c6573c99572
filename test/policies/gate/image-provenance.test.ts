import { imageProvenance, PROVIDER_OBJECT, providerSpec } from "../../../policies/admission/gate/image-provenance";
import { type GateObject, workloadConstraint } from "../../../policies/admission/gate/template";
import { describeWith } from "../../support/programs";
import { everywhere, type GateCase, verifyCases } from "./gator";

const image = `registry.test/app@sha256:${"a".repeat(64)}`;
const other = image.replaceAll("a", "b");

/** The template with an answer in the place of the question, since gator asks no provider. */
const answered = (): GateObject => {
  const text = JSON.stringify(imageProvenance);
  const question = /external_data\(.*?\}\)/;
  expect(text.match(question)).toHaveLength(1);
  const template = JSON.parse(text.replace(question, "input.parameters.answer")) as GateObject;
  const validation = { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } };
  const { crd, ...rest } = template.spec as { crd: { spec: object } };
  return { ...template, spec: { ...rest, crd: { spec: { ...crd.spec, validation } } } };
};

const constraint = (answer: unknown): GateObject => {
  const object = everywhere(imageProvenance);
  return { ...object, spec: { ...object.spec, parameters: { answer } } };
};

const object = (apiVersion: string, kind: string, spec: object) => ({
  apiVersion,
  kind,
  metadata: { name: "web", namespace: "shop" },
  spec,
});
const running = (...images: string[]) => ({
  containers: images.map((one, index) => ({ name: `c${index}`, image: one })),
});
const pod = (spec: object) => object("v1", "Pod", spec);

const good = { responses: [[image, "admitted"]], errors: [], status_code: 200, system_error: "" };

const answers: [string, unknown, GateCase[]][] = [
  [
    "an answer that admits one image",
    good,
    [
      { name: "the image", object: pod(running(image)) },
      { name: "the image twice", object: pod(running(image, image)) },
      { name: "a deployment", object: object("apps/v1", "Deployment", { template: { spec: running(image) } }) },
      {
        name: "a cron job",
        object: object("batch/v1", "CronJob", { jobTemplate: { spec: { template: { spec: running(image) } } } }),
      },
      { name: "another image", object: pod(running(other)), refusal: "^SSF-GATE-004 .*bbb: .*none came" },
      { name: "another one beside it", object: pod(running(image, other)), refusal: "^SSF-GATE-004 .*bbb" },
      {
        name: "another one in an init container",
        object: pod({ ...running(image), initContainers: [{ name: "i", image: other }] }),
        refusal: "bbb",
      },
      {
        name: "another one in an ephemeral container",
        object: pod({ ...running(image), ephemeralContainers: [{ name: "i", image: other }] }),
        refusal: "bbb",
      },
      {
        name: "another one in a job",
        object: object("batch/v1", "Job", { template: { spec: running(other) } }),
        refusal: "bbb",
      },
      {
        name: "a container without image",
        object: pod({ containers: [{ name: "c", image }, { name: "d" }] }),
        refusal: "SSF-GATE-004",
      },
      { name: "no containers", object: pod({}), refusal: "^SSF-GATE-005 " },
      { name: "a deployment without pods", object: object("apps/v1", "Deployment", {}), refusal: "^SSF-GATE-005 " },
    ],
  ],
  ...(
    [
      [
        "an item's error",
        { ...good, responses: [], errors: [[image, "SSF-GATE-002 no statement"]] },
        "^SSF-GATE-002 no",
      ],
      ["an error beside the value", { ...good, responses: [[image, true]], errors: [[image, "no"]] }, "^no$"],
      ["an error beside what admits it", { ...good, errors: [[image, "SSF-GATE-002 no"]] }, "^SSF-GATE-002 no$"],
      ["a system error beside what admits it", { ...good, system_error: "late" }, "^SSF-GATE-004 .*late"],
      ["no items", { ...good, responses: [] }, "gave no answer: none came"],
      ["nothing but a system error", { responses: null, errors: null, status_code: 500, system_error: "late" }, "late"],
      ["another value", { ...good, responses: [[image, "yes"]] }, "SSF-GATE-004"],
      ["an empty value", { ...good, responses: [[image, null]] }, "SSF-GATE-004"],
      ["an item of another form", { ...good, responses: [[image]] }, "SSF-GATE-004"],
      ["an object", { ...good, responses: { [image]: "admitted" } }, "SSF-GATE-004"],
      ["text", "admitted", "SSF-GATE-004"],
      ["nothing", undefined, "SSF-GATE-004"],
    ] as const
  ).map(([name, answer, refusal]): [string, unknown, GateCase[]] => [
    name,
    answer,
    [{ name: "the image", object: pod(running(image)), refusal }],
  ]),
];

describeWith("gator")("provenance of images, in Gatekeeper's own engine", () => {
  test.each(answers)(
    "%s",
    async (_, answer, cases) => {
      const report = await verifyCases(answered(), constraint(answer), cases);
      expect(report.match(/--- PASS: /g)).toHaveLength(cases.length + 1);
    },
    60_000,
  );
});

test("the provider may take as long as it is given, and shows a certificate of this authority", () => {
  expect(PROVIDER_OBJECT).toMatchObject({ kind: "Provider", metadata: { name: "image-provenance" } });
  expect(providerSpec("https://gate.test/verify", "PEM")).toEqual({
    url: "https://gate.test/verify",
    timeout: 7,
    caBundle: "UEVN",
  });
  expect(JSON.stringify(imageProvenance)).toContain('external_data({\\"provider\\": \\"image-provenance\\"');
});

test("a constraint can be put into force in namespaces with a label", () => {
  expect(workloadConstraint(imageProvenance, "x", "gate").spec).toMatchObject({
    enforcementAction: "deny",
    match: { namespaceSelector: { matchExpressions: [{ key: "gate", operator: "Exists" }] } },
  });
});

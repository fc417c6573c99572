import * as fc from "fast-check";
import {
  definitionSigner,
  digest,
  ecdsaKeyPair,
  pipelineRun,
  signDefinition,
  teamPipeline,
  type TektonObject,
} from "../../pipelines";
import { describeWith } from "../support/programs";
import { askTekton } from "./ask-tekton";
import { canonicalCases } from "./canonical-cases";
import { teamArgs, testKeys, testSigner } from "./fixtures";

const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 8 }),
  fc.string({ unit: fc.constantFrom("<", ">", "&", "\u2028", "\u2029", "\b", "\f", "\t", "\0", "\\", '"', "é", "😀") }),
);
const names = fc.dictionary(text, text, { maxKeys: 4 });
const flag = fc.boolean();
const quantities = fc.dictionary(
  fc.constantFrom("cpu", "memory", "ephemeral-storage"),
  fc.constantFrom("0", "1", "500m", "1500m", "2k", "1023Mi", "1Gi", "1025Ki"),
);
const few = <T>(item: fc.Arbitrary<T>) => fc.array(item, { maxLength: 3 });
const some = (fields: Record<string, fc.Arbitrary<unknown>>, requiredKeys: string[] = []) =>
  fc.record(fields, { requiredKeys });
const params = few(
  some({ name: text, type: fc.constantFrom("", "string"), description: text, default: text }, ["name"]),
);
const items = few(some({ key: text, path: text, mode: fc.nat(511) }, ["key", "path"]));
const taskSpec = some({
  params,
  displayName: text,
  description: text,
  steps: few(
    some({
      name: text,
      image: text,
      command: few(text),
      args: few(text),
      workingDir: text,
      env: few(some({ name: text, value: text })),
      computeResources: some({ limits: quantities, requests: quantities }),
      volumeMounts: few(some({ name: text, readOnly: flag, mountPath: text, subPath: text })),
      imagePullPolicy: text,
      securityContext: some({
        capabilities: some({ add: few(text), drop: few(text) }),
        privileged: flag,
        runAsUser: fc.maxSafeNat(),
        runAsGroup: fc.maxSafeNat(),
        runAsNonRoot: flag,
        readOnlyRootFilesystem: flag,
        allowPrivilegeEscalation: flag,
        seccompProfile: some({ type: text, localhostProfile: text }),
      }),
      script: text,
    }),
  ),
  volumes: few(
    some({
      name: text,
      emptyDir: some({ medium: text, sizeLimit: fc.constantFrom("0", "1Gi", "500Mi") }),
      secret: some({ secretName: text, items, defaultMode: fc.nat(511), optional: flag }),
      configMap: some({ name: text, items, defaultMode: fc.nat(511), optional: flag }),
    }),
  ),
  workspaces: few(some({ name: text, description: text, mountPath: text, readOnly: flag, optional: flag })),
  results: few(some({ name: text, type: fc.constantFrom("", "string"), description: text })),
});
const given = few(some({ name: text, value: text }, ["value"]));
const pipelineSpec = some({
  displayName: text,
  description: text,
  tasks: few(
    some({
      name: text,
      displayName: text,
      description: text,
      taskRef: fc.record({ resolver: fc.constantFrom("cluster", "git"), params: given }),
      runAfter: few(text),
      params: given,
      workspaces: few(some({ name: text, workspace: text, subPath: text })),
    }),
  ),
  params,
  workspaces: few(some({ name: text, description: text, optional: flag })),
  results: few(some({ name: text, type: fc.constantFrom("", "string"), description: text, value: text }, ["value"])),
});
const metadata = fc.record(
  { name: text, namespace: text, labels: names, annotations: names },
  { requiredKeys: ["name", "namespace"] },
);
const apiVersion = fc.constant("tekton.dev/v1" as const);
const anyDefinition: fc.Arbitrary<TektonObject> = fc.oneof(
  fc.record({ apiVersion, kind: fc.constant("Task" as const), metadata, spec: taskSpec }),
  fc.record({ apiVersion, kind: fc.constant("Pipeline" as const), metadata, spec: pipelineSpec }),
);

describeWith("tekton-definitions")("Tekton's own code", () => {
  const { tasks, pipeline, verificationPolicy, runTemplate } = teamPipeline({ ...teamArgs(), signer: testSigner });
  const definitions: TektonObject[] = [
    ...tasks,
    pipeline,
    ...canonicalCases.map(({ definition }) => signDefinition(definition, testSigner)),
  ];

  test("computes our checksums, accepts our signatures and finds nothing wrong with what we generate", () => {
    const run = pipelineRun(runTemplate, {
      repository: "https://forge.test/one.git",
      commit: "0123456789".repeat(4),
      name: "one",
    });
    const { spec } = pipeline;
    const changed = { ...pipeline, spec: { ...spec, description: `${spec.description}!` } };
    const answers = askTekton([
      ...definitions,
      changed,
      { ...run, metadata: { ...run.metadata, name: "go-1" } },
      verificationPolicy,
    ]);

    expect(answers.slice(0, definitions.length).map(({ checksum, signed }) => ({ checksum, signed }))).toEqual(
      definitions.map((definition) => ({ checksum: digest(definition), signed: true })),
    );
    expect(answers[definitions.length]?.signed).toBe(false);
    const generatedAnswers = [...answers.slice(0, tasks.length + 1), ...answers.slice(definitions.length + 1)];
    expect(generatedAnswers.map(({ invalid }) => invalid)).toEqual(generatedAnswers.map(() => ""));
  });

  test("accepts our ECDSA signatures, of the right key only", () => {
    const keys = ecdsaKeyPair(Buffer.alloc(32, 3).toString("base64"));
    const signed = definitions.map((definition) => signDefinition(definition, definitionSigner(keys.privateKeyPem)));
    expect(askTekton(signed, keys.publicKeyPem).map((answer) => answer.signed)).toEqual(signed.map(() => true));
    expect(askTekton(signed, testKeys.publicKeyPem).map((answer) => answer.signed)).toEqual(signed.map(() => false));
  });

  test("computes our checksum of whatever a definition may hold", () => {
    const definitions = fc.sample(anyDefinition, 500);
    expect(askTekton(definitions).map(({ checksum }) => checksum)).toEqual(definitions.map(digest));
  });
});

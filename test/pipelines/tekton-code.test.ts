import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { digest, pipelineRun, signDefinition, teamPipeline, type TektonObject } from "../../pipelines";
import { canonicalCases } from "./canonical-cases";
import { teamArgs, testKeys, testSigner } from "./fixtures";

const directory = join(__dirname, "testdata/canonical");

/** Compiling Tekton takes minutes without its sources and a warm cache: then only the recorded bytes are compared. */
const available = (): boolean => {
  const { status, stdout } = spawnSync("go", ["env", "GOMODCACHE"], { encoding: "utf8" });
  return status === 0 && existsSync(join(stdout.trim(), "github.com/tektoncd/pipeline@v1.15.0"));
};

interface Answer {
  checksum: string;
  signed: boolean;
  invalid: string;
}

const askTekton = (objects: readonly object[]): Answer[] => {
  const { status, stdout, stderr } = spawnSync("go", ["run", "."], {
    cwd: directory,
    encoding: "utf8",
    input: JSON.stringify({ publicKeyPem: testKeys.publicKeyPem, objects }),
    env: { ...process.env, GOFLAGS: "-mod=readonly -buildvcs=false", GOWORK: "off" },
    maxBuffer: 1 << 26,
  });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Answer[];
};

(available() ? describe : describe.skip)("Tekton's own code (skipped where its Go module is not in GOMODCACHE)", () => {
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
  }, 900_000);
});

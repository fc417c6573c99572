import { spawnSync } from "node:child_process";
import * as fc from "fast-check";
import {
  digest,
  go,
  patterns,
  pipelineRun,
  runParams,
  teamModel,
  teamPipeline,
  unsignedTeamPipeline,
  type Language,
  type TeamPipelineArgs,
} from "../../pipelines";
import { matchesPattern } from "../../pipelines/patterns";
import { someDigest, stage, teamArgs, testKeys, testSigner } from "./fixtures";
import { problemsOf } from "./problems";

const generate = (changes = {}) => teamPipeline({ ...teamArgs(changes), signer: testSigner });
const generated = generate();
const taskOf = (name: string) => {
  const found = generated.tasks.find((task) => task.metadata.name === name);
  if (found === undefined) throw new Error(`no task ${name}`);
  return found;
};

describe("the Go pipeline of a team", () => {
  test("has the stages of the reference, and only build and scan in the jail", () => {
    expect(generated.stages).toEqual([
      {
        name: "ingest-source",
        task: "go-ingest-source",
        serviceAccount: "ingest-source",
        jailed: false,
        network: "forge",
        reads: [],
        writes: "source",
      },
      {
        name: "ingest-dependencies",
        task: "go-ingest-dependencies",
        serviceAccount: "ingest-dependencies",
        jailed: false,
        network: "dependencies",
        reads: ["source"],
        writes: "dependencies",
      },
      {
        name: "build",
        task: "go-build",
        serviceAccount: "build",
        jailed: true,
        network: "none",
        reads: ["source", "dependencies"],
        writes: "output",
      },
      {
        name: "scan",
        task: "go-scan",
        serviceAccount: "scan",
        jailed: true,
        network: "none",
        reads: ["source", "dependencies", "output"],
        writes: "sbom",
      },
      {
        name: "publish",
        task: "go-publish",
        serviceAccount: "publish",
        jailed: false,
        network: "registry",
        reads: ["output", "sbom"],
      },
    ]);
  });

  test("comes out the same each time, signatures included", () => {
    expect(JSON.stringify(generate())).toBe(JSON.stringify(generated));
  });

  test("has the digests of its definitions under the names that provenance shows", () => {
    expect(generated.digests).toEqual({
      ...Object.fromEntries(generated.tasks.map((task) => [`task/${task.metadata.name}`, digest(task)])),
      "pipeline/go": digest(generated.pipeline),
    });
    expect(unsignedTeamPipeline(teamArgs()).digests).toEqual(generated.digests);
  });

  test("gives each workspace to one writer and to readers that cannot write", () => {
    const uses = generated.tasks.flatMap((task) =>
      task.spec.workspaces.map(
        ({ name, readOnly = false }) => `${task.metadata.name} ${name} ${readOnly ? "ro" : "rw"}`,
      ),
    );
    expect(uses).toEqual([
      "go-ingest-source source rw",
      "go-ingest-dependencies source ro",
      "go-ingest-dependencies dependencies rw",
      "go-build source ro",
      "go-build dependencies ro",
      "go-build output rw",
      "go-scan source ro",
      "go-scan dependencies ro",
      "go-scan output ro",
      "go-scan sbom rw",
      "go-publish output ro",
      "go-publish sbom ro",
    ]);
  });

  test("tells each reader the digest that the writer left", () => {
    const digests = generated.pipeline.spec.tasks.flatMap((task) =>
      task.params
        .filter(({ name }) => name.endsWith("-digest"))
        .map(({ name, value }) => `${task.name} ${name} ${value}`),
    );
    expect(digests).toEqual([
      "ingest-dependencies source-digest $(tasks.ingest-source.results.digest)",
      "build source-digest $(tasks.ingest-source.results.digest)",
      "build dependencies-digest $(tasks.ingest-dependencies.results.digest)",
      "scan source-digest $(tasks.ingest-source.results.digest)",
      "scan dependencies-digest $(tasks.ingest-dependencies.results.digest)",
      "scan output-digest $(tasks.build.results.digest)",
      "publish output-digest $(tasks.build.results.digest)",
      "publish sbom-digest $(tasks.scan.results.digest)",
    ]);
  });

  test("has no script into which Tekton would splice a value, and no image by tag", () => {
    for (const { spec } of generated.tasks) {
      expect(spec.steps).toHaveLength(1);
      for (const step of spec.steps) {
        expect(step.script).toMatch(/^#!\/bin\/sh\nset -eu\n/);
        expect(step.script).not.toMatch(/\$\((?:params|results|workspaces|context|tasks|steps?)[.[]/);
        expect(step.image).toMatch(/@sha256:[0-9a-f]{64}$/);
      }
    }
  });

  test("has scripts that the shell can read", () => {
    for (const { spec } of generated.tasks) {
      const { status, stderr } = spawnSync("sh", ["-n"], { input: spec.steps[0]?.script, encoding: "utf8" });
      expect([status, stderr]).toEqual([0, ""]);
    }
  });

  test("has steps that a restricted namespace lets in", () => {
    for (const { spec } of generated.tasks) {
      expect(spec.steps[0]?.securityContext).toEqual({
        capabilities: { drop: ["ALL"] },
        runAsUser: 65532,
        runAsGroup: 65532,
        runAsNonRoot: true,
        readOnlyRootFilesystem: true,
        allowPrivilegeEscalation: false,
        seccompProfile: { type: "RuntimeDefault" },
      });
    }
  });

  test("gives an identity to publish alone, and shows certificates to what has a network", () => {
    const mounts = generated.tasks.map(({ metadata, spec }) => [
      metadata.name,
      spec.volumes.map((volume) => volume.configMap?.name ?? volume.csi?.driver ?? volume.name),
    ]);
    expect(mounts).toEqual([
      ["go-ingest-source", ["scratch", "certificates", "registry-ca"]],
      ["go-ingest-dependencies", ["scratch", "certificates"]],
      ["go-build", ["scratch"]],
      ["go-scan", ["scratch"]],
      ["go-publish", ["scratch", "registry-ca", "csi.spiffe.io"]],
    ]);
  });

  test("trusts the forge beside the authorities outside, and the image's own authorities where it names none", () => {
    const trusted = (changes: Partial<TeamPipelineArgs>) =>
      unsignedTeamPipeline(teamArgs(changes)).tasks.flatMap(({ spec }) =>
        (spec.steps[0]?.env ?? [])
          .filter(({ name }) => name === "AUTHORITIES" || name === "SSL_CERT_FILE")
          .map(({ value }) => value),
      );
    expect(trusted({})).toEqual([
      "/etc/ssf/authorities/ca.crt /etc/ssf/forge-authority/ca.crt",
      "/etc/ssf/authorities/ca.crt",
      "/etc/ssf/authorities/ca.crt",
    ]);
    const own = "/etc/ssl/certs/ca-certificates.crt";
    const registry = { repository: "images.test/team-a" };
    expect(trusted({ caBundleConfigMap: undefined, registry })).toEqual([own, own, own]);
    expect(trusted({ caBundleConfigMap: undefined, registry, forgeCaConfigMap: "forge" })).toEqual([
      `${own} /etc/ssf/forge-authority/ca.crt`,
      own,
      own,
    ]);
  });

  test("takes the team's module proxy into the signed definition, where stage build cannot see it", () => {
    const proxies = generated.tasks.map(({ spec }) => spec.steps[0]?.env.find(({ name }) => name === "GOPROXY")?.value);
    expect(proxies).toEqual([undefined, "https://modules.test", undefined, undefined, undefined]);
    const plain = unsignedTeamPipeline(teamArgs({ language: go() }));
    expect(JSON.stringify(plain.tasks)).not.toContain('"GOPROXY"');
    expect(taskOf("go-build").spec.steps[0]?.script).toContain('GOPROXY="file://$WORKSPACE_DEPENDENCIES/tree"');
  });

  test("refuses an image by tag and a missing one before anything is made", () => {
    const images = {
      "stage-git": "images.test/stage-git:1",
      "stage-publish": `images.test/stage-publish@${someDigest}`,
      "stage-scan": `images.test/stage-scan@${someDigest}`,
    };
    expect(problemsOf(() => generate({ images }))).toEqual([
      "SSF-PIPELINE-008 stages.ingest-source.image",
      "SSF-PIPELINE-008 stages.ingest-dependencies.image",
      "SSF-PIPELINE-008 stages.build.image",
    ]);
  });
});

describe("the policy", () => {
  const { spec } = generated.verificationPolicy;
  const pattern = new RegExp(spec.resources[0]?.pattern ?? "");

  test("enforces the factory's key, and those of before that still hold", () => {
    expect(spec.mode).toBe("enforce");
    const authority = (name: string, data: string) => ({ name, key: { data, hashAlgorithm: "sha256" } });
    expect(spec.authorities).toEqual([authority("current", testKeys.publicKeyPem)]);
    const rotated = teamPipeline({ ...teamArgs(), signer: testSigner, formerKeys: ["FORMER"] });
    expect(rotated.verificationPolicy.spec.authorities).toEqual([
      authority("current", testKeys.publicKeyPem),
      authority("former-1", "FORMER"),
    ]);
  });

  test.each(["task/go-build", "pipeline/go"])("covers %s of the namespace", (name) => {
    expect(`/apis/tekton.dev/v1/namespaces/team-a/${name}@0b1f-22`).toMatch(pattern);
  });

  test.each([
    "/apis/tekton.dev/v1/namespaces/team-b/task/go-build@0b1f",
    "/apis/tekton.dev/v1/namespaces/team-a/task/go-build@0b1f/../../x",
    "x/apis/tekton.dev/v1/namespaces/team-a/task/go-build@0b1f",
    "/apis/tekton.dev/v1/namespaces/team-a/stepaction/go-build@0b1f",
    "/apis/tektonxdev/v1/namespaces/team-a/task/go-build@0b1f",
  ])("does not cover %s", (source) => {
    expect(source).not.toMatch(pattern);
  });
});

describe("a run", () => {
  const params = {
    repository: "https://forge.test:8443/one/two.git",
    commit: "0123456789".repeat(4),
    name: "two",
  };

  test("has every parameter, defaults written out", () => {
    const run = pipelineRun(generated.runTemplate, { ...params, package: "./cmd/x", directory: undefined });
    expect(run.spec.params).toEqual([
      { name: "repository", value: params.repository },
      { name: "commit", value: params.commit },
      { name: "directory", value: "." },
      { name: "package", value: "./cmd/x" },
      { name: "name", value: "two" },
      { name: "trigger", value: "manual" },
      { name: "event", value: "none" },
    ]);
    expect(run.metadata).toEqual({
      generateName: "go-",
      namespace: "team-a",
      labels: generated.runTemplate.metadata.labels,
    });
  });

  test("survives the way through JSON, as a stack output takes it", () => {
    const copy = JSON.parse(JSON.stringify(generated.runTemplate)) as typeof generated.runTemplate;
    expect(pipelineRun(copy, params)).toEqual(pipelineRun(generated.runTemplate, params));
    expect(runParams(copy)).toEqual(generated.params);
  });

  test("runs each stage under its own account, in its own runtime class", () => {
    const specs = generated.runTemplate.spec.taskRunSpecs.map(
      ({ pipelineTaskName, serviceAccountName, podTemplate }) => [
        pipelineTaskName,
        serviceAccountName,
        podTemplate.runtimeClassName,
        podTemplate.automountServiceAccountToken,
      ],
    );
    expect(specs).toEqual([
      ["ingest-source", "ingest-source", "networked", false],
      ["ingest-dependencies", "ingest-dependencies", "networked", false],
      ["build", "build", "jailed", false],
      ["scan", "scan", "jailed", false],
      ["publish", "publish", "networked", false],
    ]);
    expect(generated.runTemplate.spec.taskRunTemplate.podTemplate.runtimeClassName).toBe("jailed");
  });

  test("asks for names as they are written where there is a name server, and has none in the jail", () => {
    const settings = generated.runTemplate.spec.taskRunSpecs.map(({ podTemplate: { dnsPolicy, dnsConfig } }) => ({
      dnsPolicy,
      ...dnsConfig,
    }));
    const whole = { dnsPolicy: undefined, options: [{ name: "ndots", value: "1" }] };
    const none = { dnsPolicy: "None", nameservers: ["127.0.0.1"] };
    expect(settings).toEqual([whole, whole, none, none, whole]);
  });

  test("names no runtime class where the cluster has none", () => {
    expect(JSON.stringify(generate({ runtimeClasses: null }).runTemplate)).not.toContain("runtimeClassName");
  });

  test("claims the storage that the team asked for", () => {
    const sizes = (storage = {}) =>
      generate({ storage }).runTemplate.spec.workspaces.map(
        ({ name, volumeClaimTemplate }) => `${name} ${volumeClaimTemplate.spec.resources.requests.storage}`,
      );
    expect(sizes()).toEqual(["source 1Gi", "dependencies 4Gi", "output 1Gi", "sbom 64Mi"]);
    expect(sizes({ dependencies: "20Gi" })).toEqual(["source 1Gi", "dependencies 20Gi", "output 1Gi", "sbom 64Mi"]);
  });

  test.each([
    ["repository", "http://forge.test/one"],
    ["repository", "https://user:word@forge.test/one"],
    ["repository", "https://forge.test/one?x=1"],
    ["repository", "https://forge.test"],
    ["repository", "--upload-pack=x"],
    ["repository", "file:///etc"],
    ["commit", "main"],
    ["commit", "0123456789".repeat(4).slice(1)],
    ["commit", "0123456789".repeat(5)],
    ["commit", "ABCDEF0123".repeat(4)],
    ["directory", "/etc"],
    ["directory", "../x"],
    ["directory", "a/../../x"],
    ["directory", "a//b"],
    ["directory", "-x"],
    ["directory", ""],
    ["package", "./..."],
    ["package", "example.com/other"],
    ["package", "./a/../../b"],
    ["package", "-toolexec=x"],
    ["name", "Two"],
    ["name", "a/b"],
    ["name", "a:latest"],
    ["name", "$(params.commit)"],
    ["colour", "red"],
  ])("is refused with %s %j", (name, value) => {
    expect(problemsOf(() => pipelineRun(generated.runTemplate, { ...params, [name]: value }))).toEqual([
      `SSF-PIPELINE-011 params.${name}`,
    ]);
  });

  test("is refused without its parameters, all at once", () => {
    expect(problemsOf(() => pipelineRun(generated.runTemplate, {}))).toEqual([
      "SSF-PIPELINE-011 params.repository",
      "SSF-PIPELINE-011 params.commit",
      "SSF-PIPELINE-011 params.name",
    ]);
  });
});

describe("patterns mean the same to JavaScript and to grep", () => {
  const grepMatches = (values: readonly string[], pattern: string): string[] => {
    const { stdout } = spawnSync("grep", ["-Ezx", "-e", pattern], {
      input: values.map((value) => `${value}\0`).join(""),
      encoding: "utf8",
      env: { LC_ALL: "C", PATH: process.env["PATH"] },
    });
    return stdout.split("\0").slice(0, -1);
  };

  test.each(Object.entries(patterns))("%s", (_, pattern) => {
    const near = fc.oneof(
      fc.stringMatching(new RegExp(`^(?:${pattern})$`)),
      fc
        .tuple(fc.stringMatching(new RegExp(`^(?:${pattern})$`)), fc.string({ maxLength: 3 }))
        .map((parts) => parts.join("")),
      fc.string({ unit: fc.constantFrom("a", "F", "0", "9", ".", "/", "-", "_", ":", "@", "\n", " ", "$") }),
    );
    const values = fc.sample(near, 300).filter((value) => !value.includes("\0"));
    expect(grepMatches(values, pattern)).toEqual(values.filter((value) => matchesPattern(value, pattern)));
  });
});

describe("a new language", () => {
  const copying: Language = {
    name: "copy",
    params: [{ name: "target", description: "the name of the file.", pattern: "[a-z]+", default: "app" }],
    stages: ({ images }) => [
      stage("ingest-dependencies", {
        image: images["stage-copy"] ?? "",
        reads: ["source"],
        writes: "dependencies",
        network: "dependencies",
      }),
      stage("compile", {
        image: images["stage-copy"] ?? "",
        reads: ["source", "dependencies"],
        writes: "output",
        params: [{ name: "target", description: "File.", pattern: "[a-z]+", from: { run: "target" } }],
        results: [{ name: "platform", description: "Platform." }],
        script:
          'cp "$WORKSPACE_SOURCE/tree/app" "$WORKSPACE_OUTPUT/tree/$PARAM_TARGET"\nprintf linux/amd64 >"$RESULT_PLATFORM"',
      }),
    ],
    outputStage: "compile",
    entrypoint: ["/app"],
    results: [],
  };

  test("is one value", () => {
    const images = { ...teamArgs().images, "stage-copy": `images.test/copy@${someDigest}` };
    const { stages, runTemplate } = generate({ language: copying, images });
    expect(stages.map(({ task, jailed }) => `${task} ${jailed ? "jailed" : "networked"}`)).toEqual([
      "copy-ingest-source networked",
      "copy-ingest-dependencies networked",
      "copy-compile jailed",
      "copy-scan jailed",
      "copy-publish networked",
    ]);
    expect(runParams(runTemplate).map(({ name }) => name)).toEqual([
      "repository",
      "commit",
      "directory",
      "target",
      "name",
      "trigger",
      "event",
    ]);
  });

  test("that forgets to fill the output is refused", () => {
    const forgetful: Language = {
      ...copying,
      stages: (context) =>
        copying
          .stages(context)
          .map(({ writes, ...rest }) =>
            writes === "output" ? rest : { ...rest, ...(writes === undefined ? {} : { writes }) },
          ),
    };
    const images = { ...teamArgs().images, "stage-copy": `images.test/copy@${someDigest}` };
    expect(problemsOf(() => generate({ language: forgetful, images }))).toEqual([
      "SSF-PIPELINE-003 workspaces.output",
      "SSF-PIPELINE-005 results.output-digest",
    ]);
  });
});

test("the model of a team can be read without making anything", () => {
  expect(teamModel(teamArgs()).results.map(({ name }) => name)).toEqual([
    "IMAGE_URL",
    "IMAGE_DIGEST",
    "SBOM_IMAGE_URL",
    "SBOM_IMAGE_DIGEST",
    "CHAINS-GIT_URL",
    "CHAINS-GIT_COMMIT",
    "source-digest",
    "dependencies-digest",
    "packages",
    "output-digest",
    "build-environment",
  ]);
});

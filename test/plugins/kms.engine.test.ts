import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { signatureAnnotation, type TektonObject } from "../../pipelines";
import { createProject, type Project } from "../cli/support/engine";
import { askTekton } from "../pipelines/ask-tekton";
import { kmsPrograms, type ServiceKey, serviceKey } from "../support/kms";
import { describeWith } from "../support/programs";

const root = resolve(__dirname, "../..");

/** Exports a team's signed definitions, as its stack makes them from `settings.json`. */
const program = `
require("@swc-node/register");
const { readFileSync } = require("node:fs");
const { teamPipeline } = require("${root}/pipelines");
const { stackSigner } = require("${root}/stacks/definition-keys");
const { teamArgs } = require("${root}/test/pipelines/fixtures");
const { keys, changes } = JSON.parse(readFileSync("settings.json", "utf8"));
const signed = teamPipeline({
  ...teamArgs(),
  ...changes,
  signer: stackSigner(keys),
  formerKeys: keys.formerPublicKeysPem,
});
exports.definitions = [...signed.tasks, signed.pipeline];
exports.verificationPolicy = signed.verificationPolicy;
`;

interface Outputs {
  definitions: TektonObject[];
  verificationPolicy: object;
}

const signaturesOf = ({ definitions }: Outputs) =>
  new Map(definitions.map(({ metadata }) => [metadata.name, metadata.annotations?.[signatureAnnotation]]));

describeWith(
  "pulumi",
  "cosign",
  "tekton-definitions",
)("signatures by a service, under the real engine", () => {
  jest.setTimeout(300_000);
  const directory = mkdtempSync(join(tmpdir(), "ssf-kms-"));
  const key = serviceKey(directory, "prime256v1");
  let project: Project;

  const configure = (settings: { key: ServiceKey; former?: ServiceKey[]; changes?: object }) => {
    const { reference: keyReference, publicKeyPem } = settings.key;
    const formerPublicKeysPem = (settings.former ?? []).map((former) => former.publicKeyPem);
    const keys = { keyReference, publicKeyPem, formerPublicKeysPem };
    writeFileSync(join(project.directory, "settings.json"), JSON.stringify({ keys, changes: settings.changes ?? {} }));
  };
  const outputs = async () => JSON.parse(await project.pulumi("stack", "output", "--json")) as Outputs;
  const up = async () => {
    await project.pulumi("up", "--yes", "--skip-preview");
    return outputs();
  };
  const accepted = ({ definitions }: Outputs, { publicKeyPem }: ServiceKey) =>
    askTekton(definitions, publicKeyPem).filter(({ signed }) => signed).length;

  let first: Outputs;
  beforeAll(async () => {
    project = await createProject(program, join(root, "tools/plugins/kms"), kmsPrograms);
    // The program loads the repository's TypeScript by itself; the language host would check its types each time.
    const settings = "name: engine-test\nruntime: { name: nodejs, options: { typescript: false } }\nmain: program.js\n";
    writeFileSync(join(project.directory, "Pulumi.yaml"), settings);
    configure({ key });
    first = await up();
  });
  afterAll(async () => {
    await project.remove();
    rmSync(directory, { recursive: true });
  });

  it("are those that Tekton asks for, one a definition", () => {
    expect(first.definitions).toHaveLength(6);
    expect(accepted(first, key)).toBe(6);
    expect(accepted(first, serviceKey(directory, "prime256v1"))).toBe(0);
    expect(key.signatures()).toBe(6);
  });

  it("are made once: nothing changes, and the service is not asked again", async () => {
    await project.pulumi("preview", "--expect-no-changes");
    await project.pulumi("up", "--yes", "--skip-preview", "--expect-no-changes");
    await project.pulumi("refresh", "--yes", "--expect-no-changes");
    expect(await outputs()).toEqual(first);
    expect(key.signatures()).toBe(6);
    const state = readFileSync(join(project.directory, "state/.pulumi/stacks/engine-test/test.json"), "utf8");
    expect(state).not.toContain("PRIVATE KEY");
  });

  it("outlive another name of the same key", async () => {
    const renamed = { ...key, file: `${key.file}-2`, reference: `${key.reference}-2` };
    await copyFile(key.file, renamed.file);
    configure({ key: renamed });
    await project.pulumi("up", "--yes", "--skip-preview", "--expect-no-changes");
    expect(await outputs()).toEqual(first);
    configure({ key });
  });

  it("are made again for the definition that changed alone", async () => {
    configure({ key, changes: { deniedPackages: ["pkg:golang/bad.test/module"] } });
    const before = signaturesOf(first);
    const preview = await project.pulumi("preview", "--diff");
    expect(preview.match(/\+-kms:index:Signature/g)).toHaveLength(1);
    expect(key.signatures()).toBe(6);
    const changed = await up();
    const signedAgain = [...signaturesOf(changed)].filter(([name, signature]) => before.get(name) !== signature);
    expect(signedAgain.map(([name]) => name)).toEqual(["go-scan"]);
    expect(key.signatures()).toBe(7);
    expect(accepted(changed, key)).toBe(6);
  });

  it("say what is missing when the service does not answer, and keep those that are there", async () => {
    const gone = { ...key, reference: `${key.reference}-gone` };
    configure({ key: gone });
    await expect(project.pulumi("up", "--yes", "--skip-preview")).rejects.toMatchObject({
      stdout: expect.stringMatching(
        /SSF-KMS-002 config definitionsKeyReference: testkms:[^]*rule: [^]*fix: /,
      ) as string,
    });
    configure({ key });
    expect(accepted(await up(), key)).toBe(6);
  });

  it("are all made again by a new key, while those of the old one still hold", async () => {
    const next = serviceKey(directory, "ed25519");
    configure({ key: next, former: [key] });
    const rotated = await up();
    expect(next.signatures()).toBe(6);
    expect(accepted(rotated, next)).toBe(6);
    for (const { publicKeyPem } of [key, next])
      expect(JSON.stringify(rotated.verificationPolicy)).toContain(JSON.stringify(publicKeyPem).slice(1, -1));
    expect(accepted(first, key)).toBe(6);
    await project.pulumi("destroy", "--yes", "--skip-preview");
  });
});

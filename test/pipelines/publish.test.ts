import { createHash } from "node:crypto";
import { execFileSync } from "node:child_process";
import { dirname, join } from "node:path";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { publish, type PublishArgs } from "../../pipelines/stages/publish";
import { describeWith, programPath } from "../support/programs";
import { LocalRegistry } from "../support/registry";
import { someDigest, stage } from "./fixtures";
import { Machine, type StageRun } from "./run-stage";

const sha256 = (content: Buffer | string): string => `sha256:${createHash("sha256").update(content).digest("hex")}`;

const document = '{"bomFormat":"CycloneDX","components":[]}\n';
const emptyDigest = sha256("{}");
const manifestType = "application/vnd.oci.image.manifest.v1+json";

interface Manifest {
  artifactType?: string;
  config: { digest: string; mediaType: string };
  layers: { digest: string; mediaType: string; annotations?: Record<string, string> }[];
}

// Every test pushes to a real registry, some of them twice.
jest.setTimeout(60_000);

describeWith("registry", "crane")("publish", () => {
  let registry: LocalRegistry;
  let machine: Machine;
  beforeAll(async () => {
    registry = await LocalRegistry.start();
  });
  afterAll(() => registry.stop());
  beforeEach(() => {
    machine = new Machine();
    writeHelper();
  });
  afterEach(() => machine.remove());

  const written = (workspace: string, script: string): string =>
    machine.run(stage("write", { writes: workspace, script }), {}).results["digest"] ?? "";

  const path = () => ({
    PATH: [join(machine.root, "bin"), dirname(programPath("crane") ?? ""), process.env["PATH"] ?? ""].join(":"),
  });

  /** A credential helper that notes for whom it was asked. */
  const writeHelper = (): void => {
    mkdirSync(join(machine.root, "bin"));
    const helper = `#!/bin/sh\ncat >>${machine.root}/asked\nprintf '{"Username":"spiffe","Secret":"token"}'\n`;
    writeFileSync(join(machine.root, "bin/docker-credential-spiffe"), helper, { mode: 0o755 });
  };

  const published = (
    name: string,
    args: Partial<PublishArgs> = {},
    params: Record<string, string> = {},
  ): { run: StageRun; output: string } => {
    const output = written(
      "output",
      'echo program >"$WORKSPACE_OUTPUT/tree/app" && chmod 755 "$WORKSPACE_OUTPUT/tree/app"',
    );
    const sbom = written("sbom", `printf '%s\\n' '${document.trim()}' >"$WORKSPACE_SBOM/tree/sbom.cdx.json"`);
    const run = machine.run(
      publish({
        image: `images.test/publish@${someDigest}`,
        repository: `${registry.host}/team-a`,
        entrypoint: ["/app"],
        outputStage: "build",
        ...args,
      }),
      {
        name,
        url: "https://forge.test/one.git",
        commit: "a".repeat(40),
        timestamp: "1700000000",
        platform: "linux/arm64",
        ...Machine.digests({ output, sbom }),
        ...params,
      },
      {
        ...path(),
        SSL_CERT_FILE: "/dev/null",
      },
    );
    return { run, output };
  };

  /** What the tag lists that stands in for the registry's own list of referrers. */
  const referrersOf = async (name: string, results: Record<string, string>) => {
    const tag = (results["IMAGE_DIGEST"] ?? "").replace(":", "-");
    return ((await registry.manifest(`team-a/${name}`, tag)) as { manifests: { artifactType: string }[] }).manifests;
  };

  const typesOf = async (name: string, results: Record<string, string>) =>
    (await referrersOf(name, results)).map(({ artifactType }) => artifactType).sort();

  const manifest = (name: string, digest: string | undefined) =>
    registry.manifest(`team-a/${name}`, digest ?? "none") as Promise<Manifest>;

  const filesIn = async (name: string, { digest }: { digest: string }): Promise<string> => {
    const archive = join(machine.root, "layer.tar.gz");
    writeFileSync(archive, await registry.blob(`team-a/${name}`, digest));
    return execFileSync("tar", ["-tzvf", archive], { encoding: "utf8" });
  };

  test("pushes an image by digest whose layer is the output, the same each time", async () => {
    const { run, output } = published("image");
    expect(run.status).toBe(0);
    expect(run.results["IMAGE_URL"]).toBe(`${registry.host}/team-a/image`);
    expect(readFileSync(join(machine.root, "asked"), "utf8")).toContain(registry.host);
    const { config, layers } = await manifest("image", run.results["IMAGE_DIGEST"]);
    expect(JSON.parse((await registry.blob("team-a/image", config.digest)).toString())).toEqual({
      architecture: "arm64",
      os: "linux",
      created: "2023-11-14T22:13:20Z",
      config: {
        Entrypoint: ["/app"],
        User: "65532:65532",
        WorkingDir: "/",
        Labels: {
          "org.opencontainers.image.created": "2023-11-14T22:13:20Z",
          "org.opencontainers.image.revision": "a".repeat(40),
          "org.opencontainers.image.source": "https://forge.test/one.git",
        },
      },
      history: [{ created: "2023-11-14T22:13:20Z", created_by: "secure-software-factory" }],
      rootfs: { type: "layers", diff_ids: [output] },
    });
    const [layer] = layers;
    expect(layer).toBeDefined();
    if (layer) expect(await filesIn("image", layer)).toMatch(/-rwxr-xr-x 0\/0 +8 1970-01-01 [0-9:]+ \.\/app\n$/);
    expect(published("image").run.results).toEqual(run.results);
  });

  test("attaches the bill of materials to the image, and names it as a result of its own", async () => {
    const { run } = published("listed");
    const { IMAGE_DIGEST: image = "", SBOM_IMAGE_DIGEST: sbom = "" } = run.results;
    expect(run.results["SBOM_IMAGE_URL"]).toBe(run.results["IMAGE_URL"]);
    const found = await manifest("listed", sbom);
    expect(found).toMatchObject({
      artifactType: "application/vnd.cyclonedx+json",
      config: { mediaType: "application/vnd.oci.empty.v1+json", digest: emptyDigest, size: 2 },
      layers: [{ mediaType: "application/vnd.cyclonedx+json", digest: sha256(document) }],
      subject: { mediaType: manifestType, digest: image },
    });
    expect((await registry.blob("team-a/listed", sha256(document))).toString()).toBe(document);
    expect(await referrersOf("listed", run.results)).toMatchObject([
      { digest: sbom, artifactType: "application/vnd.cyclonedx+json", mediaType: manifestType },
    ]);
  });

  test("lists a bill of materials once, however often the same commit is built", async () => {
    const [first, second] = [published("twice").run.results, published("twice").run.results];
    expect(first).toEqual(second);
    expect(await referrersOf("twice", first)).toHaveLength(1);
  });

  test("keeps what others attached to the image", async () => {
    const { results } = published("shared").run;
    const attached = machine.run(
      stage("attach", {
        script: `
          mkdir -p "$TMPDIR/layout/blobs/sha256"
          add() { mv "$1" "$TMPDIR/layout/blobs/sha256/$(sha256sum <"$1" | cut -d ' ' -f 1)"; }
          printf '{}' >"$TMPDIR/config" && add "$TMPDIR/config"
          crane manifest "$IMAGE" | jq -c --arg digest "\${IMAGE#*@}" '
            { schemaVersion, mediaType, artifactType: "text/other", layers: [], subject: { mediaType, $digest, size: 402 },
              config: { mediaType: "text/other", digest: "${emptyDigest}", size: 2 } }' >"$TMPDIR/manifest"
          digest=$(sha256sum <"$TMPDIR/manifest" | cut -d ' ' -f 1) size=$(stat -c %s "$TMPDIR/manifest")
          add "$TMPDIR/manifest"
          jq -cn --arg digest "sha256:$digest" --argjson size "$size" '
            { schemaVersion: 2, manifests: [{ mediaType: "${manifestType}", $digest, $size }] }' >"$TMPDIR/layout/index.json"
          printf '{"imageLayoutVersion":"1.0.0"}' >"$TMPDIR/layout/oci-layout"
          crane push "$TMPDIR/layout" "\${IMAGE%@*}@sha256:$digest"`,
      }),
      {},
      { ...path(), IMAGE: `${results["IMAGE_URL"] ?? ""}@${results["IMAGE_DIGEST"] ?? ""}` },
    );
    expect([attached.status, attached.output]).toEqual([0, expect.stringContaining("fallback tag")]);
    const both = ["application/vnd.cyclonedx+json", "text/other"];
    expect(await typesOf("shared", results)).toEqual(both);
    expect(published("shared").run.status).toBe(0);
    expect(await typesOf("shared", results)).toEqual(both);
  });

  test("pushes the files of the output as an artefact when the team asks for files", async () => {
    const { run } = published("files", { artefact: "file" });
    expect(run.status).toBe(0);
    const found = await manifest("files", run.results["IMAGE_DIGEST"]);
    expect(found).toMatchObject({
      artifactType: "application/vnd.secure-software-factory.files.v1",
      config: { mediaType: "application/vnd.oci.empty.v1+json", digest: emptyDigest },
      layers: [{ annotations: { "org.opencontainers.image.title": "files.tar.gz" } }],
      annotations: { "org.opencontainers.image.revision": "a".repeat(40) },
    });
    const [layer] = found.layers;
    expect(layer).toBeDefined();
    if (layer) expect(await filesIn("files", layer)).toContain("./app\n");
    expect(published("files", { artefact: "file" }).run.results).toEqual(run.results);
  });

  test("refuses what a second build made otherwise, and takes what it made again", async () => {
    const other = `sha256:${"0".repeat(64)}`;
    const { run, output } = published("again", { reproduceStage: "reproduce" }, { "reproduced-digest": other });
    expect([run.status, run.output, run.results]).toEqual([
      1,
      `refused: the build is not reproducible: it made ${output} and then ${other}\n`,
      {},
    ]);
    expect(await registry.manifest("team-a/again", "none")).toBeUndefined();
    const good = published("again", { reproduceStage: "reproduce" }, { "reproduced-digest": output }).run;
    expect(good.status).toBe(0);
    expect(await manifest("again", good.results["IMAGE_DIGEST"])).toBeDefined();
  });
});

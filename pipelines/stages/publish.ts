import { PUBLISHER } from "../../components/lib/workload-api";
import { digestPattern, type RunResult, type Stage } from "../model";
import { patterns } from "../patterns";
import { authorities } from "./certificates";
import { commit, imageName, timestamp, url } from "./params";
import { sbomFile, sbomMediaType, sbomWorkspace } from "./scan";

/**
 * What a run publishes: an `image` that runs the output, or the output's files as a `file` artefact, in the form in which
 * ORAS reads and writes them.
 */
export type ArtefactKind = "image" | "file";

/** Type of the manifest that holds files. */
const filesArtefactType = "application/vnd.secure-software-factory.files.v1";

/** What {@link publish} needs. */
export interface PublishArgs {
  /** Image with crane, jq and the credential helper `spiffe`. */
  image: string;
  /** Where the team's images go: `<host>[:<port>]/<path>`. */
  repository: string;
  /** ConfigMap whose key `ca.crt` holds the registry's certificate authority. @default the image's own */
  caConfigMap?: string;
  /** What the image runs: absolute paths within the output. */
  entrypoint: readonly string[];
  /** Stage that fills workspace `output` and has a result `platform`. */
  outputStage: string;
  /** What is published. @default image */
  artefact?: ArtefactKind;
  /** Stage that makes the output a second time; what it makes must be equal. @default none */
  reproduceStage?: string;
}

/** The stage logs in with its identity: crane asks the helper for a token each time, and nothing is stored. */
const logIn = `
DOCKER_CONFIG="$TMPDIR/docker"
export DOCKER_CONFIG
mkdir "$DOCKER_CONFIG"
jq -cn --arg host "\${IMAGE_REPOSITORY%%/*}" '{ credHelpers: { ($host): "spiffe" } }' >"$DOCKER_CONFIG/config.json"
`;

const sameBytes = `
[ "$PARAM_REPRODUCED_DIGEST" = "$PARAM_OUTPUT_DIGEST" ] ||
  refuse "the build is not reproducible: it made $PARAM_OUTPUT_DIGEST and then $PARAM_REPRODUCED_DIGEST"
`;

const archiveOutput = `
blobs="$TMPDIR/layout/blobs/sha256"
mkdir -p "$blobs"
printf '{"imageLayoutVersion":"1.0.0"}' >"$TMPDIR/layout/oci-layout"

store() {
  stored=$(sha256sum <"$1" | cut -d ' ' -f 1)
  size=$(stat -c %s "$1")
  mv "$1" "$blobs/$stored"
}

push() {
  jq -cnS --arg digest "$1" --argjson size "$2" '
    {
      schemaVersion: 2,
      manifests: [{ mediaType: "application/vnd.oci.image.manifest.v1+json", digest: $digest, size: $size }]
    }' >"$TMPDIR/layout/index.json"
  crane push "$TMPDIR/layout" "$name@$1"
  [ "$(crane digest "$name@$1")" = "$1" ] || refuse 'the registry does not hold what was pushed'
}

tree_archive "$WORKSPACE_OUTPUT/tree" >"$TMPDIR/layer.tar"
contents=$(sha256sum <"$TMPDIR/layer.tar" | cut -d ' ' -f 1)
[ "sha256:$contents" = "$PARAM_OUTPUT_DIGEST" ] || refuse 'workspace output changed while the layer was made'
gzip -n -c "$TMPDIR/layer.tar" >"$TMPDIR/layer.tar.gz"
rm "$TMPDIR/layer.tar"
store "$TMPDIR/layer.tar.gz"
layer=$stored layer_size=$size
created=$(date -u -d "@$PARAM_TIMESTAMP" +%Y-%m-%dT%H:%M:%SZ)
name="$IMAGE_REPOSITORY/$PARAM_NAME"
`;

const imageManifest = `
jq -cnS --arg platform "$PARAM_PLATFORM" --arg created "$created" --arg contents "sha256:$contents" \\
  --arg source "$PARAM_URL" --arg revision "$PARAM_COMMIT" --argjson entrypoint "$ENTRYPOINT" '
  ($platform | split("/")) as $parts
  | {
      os: $parts[0],
      architecture: $parts[1],
      created: $created,
      config: {
        User: "65532:65532",
        WorkingDir: "/",
        Entrypoint: $entrypoint,
        Labels: {
          "org.opencontainers.image.created": $created,
          "org.opencontainers.image.revision": $revision,
          "org.opencontainers.image.source": $source
        }
      },
      rootfs: { type: "layers", diff_ids: [$contents] },
      history: [{ created: $created, created_by: "secure-software-factory" }]
    }
  | if $parts[2] then .variant = $parts[2] else . end' >"$TMPDIR/config.json"
store "$TMPDIR/config.json"

jq -cnS --arg config "sha256:$stored" --argjson config_size "$size" \\
  --arg layer "sha256:$layer" --argjson layer_size "$layer_size" '
  {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: $config, size: $config_size },
    layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest: $layer, size: $layer_size }]
  }' >"$TMPDIR/manifest.json"
`;

/** The configuration of a manifest that needs none, as the OCI image specification has it. */
const emptyConfig = `
printf '{}' >"$TMPDIR/config.json"
store "$TMPDIR/config.json"
`;

const filesManifest = `${emptyConfig}
jq -cnS --arg created "$created" --arg source "$PARAM_URL" --arg revision "$PARAM_COMMIT" \\
  --arg type ${filesArtefactType} --arg title "$PARAM_NAME.tar.gz" \\
  --arg config "sha256:$stored" --argjson config_size "$size" \\
  --arg layer "sha256:$layer" --argjson layer_size "$layer_size" '
  {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    artifactType: $type,
    config: { mediaType: "application/vnd.oci.empty.v1+json", digest: $config, size: $config_size },
    layers: [{
      mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
      digest: $layer,
      size: $layer_size,
      annotations: { "org.opencontainers.image.title": $title }
    }],
    annotations: {
      "org.opencontainers.image.created": $created,
      "org.opencontainers.image.revision": $revision,
      "org.opencontainers.image.source": $source
    }
  }' >"$TMPDIR/manifest.json"
`;

const pushArtefact = `
store "$TMPDIR/manifest.json"
manifest="sha256:$stored" manifest_size=$size
push "$manifest" "$manifest_size"
`;

/**
 * The document is attached as a referrer of the artefact. For a registry that keeps no list of referrers crane writes one
 * under a tag, as the OCI distribution specification says, but with the type of the configuration in place of the
 * artefact's; the last lines set that right.
 */
const pushSbom = `
cp "$WORKSPACE_SBOM/tree/${sbomFile}" "$TMPDIR/sbom.json"
store "$TMPDIR/sbom.json"
sbom=$stored sbom_size=$size
${emptyConfig.trim()}
jq -cnS --arg created "$created" --arg type ${sbomMediaType} --arg title ${sbomFile} \\
  --arg config "sha256:$stored" --argjson config_size "$size" \\
  --arg sbom "sha256:$sbom" --argjson sbom_size "$sbom_size" \\
  --arg manifest "$manifest" --argjson manifest_size "$manifest_size" '
  {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    artifactType: $type,
    config: { mediaType: "application/vnd.oci.empty.v1+json", digest: $config, size: $config_size },
    layers: [{
      mediaType: $type,
      digest: $sbom,
      size: $sbom_size,
      annotations: { "org.opencontainers.image.title": $title }
    }],
    subject: { mediaType: "application/vnd.oci.image.manifest.v1+json", digest: $manifest, size: $manifest_size },
    annotations: { "org.opencontainers.image.created": $created }
  }' >"$TMPDIR/sbom-manifest.json"
store "$TMPDIR/sbom-manifest.json"
push "sha256:$stored" "$size"

referrers="$name:sha256-\${manifest#sha256:}"
crane manifest "$referrers" >"$TMPDIR/referrers.json"
jq -cS --arg sbom "sha256:$stored" --arg type ${sbomMediaType} '
  (.manifests[] | select(.digest == $sbom) | .artifactType) = $type' "$TMPDIR/referrers.json" >"$TMPDIR/layout/index.json"
for referrer in $(jq -r '.manifests[].digest' "$TMPDIR/referrers.json"); do
  crane manifest "$name@$referrer" >"$blobs/\${referrer#sha256:}"
done
crane push --index "$TMPDIR/layout" "$referrers"

printf '%s' "$name" | tee "$RESULT_IMAGE_URL" >"$RESULT_SBOM_IMAGE_URL"
printf '%s' "$manifest" >"$RESULT_IMAGE_DIGEST"
printf '%s' "sha256:$stored" >"$RESULT_SBOM_IMAGE_DIGEST"
`;

const scriptFor = ({ artefact = "image", reproduceStage }: PublishArgs): string =>
  [
    ...(reproduceStage === undefined ? [] : [sameBytes]),
    logIn,
    archiveOutput,
    artefact === "image" ? imageManifest : filesManifest,
    pushArtefact,
    pushSbom,
  ]
    .map((part) => part.trim())
    .join("\n\n");

/**
 * The stage that makes an image or a file artefact whose one layer is the output, and pushes it by digest with its bill of
 * materials. The digest of that layer's contents is the digest of the output: whoever has the provenance can compare the
 * two.
 */
export const publish = (args: PublishArgs): Stage => {
  const trusted = authorities(args.caConfigMap);
  return {
    name: PUBLISHER,
    description: "Makes an artefact of the output and pushes it by digest, with its bill of materials.",
    image: args.image,
    script: scriptFor(args),
    params: [
      imageName,
      url,
      commit,
      timestamp("the image bears"),
      {
        name: "platform",
        description: "Platform that the output runs on.",
        pattern: patterns.platform,
        from: { stage: args.outputStage, result: "platform" },
      },
      ...(args.reproduceStage === undefined
        ? []
        : [
            {
              name: "reproduced-digest",
              description: "Digest of the output of the second build.",
              pattern: digestPattern,
              from: { stage: args.reproduceStage, result: "digest" },
            },
          ]),
    ],
    results: [
      { name: "IMAGE_URL", description: "The image's name, without tag or digest." },
      { name: "IMAGE_DIGEST", description: "The image's digest." },
      { name: "SBOM_IMAGE_URL", description: "Where the bill of materials lies: the image's name." },
      { name: "SBOM_IMAGE_DIGEST", description: "Digest of the manifest of the bill of materials." },
    ],
    reads: ["output", sbomWorkspace.name],
    network: "registry",
    env: {
      ...(args.artefact === "file" ? {} : { ENTRYPOINT: JSON.stringify(args.entrypoint) }),
      IMAGE_REPOSITORY: args.repository,
      SSL_CERT_FILE: trusted.files.join(),
    },
    mounts: trusted.mounts,
    identity: true,
    resources: { cpu: "1", memory: "512Mi", scratch: "4Gi" },
  };
};

/**
 * What {@link publish} leaves for whoever verifies a run. Chains makes a subject of each pair, so that one statement speaks
 * about the image and its bill of materials.
 */
export const publishResults: RunResult[] = [
  {
    name: "IMAGE_URL",
    description: "The image's name, without tag or digest.",
    from: { stage: "publish", result: "IMAGE_URL" },
  },
  { name: "IMAGE_DIGEST", description: "The image's digest.", from: { stage: "publish", result: "IMAGE_DIGEST" } },
  {
    name: "SBOM_IMAGE_URL",
    description: "Where the bill of materials lies: the image's name.",
    from: { stage: "publish", result: "SBOM_IMAGE_URL" },
  },
  {
    name: "SBOM_IMAGE_DIGEST",
    description: "Digest of the manifest of the bill of materials.",
    from: { stage: "publish", result: "SBOM_IMAGE_DIGEST" },
  },
];

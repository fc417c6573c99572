import type { Stage } from "../model";
import { patterns } from "../patterns";
import { authorities } from "./certificates";

/** What {@link publish} needs. */
export interface PublishArgs {
  /** Image with crane and jq. */
  image: string;
  /** Where the team's images go: `<host>[:<port>]/<path>`. */
  repository: string;
  /** ConfigMap whose key `ca.crt` holds the registry's certificate authority. @default the image's own */
  caConfigMap?: string;
  /** Secret of type `kubernetes.io/dockerconfigjson` with the right to push. */
  credentialsSecret: string;
  /** What the image runs: absolute paths within the output. */
  entrypoint: readonly string[];
  /** Stage that fills workspace `output` and has a result `platform`. */
  outputStage: string;
}

const credentialsDirectory = "/etc/ssf/credentials";

const script = `
blobs="$TMPDIR/layout/blobs/sha256"
mkdir -p "$blobs"

store() {
  stored=$(sha256sum <"$1" | cut -d ' ' -f 1)
  size=$(stat -c %s "$1")
  mv "$1" "$blobs/$stored"
}

tree_archive "$WORKSPACE_OUTPUT/tree" >"$TMPDIR/layer.tar"
contents=$(sha256sum <"$TMPDIR/layer.tar" | cut -d ' ' -f 1)
[ "sha256:$contents" = "$PARAM_OUTPUT_DIGEST" ] || refuse 'workspace output changed while the layer was made'
gzip -n -c "$TMPDIR/layer.tar" >"$TMPDIR/layer.tar.gz"
rm "$TMPDIR/layer.tar"
store "$TMPDIR/layer.tar.gz"
layer=$stored layer_size=$size

created=$(date -u -d "@$PARAM_TIMESTAMP" +%Y-%m-%dT%H:%M:%SZ)
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
config=$stored config_size=$size

jq -cnS --arg config "sha256:$config" --argjson config_size "$config_size" \\
  --arg layer "sha256:$layer" --argjson layer_size "$layer_size" '
  {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: $config, size: $config_size },
    layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest: $layer, size: $layer_size }]
  }' >"$TMPDIR/manifest.json"
store "$TMPDIR/manifest.json"
manifest="sha256:$stored"

jq -cnS --arg digest "$manifest" --argjson size "$size" '
  {
    schemaVersion: 2,
    manifests: [{ mediaType: "application/vnd.oci.image.manifest.v1+json", digest: $digest, size: $size }]
  }' >"$TMPDIR/layout/index.json"
printf '{"imageLayoutVersion":"1.0.0"}' >"$TMPDIR/layout/oci-layout"

name="$IMAGE_REPOSITORY/$PARAM_NAME"
crane push "$TMPDIR/layout" "$name@$manifest"
[ "$(crane digest "$name@$manifest")" = "$manifest" ] || refuse 'the registry does not hold what was pushed'

printf '%s' "$name" >"$RESULT_IMAGE_URL"
printf '%s' "$manifest" >"$RESULT_IMAGE_DIGEST"
`;

/**
 * The stage that makes an image whose one layer is the output, and pushes it by digest. The digest of that layer's
 * contents is the digest of the output: whoever has the provenance can compare the two.
 */
export const publish = (args: PublishArgs): Stage => {
  const trusted = authorities(args.caConfigMap);
  return {
    name: "publish",
    description: "Makes an image of the output and pushes it by digest.",
    image: args.image,
    script,
    params: [
      {
        name: "name",
        description: "Last part of the image's name.",
        pattern: patterns.imageName,
        from: { run: "name" },
      },
      {
        name: "url",
        description: "Address of the source.",
        pattern: patterns.repository,
        from: { stage: "ingest-source", result: "url" },
      },
      {
        name: "commit",
        description: "Commit of the source.",
        pattern: patterns.commit,
        from: { stage: "ingest-source", result: "commit" },
      },
      {
        name: "timestamp",
        description: "Time that the image bears, in seconds since 1970.",
        pattern: patterns.timestamp,
        from: { stage: "ingest-source", result: "timestamp" },
      },
      {
        name: "platform",
        description: "Platform that the output runs on.",
        pattern: patterns.platform,
        from: { stage: args.outputStage, result: "platform" },
      },
    ],
    results: [
      { name: "IMAGE_URL", description: "The image's name, without tag or digest." },
      { name: "IMAGE_DIGEST", description: "The image's digest." },
    ],
    reads: ["output"],
    network: "registry",
    env: {
      DOCKER_CONFIG: credentialsDirectory,
      ENTRYPOINT: JSON.stringify(args.entrypoint),
      IMAGE_REPOSITORY: args.repository,
      SSL_CERT_FILE: trusted.files.join(),
    },
    mounts: [
      {
        name: "credentials",
        kind: "secret",
        source: args.credentialsSecret,
        files: { ".dockerconfigjson": "config.json" },
        path: credentialsDirectory,
      },
      ...trusted.mounts,
    ],
    resources: { cpu: "1", memory: "512Mi", scratch: "4Gi" },
  };
};

/** What {@link publish} leaves for whoever verifies a run. */
export const publishResults = [
  {
    name: "IMAGE_URL",
    description: "The image's name, without tag or digest.",
    from: { stage: "publish", result: "IMAGE_URL" },
  },
  { name: "IMAGE_DIGEST", description: "The image's digest.", from: { stage: "publish", result: "IMAGE_DIGEST" } },
];

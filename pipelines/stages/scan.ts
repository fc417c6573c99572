import type { RunResult, Stage, Workspace } from "../model";
import { commit, directory, imageName, timestamp, url } from "./params";

/** What {@link scan} needs. */
export interface ScanArgs {
  /** Image with syft, jq and unzip. */
  image: string;
  /**
   * Packages that may not be published: package URLs without qualifiers, with or without a version; `*` stands for any
   * text. @default none
   */
  deniedPackages?: readonly string[];
  /** Licences that may not be published: SPDX identifiers; `*` stands for any text. @default none */
  deniedLicenses?: readonly string[];
}

/** File of workspace `sbom` that the stage writes. */
export const sbomFile = "sbom.cdx.json";

/** Media type of that file, and of the artefact that holds it. */
export const sbomMediaType = "application/vnd.cyclonedx+json";

/** The workspace that {@link scan} fills. */
export const sbomWorkspace: Workspace = {
  name: "sbom",
  description: "The bill of materials of the output, in CycloneDX.",
  storage: "64Mi",
};

/**
 * The two documents of syft as one, without its random number and its time. A component of the output is `required`;
 * one that only the source asks for is `excluded`, which is CycloneDX's word for what is used but not delivered.
 */
const merge = String.raw`
  def found_in($where):
    any(.properties[]; .name == "secure-software-factory:found-in" and .value == $where);
  def components($where): (.components // []) | map(. + {
    "bom-ref": (.purl // .["bom-ref"]),
    properties: ((.properties // []) + [{ name: "secure-software-factory:found-in", value: $where }])
  });
  $output[0] as $output | $source[0] as $source
  | ($output.components // [] | map({ key: .["bom-ref"], value: (.purl // .["bom-ref"]) }) | from_entries) as $names
  | {
      "$schema": $output["$schema"],
      bomFormat: "CycloneDX",
      specVersion: $output.specVersion,
      version: 1,
      metadata: {
        timestamp: $time,
        tools: $output.metadata.tools,
        component: {
          type: "application",
          "bom-ref": "application",
          name: $name,
          version: $commit,
          externalReferences: [{ type: "vcs", url: $url }],
          properties: ($digests | to_entries
            | map({ name: "secure-software-factory:\(.key)-digest", value: .value }))
        }
      },
      components: (($output | components("output")) + ($source | components("source"))
        | group_by(.["bom-ref"])
        | map(sort_by([(found_in("output") | not), tojson])
          | ([.[].properties[]] | unique) as $properties
          | ([.[].licenses // [] | .[]] | unique) as $licenses
          | .[0] + { properties: $properties }
          | .scope = (if found_in("output") then "required" else "excluded" end)
          | if $licenses == [] then . else .licenses = $licenses end)),
      dependencies: ([$output.dependencies // [] | .[] | select($names[.ref])
          | { ref: $names[.ref], dependsOn: [.dependsOn // [] | .[] | $names[.] // empty] }]
        | group_by(.ref)
        | map({ ref: .[0].ref, dependsOn: ([.[].dependsOn[]] | unique) }))
    }`;

/**
 * A line for each component that a deny list names, and for each of its licences that one names. Licences of Debian packages
 * are left alone: those are of the factory's own runtimes, and name the licence of every file of their source.
 */
const denials = String.raw`
  def folded: ascii_downcase | gsub("%2b"; "+") | gsub("%3a"; ":") | gsub("%40"; "@");
  def like($pattern):
    test("^" + ($pattern | split("*") | map(gsub("(?<other>[^a-z0-9 ])"; "\\\(.other)")) | join(".*")) + "$");

  def parts: folded | capture("^(?<id>.*?)(@(?<version>[^@/]*))?$") | .version |= (. // "" | ltrimstr("v"));
  def package_rules:
    split("#") as [$base, $path]
    | ($base | split("?")[0] | parts) as $given
    | [$given.id, (if $path then "\($given.id)/\($path | folded)" else empty end)] as $ids
    | $packages[] | . as $rule | parts as $denied
    | select(any($ids[]; like($denied.id)))
    | select($denied.version == "" or ($given.version | like($denied.version)))
    | $rule;

  def term_rules:
    (folded | sub(" with .*"; "") | sub("[+]$"; "")) as $id
    | $licenses[] | . as $rule | select($id | like($rule | folded));
  def verdict: [split(" OR ")[] | [split(" AND ")[] | . == "DENIED" or any(term_rules; true)] | any] | all
    | if . then "DENIED" else "PERMITTED" end;
  def resolved: first(
    (capture("^(?<before>.*)[(](?<inner>[^()]*)[)](?<after>.*)$")
      | "\(.before)\(.inner | verdict)\(.after)" | resolved),
    verdict);
  def expression_rules: if resolved == "DENIED"
    then [gsub("[()]"; "") | split(" OR ")[] | split(" AND ")[] | term_rules] | unique | join(" and ")
    else empty end;

  .components[]
  | ([.properties[] | select(.name == "secure-software-factory:found-in") | .value] | join(" and ")) as $where
  | ([.properties[] | select(.name | test("^syft:location:[0-9]+:path$")) | .value] | join(", ")) as $paths
  | "package \(.name) \(.version // "of no version"), found in \($where) at \($paths)," as $package
  | (.purl // empty | package_rules | "\($package) is denied by \(.)"),
    (select(.purl // "" | startswith("pkg:deb/") | not)
      | .licenses // [] | .[]
      | (.license.id // .license.name // .expression) as $name
      | (if .expression then (.expression | expression_rules) else ($name | term_rules) end)
      | "\($package) has licence \($name), which is denied by \(.)")`;

/** Modules lie zipped in the folder of the dependencies; syft reads their licences from unpacked ones. */
const unpackLicenses = String.raw`
find "$WORKSPACE_DEPENDENCIES/tree" -type f -path '*/@v/*.zip' | while read -r archive; do
  escaped=$(printf '%s' "$archive" | sed -e 's|^.*/tree/||' -e 's|/@v/.*||')
  version=$(basename "$archive" .zip)
  plain=$(printf '%s' "$escaped" | sed 's/!\(.\)/\U\1/g')
  unzip -Z1 "$archive" >"$TMPDIR/entries"
  grep -Eix '[^@]+@[^/]+/(un|mit-)?(licen[cs]e|copying|notice)[a-z0-9._-]*' "$TMPDIR/entries" >"$TMPDIR/licences" ||
    continue
  xargs -d '\n' unzip -qq -o -d "$TMPDIR/unpacked" "$archive" <"$TMPDIR/licences"
  mkdir -p "$TMPDIR/modules/$(dirname "$escaped")"
  mv "$TMPDIR/unpacked/$plain@$version" "$TMPDIR/modules/$escaped@$version"
done
`;

const script = String.raw`
cd "$TMPDIR"
${unpackLicenses.trim()}
export SYFT_GOLANG_LOCAL_MOD_CACHE_DIR="$TMPDIR/modules"

packages_of() {
  directory=$1
  shift
  syft scan "dir:$directory" --base-path "$directory" --source-name "$PARAM_NAME" --output cyclonedx-json "$@"
}
packages_of "$WORKSPACE_OUTPUT/tree" --override-default-catalogers image >output.json
packages_of "$WORKSPACE_SOURCE/tree/$PARAM_DIRECTORY" \
  --override-default-catalogers declared --select-catalogers language >source.json
jq -e '.components | length > 0' output.json >components ||
  refuse 'syft finds no package in the output, so nobody can say what is in it'

sbom="$WORKSPACE_SBOM/tree/${sbomFile}"
jq -cnS --slurpfile output output.json --slurpfile source source.json \
  --arg time "$(date -u -d "@$PARAM_TIMESTAMP" +%Y-%m-%dT%H:%M:%SZ)" \
  --arg name "$PARAM_NAME" --arg url "$PARAM_URL" --arg commit "$PARAM_COMMIT" \
  --argjson digests "$(jq -cn --arg source "$PARAM_SOURCE_DIGEST" --arg dependencies "$PARAM_DEPENDENCIES_DIGEST" \
    --arg output "$PARAM_OUTPUT_DIGEST" '{ $source, $dependencies, $output }')" '${merge}' >contents.json
# A version 8 UUID, whose digits are those of the contents' digest.
serial=$(sha256sum <contents.json | sed -E 's/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*$/\1-\2-8\3-8\4-\5/')
jq -cS --arg serial "urn:uuid:$serial" '.serialNumber = $serial' contents.json >"$sbom"

denied=$(jq -r --argjson packages "$DENIED_PACKAGES" --argjson licenses "$DENIED_LICENSES" '${denials}' "$sbom")
[ -z "$denied" ] || refuse "$denied"
jq -j '.components | length' "$sbom" >"$RESULT_PACKAGES"
`;

/** The stage that lists all packages of the output and of the source's lock file, and refuses those on a deny list. */
export const scan = ({ image, deniedPackages = [], deniedLicenses = [] }: ScanArgs): Stage => ({
  name: "scan",
  description: "Writes the bill of materials, and refuses what the team's deny lists name.",
  image,
  script,
  params: [directory(), imageName, url, commit, timestamp("the document bears")],
  results: [{ name: "packages", description: "Number of packages that the document lists." }],
  reads: ["source", "dependencies", "output"],
  writes: sbomWorkspace.name,
  network: "none",
  env: {
    DENIED_LICENSES: JSON.stringify(deniedLicenses),
    DENIED_PACKAGES: JSON.stringify(deniedPackages),
    SYFT_CHECK_FOR_APP_UPDATE: "false",
    SYFT_FILE_METADATA_SELECTION: "none",
    SYFT_GOLANG_SEARCH_LOCAL_MOD_CACHE_LICENSES: "true",
    SYFT_GOLANG_SEARCH_REMOTE_LICENSES: "false",
    SYFT_JAVASCRIPT_SEARCH_REMOTE_LICENSES: "false",
    SYFT_JAVA_USE_NETWORK: "false",
    SYFT_LOG_LEVEL: "error",
    SYFT_PARALLELISM: "1",
    SYFT_PYTHON_SEARCH_REMOTE_LICENSES: "false",
  },
  mounts: [],
  resources: { cpu: "1", memory: "1Gi", scratch: "4Gi" },
});

/** What {@link scan} leaves for whoever verifies a run. */
export const scanResults: RunResult[] = [
  {
    name: "packages",
    description: "Number of packages that the bill of materials lists.",
    from: { stage: "scan", result: "packages" },
  },
];

import type { Language, LanguageContext, Stage, StageResources } from "../model";
import { patterns } from "../patterns";
import { authorities } from "../stages/certificates";

/** Settings of a team's Go pipeline; each becomes part of the signed definitions. */
export interface GoOptions {
  /** Module proxies, as GOPROXY. @default the Go distribution's own */
  goProxy?: string;
  /** Checksum database, as GOSUMDB. @default the Go distribution's own */
  goSumDb?: string;
  /** Modules that the checksum database does not know, as GONOSUMDB. @default none */
  goNoSumDb?: string;
  /** What stage build may use. @default 2 CPUs, 3Gi of memory, 8Gi of scratch space */
  buildResources?: Partial<StageResources>;
}

/** A package of the module, as a path from its directory. */
const packagePattern = "[.](/[.]?[A-Za-z0-9_][A-Za-z0-9._@+~-]*)*";

/** The same for both stages: nothing outside the definition and the source decides how Go behaves. */
const settings = {
  CGO_ENABLED: "0",
  GOENV: "off",
  GOFLAGS: "-mod=readonly -trimpath -buildvcs=false -modcacherw",
  GOTOOLCHAIN: "local",
  GOWORK: "off",
};

const prepare = `
export GOPATH="$TMPDIR/go" GOMODCACHE="$TMPDIR/modules" GOCACHE="$TMPDIR/cache"
mkdir -p "$GOMODCACHE/cache/download"
cd "$WORKSPACE_SOURCE/tree/$PARAM_DIRECTORY"
`;

const ingestScript = `${prepare}
[ -f go.mod ] || refuse "there is no go.mod in directory $PARAM_DIRECTORY"
[ -f go.sum ] || refuse "there is no go.sum in directory $PARAM_DIRECTORY; it fixes every dependency, so commit it"
go mod download
go mod verify

cd "$GOMODCACHE/cache/download"
find . -path ./sumdb -prune -o -type f -path '*/@v/*' \\( -name '*.mod' -o -name '*.zip' \\) \\
  -exec cp --parents -t "$WORKSPACE_DEPENDENCIES/tree" {} +
`;

const buildScript = `${prepare}
export GOPROXY="file://$WORKSPACE_DEPENDENCIES/tree" GOSUMDB=off SOURCE_DATE_EPOCH="$PARAM_TIMESTAMP"
kind=$(go list -f '{{.Name}}' "$PARAM_PACKAGE")
[ "$kind" = main ] || refuse "package $PARAM_PACKAGE is package $kind and cannot run; name a main package"
go build -o "$WORKSPACE_OUTPUT/tree/app" "$PARAM_PACKAGE"

go env -json GOVERSION GOOS GOARCH GOAMD64 GOARM64 GOEXPERIMENT GOFIPS140 CGO_ENABLED GOFLAGS |
  tr -d '\\n\\t' >"$RESULT_ENVIRONMENT"
printf '%s/%s' "$(go env GOOS)" "$(go env GOARCH)" >"$RESULT_PLATFORM"
`;

const directory = {
  name: "directory",
  description: "Directory of the module.",
  pattern: patterns.directory,
  from: { run: "directory" },
};

const stages = (options: GoOptions, context: LanguageContext): Stage[] => {
  const image = context.images["stage-go"] ?? "";
  const trusted = authorities(context.caBundleConfigMap);
  return [
    {
      name: "ingest-dependencies",
      description: "Downloads every module and checks it against go.sum.",
      image,
      script: ingestScript,
      params: [directory],
      results: [],
      reads: ["source"],
      writes: "dependencies",
      network: "dependencies",
      env: {
        ...settings,
        ...(options.goProxy === undefined ? {} : { GOPROXY: options.goProxy }),
        ...(options.goSumDb === undefined ? {} : { GOSUMDB: options.goSumDb }),
        ...(options.goNoSumDb === undefined ? {} : { GONOSUMDB: options.goNoSumDb }),
        SSL_CERT_FILE: trusted.files.join(),
      },
      mounts: trusted.mounts,
      resources: { cpu: "1", memory: "1Gi", scratch: "8Gi" },
    },
    {
      name: "build",
      description: "Builds one main package from source and dependencies alone.",
      image,
      script: buildScript,
      params: [
        directory,
        { name: "package", description: "Main package.", pattern: packagePattern, from: { run: "package" } },
        {
          name: "timestamp",
          description: "Time that the build takes for now, in seconds since 1970.",
          pattern: patterns.timestamp,
          from: { stage: "ingest-source", result: "timestamp" },
        },
      ],
      results: [
        { name: "environment", description: "Go version and settings of the build, as JSON." },
        { name: "platform", description: "Platform that the program runs on." },
      ],
      reads: ["source", "dependencies"],
      writes: "output",
      network: "none",
      env: settings,
      mounts: [],
      resources: { cpu: "2", memory: "3Gi", scratch: "8Gi", ...options.buildResources },
    },
  ];
};

/** Programs in Go: a module with `go.sum` and a main package. Without cgo, so that the image needs nothing else. */
export const go = (options: GoOptions = {}): Language => ({
  name: "go",
  params: [
    {
      name: "package",
      description: "the main package, as a path from the module's directory, such as ./cmd/server.",
      pattern: packagePattern,
      default: ".",
    },
  ],
  stages: (context) => stages(options, context),
  outputStage: "build",
  entrypoint: ["/app"],
  results: [
    {
      name: "build-environment",
      description: "Go version and settings of the build, as JSON.",
      from: { stage: "build", result: "environment" },
    },
  ],
});

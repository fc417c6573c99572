import type { Language } from "../model";
import { language } from "./language";

/** Settings of a team's Go pipeline; each becomes part of the signed definitions. */
export interface GoOptions {
  /** Module proxies, as GOPROXY. @default the Go distribution's own */
  goProxy?: string;
  /** Checksum database, as GOSUMDB. @default the Go distribution's own */
  goSumDb?: string;
  /** Modules that the checksum database does not know, as GONOSUMDB. @default none */
  goNoSumDb?: string;
}

/** A package of the module, as a path from its directory. */
const packagePattern = "[.](/[.]?[A-Za-z0-9_][A-Za-z0-9._@+~-]*)*";

/**
 * The same for both stages, and for the standard library that their image brings compiled: nothing outside the definition
 * and the source decides how Go behaves.
 */
export const goSettings = {
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

/** As links: Go writes to its cache, and the image's file system is read-only. */
const useStandardLibrary = `
if [ -n "\${GO_STANDARD_LIBRARY:-}" ]; then
  cp --recursive --symbolic-link "$GO_STANDARD_LIBRARY/." "$GOCACHE"
fi
`;

const buildScript = `${prepare}${useStandardLibrary}
export GOPROXY="file://$WORKSPACE_DEPENDENCIES/tree" GOSUMDB=off SOURCE_DATE_EPOCH="$PARAM_TIMESTAMP"
kind=$(go list -f '{{.Name}}' "$PARAM_PACKAGE")
[ "$kind" = main ] || refuse "package $PARAM_PACKAGE is package $kind and cannot run; name a main package"
go build -o "$WORKSPACE_OUTPUT/tree/app" "$PARAM_PACKAGE"

go env -json GOVERSION GOOS GOARCH GOAMD64 GOARM64 GOEXPERIMENT GOFIPS140 CGO_ENABLED GOFLAGS |
  tr -d '\\n\\t' >"$RESULT_ENVIRONMENT"
printf '%s/%s' "$(go env GOOS)" "$(go env GOARCH)" >"$RESULT_PLATFORM"
`;

/** Programs in Go: a module with `go.sum` and a main package. Without cgo, so that the image needs nothing else. */
export const go = ({ goProxy, goSumDb, goNoSumDb }: GoOptions = {}): Language =>
  language({
    name: "go",
    image: "stage-go",
    unit: "module",
    param: {
      name: "package",
      description: "the main package, as a path from the module's directory, such as ./cmd/server.",
      pattern: packagePattern,
      default: ".",
    },
    ingest: {
      description: "Downloads every module and checks it against go.sum.",
      script: ingestScript,
      env: {
        ...goSettings,
        ...(goProxy === undefined ? {} : { GOPROXY: goProxy }),
        ...(goSumDb === undefined ? {} : { GOSUMDB: goSumDb }),
        ...(goNoSumDb === undefined ? {} : { GONOSUMDB: goNoSumDb }),
      },
      authorities: "SSL_CERT_FILE",
      scratch: "8Gi",
    },
    build: {
      description: "Builds one main package from source and dependencies alone.",
      script: buildScript,
      env: goSettings,
      param: "Main package.",
      environment: "Go version and settings of the build, as JSON.",
    },
    entrypoint: ["/app"],
  });

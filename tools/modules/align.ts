import { readFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../process";
import { modules as upstreams } from "../toolchain/modules";

/**
 * The client libraries of Kubernetes, gRPC, telemetry, and what these are built from: most upstreams use them, and name up to
 * sixteen versions of one. What has one version is compiled once for all of them.
 */
export const sharedLibraries: readonly string[] = [
  "github.com/davecgh/go-spew",
  "github.com/emicklei/go-restful/v3",
  "github.com/fxamacker/cbor/v2",
  "github.com/go-logr/logr",
  "github.com/go-openapi/jsonpointer",
  "github.com/go-openapi/jsonreference",
  "github.com/go-openapi/swag",
  "github.com/go-openapi/swag/cmdutils",
  "github.com/go-openapi/swag/fileutils",
  "github.com/go-openapi/swag/jsonname",
  "github.com/go-openapi/swag/jsonutils",
  "github.com/go-openapi/swag/loading",
  "github.com/go-openapi/swag/mangling",
  "github.com/go-openapi/swag/netutils",
  "github.com/go-openapi/swag/stringutils",
  "github.com/go-openapi/swag/yamlutils",
  "github.com/google/gnostic-models",
  "github.com/klauspost/compress",
  "github.com/prometheus/client_golang",
  "github.com/prometheus/common",
  "github.com/prometheus/procfs",
  "github.com/spf13/pflag",
  "go.opentelemetry.io/otel",
  "go.opentelemetry.io/otel/metric",
  "go.opentelemetry.io/otel/trace",
  "golang.org/x/crypto",
  "golang.org/x/net",
  "golang.org/x/oauth2",
  "golang.org/x/sync",
  "golang.org/x/sys",
  "golang.org/x/term",
  "golang.org/x/text",
  "golang.org/x/time",
  "google.golang.org/genproto/googleapis/api",
  "google.golang.org/genproto/googleapis/rpc",
  "google.golang.org/grpc",
  "google.golang.org/protobuf",
  "k8s.io/api",
  "k8s.io/apiextensions-apiserver",
  "k8s.io/apimachinery",
  "k8s.io/client-go",
  "k8s.io/klog/v2",
  "k8s.io/kube-openapi",
  "k8s.io/utils",
  "sigs.k8s.io/json",
  "sigs.k8s.io/structured-merge-diff/v6",
  "sigs.k8s.io/yaml",
];

/** Upstreams that keep the versions of their own, and why. */
export const apart: Readonly<Record<string, string>> = {
  "cert-manager": "its release is older than the libraries' present interfaces",
  cilium: "its release is older than the libraries' present interfaces",
  "cni-plugins": "it has next to none of them",
  kind: "it has next to none of them",
  kubernetes: "the API server, which all else trusts, is as upstream tested it",
  "language-nodejs": "it has next to none of them",
  "provider-kubernetes": "it reads objects of API versions that the present libraries have dropped",
  pulumi: "its present release cannot be verified",
  runc: "it has next to none of them",
  spire: "it has an interface of its own that the present libraries have widened",
  "spire-controller-manager": "its release is older than the libraries' present interfaces",
};

const wrapper = (upstream: string): string => join(__dirname, upstream);

/** Upstreams whose shared libraries have one version. */
const aligned: readonly string[] = Object.keys(upstreams).filter((name) => apart[name] === undefined);

/** Versions that the go.mod of an upstream's wrapper names, by module. */
export const versionsIn = (upstream: string): Map<string, string> => {
  const text = readFileSync(join(wrapper(upstream), "go.mod"), "utf8");
  const [required = ""] = text.split(/^(?:replace|tool|exclude)\b/m);
  return new Map(
    [...required.matchAll(/^(?:require)?\s+(\S+) (v\S+)/gm)].map(([, path = "", version = ""]) => [path, version]),
  );
};

/** Orders versions as Go does: what comes before a release is older than the release. */
const byAge = (one: string, other: string): number => {
  const [release = "", ...before] = one.split("-");
  const [otherRelease = "", ...otherBefore] = other.split("-");
  const compare = (a: string, b: string) => a.localeCompare(b, "en", { numeric: true });
  if (release !== otherRelease) return compare(release, otherRelease);
  if (before.length === 0 || otherBefore.length === 0) return otherBefore.length - before.length;
  return compare(before.join("-"), otherBefore.join("-"));
};

/** Versions by module, by upstream. */
export type Versions = ReadonlyMap<string, ReadonlyMap<string, string>>;

/** Versions that the wrappers name now. */
export const versions = (): Versions => new Map(aligned.map((upstream) => [upstream, versionsIn(upstream)]));

/** The newest version of each shared library that any of the upstreams asks for. */
export const newest = (named: Versions): Map<string, string> =>
  new Map(
    sharedLibraries.flatMap((library) => {
      const asked = [...named.values()].flatMap((modules) => modules.get(library) ?? []);
      const last = asked.sort(byAge).at(-1);
      return last === undefined ? [] : [[library, last]];
    }),
  );

/** What each upstream has to take in place of an older version, as `go get` is told it; nothing of those that have all. */
export const behind = (named: Versions): Map<string, string[]> => {
  const wanted = newest(named);
  const older = ([library, version]: [string, string]): string[] => {
    const target = wanted.get(library) ?? version;
    return target === version ? [] : [`${library}@${target}`];
  };
  return new Map(
    [...named]
      .map(([upstream, modules]): [string, string[]] => [upstream, [...modules].flatMap(older)])
      .filter(([, targets]) => targets.length > 0),
  );
};

/** Gives every wrapper the newest versions; again, until none of them asks for a newer one. */
const main = async (): Promise<void> => {
  for (let left = behind(versions()); left.size > 0; left = behind(versions()))
    for (const [upstream, targets] of left) {
      console.log(`${upstream}: ${targets.join(" ")}`);
      const cwd = wrapper(upstream);
      await run("go", ["get", ...targets], { cwd });
      // Tests of the libraries may ask for what their newest versions have no more.
      await run("go", ["mod", "tidy", "-e"], { cwd });
    }
};

if (require.main === module) void main();

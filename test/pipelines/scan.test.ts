import { createHash } from "node:crypto";
import { chmodSync, cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { scan, type ScanArgs } from "../../pipelines/stages/scan";
import { describeWith, programPath } from "../support/programs";
import { someDigest, stage } from "./fixtures";
import { Machine, type StageRun } from "./run-stage";

let machine: Machine;
beforeEach(() => {
  machine = new Machine();
});
afterEach(() => machine.remove());

type Files = Record<string, string | { copyOf: string }>;

/** Fills a workspace as its own stage would, and gives its digest. */
const filled = (workspace: string, files: Files): string => {
  const writer = stage("write", {
    writes: workspace,
    script: `cp -R "$FILES/." "$WORKSPACE_${workspace.toUpperCase()}/tree"`,
  });
  const directory = join(machine.root, "files", workspace);
  mkdirSync(directory, { recursive: true });
  for (const [name, content] of Object.entries(files)) {
    const file = join(directory, name);
    mkdirSync(dirname(file), { recursive: true });
    if (typeof content === "string") writeFileSync(file, content);
    else cpSync(content.copyOf, file, { dereference: true });
  }
  return machine.run(writer, {}, { FILES: directory }).results["digest"] ?? "";
};

interface Trees {
  source?: Files;
  dependencies?: Files;
  output?: Files;
}

interface Sbom {
  serialNumber: string;
  metadata: { timestamp: string; component: { properties: { name: string; value: string }[] } };
  components: {
    name: string;
    version?: string;
    purl: string;
    scope: string;
    licenses?: { license?: { id: string } }[];
    properties: { name: string; value: string }[];
  }[];
}

const scanned = (args: Partial<ScanArgs>, trees: Trees, env: Record<string, string> = {}): StageRun =>
  machine.run(
    scan({ image: `images.test/scan@${someDigest}`, ...args }),
    {
      directory: ".",
      name: "one",
      url: "https://forge.test/one.git",
      commit: "a".repeat(40),
      timestamp: "1700000000",
      ...Machine.digests({
        source: filled("source", trees.source ?? {}),
        dependencies: filled("dependencies", trees.dependencies ?? {}),
        output: filled("output", trees.output ?? {}),
      }),
    },
    env,
  );

const sbomText = (): string => readFileSync(join(machine.workspace("sbom"), "tree/sbom.cdx.json"), "utf8");
const sbom = (): Sbom => JSON.parse(sbomText()) as Sbom;

/** A component as syft writes it. */
const component = (purl: string, path: string, more: object = {}) => {
  const [, encoded = "", version] = /^pkg:[a-z]+\/([^@]*)(?:@([^?#]*))?/.exec(purl) ?? [];
  return {
    "bom-ref": `${purl}?package-id=${createHash("sha256").update(`${purl}${path}`).digest("hex").slice(0, 16)}`,
    type: "library",
    name: decodeURIComponent(encoded),
    ...(version === undefined ? {} : { version: decodeURIComponent(version) }),
    purl,
    properties: [{ name: "syft:location:0:path", value: path }],
    ...more,
  };
};

const document = (components: object[], changes: object = {}) => ({
  $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
  bomFormat: "CycloneDX",
  specVersion: "1.6",
  serialNumber: `urn:uuid:${Math.random()}`,
  version: 1,
  metadata: { timestamp: new Date().toISOString(), tools: { components: [{ name: "syft", version: "1" }] } },
  components,
  ...changes,
});

/** A syft that found these components. */
const syftThatFinds = (output: object[], source: object[] = [], changes: object = {}): Record<string, string> => {
  const bin = join(machine.root, "bin");
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, "output.json"), JSON.stringify(document(output, changes)));
  writeFileSync(join(bin, "source.json"), JSON.stringify(document(source)));
  writeFileSync(
    join(bin, "syft"),
    `#!/bin/sh\ncase "$*" in *' image') cat ${bin}/output.json ;; *) cat ${bin}/source.json ;; esac\n`,
  );
  chmodSync(join(bin, "syft"), 0o755);
  return { PATH: `${bin}:${process.env["PATH"] ?? ""}` };
};

const chi = component("pkg:golang/github.com/go-chi/chi@v5.2.0#v5", "/app");
const cli = component("pkg:golang/github.com/docker/cli@v29.0.3%2Bincompatible", "/app");
const scoped = component("pkg:npm/%40scope/name@1.2.3", "/node_modules/@scope/name/package.json");
const debian = component("pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12", "/var/lib/dpkg/status.d/libc6");

describe("the bill of materials", () => {
  test("is the same each time, though syft's is not", () => {
    const [first, second] = [1, 2].map(() => {
      const { status, output, results } = scanned({}, {}, syftThatFinds([cli, chi], [scoped]));
      expect([status, output]).toEqual([0, ""]);
      return { results, text: sbomText() };
    });
    expect(first).toEqual(second);
    expect(first?.results["packages"]).toBe("3");
    expect(sbom().serialNumber).toMatch(/^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(sbom().metadata.timestamp).toBe("2023-11-14T22:13:20Z");
  });

  test("has another number when its contents differ", () => {
    const numbers = [[cli], [cli, chi]].map((found) => {
      scanned({}, {}, syftThatFinds(found));
      return sbom().serialNumber;
    });
    expect(numbers[0]).not.toBe(numbers[1]);
  });

  test("tells what is delivered from what the source asks for, and names both places of a package in both", () => {
    scanned(
      {},
      {},
      syftThatFinds(
        [cli],
        [{ ...cli, "bom-ref": "x", properties: [{ name: "syft:location:0:path", value: "/go.mod" }] }, chi],
      ),
    );
    expect(sbom().components).toMatchObject([
      {
        name: "github.com/docker/cli",
        scope: "required",
        properties: [
          { name: "secure-software-factory:found-in", value: "output" },
          { name: "secure-software-factory:found-in", value: "source" },
          { name: "syft:location:0:path", value: "/app" },
          { name: "syft:location:0:path", value: "/go.mod" },
        ],
      },
      { name: "github.com/go-chi/chi", scope: "excluded" },
    ]);
  });

  test("keeps who depends on whom, by package URL", () => {
    const dependencies = [{ ref: chi["bom-ref"], dependsOn: [cli["bom-ref"], "not-listed"] }];
    scanned({}, {}, syftThatFinds([cli, chi], [], { dependencies }));
    expect(JSON.parse(sbomText())).toMatchObject({ dependencies: [{ ref: chi.purl, dependsOn: [cli.purl] }] });
  });

  test("says which trees it is about", () => {
    const digests = { source: filled("source", { a: "1" }), output: filled("output", { b: "2" }) };
    scanned({}, { source: { a: "1" }, output: { b: "2" } }, syftThatFinds([cli]));
    const about = Object.fromEntries(sbom().metadata.component.properties.map(({ name, value }) => [name, value]));
    expect(about).toMatchObject({
      "secure-software-factory:source-digest": digests.source,
      "secure-software-factory:output-digest": digests.output,
    });
  });

  test("is refused when nothing is found in the output", () => {
    expect(scanned({}, {}, syftThatFinds([], [cli]))).toMatchObject({
      status: 1,
      output: "refused: syft finds no package in the output, so nobody can say what is in it\n",
    });
  });
});

describe("a denied package", () => {
  test("is named with its version, its place and the rule, all at once", () => {
    const run = scanned(
      { deniedPackages: ["pkg:golang/github.com/docker/cli", "pkg:npm/*@1.2.3"] },
      {},
      syftThatFinds([cli], [scoped]),
    );
    expect(run.status).toBe(1);
    expect(run.output).toBe(
      "refused: package github.com/docker/cli v29.0.3+incompatible, found in output at /app, is denied by pkg:golang/github.com/docker/cli\n" +
        "package @scope/name 1.2.3, found in source at /node_modules/@scope/name/package.json, is denied by pkg:npm/*@1.2.3\n",
    );
    expect(run.results["digest"]).toBeUndefined();
  });

  test.each<[string, string, object]>([
    ["pkg:golang/github.com/docker/cli", "pkg:golang/github.com/docker/cl", cli],
    ["pkg:golang/github.com/docker/cli@v29.0.3+incompatible", "pkg:golang/github.com/docker/cli@v29.0.4", cli],
    ["pkg:golang/github.com/docker/cli@29.0.3%2Bincompatible", "pkg:golang/github.com/docker/cli@29.0.3", cli],
    ["pkg:golang/GitHub.com/Docker/CLI", "pkg:npm/github.com/docker/cli", cli],
    ["pkg:golang/github.com/docker/*@29.*", "pkg:golang/github.com/docker/*@2.*", cli],
    ["pkg:golang/github.com/go-chi/chi/v5", "pkg:golang/github.com/go-chi/chi/v4", chi],
    ["pkg:golang/github.com/go-chi/chi", "pkg:golang/github.com/go.chi/chi", chi],
    ["pkg:npm/%40scope/name", "pkg:npm/scope/name", scoped],
    ["pkg:npm/@scope/name@1.2.3", "pkg:npm/@scope/name@1.2.30", scoped],
    ["pkg:npm/@scope/*", "pkg:npm/@scop/*", scoped],
    ["pkg:deb/debian/libc6@2.36-9", "pkg:deb/debian/libc6@2.36-90", debian],
    ["pkg:deb/debian/zlib1g@1:1.2", "pkg:deb/debian/zlib1g@1.2", component("pkg:deb/debian/zlib1g@1%3A1.2", "/x")],
  ])("%s is found, and %s is not", (rule, twin, found) => {
    const env = syftThatFinds([found]);
    const status = (deniedPackages: string[]) => scanned({ deniedPackages }, {}, env).status;
    expect(status([rule])).toBe(1);
    expect(status([twin])).toBe(0);
  });
});

describe("a denied licence", () => {
  const licensed = (...licenses: object[]) => component("pkg:npm/left@1.0.0", "/left", { licenses });
  const id = (name: string) => ({ license: { id: name } });

  test("is named with package, place and rule", () => {
    const run = scanned({ deniedLicenses: ["AGPL-*"] }, {}, syftThatFinds([licensed(id("MIT"), id("AGPL-3.0-only"))]));
    expect([run.status, run.output]).toEqual([
      1,
      "refused: package left 1.0.0, found in output at /left, has licence AGPL-3.0-only, which is denied by AGPL-*\n",
    ]);
  });

  test.each<[string, object, string[], boolean]>([
    ["another licence", id("MIT"), ["GPL-3.0-only"], false],
    ["a licence in other case", id("MIT"), ["mit"], true],
    ["a part of a name", id("LGPL-3.0-only"), ["GPL-*"], false],
    ["a name that is no identifier", { license: { name: "Custom" } }, ["Custom"], true],
    ["a choice with one way out", { expression: "MIT OR GPL-3.0-only" }, ["GPL-*"], false],
    ["a choice without way out", { expression: "AGPL-3.0-only OR GPL-3.0-only" }, ["*GPL-*"], true],
    ["both together", { expression: "MIT AND GPL-3.0-only" }, ["GPL-*"], true],
    ["a way out in brackets", { expression: "GPL-3.0-only OR (MIT AND ISC)" }, ["GPL-*"], false],
    ["no way out in brackets", { expression: "GPL-3.0-only OR (MIT AND (ISC AND GPL-2.0-only))" }, ["GPL-*"], true],
    ["a choice in brackets", { expression: "(MIT OR GPL-3.0-only) AND ISC" }, ["GPL-*"], false],
    [
      "a licence with an exception",
      { expression: "GPL-2.0-only WITH Classpath-exception-2.0" },
      ["GPL-2.0-only"],
      true,
    ],
    ["a licence or later", { expression: "GPL-2.0+" }, ["GPL-2.0"], true],
  ])("is judged right for %s", (_, license, deniedLicenses, denied) => {
    const env = syftThatFinds([licensed(license)]);
    const run = scanned({ deniedLicenses }, {}, env);
    expect([run.status, run.output.includes("has licence")]).toEqual(denied ? [1, true] : [0, false]);
  });

  test("of a Debian package does not matter, and that of a package of the team does", () => {
    const licenses = [id("GPL-3.0-only")];
    const status = (found: object) => scanned({ deniedLicenses: ["GPL-*"] }, {}, syftThatFinds([found])).status;
    expect(status({ ...debian, licenses })).toBe(0);
    expect(status({ ...scoped, licenses })).toBe(1);
  });

  test("does not matter where no list names it", () => {
    expect(scanned({}, {}, syftThatFinds([licensed(id("AGPL-3.0-only"))])).status).toBe(0);
  });
});

describeWith("syft", "crane")("with the real syft", () => {
  const program = { copyOf: programPath("crane") ?? "" };
  const path = { PATH: `${dirname(programPath("syft") ?? "")}:${process.env["PATH"] ?? ""}` };
  const npm = JSON.stringify({ name: "left", version: "1.0.0", license: "WTFPL" });
  const wheel = "Metadata-Version: 2.1\nName: right\nVersion: 2.0.0\nLicense: MIT\n";
  const output = {
    app: program,
    "usr/lib/node_modules/left/package.json": npm,
    "usr/lib/python3/dist-packages/right-2.0.0.dist-info/METADATA": wheel,
    "usr/lib/python3/dist-packages/right-2.0.0.dist-info/RECORD": "",
  };
  const lock = JSON.stringify({
    name: "one",
    lockfileVersion: 3,
    packages: { "": { name: "one" }, "node_modules/up": { version: "3.0.0", resolved: "https://x.test/up.tgz" } },
  });

  test("the modules of a program, the packages of npm and Python, and the lock file are listed, the same each time", () => {
    const first = scanned({}, { output, source: { "package-lock.json": lock } }, path);
    expect([first.status, first.output]).toEqual([0, ""]);
    const scopes = sbom().components.map(({ purl, scope }) => `${scope} ${purl}`);
    expect(scopes).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^required pkg:golang\/github\.com\/google\/go-containerregistry@/),
        expect.stringMatching(/^required pkg:golang\/stdlib@/),
        "required pkg:npm/left@1.0.0",
        "required pkg:pypi/right@2.0.0",
        "excluded pkg:npm/up@3.0.0",
      ]) as string[],
    );
    expect(first.results["packages"]).toBe(String(scopes.length));
    expect(scanned({}, { output, source: { "package-lock.json": lock } }, path).results).toEqual(first.results);
  }, 120_000);

  test("the licences of npm's packages are read", () => {
    const run = scanned({ deniedLicenses: ["WTFPL"] }, { output }, path);
    expect([run.status, run.output]).toEqual([1, expect.stringContaining("left 1.0.0, found in output at /usr/lib")]);
  }, 120_000);

  test("the licences of modules are read from the dependencies", () => {
    scanned({}, { output: { app: program } }, path);
    const [module] = sbom().components.filter(({ name }) => name === "github.com/opencontainers/go-digest");
    expect(module?.licenses).toBeUndefined();
    const text = readFileSync("/usr/share/common-licenses/Apache-2.0", "utf8");
    const version = module?.version ?? "";
    const zipped = join(machine.root, "zipped");
    mkdirSync(join(zipped, `github.com/opencontainers/go-digest@${version}`), { recursive: true });
    writeFileSync(join(zipped, `github.com/opencontainers/go-digest@${version}/LICENSE`), text);
    writeFileSync(join(zipped, `github.com/opencontainers/go-digest@${version}/main.go`), "package digest\n");
    const archive = join(machine.root, "module.zip");
    const made = machine.run(
      stage("zip", { script: 'cd "$ZIPPED" && python3 -m zipfile -c "$ARCHIVE" github.com' }),
      {},
      { ZIPPED: zipped, ARCHIVE: archive },
    );
    expect([made.status, made.output]).toEqual([0, ""]);
    const run = scanned(
      { deniedLicenses: ["Apache-2.0"] },
      {
        output: { app: program },
        dependencies: { [`github.com/opencontainers/go-digest/@v/${version}.zip`]: { copyOf: archive } },
      },
      path,
    );
    expect(run.status).toBe(1);
    expect(run.output).toContain(
      `package github.com/opencontainers/go-digest ${version}, found in output at /app, has licence Apache-2.0`,
    );
  }, 120_000);
});

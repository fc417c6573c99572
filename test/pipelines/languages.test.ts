import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { npm, pip, teamModel, teamPipeline, type Language, type Stage } from "../../pipelines";
import { FileServer } from "./file-server";
import { stage, teamArgs, testSigner } from "./fixtures";
import { Machine, type StageRun } from "./run-stage";

jest.setTimeout(300_000);

/** Debian's own programs before any other, as in the images. */
const PATH = `/usr/bin:/bin:${process.env["PATH"] ?? ""}`;

type Files = Record<string, string>;

const writeFiles = (directory: string, files: Files): void => {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), text);
  }
};

/** One machine and registry for the tests of a language; each test has its own source. */
class Bench {
  readonly machine = new Machine();
  readonly registry = join(this.machine.root, "registry");
  readonly trace = join(this.machine.root, "trace");
  private server: FileServer | undefined;

  constructor(private readonly language: Language) {}

  async start(): Promise<void> {
    mkdirSync(this.registry, { recursive: true });
    writeFiles(join(this.machine.root, "runtime"), { "usr/bin/runtime": "" });
    this.server = await FileServer.start(this.registry);
  }

  async stop(): Promise<void> {
    await this.server?.stop();
    this.machine.remove();
  }

  get address(): string {
    return this.server?.address ?? "";
  }

  /** A directory of files, under the registry where `path` says so. */
  directory(files: Files): string {
    const directory = mkdtempSync(join(this.machine.root, "files-"));
    writeFiles(directory, files);
    return directory;
  }

  stageNamed(name: string): Stage {
    const found = teamModel(teamArgs({ language: this.language })).stages.find((candidate) => candidate.name === name);
    if (found === undefined) throw new Error(`no stage ${name}`);
    return found;
  }

  source(files: Files): string {
    const script = `cp -R '${this.directory(files)}/.' "$WORKSPACE_SOURCE/tree"`;
    return this.machine.run(stage("write", { writes: "source", script }), {}).results["digest"] ?? "";
  }

  ingest(source: string): StageRun {
    return this.machine.run(
      this.stageNamed("ingest-dependencies"),
      { directory: ".", ...Machine.digests({ source }) },
      { NPM_REGISTRY: this.address, PIP_INDEX_URL: `${this.address}simple/`, TRACE: this.trace, PATH },
    );
  }

  build(source: string, dependencies: string | undefined, params: Record<string, string>): StageRun {
    return this.machine.run(
      this.stageNamed("build"),
      { directory: ".", timestamp: "1700000000", ...params, ...Machine.digests({ source, dependencies }) },
      { RUNTIME: join(this.machine.root, "runtime"), TRACE: this.trace, PATH },
    );
  }

  output(...path: string[]): string {
    return join(this.machine.workspace("output"), "tree", ...path);
  }
}

const hash = (algorithm: string, file: string, encoding: "hex" | "base64") =>
  createHash(algorithm).update(readFileSync(file)).digest(encoding);

describe("the npm stages", () => {
  const bench = new Bench(npm());
  let word: string;

  /** Puts a package into the registry; the entry of a lock file for it. */
  const publish = (name: string, files: Files) => {
    const path = `${name}/-/${name}-1.0.0.tgz`;
    const file = join(bench.registry, path);
    mkdirSync(dirname(file), { recursive: true });
    const directory = bench.directory(
      Object.fromEntries(Object.entries(files).map(([member, text]) => [`package/${member}`, text])),
    );
    execFileSync("tar", ["--create", "--gzip", `--file=${file}`, `--directory=${directory}`, "package"]);
    return {
      version: "1.0.0",
      resolved: `${bench.address}${path}`,
      integrity: `sha512-${hash("sha512", file, "base64")}`,
    };
  };
  let entry: ReturnType<typeof publish>;

  const lock = (changes: Record<string, unknown> = {}, more: Record<string, unknown> = {}): string =>
    JSON.stringify({
      name: "program",
      version: "1.0.0",
      lockfileVersion: 3,
      requires: true,
      packages: {
        "": { name: "program", version: "1.0.0", dependencies: { word: "^1.0.0" } },
        "node_modules/word": { ...entry, hasInstallScript: true, ...changes },
        ...more,
      },
    });
  const program = (lockFile = lock(), scripts: Record<string, string> = {}): Files => ({
    "package.json": JSON.stringify({
      name: "program",
      version: "1.0.0",
      main: "main.js",
      scripts,
      dependencies: { word: "^1.0.0" },
    }),
    "package-lock.json": lockFile,
    "main.js": 'console.log(require("word"));\n',
  });

  beforeAll(async () => {
    await bench.start();
    word = JSON.stringify({
      name: "word",
      version: "1.0.0",
      scripts: { preinstall: `node -e 'require("fs").appendFileSync(process.env.TRACE, "preinstall ")'` },
    });
    entry = publish("word", { "package.json": word, "index.js": 'module.exports = "well";\n' });
  });
  afterAll(() => bench.stop());

  test("download without running anything, then install and build in the jail, the same bytes twice", () => {
    const source = bench.source(
      program(lock(), { build: 'node -e \'require("fs").writeFileSync("made.js", process.env.SOURCE_DATE_EPOCH)\'' }),
    );
    const ingested = bench.ingest(source);
    expect(ingested).toMatchObject({ status: 0, output: "1 packages have the hashes of package-lock.json\n" });
    expect(existsSync(bench.trace)).toBe(false);

    const first = bench.build(source, ingested.results["digest"], { main: "." });
    expect([first.status, existsSync(bench.trace)]).toEqual([0, true]);
    expect(bench.build(source, ingested.results["digest"], { main: "." }).results).toEqual(first.results);

    expect(readdirSync(bench.output()).sort()).toEqual(["app", "main", "usr"]);
    expect(readlinkSync(bench.output("main"))).toBe("app/main.js");
    expect(readFileSync(bench.output("app/made.js"), "utf8")).toBe("1700000000");
    expect(execFileSync("node", [bench.output("main")], { encoding: "utf8" })).toBe("well\n");
    expect(readdirSync(bench.output("app/node_modules"))).toEqual(["word"]);
    expect(readFileSync(bench.output("app/package-lock.json"), "utf8")).toBe(lock());
    expect(spawnSync("grep", ["-rq", bench.machine.root, bench.output()]).status).toBe(1);
    expect(JSON.parse(first.results["environment"] ?? "")).toHaveProperty("npm");
    expect(first.results["platform"]).toMatch(/^linux\/(amd64|arm64)$/);
  });

  test("leave out of the image what only the build needs", () => {
    const source = bench.source({
      ...program(lock({ dev: true }).replace('"dependencies":', '"devDependencies":')),
      "package.json": JSON.stringify({
        name: "program",
        version: "1.0.0",
        scripts: { build: "node -e 'require(\"word\")'" },
        devDependencies: { word: "^1.0.0" },
      }),
      "start.mjs": "console.log('started');\n",
    });
    const { results } = bench.ingest(source);
    expect(bench.build(source, results["digest"], { main: "start.mjs" }).status).toBe(0);
    expect(existsSync(bench.output("app/node_modules/word"))).toBe(false);
    expect(execFileSync("node", [bench.output("main")], { encoding: "utf8" })).toBe("started\n");
  });

  test("take an entry without address from the registry, and a package of the source from the source", () => {
    const workspaces = program(
      lock({ resolved: undefined }, { "node_modules/own": { resolved: "own", link: true }, own: { version: "1.0.0" } }),
    );
    expect(bench.ingest(bench.source(workspaces))).toMatchObject({ status: 0 });
  });

  test("refuse a package that is not what the lock file says, with both hashes", () => {
    const other = `sha512-${createHash("sha512").update("other").digest("base64")}`;
    const run = bench.ingest(bench.source(program(lock({ integrity: other }))));
    expect(run).toMatchObject({
      status: 1,
      output: [
        "refused: word@1.0.0 is not what package-lock.json says",
        `  expected ${other}`,
        `  found    ${entry.integrity}`,
        `  at       ${entry.resolved}`,
        "",
      ].join("\n"),
    });
    expect(run.results).toEqual({});
  });

  test.each<[string, Record<string, unknown>, string]>([
    ["no hash", { integrity: undefined }, "word@1.0.0 has no SHA-512"],
    ["only a weak hash", { integrity: "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=" }, "word@1.0.0 has no SHA-512"],
    [
      "a git address",
      { resolved: "git+ssh://git@forge.test/word.git#0123" },
      "word@1.0.0 comes from git+ssh://git@forge.test/word.git#0123",
    ],
    ["a file", { resolved: "file:word.tgz" }, "word@1.0.0 comes from file:word.tgz"],
    ["another host", { resolved: "https://elsewhere.test/word.tgz" }, "word@1.0.0 comes from https://elsewhere.test"],
    [
      "a host that starts like the registry",
      { resolved: "https://registry.npmjs.org.elsewhere.test/word/-/word-1.0.0.tgz" },
      "word@1.0.0 comes from https://registry.npmjs.org.elsewhere.test",
    ],
    [
      "the address of another package",
      { resolved: "https://registry.npmjs.org/evil/-/evil-1.0.0.tgz" },
      "word@1.0.0 has the address of another package",
    ],
    [
      "an address with ..",
      { resolved: "https://registry.npmjs.org/word/-/../../evil/-/evil-1.0.0.tgz" },
      "word@1.0.0 has the address of another package",
    ],
  ])("refuse a package with %s", (_, changes, message) => {
    const run = bench.ingest(bench.source(program(lock(changes))));
    expect([run.status, run.output]).toEqual([1, expect.stringContaining(`refused: ${message}`)]);
    expect(readdirSync(join(bench.machine.workspace("dependencies"), "tree"))).toEqual([]);
  });

  test("refuse a link that leads out of the directory", () => {
    const run = bench.ingest(
      bench.source(program(lock({}, { "node_modules/out": { resolved: "../out", link: true }, "../out": {} }))),
    );
    expect([run.status, run.output]).toEqual([1, expect.stringContaining("node_modules/out lies outside")]);
  });

  test.each<[string, (files: Files) => Files, string]>([
    [
      "without a lock file",
      ({ "package.json": manifest = "" }) => ({ "package.json": manifest }),
      "refused: there is no package-lock.json in directory .; it fixes every dependency, so commit it\n",
    ],
    [
      "with a lock file of npm 6",
      (files) => ({ ...files, "package-lock.json": '{"lockfileVersion":1,"dependencies":{}}' }),
      "refused: package-lock.json has version 1; let npm 7 or newer write it, which makes it 2 or 3\n",
    ],
    [
      "with a second lock file",
      (files) => ({ ...files, "npm-shrinkwrap.json": lock() }),
      "refused: npm takes npm-shrinkwrap.json before package-lock.json; rename it to package-lock.json\n",
    ],
  ])("refuse a program %s", (_, change, output) => {
    expect(bench.ingest(bench.source(change(program())))).toMatchObject({ status: 1, output });
  });

  test("refuse a package that the registry does not have", () => {
    const { status, output } = bench.ingest(
      bench.source(program(lock({ version: "2.0.0", resolved: entry.resolved.replaceAll("1.0.0", "2.0.0") }))),
    );
    expect([status, output]).toEqual([1, expect.stringMatching(/refused: word@2\.0\.0 cannot be had .*answers 404/)]);
  });

  test("refuse a program whose lock file leaves a dependency out", () => {
    const source = bench.source({ ...program(), "package.json": '{"dependencies":{"word":"1.0.0","more":"1.0.0"}}' });
    const { status, results } = bench.ingest(source);
    expect(status).toBe(0);
    const run = bench.build(source, results["digest"], { main: "." });
    expect([run.status === 0, run.output]).toEqual([false, expect.stringMatching(/\bmore\b/)]);
  });

  test.each([
    ["gone.js", "there is no file gone.js"],
    ["node_modules", "there is no file node_modules"],
  ])("refuse %s as the file to run", (main, message) => {
    const source = bench.source(program());
    const { results } = bench.ingest(source);
    const run = bench.build(source, results["digest"], { main });
    expect([run.status, run.output]).toEqual([1, expect.stringContaining(message)]);
  });
});

const pipIsHere = spawnSync("python3", ["-P", "-c", "import setuptools, wheel, pip"], { env: { PATH } }).status === 0;

/** Python and pip come with the stage's image; a machine that lacks them skips these tests. */
const describeWithPip = pipIsHere ? describe : describe.skip;

describeWithPip("the pip stages", () => {
  const bench = new Bench(pip());

  const wheelProgram = `
import sys, zipfile
name, directory = sys.argv[1:]
info = name + "-1.0.dist-info/"
files = {
    name + "/__init__.py": "said = 'well'\\n",
    info + "METADATA": "Metadata-Version: 2.1\\nName: " + name + "\\nVersion: 1.0\\n",
    info + "WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
}
files[info + "RECORD"] = "".join(path + ",,\\n" for path in [*files, info + "RECORD"])
with zipfile.ZipFile(directory + "/" + name + "-1.0-py3-none-any.whl", "w") as wheel:
    for path, text in files.items():
        wheel.writestr(path, text)
`;

  /** Puts a wheel into the index; its hash. */
  const publishWheel = (name: string): string => {
    const directory = join(bench.registry, "simple", name);
    mkdirSync(directory, { recursive: true });
    execFileSync("python3", ["-c", wheelProgram, name, directory]);
    return `sha256:${hash("sha256", join(directory, `${name}-1.0-py3-none-any.whl`), "hex")}`;
  };
  /** Puts a source distribution that leaves a trace when it is built into the index; its hash. */
  const publishSource = (name: string): string => {
    const trace = `import os\nopen(os.environ["TRACE"], "a").write("setup")\n`;
    const setup = `${trace}import setuptools\nsetuptools.setup(name="${name}", version="1.0", py_modules=[])\n`;
    const directory = bench.directory({
      [`${name}-1.0/setup.py`]: setup,
      [`${name}-1.0/PKG-INFO`]: `Metadata-Version: 2.1\nName: ${name}\nVersion: 1.0\n`,
    });
    const file = join(bench.registry, "simple", name, `${name}-1.0.tar.gz`);
    mkdirSync(dirname(file), { recursive: true });
    execFileSync("tar", ["--create", "--gzip", `--file=${file}`, `--directory=${directory}`, `${name}-1.0`]);
    return `sha256:${hash("sha256", file, "hex")}`;
  };

  let digest: string;
  const program = (requirements = `word==1.0 --hash=${digest}\n`): Files => ({
    "requirements.txt": requirements,
    "app.py": "import word\n\nprint(word.said, __name__)\n",
  });
  /** Runs the output as the image would, which finds the packages by itself. */
  const runProgram = (): string => {
    const packages = readdirSync(bench.output("usr/local/lib")).map((python) =>
      bench.output("usr/local/lib", python, "dist-packages"),
    );
    const main = join(bench.machine.root, "main.py");
    writeFileSync(main, readFileSync(bench.output("main.py"), "utf8").replace('"/app"', `"${bench.output("app")}"`));
    return execFileSync("python3", ["-P", main], {
      encoding: "utf8",
      env: { PATH, PYTHONPATH: packages.join(":") },
    });
  };

  beforeAll(async () => {
    await bench.start();
    digest = publishWheel("word");
  });
  afterAll(() => bench.stop());

  test("install a program as it is, the same bytes twice", () => {
    const source = bench.source(program());
    const ingested = bench.ingest(source);
    expect([ingested.status, ingested.output]).toEqual([0, ""]);
    expect(readdirSync(join(bench.machine.workspace("dependencies"), "tree")).sort()).toEqual([
      "requirements.txt",
      "word-1.0-py3-none-any.whl",
    ]);
    const first = bench.build(source, ingested.results["digest"], { module: "app" });
    expect([first.status, first.output]).toEqual([0, expect.stringContaining("Successfully installed word-1.0")]);
    expect(bench.build(source, ingested.results["digest"], { module: "app" }).results).toEqual(first.results);
    expect(runProgram()).toBe("well __main__\n");
    expect(spawnSync("grep", ["-rq", bench.machine.root, bench.output()]).status).toBe(1);
    expect(JSON.parse(first.results["environment"] ?? "")).toHaveProperty("pip");
    expect(first.results["platform"]).toMatch(/^linux\/(amd64|arm64)$/);
  });

  test("install a program that has a pyproject.toml, without the path that it was built in", () => {
    const source = bench.source({
      "requirements.txt": `word==1.0 \\\n    --hash=${digest} \\\n    --hash=sha256:${"0".repeat(64)}\n    # via tool\n`,
      "pyproject.toml": [
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"',
        '[project]\nname = "My-Tool"\nversion = "2.0"\ndependencies = ["word"]',
        '[tool.setuptools]\npackages = ["my_tool"]\n',
      ].join("\n\n"),
      "my_tool/__init__.py": "",
      "my_tool/__main__.py": "import word\n\nprint('tool', word.said)\n",
    });
    const { results } = bench.ingest(source);
    const first = bench.build(source, results["digest"], { module: "my_tool" });
    expect([first.status, first.output]).toEqual([0, expect.stringMatching(/Successfully installed My[-_]Tool-2\.0/)]);
    expect(bench.build(source, results["digest"], { module: "my_tool" }).results).toEqual(first.results);
    expect(runProgram()).toBe("tool well\n");
    expect(spawnSync("grep", ["-rq", bench.machine.root, bench.output()]).status).toBe(1);
  });

  test("take a program without dependencies", () => {
    const source = bench.source({ "requirements.txt": "# none\n", "app.py": "print('alone')\n" });
    const { status, results } = bench.ingest(source);
    expect(status).toBe(0);
    expect(bench.build(source, results["digest"], { module: "app" }).status).toBe(0);
    expect(runProgram()).toBe("alone\n");
  });

  test("refuse a wheel that is not what the lock file says, with both hashes", () => {
    const expected = "f".repeat(64);
    const run = bench.ingest(bench.source(program(`word==1.0 --hash=sha256:${expected}\n`)));
    expect(run.status).not.toBe(0);
    expect(run.output).toMatch(
      new RegExp(`word==1.0 from[^]*Expected sha256 ${expected}[^]*Got\\s+${digest.slice(7)}`),
    );
    expect(run.results).toEqual({});
  });

  test("run no code of the source or of a package in the stage that has a network", () => {
    const trace = 'import os\nopen(os.environ["TRACE"], "a").write("source")\n';
    const sourceDigest = publishSource("shady");
    const source = bench.source({
      ...program(),
      "pip.py": trace,
      "re.py": trace,
      "sitecustomize.py": trace,
      "setup.py": trace,
    });
    expect(bench.ingest(source).status).toBe(0);
    const run = bench.ingest(bench.source(program(`shady==1.0 --hash=${sourceDigest}\n`)));
    expect([run.status === 0, run.output]).toEqual([false, expect.stringContaining("shady==1.0")]);
    expect(existsSync(bench.trace)).toBe(false);
  });

  test.each([
    ["no hash", "word==1.0", "'word==1.0' has no hash"],
    ["a short hash", "word==1.0 --hash=sha256:abc", "'word==1.0' has a hash that is not"],
    ["a weak hash", `word==1.0 --hash=md5:${"0".repeat(32)}`, "'word==1.0' has a hash that is not"],
    ["no version", `word --hash=sha256:${"0".repeat(64)}`, "'word' does not fix a version"],
    ["a range", `word>=1.0 --hash=sha256:${"0".repeat(64)}`, "'word>=1.0' does not fix a version"],
    ["any patch", `word==1.* --hash=sha256:${"0".repeat(64)}`, "'word==1.*' does not fix a version"],
    ["an address", `word @ https://elsewhere.test/word.whl --hash=sha256:${"0".repeat(64)}`, "comes from an address"],
    ["a git address", "git+https://forge.test/word.git@0123#egg=word", "comes from an address"],
    ["a file of the source", "./word", "'./word' does not fix a version"],
    ["a source that can be edited", "-e .", "'-e .' is an option"],
    ["another index", "--extra-index-url https://elsewhere.test/simple", "is an option"],
    ["another file", "-r more.txt", "'-r more.txt' is an option"],
    ["a variable", "word==${VERSION} --hash=sha256:" + "0".repeat(64), "does not fix a version"],
  ])("refuse an entry with %s", (_, line, message) => {
    const run = bench.ingest(bench.source(program(`word==1.0 --hash=${digest}\n${line}\n`)));
    expect([run.status, run.output]).toEqual([
      1,
      expect.stringMatching(new RegExp(`^refused: requirements.txt: .*${message.replace(/[.*+]/g, "[$&]")}.*\n$`)),
    ]);
    expect(readdirSync(join(bench.machine.workspace("dependencies"), "tree"))).toEqual([]);
  });

  test("refuse a program without a lock file", () => {
    const { "app.py": app = "" } = program();
    expect(bench.ingest(bench.source({ "app.py": app }))).toMatchObject({
      status: 1,
      output: "refused: there is no requirements.txt in directory .; it fixes every dependency, so commit it\n",
    });
  });

  test.each(["gone", "word", "app.gone"])("refuse %s as the module to run", (module) => {
    const source = bench.source({ ...program(), "app.py": "" });
    const { results } = bench.ingest(source);
    const run = bench.build(source, results["digest"], { module });
    expect([run.status, run.output]).toEqual([
      1,
      expect.stringContaining(`refused: there is no module ${module} that`),
    ]);
  });
});

describe.each([
  ["npm", npm(), "/usr/bin/node", ["stage-node"]],
  ["pip", pip(), "/usr/bin/python3", ["stage-python"]],
])("the %s pipeline", (name, language, program, images) => {
  const generated = teamPipeline({ ...teamArgs({ language }), signer: testSigner });

  test("has the stages of every language, and what sees the program in the jail", () => {
    expect(generated.stages.map(({ task, jailed }) => `${task} ${jailed ? "jailed" : "networked"}`)).toEqual([
      `${name}-ingest-source networked`,
      `${name}-ingest-dependencies networked`,
      `${name}-build jailed`,
      `${name}-scan jailed`,
      `${name}-publish networked`,
    ]);
    expect(JSON.stringify(teamPipeline({ ...teamArgs({ language }), signer: testSigner }))).toBe(
      JSON.stringify(generated),
    );
  });

  test("has scripts that the shell can read, in images of its own", () => {
    const own = generated.tasks.filter(({ metadata }) => /ingest-dependencies|build/.test(metadata.name));
    for (const { spec } of own) {
      const { status, stderr } = spawnSync("sh", ["-n"], { input: spec.steps[0]?.script, encoding: "utf8" });
      expect([status, stderr]).toEqual([0, ""]);
      expect(images.map((image) => teamArgs().images[image])).toContain(spec.steps[0]?.image);
    }
  });

  test("starts the runtime itself, with no shell between", () => {
    const publish = generated.tasks.find(({ metadata }) => metadata.name === `${name}-publish`);
    const entrypoint = publish?.spec.steps[0]?.env.find((variable) => variable.name === "ENTRYPOINT")?.value;
    expect((JSON.parse(entrypoint ?? "[]") as string[])[0]).toBe(program);
  });
});

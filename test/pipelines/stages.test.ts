import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { teamModel } from "../../pipelines";
import type { Stage } from "../../pipelines/model";
import { compileStandardLibrary } from "../../tools/toolchain/go-standard-library";
import { images } from "../../tools/toolchain/images";
import { filesBelow } from "../../tools/toolchain/store";
import { stage, teamArgs } from "./fixtures";
import { Machine } from "./run-stage";

const stages = new Map(teamModel(teamArgs()).stages.map((candidate) => [candidate.name, candidate]));
const stageNamed = (name: string): Stage => {
  const found = stages.get(name);
  if (found === undefined) throw new Error(`no stage ${name}`);
  return found;
};

let machine: Machine;
beforeEach(() => {
  machine = new Machine();
});
afterEach(() => machine.remove());

describe("the digest of a workspace", () => {
  const writing = (script: string): Stage => stage("write", { writes: "things", script });
  const digestOf = (script: string): string | undefined => {
    const { status, output, results } = machine.run(writing(`cd "$WORKSPACE_THINGS/tree"\n${script}`), {});
    expect([status, output]).toEqual([0, ""]);
    return results["digest"];
  };
  const tree = "mkdir b && echo one >b/one && echo two >two && ln -s two link && chmod 755 two";

  test("has the form that later stages ask for", () => {
    expect(digestOf(tree)).toMatch(/^sha256:[0-9a-f]{64}$/);
  });

  test.each([
    ["order of creation", "ln -s two link && echo two >two && chmod 755 two && mkdir b && echo one >b/one"],
    ["times", `${tree} && touch -d @1000000 b/one two b .`],
    ["modes beyond executable", `${tree} && chmod 700 two b && chmod 600 b/one`],
    ["hard links", `${tree} && ln b/one extra && rm b/one && ln extra b/one && rm extra`],
  ])("does not depend on %s", (_, script) => {
    expect(digestOf(script)).toBe(digestOf(tree));
  });

  test.each([
    ["a changed byte", `${tree} && echo One >b/one`],
    ["a changed name", `${tree} && mv b/one b/won`],
    ["an executable bit", `${tree} && chmod 644 two`],
    ["another link target", `${tree} && ln -sf b link`],
    ["an empty directory", `${tree} && mkdir c`],
  ])("changes with %s", (_, script) => {
    expect(digestOf(script)).not.toBe(digestOf(tree));
  });

  test("is refused to a reader when the workspace changed, and given when it did not", () => {
    const digest = digestOf(tree);
    const reader = stage("read", { reads: ["things"] });
    expect(machine.run(reader, Machine.digests({ things: digest })).status).toBe(0);
    writeFileSync(join(machine.workspace("things"), "tree/two"), "three");
    const second = machine.run(reader, Machine.digests({ things: digest }));
    expect([second.status, second.output]).toEqual([
      1,
      "refused: workspace things does not hold what its writing stage left there\n",
    ]);
  });

  test("is checked again after the reader's own script", () => {
    const digest = digestOf(tree);
    const meddler = stage("read", { reads: ["things"], script: 'echo more >>"$WORKSPACE_THINGS/tree/two"' });
    expect(machine.run(meddler, Machine.digests({ things: digest })).status).toBe(1);
  });

  test("is not given when the archive could not be made", () => {
    const broken = writing('tar() { command tar "$@"; return 1; }\necho something >"$WORKSPACE_THINGS/tree/x"');
    const { status, results } = machine.run(broken, {});
    expect([status === 0, results]).toEqual([false, {}]);
  });
});

describe("the check of parameters in the stage", () => {
  const asking = stage("ask", {
    params: [{ name: "word", description: "A word.", pattern: "[a-z]+", from: { run: "word" } }],
    script: 'printf "got %s\\n" "$PARAM_WORD"',
  });

  test("lets a good value through", () => {
    expect(machine.run(asking, { word: "good" })).toMatchObject({ status: 0, output: "got good\n" });
  });

  test.each(["", "Bad", "good\nbad", "good\n", "\ngood", "$(id)", "-e", "a b"])("refuses %j", (word) => {
    expect(machine.run(asking, { word })).toMatchObject({
      status: 1,
      output: "refused: parameter word does not match [a-z]+\n",
    });
  });
});

describe("ingest-source of a team that lists its forges", () => {
  const listed = teamModel(teamArgs({ forges: ["git.test:443", "code.test:8443"] })).stages.find(
    ({ name }) => name === "ingest-source",
  );
  const take = (repository: string) =>
    machine.run(
      listed ?? stageNamed("ingest-source"),
      { repository, commit: "a".repeat(40), directory: "." },
      {
        AUTHORITIES: "/dev/null",
        // Whatever gets past the check fails here, before anything leaves this machine.
        GIT_ALLOW_PROTOCOL: "file",
      },
    );
  const refusal = (forge: string) =>
    `refused: this team takes sources from git.test:443 code.test:8443 and not from ${forge}; its stack's setting forges lists them\n`;

  test.each([
    ["https://other.test/x.git", "other.test:443"],
    ["https://git.test:8443/x.git", "git.test:8443"],
    ["https://git.test.other.test/x.git", "git.test.other.test:443"],
    ["https://it.test:443/git.test", "it.test:443"],
  ])("refuses %s", (repository, forge) => {
    const { status, output } = take(repository);
    expect([status, output]).toEqual([1, refusal(forge)]);
  });

  test.each(["https://git.test/x.git", "https://Git.Test:443/x.git", "https://code.test:8443/x.git"])(
    "asks %s",
    (repository) => {
      const { output } = take(repository);
      expect(output).toContain("transport 'https' not allowed");
      expect(output).not.toContain("this team takes sources");
    },
  );
});

describe("ingest-source", () => {
  const ingest: Stage = {
    ...stageNamed("ingest-source"),
    params: stageNamed("ingest-source").params.map((param) =>
      param.name === "repository" ? { ...param, pattern: "/[A-Za-z0-9/._-]+" } : param,
    ),
  };
  const noAuthorities = { AUTHORITIES: "/dev/null" };
  const gitEnv = { ...noAuthorities, GIT_ALLOW_PROTOCOL: "file" };
  const git = (repository: string, ...args: string[]): string =>
    execFileSync("git", ["-C", repository, ...args], {
      encoding: "utf8",
      env: {
        PATH: process.env["PATH"],
        GIT_CONFIG_GLOBAL: "/dev/null",
        GIT_CONFIG_NOSYSTEM: "1",
        GIT_AUTHOR_DATE: "1700000000 +0000",
        GIT_COMMITTER_DATE: "1700000000 +0000",
      },
    }).trim();
  const repositoryWith = (format: string, fill: (repository: string) => void): { path: string; commit: string } => {
    const path = join(machine.root, `repository-${format}`);
    mkdirSync(path);
    git(path, "init", "--quiet", `--object-format=${format}`, "--initial-branch=main");
    fill(path);
    git(path, "add", "--all");
    git(path, "-c", "user.name=A", "-c", "user.email=a@b.test", "commit", "--quiet", "--message=One");
    return { path, commit: git(path, "rev-parse", "HEAD") };
  };
  const fillOne = (repository: string): void => {
    mkdirSync(join(repository, "sub"));
    writeFileSync(join(repository, "sub/file"), "text\n");
    symlinkSync("/", join(repository, "out"));
  };

  test.each(["sha1", "sha256"])("takes one commit of a repository of %s", (format) => {
    const { path, commit } = repositoryWith(format, fillOne);
    writeFileSync(join(path, "sub/file"), "later\n");
    git(path, "-c", "user.name=A", "-c", "user.email=a@b.test", "commit", "--quiet", "--all", "--message=Two");
    const run = machine.run(ingest, { repository: path, commit, directory: "sub" }, gitEnv);
    expect(run).toMatchObject({
      status: 0,
      results: {
        commit,
        url: path,
        timestamp: "1700000000",
        "CHAINS-GIT_URL": path,
        "CHAINS-GIT_COMMIT": commit,
        digest: expect.stringMatching(/^sha256:/) as string,
      },
    });
    const tree = join(machine.workspace("source"), "tree");
    expect(readdirSync(tree).sort()).toEqual(["out", "sub"]);
    expect(readFileSync(join(tree, "sub/file"), "utf8")).toBe("text\n");
  });

  test("gives the same digest twice", () => {
    const { path, commit } = repositoryWith("sha1", fillOne);
    const digests = [1, 2].map(
      () => machine.run(ingest, { repository: path, commit, directory: "." }, gitEnv).results["digest"],
    );
    expect(digests[0]).toBe(digests[1]);
  });

  test.each([
    ["a commit that is not there", { commit: "0".repeat(40) }],
    ["a directory that is not there", { directory: "nowhere" }],
    ["a directory that leads out", { directory: "out" }],
    ["an abbreviated commit", { commit: "0123456" }],
    ["a directory with ..", { directory: "sub/../.." }],
  ])("refuses %s", (_, change) => {
    const { path, commit } = repositoryWith("sha1", fillOne);
    const run = machine.run(ingest, { repository: path, commit, directory: ".", ...change }, gitEnv);
    expect(run.status).not.toBe(0);
    expect(run.results["digest"]).toBeUndefined();
  });

  test("refuses the id of a tag, though it leads to a commit", () => {
    const { path } = repositoryWith("sha1", fillOne);
    git(path, "-c", "user.name=A", "-c", "user.email=a@b.test", "tag", "--annotate", "--message=v1", "v1");
    const tag = git(path, "rev-parse", "v1");
    expect(machine.run(ingest, { repository: path, commit: tag, directory: "." }, gitEnv)).toMatchObject({
      status: 1,
      output: `refused: ${tag} is no commit, but names one\n`,
    });
  });

  test("speaks no protocol but https when nobody says otherwise", () => {
    const { path, commit } = repositoryWith("sha1", fillOne);
    const run = machine.run(ingest, { repository: path, commit, directory: "." }, noAuthorities);
    expect([run.status === 0, run.output]).toEqual([false, expect.stringContaining("transport 'file' not allowed")]);
  });
});

describe("the Go stages", () => {
  const sourceWith = (files: Record<string, string>): string => {
    const { results } = machine.run(
      stage("write", {
        writes: "source",
        script: Object.entries(files)
          .map(([name, text]) => `printf '%s' '${text}' >"$WORKSPACE_SOURCE/tree/${name}"`)
          .join("\n"),
      }),
      {},
    );
    return results["digest"] ?? "";
  };
  const program = {
    "go.mod": "module example.test/one\n\ngo 1.24\n",
    "go.sum": "",
    "main.go": "package main\n\nfunc main() {}\n",
  };
  const ingest = stageNamed("ingest-dependencies");
  const build = stageNamed("build");
  const ingested = (source: string) =>
    machine.run(ingest, { directory: ".", ...Machine.digests({ source }) }, { GOPROXY: "off", SSL_CERT_FILE: "" });
  const built = (source: string, dependencies: string | undefined, env: Record<string, string> = {}) =>
    machine.run(
      build,
      { directory: ".", package: ".", timestamp: "1700000000", ...Machine.digests({ source, dependencies }) },
      env,
    );
  /** What the program needs of the standard library, compiled, and without times, as in an image. */
  const standardLibrary = async (): Promise<string> => {
    const directory = join(machine.root, "standard-library");
    mkdirSync(directory);
    const release = execFileSync("go", ["env", "GOROOT"], { encoding: "utf8", env: { ...process.env, ...build.env } });
    await compileStandardLibrary(release.trim(), directory, "runtime");
    for (const file of await filesBelow(directory)) utimesSync(join(directory, file), 0, 0);
    return directory;
  };

  test("refuse a module without go.sum", () => {
    const files = Object.fromEntries(Object.entries(program).filter(([name]) => name !== "go.sum"));
    expect(ingested(sourceWith(files))).toMatchObject({
      status: 1,
      output: "refused: there is no go.sum in directory .; it fixes every dependency, so commit it\n",
    });
  });

  test("build the same bytes twice, with a compiled standard library and without, and say with what", async () => {
    const source = sourceWith(program);
    const { results, status } = ingested(source);
    expect(status).toBe(0);
    const namingWhatIsCompiled = { GOFLAGS: `${build.env["GOFLAGS"] ?? ""} -v` };
    const first = built(source, results["digest"], namingWhatIsCompiled);
    const second = built(source, results["digest"], {
      ...namingWhatIsCompiled,
      GO_STANDARD_LIBRARY: await standardLibrary(),
    });
    expect(first).toMatchObject({ status: 0, results: second.results });
    expect(first.output.split("\n")).toContain("runtime");
    expect(second.output).toBe("example.test/one\n");
    expect(first.results["platform"]).toMatch(/^linux\/[a-z0-9]+$/);
    expect(JSON.parse(first.results["environment"] ?? "")).toMatchObject({ CGO_ENABLED: "0", GOOS: "linux" });
    expect(existsSync(join(machine.workspace("output"), "tree/app"))).toBe(true);
  }, 120_000);

  test("are told by their image where the compiled standard library is", () => {
    const { files = {}, config } = images["stage-go"] ?? {};
    const [place] = Object.keys(files).filter((path) => files[path] === "go-standard-library");
    expect(config?.Env).toContain(`GO_STANDARD_LIBRARY=${place}`);
  });

  test("refuse a package that is no program", () => {
    const source = sourceWith({ ...program, "main.go": "package lib\n" });
    const { results } = ingested(source);
    expect(built(source, results["digest"])).toMatchObject({
      status: 1,
      output: "refused: package . is package lib and cannot run; name a main package\n",
    });
  });

  test("refuse a program that needs a module which is not in go.sum", () => {
    const source = sourceWith({
      ...program,
      "main.go": 'package main\n\nimport _ "example.test/other"\n\nfunc main() {}\n',
    });
    const { results } = ingested(source);
    expect(built(source, results["digest"]).status).not.toBe(0);
  });
});

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { askedFor, type BuildOptions, pipelineFor } from "../../tools/cli/verbs/build";

jest.setTimeout(120_000);

const base = mkdtempSync(join(tmpdir(), "ssf-build-"));
afterAll(() => rmSync(base, { recursive: true }));

const git = (...args: string[]) =>
  execFileSync("git", ["-C", base, "-c", "user.name=t", "-c", "user.email=t@example.com", ...args], {
    encoding: "utf8",
  }).trim();

const options = (changes: Partial<BuildOptions> = {}): BuildOptions => ({ json: false, timeout: "60", ...changes });
const url = "https://git.test/group/service.git";
let commit: string;

beforeAll(() => {
  for (const file of ["go.mod", "go.sum"]) writeFileSync(join(base, file), "");
  git("init", "--quiet", "--initial-branch=main");
  git("config", "uploadpack.allowFilter", "true");
  git("config", "uploadpack.allowAnySHA1InWant", "true");
  git("add", ".");
  git("commit", "--quiet", "--message=first");
  commit = git("rev-parse", "HEAD");
});

/** What is asked for, and what the person is told meanwhile. */
const ask = async (source: string, changes: Partial<BuildOptions> = {}) => {
  const said: string[] = [];
  const display = { interactive: false, write: (line: string) => void said.push(line) };
  return { asked: await askedFor(source, options(changes), display), said };
};

describe("a repository elsewhere", () => {
  test.each(["main", "v1.2.3", "abc1234", "A".repeat(40), "a".repeat(41)])(
    "is not built at %s, which is no full id",
    async (name) => {
      await expect(ask(url, { commit: name })).rejects.toThrow(`SSF-BUILD-006 --commit: "${name}"`);
    },
  );

  test.each(["a".repeat(40), "b".repeat(64)])("is built at %s", async (id) => {
    expect((await ask(url, { commit: id })).asked).toEqual({
      repository: url,
      commit: id,
      directory: ".",
      name: "service",
    });
  });

  const pipelines = { go: {}, npm: {} } as unknown as Parameters<typeof pipelineFor>[2]["pipelines"];
  const pipeline = (id: string, language?: string) =>
    pipelineFor({ repository: `file://${base}`, commit: id, directory: ".", name: "x" }, options({ language }), {
      pipelines,
    });

  test.each([undefined, "go"])("is built only at a commit that it has; asked for language %s", async (language) => {
    expect(await pipeline(commit, language)).toBe("go");
    await expect(pipeline("0".repeat(40), language)).rejects.toThrow("SSF-BUILD-012 file:");
  });
});

describe("a directory", () => {
  afterEach(() => git("checkout", "--quiet", "--", "."));

  test("is built without a word when everything is committed", async () => {
    expect(await ask(base)).toMatchObject({ asked: { commit }, said: [] });
  });

  test("with changes is built with a warning, at the commit without them", async () => {
    writeFileSync(join(base, "go.mod"), "module changed");
    expect(await ask(base)).toMatchObject({
      asked: { commit },
      said: [`warning: ${base} has uncommitted changes; commit ${commit.slice(0, 12)} is built without them`],
    });
  });

  test("with changes is built without a warning at a commit that is named", async () => {
    writeFileSync(join(base, "go.mod"), "module changed");
    expect(await ask(base, { commit })).toMatchObject({ asked: { commit }, said: [] });
  });

  test("must be there", async () => {
    await expect(ask(join(base, "gone"))).rejects.toThrow("SSF-BUILD-007");
  });
});

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chooseLanguage, committedFiles, parseParams, remoteFiles, requireLockFiles } from "../../tools/cli/languages";

jest.setTimeout(120_000);

const base = mkdtempSync(join(tmpdir(), "ssf-languages-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));

const git = (...args: string[]) =>
  execFileSync("git", ["-C", base, "-c", "user.name=t", "-c", "user.email=t@example.com", ...args], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  }).trim();

const files = { "app/go.mod": "module x", "app/go.sum": "", "web/package-lock.json": "{}", "a\nb": "" };
let commit: string;

beforeAll(() => {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(base, path, ".."), { recursive: true });
    writeFileSync(join(base, path), content);
  }
  git("init", "--quiet", "--initial-branch=main");
  git("config", "uploadpack.allowFilter", "true");
  git("config", "uploadpack.allowAnySHA1InWant", "true");
  git("add", ".");
  git("commit", "--quiet", "--message=first");
  commit = git("rev-parse", "HEAD");
  writeFileSync(join(base, "requirements.txt"), "");
});

describe("what a commit holds", () => {
  it("is read from the commit, not from the directory", async () => {
    expect(await committedFiles({ repository: base, commit, directory: "." })).toEqual(["a\nb", "app", "web"]);
    expect(await committedFiles({ repository: base, commit, directory: "app" })).toEqual(["go.mod", "go.sum"]);
    expect(await committedFiles({ repository: base, commit, directory: "gone" })).toEqual([]);
  });

  it("is read from a repository elsewhere", async () => {
    const repository = `file://${base}`;
    expect(await remoteFiles({ repository, commit, directory: "web" })).toEqual(["package-lock.json"]);
    await expect(remoteFiles({ repository, commit: "0".repeat(40), directory: "." })).rejects.toThrow(
      /SSF-BUILD-012 file:[^]*There must be such a commit[^]*--commit/,
    );
    await expect(remoteFiles({ repository: `${repository}/gone`, commit, directory: "." })).rejects.toThrow(
      "SSF-BUILD-012",
    );
  });
});

describe("the language", () => {
  const offered = ["go", "npm", "pip"];

  it.each([
    [["go.mod", "go.sum", "main.go"], "go"],
    [["package.json", "package-lock.json"], "npm"],
    [["requirements.txt", "app.py"], "pip"],
  ])("of %j is %s", (present, language) => {
    expect(chooseLanguage(present, undefined, offered)).toBe(language);
  });

  it("is asked for where several lock files are there, unless the team builds only one of them", () => {
    const present = ["go.sum", "package-lock.json"];
    expect(() => chooseLanguage(present, undefined, offered)).toThrow(
      /SSF-BUILD-010 --language: several lock files: go\.sum \(go\), package-lock\.json \(npm\)/,
    );
    expect(chooseLanguage(present, "npm", offered)).toBe("npm");
    expect(chooseLanguage(present, undefined, ["npm", "pip"])).toBe("npm");
  });

  it("needs a lock file, and says which ones count", () => {
    expect(() => chooseLanguage(["main.go"], undefined, offered)).toThrow(
      /SSF-BUILD-010[^]*go\.sum \(go\), package-lock\.json \(npm\), requirements\.txt \(pip\)/,
    );
  });

  it("is one that the team has a pipeline for", () => {
    expect(() => chooseLanguage(["go.sum"], "ruby", offered)).toThrow(/SSF-BUILD-011[^]*go, npm, pip/);
  });
});

it("asks for every file that fixes the dependencies", () => {
  const place = { repository: base, commit: "a".repeat(40), directory: "app" };
  expect(() => requireLockFiles("go", ["go.mod", "go.sum"], place)).not.toThrow();
  expect(() => requireLockFiles("go", [], place)).toThrow(
    /SSF-BUILD-003 app\/go\.sum[^]*SSF-BUILD-003 app\/go\.mod[^]*go mod tidy/,
  );
  expect(() => requireLockFiles("pip", [], place)).toThrow(/SSF-BUILD-003 app\/requirements\.txt/);
});

describe("parameters", () => {
  it("are names and values", () => {
    expect(parseParams(["main=src/a=b.js", "module="])).toEqual({ main: "src/a=b.js", module: "" });
  });

  it.each(["main", "=x", "name=other", "commit=HEAD"])("are refused as %j", (text) => {
    expect(() => parseParams([text])).toThrow("SSF-BUILD-013 --param");
  });
});

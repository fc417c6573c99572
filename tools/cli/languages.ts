import { rmSync } from "node:fs";
import { FactoryError, type Problem } from "../../components/lib/errors";
import { go, type Language, npm, pip } from "../../pipelines";
import { privateDirectory } from "./kubectl";
import { execute, lastLines } from "../process";

/** Languages with the files that fix the dependencies of a program, and what writes them, by the name of their pipeline. */
const known: Readonly<Record<string, { language: Language; files: readonly string[]; by: string }>> = {
  go: { language: go(), files: ["go.sum", "go.mod"], by: "go mod tidy" },
  npm: { language: npm(), files: ["package-lock.json"], by: "npm install" },
  pip: { language: pip(), files: ["requirements.txt"], by: "pip-compile --generate-hashes" },
};

/** Every language, as a team has it that sets nothing. */
export const languages: readonly Language[] = Object.values(known).map(({ language }) => language);

/** A directory of a commit. */
export interface CommittedDirectory {
  /** Top of the repository on this machine, or its address. */
  repository: string;
  /** Full id. */
  commit: string;
  /** Path from the top; `.` is the top itself. */
  directory: string;
}

const git = (repository: string, args: readonly string[]) =>
  execute("git", ["-C", repository, ...args], { env: { LC_ALL: "C", GIT_TERMINAL_PROMPT: "0" } });

/** Names of what lies in the directory at its commit; none where the commit has no such directory. */
export const committedFiles = async ({ repository, commit, directory }: CommittedDirectory): Promise<string[]> => {
  const listed = await git(repository, [
    ...["ls-tree", "--name-only", "-z", "--end-of-options"],
    `${commit}:${directory === "." ? "" : directory}`,
  ]);
  return listed.code === 0 ? listed.stdout.split("\0").filter((name) => name !== "") : [];
};

/**
 * The same for a repository that lies elsewhere; fetches that commit without its files.
 *
 * @throws FactoryError `SSF-BUILD-012` when the server does not give the commit.
 */
export const remoteFiles = async (remote: CommittedDirectory): Promise<string[]> => {
  const copy = privateDirectory();
  try {
    const format = remote.commit.length === 64 ? "sha256" : "sha1";
    await git(copy, ["init", "--quiet", "--bare", `--object-format=${format}`]);
    const fetched = await git(copy, [
      ...["fetch", "--quiet", "--depth=1", "--filter=blob:none", "--no-tags", "--no-recurse-submodules"],
      ...["--", remote.repository, remote.commit],
    ]);
    if (fetched.code === 0) return await committedFiles({ ...remote, repository: copy });
    throw new FactoryError({
      code: "SSF-BUILD-012",
      path: remote.repository,
      given: lastLines(fetched.stderr, 2),
      rule: "There must be such a commit, and the repository must show what it holds: the lock file says the language.",
      fix: "Correct the address, or give the full id of another commit by --commit.",
    });
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
};

/**
 * The language whose pipeline builds a directory: the one that was asked for, or that of its lock file.
 *
 * @param present names of what lies in the directory
 * @param asked what the person said. @default the lock file decides
 * @param offered languages of the team's pipelines
 * @throws FactoryError `SSF-BUILD-011` when the team has no pipeline for it, `SSF-BUILD-010` when no lock file or more
 * than one is there
 */
export const chooseLanguage = (
  present: readonly string[],
  asked: string | undefined,
  offered: readonly string[],
): string => (asked === undefined ? languageOf(present, offered) : requireOffered(asked, offered));

const requireOffered = (asked: string, offered: readonly string[]): string => {
  if (offered.includes(asked)) return asked;
  throw new FactoryError({
    code: "SSF-BUILD-011",
    path: "--language",
    given: `"${asked}"`,
    rule: `The team must have a pipeline for the language; it has ${offered.join(", ")}.`,
    fix: "Give one of these, or add the language to the setting languages of the team's stack.",
  });
};

const languageOf = (present: readonly string[], offered: readonly string[]): string => {
  const names = (some: readonly string[]) => some.map((name) => `${known[name]?.files[0] ?? "?"} (${name})`).join(", ");
  const candidates = offered.filter((name) => name in known);
  const found = candidates.filter((name) => present.includes(known[name]?.files[0] ?? ""));
  const [first, ...others] = found;
  if (first !== undefined && others.length === 0) return first;
  throw new FactoryError({
    code: "SSF-BUILD-010",
    path: "--language",
    given: first === undefined ? "no lock file in the directory" : `several lock files: ${names(found)}`,
    rule: `The lock file says the language, one of ${names(candidates)}.`,
    fix: first === undefined ? "Commit the lock file, or give the program's directory." : "Choose by --language.",
  });
};

/** Refuses a directory that lacks the files that fix the dependencies of its language. */
export const requireLockFiles = (
  language: string,
  present: readonly string[],
  { commit, directory }: CommittedDirectory,
): void => {
  const { files, by } = known[language] ?? { files: [], by: "" };
  const problems = files
    .filter((file) => !present.includes(file))
    .map((file): Problem => ({
      code: "SSF-BUILD-003",
      path: directory === "." ? file : `${directory}/${file}`,
      given: `not in commit ${commit.slice(0, 12)}`,
      rule: "The commit must hold the files that fix every dependency.",
      fix: `Commit ${file} beside the program (${by} writes it), or give the directory of the program.`,
    }));
  const [first, ...others] = problems;
  if (first) throw new FactoryError(first, ...others);
};

/**
 * Parameters of a run, from texts such as `main=src/server.js`.
 *
 * @throws FactoryError `SSF-BUILD-013` for a text of another form, and for what has an option or argument of its own
 */
export const parseParams = (texts: readonly string[]): Record<string, string> => {
  const taken = ["repository", "commit", "directory", "name"];
  const pairs = texts.map((text) => [text.slice(0, Math.max(0, text.indexOf("="))), text] as const);
  const problems = pairs
    .filter(([name]) => name === "" || taken.includes(name))
    .map(([name, text]): Problem => ({
      code: "SSF-BUILD-013",
      path: "--param",
      given: `"${text}"`,
      rule: name === "" ? "It has the form name=value." : `${name} has an option or argument of its own.`,
      fix: "Write for instance --param main=src/server.js.",
    }));
  const [first, ...others] = problems;
  if (first) throw new FactoryError(first, ...others);
  return Object.fromEntries(pairs.map(([name, text]) => [name, text.slice(name.length + 1)]));
};

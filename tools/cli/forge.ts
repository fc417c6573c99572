import { writeFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { FactoryError, type Problem } from "../../components/lib/errors";
import { privateDirectory } from "./kubectl";
import { execute, lastLines } from "../process";

/** A commit that is to be built, as it lies in a repository on this machine. */
export interface LocalSource {
  /** Top of the repository. */
  top: string;
  /** What is built, as a path from the top; `.` is the top itself. */
  directory: string;
  commit: string;
  /** Whether the directory has changes that no commit holds. */
  hasUncommittedChanges: boolean;
}

const refuse = (problem: Omit<Problem, "code">, number: number): FactoryError =>
  new FactoryError({ code: `SSF-BUILD-${String(number).padStart(3, "0")}`, ...problem });

const git = (directory: string, args: readonly string[]) =>
  execute("git", ["-C", directory, ...args], { env: { LC_ALL: "C", GIT_TERMINAL_PROMPT: "0" } });

/** Full id of a commit: SHA-1 or SHA-256. */
export const fullCommit = /^([0-9a-f]{40}|[0-9a-f]{64})$/;

/**
 * Finds the commit to build in a directory of this machine.
 *
 * @param commit what names it, as git understands it. @default HEAD
 */
export const localSource = async (directory: string, commit?: string): Promise<LocalSource> => {
  const toplevel = await git(directory, ["rev-parse", "--show-toplevel"]);
  if (toplevel.code !== 0)
    throw refuse(
      {
        path: directory,
        given: lastLines(toplevel.stderr, 1),
        rule: "Only committed sources are built, so the directory must be part of a git repository.",
        fix: `Run git init, git add and git commit in ${directory}, or give the https address of a repository.`,
      },
      1,
    );
  const top = toplevel.stdout.trim();
  const parsed = await git(directory, [
    "rev-parse",
    "--verify",
    "--quiet",
    "--end-of-options",
    `${commit ?? "HEAD"}^{commit}`,
  ]);
  if (parsed.code !== 0)
    throw refuse(
      {
        path: commit === undefined ? top : "--commit",
        given: commit ?? "a repository without commits",
        rule: `There must be such a commit in ${top}.`,
        fix:
          commit === undefined ? "Commit the sources first." : "Give a commit that git log shows, or fetch it first.",
      },
      2,
    );
  const id = parsed.stdout.trim();
  const prefix = (await git(directory, ["rev-parse", "--show-prefix"])).stdout.trim();
  const inside = relative(top, join(top, prefix)) || ".";
  const status = await git(directory, ["status", "--porcelain", "--", "."]);
  return { top, directory: inside, commit: id, hasUncommittedChanges: status.stdout.trim() !== "" };
};

/** The commit that an https repository's HEAD names. */
export const remoteHead = async (url: string): Promise<string> => {
  const listed = await execute("git", ["ls-remote", "--exit-code", "--", url, "HEAD"], {
    env: { LC_ALL: "C", GIT_TERMINAL_PROMPT: "0" },
  });
  const [commit = ""] = listed.stdout.split(/\s/);
  if (listed.code === 0 && fullCommit.test(commit)) return commit;
  throw refuse(
    {
      path: url,
      given: lastLines(listed.stderr, 2) || "no HEAD",
      rule: "The repository must be readable without a login, and have a HEAD.",
      fix: "Correct the address, or give the commit by --commit.",
    },
    4,
  );
};

/** A text as the last part of an image's name, or as a repository's name. */
export const imageName = (text: string): string =>
  basename(text)
    .replace(/\.git$/, "")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "") || "app";

/** Where a development forge takes pushes. */
export interface ForgeAccess {
  /** Address within the cluster. */
  url: string;
  username: string;
  password: string;
  caPem: string;
}

/** Answers git's questions for user name and password from the environment, so that neither is on a command line. */
const askpass =
  '#!/bin/sh\ncase "$1" in Username*) printf %s "$SSF_FORGE_USERNAME" ;; *) printf %s "$SSF_FORGE_PASSWORD" ;; esac\n';

/** Settings for one git command by the environment, before those of any file. */
export const gitSettings = (settings: Readonly<Record<string, string>>): Record<string, string> => ({
  GIT_CONFIG_COUNT: String(Object.keys(settings).length),
  ...Object.fromEntries(
    Object.entries(settings).flatMap(([key, value], index) => [
      [`GIT_CONFIG_KEY_${index}`, key],
      [`GIT_CONFIG_VALUE_${index}`, value],
    ]),
  ),
});

/**
 * Pushes the commit to the development forge through a local port. The connection is made to the forge's real name, so
 * that its certificate is checked as always.
 *
 * @returns the repository's address within the cluster, which the run clones
 */
export const pushToForge = async (source: LocalSource, forge: ForgeAccess, localPort: number): Promise<string> => {
  const { hostname } = new URL(forge.url);
  const directory = privateDirectory();
  const caFile = join(directory, "ca.pem");
  const askpassFile = join(directory, "askpass");
  writeFileSync(caFile, forge.caPem, { mode: 0o600 });
  writeFileSync(askpassFile, askpass, { mode: 0o700 });
  const repository = `${imageName(source.top)}.git`;
  const { commit } = source;
  const push = () =>
    execute(
      "git",
      [
        ...["-C", source.top, "push", "--quiet", "--no-verify", "--no-recurse-submodules"],
        ...[`https://${hostname}:${localPort}/${repository}`, `${commit}:refs/heads/commit-${commit}`],
      ],
      {
        env: {
          ...gitSettings({
            "http.curloptResolve": `${hostname}:${localPort}:127.0.0.1`,
            "http.sslVerify": "true",
            "http.proxy": "",
            "credential.helper": "",
            "push.gpgSign": "false",
          }),
          GIT_SSL_CAINFO: caFile,
          GIT_SSL_NO_VERIFY: undefined,
          GIT_ASKPASS: askpassFile,
          GIT_TERMINAL_PROMPT: "0",
          LC_ALL: "C",
          SSF_FORGE_USERNAME: forge.username,
          SSF_FORGE_PASSWORD: forge.password,
        },
      },
    );
  let pushed = await push();
  // Somebody else may have pushed the same commit at the same time; then there is nothing left to push.
  if (/reference already exists|failed to update ref/.test(pushed.stderr)) pushed = await push();
  if (pushed.code === 0) return `${forge.url}/${repository}`;
  throw refuse(
    {
      path: `${forge.url}/${repository}`,
      given: lastLines(pushed.stderr, 5),
      rule: "The development forge must take the commit.",
      fix: "A shallow clone must be deepened first (git fetch --unshallow); otherwise look at ./factory status.",
    },
    5,
  );
};

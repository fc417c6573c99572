import { FactoryError } from "../../../components/lib/errors";
import { execute, lastLines } from "../../process";
import type { PlannedStack } from "../stack-plan";

/** What a change is compared with, and the files that it touches. */
export interface Change {
  /** Where it left the base. */
  commit: string;
  /** Paths from the root of the checkout. */
  files: string[];
}

/** Refs that a change is compared with where none is named, the first that there is. */
const usualBases = ["origin/HEAD", "main", "master"];

/**
 * What the checkout changes since it left the base: commits, and what is not committed yet.
 *
 * @param base branch, tag or commit
 * @throws FactoryError `SSF-CLI-009` when there is no such base, or nothing in common with it
 */
export const readChange = async (checkout: string, base?: string): Promise<Change> => {
  const git = (...args: string[]) => execute("git", ["-C", checkout, ...args]);
  const lines = (text: string) => text.split("\n").filter((line) => line !== "");
  const candidates = base === undefined ? usualBases : [base];
  let given = "";
  for (const candidate of candidates) {
    const { code, stdout, stderr } = await git("merge-base", candidate, "HEAD");
    const commit = stdout.trim();
    if (code !== 0) {
      given = lastLines(stderr) || `nothing in common with ${candidate}`;
      continue;
    }
    const changed = await git("diff", "--name-only", "--no-renames", commit);
    const unknown = await git("ls-files", "--others", "--exclude-standard");
    return { commit, files: [...lines(changed.stdout), ...lines(unknown.stdout)].sort() };
  }
  throw new FactoryError({
    code: "SSF-CLI-009",
    path: "--base",
    given,
    rule: "A change is compared with a commit that it builds on.",
    fix: "Name one that is in this clone, and fetch enough of its history: git fetch --unshallow.",
  });
};

/** Files that no stack is made of. */
const besides = /^(?:docs|test|examples|\.github|\.ci)\/|^[^/]*\.md$|^\.gitlab-ci\.yml$/;

/** Files that decide what is refused: a change of them is judged by what it changed. */
const judges = /^policies\/|^pipelines\/(?:graph|lint)\.ts$|^tools\/cli\/preview\/|^tools\/cli\/verbs\/preview\.ts$/;

/** Those of the files that decide what is refused. */
export const judging = (files: readonly string[]): string[] => files.filter((file) => judges.test(file));

const order: Record<PlannedStack["role"], number> = { cluster: 0, factory: 1, team: 2 };

/**
 * The stacks that a change of these files may touch. The configuration of a stack touches it and those that read it; any
 * other file that stacks are made of touches all.
 */
export const changedStacks = (files: readonly string[], stacks: readonly PlannedStack[]): PlannedStack[] => {
  const configured = (file: string) =>
    stacks.filter(({ name, pattern }) => [name, pattern].some((known) => file === `Pulumi.${known}.yaml`));
  const touches = (file: string, stack: PlannedStack): boolean => {
    const own = configured(file);
    return own.length === 0 || own.some((one) => one === stack || order[one.role] < order[stack.role]);
  };
  const parts = files.filter((file) => !besides.test(file));
  return stacks.filter((stack) => parts.some((file) => touches(file, stack)));
};

/** What went wrong, in the four parts that every message of the factory has. */
export interface Problem {
  /** Stable code, such as `SSF-CONFIG-003`. */
  code: string;
  /** Where the value stands: a field path, a file, a stack or a command. */
  path: string;
  /** What was found there, never a secret. */
  given: string;
  /** The rule that it breaks, as one sentence. */
  rule: string;
  /** What to do about it, as one sentence. */
  fix: string;
}

/** One {@link Problem} as the text that a person reads. */
export const describeProblem = ({ code, path, given, rule, fix }: Problem): string =>
  `${code} ${path}: ${given}\n  rule: ${rule}\n  fix:  ${fix}`;

/** A refusal with one or more problems, all of them found before anything was created. */
export class FactoryError extends Error {
  /** The problems, in the order in which they were found; never empty. */
  readonly problems: readonly Problem[];

  constructor(...problems: [Problem, ...Problem[]]) {
    super(problems.map(describeProblem).join("\n"));
    this.name = "FactoryError";
    this.problems = problems;
  }
}

import { FactoryError } from "../../components/lib/errors";

/** Exit codes of every verb. */
export const exitCode = { held: 0, didNotHold: 1, notChecked: 2 } as const;

/** One of {@link exitCode}. */
export type ExitCode = (typeof exitCode)[keyof typeof exitCode];

/** A refusal that is itself the answer: what was asked for was tried, and did not hold. */
export class DidNotHold extends FactoryError {}

/** The exit code for an error that ended a verb: what could not be tried is not the same as what failed. */
export const exitCodeOf = (error: unknown): ExitCode =>
  error instanceof DidNotHold ? exitCode.didNotHold : exitCode.notChecked;

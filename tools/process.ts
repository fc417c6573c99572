import { spawn } from "node:child_process";
import { FactoryError } from "../components/lib/errors";

/** Options of {@link execute} and {@link run}. */
export interface RunOptions {
  /** Working directory. @default the process's own */
  cwd?: string;
  /** Variables added to the process's environment. */
  env?: NodeJS.ProcessEnv;
  /** Text for standard input. @default none */
  input?: string;
  /** How long the program may take before it is ended by a signal, in milliseconds. @default as long as it likes */
  timeoutMilliseconds?: number;
}

/** How a program ended. */
export interface Ended {
  /** Exit code; undefined when a signal ended it. */
  code: number | undefined;
  stdout: string;
  stderr: string;
  /** Both outputs as they came. */
  log: string;
}

/**
 * Runs a program without a shell; the promise is kept however the program ends.
 *
 * @throws FactoryError `SSF-TOOL-002` when it cannot be started
 */
export const execute = (program: string, args: readonly string[], options: RunOptions = {}): Promise<Ended> =>
  new Promise((resolve, reject) => {
    const { cwd, timeoutMilliseconds: timeout } = options;
    const child = spawn(program, args, { cwd, env: { ...process.env, ...options.env }, stdio: "pipe", timeout });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    const log: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => void (stdout.push(chunk), log.push(chunk)));
    child.stderr.on("data", (chunk: Buffer) => void (stderr.push(chunk), log.push(chunk)));
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.input);
    child.on("error", (error) =>
      reject(
        new FactoryError({
          code: "SSF-TOOL-002",
          path: program,
          given: error.message,
          rule: "The program must be on the machine.",
          fix: "Run ./factory toolchain, or install it.",
        }),
      ),
    );
    const text = (chunks: Buffer[]) => Buffer.concat(chunks).toString();
    child.on("close", (code) =>
      resolve({ code: code ?? undefined, stdout: text(stdout), stderr: text(stderr), log: text(log) }),
    );
  });

/**
 * Runs a program that must succeed, and returns what it printed on standard output.
 *
 * @throws FactoryError `SSF-TOOL-001` with the program's own last lines, when it fails
 */
export const run = async (program: string, args: readonly string[], options: RunOptions = {}): Promise<string> => {
  const { code, stdout, log } = await execute(program, args, options);
  if (code === 0) return stdout;
  const reason = code === undefined ? "ended by a signal" : `ended with exit code ${code}`;
  throw new FactoryError({
    code: "SSF-TOOL-001",
    path: [program, ...args].join(" "),
    given: [reason, ...lastLines(log, 40).split("\n")].join("\n    "),
    rule: "The program must succeed.",
    fix: "Mend what the program's own lines above name, then run the command again; finished work is kept.",
  });
};

/** The last lines of a text, for a message. */
export const lastLines = (text: string, count = 20): string => text.trimEnd().split("\n").slice(-count).join("\n");

/** Whether a process with that identifier lives on this machine. */
export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
};

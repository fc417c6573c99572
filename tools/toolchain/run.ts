import { spawn } from "node:child_process";
import { FactoryError } from "../../components/lib/errors";

/** Options of {@link run}. */
export interface RunOptions {
  /** Working directory. @default the process's own */
  cwd?: string;
  /** Variables added to the process's environment. */
  env?: Record<string, string>;
  /** Text given on standard input. @default none */
  input?: string;
}

/**
 * Runs a program without a shell and returns what it printed on standard output.
 *
 * @throws FactoryError `SSF-TOOL-001` with the program's own last lines, when it cannot be started or fails.
 */
export const run = (program: string, args: readonly string[], options: RunOptions = {}): Promise<string> =>
  new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    });
    const output: Buffer[] = [];
    const log: Buffer[] = [];
    child.stdout?.on("data", (chunk: Buffer) => void (output.push(chunk), log.push(chunk)));
    child.stderr?.on("data", (chunk: Buffer) => log.push(chunk));
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(options.input);
    const fail = (reason: string) =>
      reject(
        new FactoryError({
          code: "SSF-TOOL-001",
          path: [program, ...args].join(" "),
          given: [reason, ...Buffer.concat(log).toString().trimEnd().split("\n").slice(-40)].join("\n    "),
          rule: "The program must succeed.",
          fix: "Mend what the program's own lines above name, then run the command again; finished work is kept.",
        }),
      );
    child.on("error", (error) => fail(error.message));
    child.on("close", (code, signal) =>
      code === 0 ? resolve(Buffer.concat(output).toString()) : fail(`ended with ${signal ?? `exit code ${code ?? 1}`}`),
    );
  });

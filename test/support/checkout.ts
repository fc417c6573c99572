import { execFile, execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const root = resolve(__dirname, "../..");

/** How a command ended. */
export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** A copy of the checkout with a state of its own, in which commands change what they like. */
export interface Checkout {
  directory: string;
  /** Runs a script as `sh` does, from the copy's root. */
  run: (script: string) => Promise<Ended>;
  /** The same, with the variables of `./factory env`. */
  sh: (script: string) => Promise<Ended>;
  /** The standard output of that; fails unless the script ends with 0. */
  output: (script: string) => Promise<string>;
  remove: () => void;
}

const files = (): string[] =>
  execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], { cwd: root, encoding: "utf8" })
    .split("\n")
    .concat("toolchain.lock.json")
    .filter((file) => file !== "" && !file.startsWith("test/") && existsSync(join(root, file)));

/** Makes the lock of packages older than any packages, so that the launcher never installs some in place of those that are shared. */
const keepSharedPackages = (directory: string): void => utimesSync(join(directory, "package-lock.json"), 0, 0);

/** Copies the checkout without its tests; packages and toolchain are those of the original. */
export const copyCheckout = (): Checkout => {
  const directory = mkdtempSync(join(tmpdir(), "ssf-checkout-"));
  for (const file of files()) cpSync(join(root, file), join(directory, file));
  keepSharedPackages(directory);
  symlinkSync(join(root, "node_modules"), join(directory, "node_modules"));
  const env = { ...process.env, SSF_STATE: join(directory, "state") };
  const run = (script: string): Promise<Ended> =>
    new Promise((done) => {
      execFile(
        "bash",
        ["--norc", "-euc", script],
        { cwd: directory, env, maxBuffer: 64 << 20 },
        (error, stdout, stderr) =>
          done({ code: typeof error?.code === "number" ? error.code : error === null ? 0 : 1, stdout, stderr }),
      );
    });
  const sh = (script: string) => run(`eval "$(./factory env)"\n${script}`);
  const output = async (script: string): Promise<string> => {
    const { code, stdout, stderr } = await sh(script);
    if (code === 0) return stdout;
    throw new Error(`${script}\nended with ${code}\n${stdout}\n${stderr}`);
  };
  return { directory, run, sh, output, remove: () => rmSync(directory, { recursive: true, force: true }) };
};

/** Clones the checkout's commits into a directory; packages and toolchain are those of the original. */
export const cloneCheckout = (directory: string): void => {
  execFileSync("git", ["clone", "--quiet", "--shared", root, directory]);
  for (const name of ["node_modules", "toolchain.lock.json"]) symlinkSync(join(root, name), join(directory, name));
  writeFileSync(join(directory, ".git/info/exclude"), "node_modules\n");
  keepSharedPackages(directory);
};

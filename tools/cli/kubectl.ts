import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FactoryError } from "../../components/lib/errors";
import { readToolchain } from "../../stacks/toolchain";
import { execute, lastLines } from "../process";

/** A local port that leads to a service of the cluster. */
export interface PortForward {
  port: number;
  close: () => void;
}

/** kubectl for one cluster. */
export interface Kubectl {
  /** Runs kubectl and returns its standard output. */
  text: (args: readonly string[], input?: string) => Promise<string>;
  /** Runs kubectl and parses its standard output as JSON. */
  json: (args: readonly string[], input?: string) => Promise<unknown>;
  /** Opens a free local port on 127.0.0.1 to a service; it ends with this process at the latest. */
  portForward: (namespace: string, service: string, port: number) => Promise<PortForward>;
}

const temporaryDirectories = new Set<string>();
const children = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of children) child.kill("SIGTERM");
  for (const directory of temporaryDirectories) rmSync(directory, { recursive: true, force: true });
});

/** Ends the child with this process, if it has not ended before. */
export const endWithProcess = (child: ChildProcess): void => {
  children.add(child);
  child.on("close", () => children.delete(child));
};

/** A directory that only this user can read and that is gone when the process ends. */
export const privateDirectory = (): string => {
  const directory = mkdtempSync(join(tmpdir(), "ssf-"));
  temporaryDirectories.add(directory);
  return directory;
};

const problem = (path: string, given: string) =>
  new FactoryError({
    code: "SSF-KUBE-001",
    path,
    given,
    rule: "The cluster must answer.",
    fix: "Look at ./factory status; ./factory up mends what is missing.",
  });

/** Writes a kubeconfig into a private file, which is gone when the process ends. @returns the file */
export const writeKubeconfig = (kubeconfig: string): string => {
  const file = join(privateDirectory(), "kubeconfig");
  writeFileSync(file, kubeconfig, { mode: 0o600 });
  return file;
};

/** kubectl with that kubeconfig, which lies in a private file while the process lives. */
export const openKubectl = (kubeconfig: string): Kubectl => {
  const file = writeKubeconfig(kubeconfig);
  const program = join(readToolchain().bin, "kubectl");
  const common = [`--kubeconfig=${file}`, "--request-timeout=30s"];

  const text = async (args: readonly string[], input?: string) => {
    const { code, stdout, stderr } = await execute(program, [...common, ...args], { input });
    if (code === 0) return stdout;
    throw problem(`kubectl ${args.join(" ")}`, lastLines(stderr, 5));
  };

  return {
    text,
    json: async (args, input) => JSON.parse(await text([...args, "--output=json"], input)) as unknown,
    portForward: (namespace, service, port) =>
      new Promise((resolve, reject) => {
        const args = [
          "port-forward",
          "--address=127.0.0.1",
          `--namespace=${namespace}`,
          `service/${service}`,
          `:${port}`,
        ];
        const child = spawn(program, [`--kubeconfig=${file}`, ...args], { stdio: ["ignore", "pipe", "pipe"] });
        endWithProcess(child);
        let stderr = "";
        child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
        child.stdout.on("data", (chunk: Buffer) => {
          const [, local] = /Forwarding from 127\.0\.0\.1:(\d+)/.exec(chunk.toString()) ?? [];
          if (local !== undefined) resolve({ port: Number(local), close: () => void child.kill("SIGTERM") });
        });
        child.on("error", (error) => reject(problem(`kubectl ${args.join(" ")}`, error.message)));
        child.on("close", () => reject(problem(`kubectl ${args.join(" ")}`, lastLines(stderr, 5))));
      }),
  };
};

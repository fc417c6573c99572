import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, open, readdir, readFile, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { EngineEvent } from "@pulumi/pulumi/automation/events";
import { z } from "zod";
import { FactoryError } from "../../components/lib/errors";
import { addressTaken } from "./address-taken";
import { withDirectory } from "./directory";
import { afterEvent, startOfUpdate, type UpdateProgress } from "./engine-events";
import { DidNotHold } from "./outcome";
import { type Ended, execute, isAlive, lastLines } from "../process";
import { type PlannedStack, project } from "./stack-plan";
import { knownSalt, pulumiEnvironment, scratchDirectory, type Workspace, writeConfigFile } from "./workspace";

/** Runs the Pulumi CLI in the scratch project, where it can dirty nothing. */
const runPulumi = (workspace: Workspace, args: readonly string[], input?: string): Promise<Ended> =>
  execute("pulumi", ["--non-interactive", ...args], {
    cwd: scratchDirectory(workspace),
    env: pulumiEnvironment(workspace),
    input,
  });

const refused = (args: readonly string[], { stderr }: Ended): FactoryError =>
  new FactoryError({
    code: "SSF-RUN-001",
    path: `pulumi ${args.join(" ")}`,
    given: lastLines(stderr),
    rule: "The Pulumi CLI must be able to read and write the factory's state.",
    fix: "Mend what its own lines above name, then run the command again.",
  });

/** What the Pulumi CLI prints. */
const pulumi = async (workspace: Workspace, args: readonly string[], input?: string): Promise<string> => {
  const ended = await runPulumi(workspace, args, input);
  if (ended.code === 0) return ended.stdout;
  throw refused(args, ended);
};

/** What the Pulumi CLI prints of a stack; undefined when there is no such stack. */
const printedOf = async (workspace: Workspace, stack: string, args: readonly string[]): Promise<string | undefined> => {
  const asked = ["stack", ...args, "--stack", stack];
  const ended = await runPulumi(workspace, asked);
  if (ended.code === 0) return ended.stdout;
  if (/^error: no stack named /m.test(ended.stderr)) return undefined;
  throw refused(asked, ended);
};

const deploymentSchema = z.object({
  deployment: z.object({
    secrets_providers: z.object({ state: z.object({ salt: z.string().optional() }).optional() }).optional(),
    resources: z.array(z.object({ urn: z.string(), type: z.string(), custom: z.boolean().optional() })).default([]),
    pending_operations: z.array(z.object({ resource: z.object({ urn: z.string() }) })).default([]),
  }),
});

/** What a stack's state holds, as far as the command looks. */
export interface StackState {
  /** Types of its resources, one entry a resource. */
  types: string[];
  /** Resources whose operation a killed run left unfinished. */
  pending: string[];
  salt: string | undefined;
}

const readDeployment = (text: string): StackState => {
  const { deployment } = deploymentSchema.parse(JSON.parse(text));
  return {
    types: deployment.resources.map(({ type }) => type),
    pending: deployment.pending_operations.map(({ resource }) => resource.urn),
    salt: deployment.secrets_providers?.state?.salt,
  };
};

/** Names of the stacks that exist in the factory's backend. */
export const existingStacks = async (workspace: Workspace): Promise<string[]> => {
  const listed = z
    .array(z.object({ name: z.string() }))
    .parse(JSON.parse(await pulumi(workspace, ["stack", "ls", "--json"])));
  return listed.map(({ name }) => name.split("/").at(-1) ?? name);
};

/** The state of a stack; undefined when there is no such stack. */
export const stackState = async (workspace: Workspace, stack: string): Promise<StackState | undefined> => {
  const exported = await printedOf(workspace, stack, ["export"]);
  return exported === undefined ? undefined : readDeployment(exported);
};

/** The outputs of a stack, secrets in clear; undefined when there is no such stack. */
export const stackOutputs = async (workspace: Workspace, stack: string): Promise<unknown> => {
  const printed = await printedOf(workspace, stack, ["output", "--json", "--show-secrets"]);
  return printed === undefined ? undefined : JSON.parse(printed);
};

const lockSchema = z.object({ pid: z.number(), hostname: z.string(), username: z.string(), timestamp: z.string() });

/**
 * Releases the locks that dead processes of this machine left on a stack of a file backend.
 *
 * @returns how many were released
 * @throws FactoryError `SSF-RUN-002` when a lock's owner lives, or cannot be known
 */
export const releaseDeadLocks = async (workspace: Workspace, stack: string): Promise<number> => {
  const url = pulumiEnvironment(workspace).PULUMI_BACKEND_URL ?? "";
  if (!url.startsWith("file://")) return 0;
  const directory = join(fileURLToPath(url), ".pulumi/locks/organization", project, stack);
  const files = existsSync(directory) ? (await readdir(directory)).filter((name) => name.endsWith(".json")) : [];
  for (const file of files) {
    const owner = lockSchema.safeParse(JSON.parse(await readFile(join(directory, file), "utf8")));
    if (owner.success && owner.data.hostname === hostname() && !isAlive(owner.data.pid)) continue;
    throw new FactoryError({
      code: "SSF-RUN-002",
      path: `stack ${stack}`,
      given: owner.success
        ? `locked by process ${owner.data.pid} of ${owner.data.username}@${owner.data.hostname} since ${owner.data.timestamp}`
        : `locked by ${file}, which does not name its owner`,
      rule: "One run at a time works on a stack.",
      fix: `Wait for that run, or stop it; if it is gone for good: eval "$(./factory env)" && pulumi cancel --yes --stack ${stack}.`,
    });
  }
  if (files.length > 0) await pulumi(workspace, ["cancel", "--yes", "--stack", stack]);
  return files.length;
};

/** Replaces the state of a stack by one that has nothing but these outputs, in clear. */
export const importOutputs = async (
  workspace: Workspace,
  stack: string,
  outputs: Readonly<Record<string, unknown>>,
): Promise<void> => {
  const type = "pulumi:pulumi:Stack";
  const urn = `urn:pulumi:${stack}::${project}::${type}::${project}-${stack}`;
  const manifest = { time: new Date(0).toISOString(), magic: "", version: "" };
  const deployment = { manifest, resources: [{ urn, type, custom: false, outputs }] };
  await pulumi(workspace, ["stack", "import", "--stack", stack], JSON.stringify({ version: 3, deployment }));
};

/** Drops the records of operations that a killed run left unfinished: importing a state does so by itself. */
const dropPendingOperations = async (workspace: Workspace, stack: string): Promise<void> => {
  const exported = await pulumi(workspace, ["stack", "export", "--stack", stack]);
  await pulumi(workspace, ["stack", "import", "--stack", stack], exported);
};

/** A stack that is ready to be updated. */
export interface ReadyStack {
  stack: PlannedStack;
  configFile: string;
  /** Resources that it has. */
  resources: number;
  /** What had to be mended of an earlier run that was killed. */
  mended: string[];
}

/** Makes a stack ready: creates it when it is missing, frees it from what a killed run left, writes its configuration. */
export const readyStack = async (workspace: Workspace, stack: PlannedStack): Promise<ReadyStack> => {
  const mended: string[] = [];
  if ((await releaseDeadLocks(workspace, stack.name)) > 0) mended.push("released the lock of a run that was killed");
  const state = await stackState(workspace, stack.name);
  if (state === undefined) {
    await rm(join(scratchDirectory(workspace), `Pulumi.${stack.name}.yaml`), { force: true });
    await pulumi(workspace, ["stack", "init", stack.name]);
  }
  const { types = [], pending = [], salt = await knownSalt(workspace, stack.name) } = state ?? {};
  if (pending.length > 0) {
    await dropPendingOperations(workspace, stack.name);
    mended.push(`dropped ${pending.length} unfinished operations of a run that was killed`);
  }
  return { stack, configFile: await writeConfigFile(workspace, stack, salt), resources: types.length, mended };
};

/** Reads a file of JSON lines as it grows, until `ended` is kept and everything is read. */
const follow = async (file: string, ended: Promise<unknown>, onLine: (line: string) => void): Promise<void> => {
  const end = { reached: false };
  void ended.finally(() => (end.reached = true));
  const handle = await open(file, "a+");
  try {
    let rest = "";
    let position = 0;
    const decoder = new TextDecoder();
    const buffer = Buffer.alloc(1 << 20);
    for (;;) {
      const last = end.reached;
      const { bytesRead } = await handle.read({ buffer, position });
      position += bytesRead;
      const lines = (rest + decoder.decode(buffer.subarray(0, bytesRead), { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      lines.forEach(onLine);
      if (bytesRead > 0) continue;
      if (last) return;
      await new Promise((resume) => setTimeout(resume, 200));
    }
  } finally {
    await handle.close();
  }
};

/** Options of {@link update}. */
export interface UpdateOptions {
  operation: "up" | "destroy";
  onProgress: (progress: UpdateProgress) => void;
  /** The one component to update, by its type. @default everything */
  component?: string;
  /** Variables beside those of every Pulumi command. @default none */
  env?: Record<string, string>;
}

/** Flags for a component, by its type, and all that is in it. */
const targets = (component: string): string[] => ["--target", `**:${component}::*`, "--target", `**:${component}$**`];

const interrupts = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** How the engine ended. */
export interface EngineEnd {
  code: number;
  stderr: string;
  wasInterrupted: boolean;
}

/**
 * Runs the engine on a stack.
 *
 * An interrupt of this process becomes one interrupt of the engine, which ends after the operations at hand and leaves
 * a state from which the next run goes on; a second interrupt ends the engine at once. Temporary files lie in a directory
 * of the run's own, which goes with it: the Kubernetes provider leaves its kubeconfigs there.
 */
const runEngine = (
  workspace: Workspace,
  { stack: { name }, configFile }: ReadyStack,
  [operation, ...flags]: [operation: string, ...flags: string[]],
  env: Record<string, string>,
  onEvent: (event: EngineEvent) => void,
): Promise<EngineEnd> =>
  withDirectory(async (temporary) => {
    const logs = join(workspace.state, "logs");
    await mkdir(logs, { recursive: true, mode: 0o700 });
    const eventLog = join(logs, `${name}.events.jsonl`);
    await rm(eventLog, { force: true });
    const child = spawn(
      "pulumi",
      [
        ...["--non-interactive", operation, "--stack", name, "--config-file", configFile, ...flags],
        ...["--suppress-progress", "--suppress-outputs", "--event-log", eventLog],
      ],
      {
        cwd: workspace.program,
        env: { ...pulumiEnvironment(workspace), TMPDIR: temporary, ...env },
        stdio: ["ignore", "ignore", "pipe"],
        detached: true,
      },
    );
    const stderr: Buffer[] = [];
    child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
    const ended = new Promise<number>((resolve) => {
      child.on("error", () => resolve(1));
      child.on("close", (code) => resolve(code ?? 1));
    });
    const interrupted = { times: 0 };
    const interrupt = () => {
      interrupted.times += 1;
      child.kill("SIGINT");
    };
    for (const signal of interrupts) process.on(signal, interrupt);
    try {
      await follow(eventLog, ended, (line) => onEvent(JSON.parse(line) as EngineEvent));
      const code = await ended;
      return { code, stderr: Buffer.concat(stderr).toString(), wasInterrupted: interrupted.times > 0 };
    } finally {
      for (const signal of interrupts) process.off(signal, interrupt);
    }
  });

/**
 * Brings a stack to what the program says, or removes all that is in it.
 *
 * @returns what the engine told
 * @throws DidNotHold `SSF-RUN-003` when the engine failed, with the errors that it named; `SSF-RUN-004` after an interrupt
 */
export const update = async (
  workspace: Workspace,
  ready: ReadyStack,
  { operation, component, env = {}, onProgress }: UpdateOptions,
): Promise<UpdateProgress> => {
  let progress = startOfUpdate;
  const flags = [...(component === undefined ? [] : targets(component)), "--yes", "--skip-preview"];
  const end = await runEngine(workspace, ready, [operation, ...flags], env, (event) => {
    progress = afterEvent(progress, event);
    onProgress(progress);
  });
  if (end.code === 0) return progress;
  throw failure(ready.stack.name, operation, end.wasInterrupted, progress, end.stderr);
};

/** Options of {@link preview}. */
export interface PreviewOptions {
  /** Directory of the policy pack that judges what the program asks for. @default none */
  pack?: string;
  /** File for the engine's plan, which says what depends on what. */
  plan: string;
  onEvent: (event: EngineEvent) => void;
}

/** Asks the engine what it would do to a stack; nothing is changed, and what did not hold is among the events. */
export const preview = (
  workspace: Workspace,
  ready: ReadyStack,
  { pack, plan, onEvent }: PreviewOptions,
): Promise<EngineEnd> => {
  const flags = [...(pack === undefined ? [] : ["--policy-pack", pack]), "--save-plan", plan];
  return runEngine(workspace, ready, ["preview", ...flags], {}, onEvent);
};

const failure = (
  name: string,
  operation: string,
  wasInterrupted: boolean,
  progress: UpdateProgress,
  stderr: string,
): DidNotHold => {
  const errors = progress.errors.map(({ resource, message }) => (resource ? `${resource}: ${message}` : message));
  const again = operation === "up" ? "./factory up" : "./factory down";
  if (wasInterrupted)
    return new DidNotHold({
      code: "SSF-RUN-004",
      path: `stack ${name}`,
      given: "interrupted",
      rule: "A run that is interrupted keeps what it has finished.",
      fix: `Run ${again} to go on from there.`,
    });
  const failed = {
    code: "SSF-RUN-003",
    path: `stack ${name}`,
    given: [...new Set(errors.length > 0 ? errors : [lastLines(stderr)])].join("\n  "),
    rule: `Every resource of the stack must ${operation === "up" ? "come up" : "go away"}.`,
    fix: `Mend what the lines above name, then run ${again}; finished work is kept.`,
  };
  return new DidNotHold(failed, ...addressTaken(name, errors));
};

/** Removes a stack and its history; with `force` also when resources are recorded in it. */
export const removeStack = async (workspace: Workspace, stack: string, force: boolean): Promise<void> => {
  await pulumi(workspace, [
    "stack",
    "rm",
    "--yes",
    "--preserve-config",
    "--stack",
    stack,
    ...(force ? ["--force"] : []),
  ]);
};

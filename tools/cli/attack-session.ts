import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { z } from "zod";
import { FactoryError } from "../../components/lib/errors";
import { pipelineRun, type DefinitionSigner, type PipelineRun } from "../../pipelines";
import { promptSigner } from "../../stacks/definition-keys";
import type { StackOutputs } from "../../stacks/outputs";
import { image, readToolchain } from "../../stacks/toolchain";
import { type ApiServer, type Impersonation, messageOf, openApiServer } from "./api-server";
import type { Answer, Attempt, Defer, Refuser } from "./attacks";
import { type ImageVerifier, openImageVerifier } from "./image-verifier";
import { type Kubectl, openKubectl } from "./kubectl";
import { factoryStack, readOtherTeam, readOutputs, readTeam } from "./outputs";
import { type Ended, execute } from "../process";
import { repository, type Workspace } from "./workspace";

/** Label of the namespaces that attacks make; its value is the session. */
export const attackLabel = "secure-software-factory.dev/attack";

/** Somebody who talks to the API server. */
export interface Actor {
  /**
   * Runs kubectl as this actor, and says who refused it if somebody did.
   *
   * @param reached an error that says that the request got past every rule, such as a target that does not listen
   */
  ask: (args: readonly string[], input?: unknown, reached?: RegExp) => Promise<Answer>;
  /** Asks whether the object may be made. The API server decides as always and stores nothing. */
  wouldCreate: (object: object) => Promise<Answer>;
}

/** A build that really ran. */
export interface Build {
  run: string;
  image: string;
  /** The run as it stands when it has been signed. */
  annotations: Record<string, string>;
  results: Record<string, string>;
}

/** What an attack works with. */
export interface Session {
  /** Names what this attack makes. */
  id: string;
  team: StackOutputs["team"];
  factory: StackOutputs["factory"];
  /** Another team of the factory, if there is one. */
  other?: StackOutputs["team"];
  /** The factory's own administrator. */
  admin: Actor;
  /** A member of the team. */
  member: Actor;
  /** Anybody else, by user and groups. */
  as: (user: string, ...groups: string[]) => Actor;
  kubectl: Kubectl;
  /** The API server, asked without a process for each question. */
  api: ApiServer;
  /** Signs as the team's stack does. */
  signer: DefinitionSigner;
  /** A run that a member may start. Its commit does not exist, so it is for dry runs only. */
  goodRun: PipelineRun;
  defer: Defer;
  /** Reference of one of the toolchain's images. */
  image: (name: string) => string;
  /** Makes an object as administrator; it is removed at the end. */
  create: (object: ClusterObject) => Promise<void>;
  /** Makes a namespace that belongs to no team, and so to none of its rules; it is removed at the end. */
  workbench: () => Promise<string>;
  /** Verifies an image by the checks of `factory verify`. */
  verify: ImageVerifier;
  /** Runs the factory command, with the options that this one was given. */
  command: (...args: string[]) => Promise<Ended>;
  /** Builds a directory as a person would; its run is removed at the end. The same directory is built once. */
  build: (directory: string, args?: readonly string[]) => Promise<Build>;
  /** Whether the command was interrupted; nothing new is begun then. */
  signal: AbortSignal;
}

/** As much of an object as is needed to make it and to remove it. */
export interface ClusterObject {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string> };
  [field: string]: unknown;
}

const refusers: [Refuser, RegExp][] = [
  ["admission policy", /ValidatingAdmissionPolicy '[^']+' with binding '[^']+' denied request/],
  ["admission policy", /admission webhook "[^"]*gatekeeper[^"]*" denied the request/],
  ["admission policy", /failed calling webhook "validation\.gatekeeper\.sh"/],
  ["Tekton's webhook", /admission webhook "[^"]*tekton\.dev" denied the request/],
  ["Pod Security", /violates PodSecurity/],
  ["RBAC", /(User|user) "[^"]+" cannot |cannot impersonate/],
  ["API server", /strict decoding error| is invalid: |\(Invalid\)|unknown field/],
];

/** Who wrote this refusal; nobody when it is no refusal. */
export const refuserOf = (message: string): Refuser | undefined =>
  refusers.find(([, pattern]) => pattern.test(message))?.[0];

const ask = async (
  kubectl: Kubectl,
  args: readonly string[],
  input: unknown,
  reached: RegExp | undefined,
): Promise<Answer> => {
  try {
    const text = await kubectl.text(args, input === undefined ? undefined : JSON.stringify(input));
    return { is: "accepted", detail: text.trim().split("\n")[0] ?? "" };
  } catch (error) {
    const message = error instanceof FactoryError ? (error.problems[0]?.given ?? "") : "";
    const by = refuserOf(message);
    if (by !== undefined) return { is: "refused", by, message };
    if (reached?.test(message) === true) return { is: "accepted", detail: message };
    throw error;
  }
};

const dryRun = new URLSearchParams({ dryRun: "All", fieldValidation: "Strict", fieldManager: "factory-attack" });

const askToCreate = async (api: ApiServer, object: ClusterObject, as: Impersonation | undefined): Promise<Answer> => {
  const path = await api.collection(object);
  const answer = await api.send("POST", `${path}?${dryRun.toString()}`, object, as);
  const { status } = answer;
  if (status === 201) return { is: "accepted", detail: `HTTP status ${status}` };
  const message = messageOf(answer);
  const by = refuserOf(message);
  if (by !== undefined) return { is: "refused", by, message };
  throw new Error(`HTTP status ${status}: ${message}`);
};

/** Talks to the API server, in somebody else's name where one is given. */
export const actor = (kubectl: Kubectl, api: ApiServer, signal: AbortSignal, as?: Impersonation): Actor => {
  const flags = as === undefined ? [] : [`--as=${as.user}`, ...as.groups.map((group) => `--as-group=${group}`)];
  return {
    ask: (args, input, reached) => {
      signal.throwIfAborted();
      return ask(kubectl, [...args, ...flags], input, reached);
    },
    wouldCreate: (object) => {
      signal.throwIfAborted();
      return askToCreate(api, object as ClusterObject, as);
    },
  };
};

/** Where in an object, from its top. */
export type Path = readonly (string | number)[];

/** A copy of the object that has this value at that place, and is the same elsewhere; `undefined` removes it. */
export const withValue = <T>(object: T, [key, ...rest]: Path, value: unknown): T => {
  if (key === undefined) return value as T;
  if (Array.isArray(object)) {
    const copy: unknown[] = [...(object as unknown[])];
    copy[Number(key)] = withValue(copy[Number(key)], rest, value);
    return copy as T;
  }
  const fields = (object ?? {}) as Record<string, unknown>;
  return { ...fields, [key]: withValue(fields[key], rest, value) } as T;
};

/** One attempt for each variant of a good object: its name, and the values that make it bad. */
export const variants = (
  who: Actor,
  good: object,
  list: readonly (readonly [name: string, ...changes: (readonly [Path, unknown])[]])[],
): Attempt[] =>
  list.map(([name, ...changes]) => ({
    name,
    run: () => who.wouldCreate(changes.reduce<object>((object, [path, value]) => withValue(object, path, value), good)),
  }));

const known: Record<string, string> = {
  repository: "https://git.example.com/group/program.git",
  commit: "0".repeat(40),
  name: "attack",
};

/** A run of the team's pipeline with good parameters. */
export const goodRunOf = ({ pipelines }: StackOutputs["team"]): PipelineRun => {
  const pipeline = pipelines.go ?? Object.values(pipelines)[0];
  if (pipeline === undefined) throw new Error("a team's stack has a pipeline");
  const params = Object.fromEntries(pipeline.params.map(({ name }) => [name, known[name]]));
  return pipelineRun(pipeline.runTemplate as unknown as PipelineRun, params);
};

const builtSchema = z.object({ image: z.string(), run: z.string() });
const runSchema = z.object({
  metadata: z.object({ annotations: z.record(z.string(), z.string()).default({}) }),
  status: z.object({ results: z.array(z.object({ name: z.string(), value: z.unknown() })).default([]) }),
});

/** Runs `./factory build` for its JSON, until the signal ends it. @param onLine told each line of its progress */
const factoryBuild = (
  args: readonly string[],
  signal: AbortSignal,
  onLine: (line: string) => void,
): Promise<{ image: string; run: string }> =>
  new Promise((resolve, reject) => {
    const child = spawn(join(repository, "factory"), ["build", ...args, "--json"], {
      stdio: ["ignore", "pipe", "pipe"],
      signal,
    });
    const output = { stdout: "", stderr: "" };
    for (const stream of ["stdout", "stderr"] as const)
      child[stream].on("data", (chunk: Buffer) => {
        output[stream] += chunk.toString();
        output.stderr.split("\n").forEach(onLine);
      });
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(builtSchema.parse(JSON.parse(output.stdout)));
      else reject(new Error(output.stderr.trim().split("\n").slice(-6).join("\n")));
    });
  });

/** What all attacks of one command share. */
export interface Stand {
  /** Begins to build these directories, for the attacks that will ask for them. */
  begin: (directories: readonly string[]) => void;
  /** What one attack works with. */
  open: (defer: Defer) => Session;
  /** Removes the runs of the builds. */
  close: () => Promise<void>;
}

/**
 * Opens a user's factory for attacks.
 *
 * @param arguments_ options of this command that other ones must be given as well
 */
export const openStand = async (
  workspace: Workspace,
  teamName: string | undefined,
  arguments_: readonly string[],
  signal: AbortSignal,
): Promise<Stand> => {
  const team = await readTeam(workspace, teamName);
  const other = await readOtherTeam(workspace, team);
  const factory = await readOutputs(workspace, "factory", factoryStack(workspace));
  const kubectl = openKubectl(factory.kubeconfig);
  const api = await openApiServer(factory.kubeconfig);
  const toolchain = readToolchain();
  const goodRun = goodRunOf(team);
  const runs = new Set<string>();
  const builds = new Map<string, Promise<Build>>();
  const inTeam = `--namespace=${team.namespace}`;
  const ofTeam = teamName === undefined ? [] : ["--team", teamName];
  let verifier: Promise<ImageVerifier> | undefined;

  const build = async (directory: string, args: readonly string[]): Promise<Build> => {
    const { image: reference, run } = await factoryBuild(
      [directory, ...arguments_, ...ofTeam, ...args],
      signal,
      (line) => {
        const [, name] = /^run ([a-z0-9.-]+): /.exec(line) ?? [];
        if (name !== undefined) runs.add(name);
      },
    );
    const { metadata, status } = runSchema.parse(await kubectl.json(["get", "pipelineruns.tekton.dev", run, inTeam]));
    const results = status.results.map(({ name, value }) => [name, typeof value === "string" ? value.trim() : ""]);
    return {
      run,
      image: reference,
      annotations: metadata.annotations,
      results: Object.fromEntries(results) as Record<string, string>,
    };
  };

  const built = (directory: string, args: readonly string[] = []): Promise<Build> => {
    const key = JSON.stringify([directory, ...args]);
    const made = builds.get(key) ?? build(directory, args);
    builds.set(key, made);
    return made;
  };

  const begin = (directories: readonly string[]): void => {
    // Whoever asks for the build is told why it failed.
    for (const directory of directories) built(directory).catch(() => undefined);
  };

  const open = (defer: Defer): Session => {
    const id = randomBytes(4).toString("hex");
    const bench = `ssf-attack-${id}`;
    const create = async (object: ClusterObject): Promise<void> => {
      signal.throwIfAborted();
      const made = api.create(object);
      // What lies in a namespace of the attack's own goes with it.
      if (object.metadata.namespace !== bench)
        defer(`${object.kind} ${object.metadata.name}`, async () => {
          await made.catch(() => undefined);
          await api.remove(object);
        });
      await made;
    };
    const workbench = async (): Promise<string> => {
      const labels = { [attackLabel]: id, "pod-security.kubernetes.io/enforce": "privileged" };
      await create({ apiVersion: "v1", kind: "Namespace", metadata: { name: bench, labels } });
      return bench;
    };
    return {
      id,
      team,
      factory,
      other,
      kubectl,
      api,
      goodRun,
      defer,
      signal,
      create,
      workbench,
      signer: promptSigner(team.definitions, toolchain.bin),
      admin: actor(kubectl, api, signal),
      member: actor(kubectl, api, signal, {
        user: "attacker",
        groups: [`secure-software-factory:${team.namespace}`],
      }),
      as: (user, ...groups) => actor(kubectl, api, signal, { user, groups }),
      image: (name) => image(toolchain, name),
      build: built,
      verify: async (...image) => (await (verifier ??= openImageVerifier(workspace)))(...image),
      command: (...args) => execute(join(repository, "factory"), [...args, ...arguments_]),
    };
  };

  const close = async () => {
    await Promise.allSettled(builds.values());
    if (runs.size === 0) return;
    await kubectl.text(["delete", "pipelineruns.tekton.dev", ...runs, inTeam, "--ignore-not-found", "--wait=false"]);
  };
  return { begin, open, close };
};

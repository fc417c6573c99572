import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { z } from "zod";
import { FactoryError } from "../../../components/lib/errors";
import { describeHost, hostOf } from "../../../components/lib/hosts";
import { pipelineRun, type PipelineRun as RunTemplate } from "../../../pipelines";
import type { StackOutputs } from "../../../stacks/outputs";
import { type ApiServer, openApiServer } from "../api-server";
import { fullCommit, imageName, type LocalSource, localSource, pushToForge, remoteHead } from "../forge";
import { describeTraffic, readTraffic } from "../flows";
import { type Kubectl, openKubectl } from "../kubectl";
import { chooseLanguage, committedFiles, parseParams, remoteFiles, requireLockFiles } from "../languages";
import { DidNotHold, exitCode, type ExitCode } from "../outcome";
import { readTeam } from "../outputs";
import { type Display, displayFor, duration } from "../steps";
import { failedStage, failedStep, pipelineRunSchema, runState, stageStates, taskRunList } from "../watch-run";
import { openWorkspace, type WorkspaceOptions } from "../workspace";

/** Options of {@link build}. */
export interface BuildOptions extends WorkspaceOptions {
  json: boolean;
  commit?: string;
  language?: string;
  package?: string;
  param?: string[];
  name?: string;
  team?: string;
  directory?: string;
  /** Minutes. */
  timeout: string;
}

/** What a run is asked to build. */
interface Request {
  repository: string;
  commit: string;
  directory: string;
  name: string;
}

type Team = StackOutputs["team"];

const isUrl = (source: string): boolean => source.includes("://");

const fromUrl = async (url: string, { commit, directory = ".", name }: BuildOptions): Promise<Request> => {
  if (commit !== undefined && !fullCommit.test(commit))
    throw new FactoryError({
      code: "SSF-BUILD-006",
      path: "--commit",
      given: `"${commit}"`,
      rule: "A commit of a remote repository is given by its full id, since a shorter one or a branch can change its meaning.",
      fix: "Give all 40 (or 64) hexadecimal digits.",
    });
  return {
    repository: url,
    commit: commit ?? (await remoteHead(url)),
    directory,
    name: name ?? imageName(directory === "." ? url : directory),
  };
};

const fromDirectory = async (source: string, options: BuildOptions, display: Display): Promise<LocalSource> => {
  const directory = resolve(process.env.SSF_CALLER_DIRECTORY ?? process.cwd(), source);
  if (!existsSync(directory))
    throw new FactoryError({
      code: "SSF-BUILD-007",
      path: directory,
      given: "not there",
      rule: "The source is a directory of a git repository, or the https address of one.",
      fix: "Correct the path.",
    });
  const local = await localSource(directory, options.commit);
  if (local.hasUncommittedChanges && options.commit === undefined)
    display.write(
      `warning: ${source} has uncommitted changes; commit ${local.commit.slice(0, 12)} is built without them`,
    );
  return local;
};

/** What a person asks for: a commit of a repository elsewhere, or of one on this machine. */
export const askedFor = (source: string, options: BuildOptions, display: Display): Promise<Request | LocalSource> =>
  isUrl(source) ? fromUrl(source, options) : fromDirectory(source, options, display);

/** The name of the pipeline that builds what the commit holds; reading it shows that there is such a commit. */
export const pipelineFor = async (
  asked: Request | LocalSource,
  { language }: BuildOptions,
  { pipelines }: Pick<Team, "pipelines">,
): Promise<string> => {
  const offered = Object.keys(pipelines);
  const place = "top" in asked ? { ...asked, repository: asked.top } : asked;
  const files = "top" in asked ? await committedFiles(place) : await remoteFiles(place);
  const chosen = chooseLanguage(files, language, offered);
  requireLockFiles(chosen, files, place);
  return chosen;
};

const serve = async (local: LocalSource, { forge }: Team, kubectl: Kubectl, name?: string): Promise<Request> => {
  const forward = await kubectl.portForward(forge.namespace, forge.service, Number(new URL(forge.url).port));
  try {
    const { commit, directory, top } = local;
    const repository = await pushToForge(local, forge, forward.port);
    return { repository, commit, directory, name: name ?? imageName(directory === "." ? top : directory) };
  } finally {
    forward.close();
  }
};

/** A package as the pipeline takes it: a path from the module's directory that starts with a dot. */
const packagePath = (given: string | undefined): string | undefined =>
  given === undefined || given === "." || given.startsWith("./") ? given : `./${given}`;

const interval = 2000;
const pause = () => new Promise((resume) => setTimeout(resume, interval));

/** The run and its tasks as the cluster has them now. */
const read = (api: ApiServer, namespace: string, run: string) => {
  const inNamespace = `/apis/tekton.dev/v1/namespaces/${namespace}`;
  const ofRun = new URLSearchParams({ labelSelector: `tekton.dev/pipelineRun=${run}` });
  return Promise.all([
    api.read(`${inNamespace}/pipelineruns/${run}`),
    api.read(`${inNamespace}/taskruns?${ofRun.toString()}`),
  ]);
};

/** Asks again a few times: an API server that does not answer for a moment ends no build. */
const patiently = async <T>(ask: () => Promise<T>, tries = 5): Promise<T> => {
  try {
    return await ask();
  } catch (error) {
    if (tries <= 1) throw error;
    await pause();
    return patiently(ask, tries - 1);
  }
};

const claimList = z.object({
  items: z.array(
    z.object({
      metadata: z.object({ name: z.string(), ownerReferences: z.array(z.object({ name: z.string() })).default([]) }),
    }),
  ),
});

/** Removes the workspaces of a run that has ended: nobody reads them any more, and they count in the team's quota. */
const removeVolumes = async (kubectl: Kubectl, namespace: string, run: string): Promise<void> => {
  const where = `--namespace=${namespace}`;
  const { items } = claimList.parse(await kubectl.json(["get", "persistentvolumeclaims", where]));
  const ours = items.filter(({ metadata }) => metadata.ownerReferences.some(({ name }) => name === run));
  if (ours.length > 0)
    await kubectl.text([
      "delete",
      "persistentvolumeclaims",
      where,
      "--wait=false",
      ...ours.map((claim) => claim.metadata.name),
    ]);
};

interface Finished {
  image: string;
  stages: { name: string; seconds: number }[];
}

/** Two ways to one cluster: the second starts no process for each question. */
interface Cluster {
  kubectl: Kubectl;
  api: ApiServer;
}

/** Shows the run's stages as they come and go, until its image is signed. */
const watch = async (
  { kubectl, api }: Cluster,
  namespace: string,
  run: string,
  stages: readonly string[],
  display: Display,
  deadline: number,
): Promise<Finished> => {
  const shown = new Map<string, string>();
  let said = Date.now();
  const say = (line: string) => {
    said = Date.now();
    display.write(line);
  };
  for (;;) {
    const [one, list] = await patiently(() => read(api, namespace, run));
    const taskRuns = taskRunList.parse(list).items;
    const states = stageStates(stages, taskRuns, Date.now());
    for (const { name, state, milliseconds } of states) {
      if (shown.get(name) === state) continue;
      shown.set(name, state);
      if (state === "running") say(`stage ${name}: started`);
      if (state === "succeeded" || state === "failed") say(`stage ${name}: ${state} (${duration(milliseconds)})`);
    }
    const outcome = runState(pipelineRunSchema.parse(one));
    if (outcome.state !== "running" && outcome.state !== "signing") await removeVolumes(kubectl, namespace, run);
    if (outcome.state === "signed")
      return { image: outcome.image, stages: states.map((s) => ({ name: s.name, seconds: s.milliseconds / 1000 })) };
    if (outcome.state === "failed") throw await runFailure(kubectl, namespace, run, taskRuns, outcome.detail, display);
    if (Date.now() > deadline)
      throw new DidNotHold({
        code: "SSF-BUILD-009",
        path: `run ${run}`,
        given: `not done: ${outcome.detail}`,
        rule: "The run must end within the time that --timeout gives it.",
        fix: `It goes on in namespace ${namespace}; look at it there, or give more minutes by --timeout.`,
      });
    if (Date.now() - said > 30_000) {
      const running = states.filter(({ state }) => state === "running");
      say(
        running.length === 0
          ? outcome.detail
          : running.map(({ name, milliseconds }) => `stage ${name}: at work (${duration(milliseconds)})`).join(", "),
      );
    }
    await pause();
  }
};

const runFailure = async (
  kubectl: Kubectl,
  namespace: string,
  run: string,
  taskRuns: Parameters<typeof failedStep>[0],
  detail: string,
  display: Display,
): Promise<DidNotHold> => {
  const step = failedStep(taskRuns);
  if (step) {
    display.write(`--- log of stage ${step.stage}, step ${step.step} ---`);
    const args = ["logs", step.pod, `--container=${step.container}`, `--namespace=${namespace}`, "--tail=100"];
    display.write((await kubectl.text(args).catch((error: unknown) => String(error))).trimEnd());
    display.write("---");
  }
  return new DidNotHold({
    code: "SSF-BUILD-008",
    path: `run ${run}`,
    given: failedStage(taskRuns) ?? detail,
    rule: "Every stage must succeed, and the image must get its provenance.",
    fix: step
      ? "Mend what the log above names, commit, and build again."
      : "Look at ./factory status, then build again.",
  });
};

/** Refuses a repository on a forge that the stage which takes the source may not reach. */
export const requireForge = (
  repository: string,
  { egress, forge, team }: Pick<Team, "egress" | "forge" | "team">,
): void => {
  const asked = describeHost(hostOf(repository));
  const allowed = [hostOf(forge.url), ...egress.forges].map(describeHost);
  if (allowed.includes(asked)) return;
  throw new FactoryError({
    code: "SSF-BUILD-040",
    path: "source",
    given: `${repository} on ${asked}`,
    rule: `Team ${team} takes sources from ${allowed.join(", ")}, and its stage reaches no other forge.`,
    fix: `Add the forge to the setting forges of the team's stack and bring it up again: pulumi config set forges ${[
      ...egress.forges.map(describeHost),
      asked,
    ].join(",")}`,
  });
};

/** Builds a program in the factory; ends with the image by digest, signed. */
export const build = async (source: string, options: BuildOptions): Promise<ExitCode> => {
  const started = Date.now();
  const display = displayFor(options.json);
  const params = parseParams(options.param ?? []);
  const asked = await askedFor(source, options, display);
  const team = await readTeam(openWorkspace(options), options.team);
  if (!("top" in asked)) requireForge(asked.repository, team);
  const pipeline = team.pipelines[await pipelineFor(asked, options, team)];
  if (pipeline === undefined) throw new Error("the pipeline is one that the team has");
  const kubectl = openKubectl(team.kubeconfig);
  const request = "top" in asked ? await serve(asked, team, kubectl, options.name) : asked;
  const chosen = packagePath(options.package);
  const run = pipelineRun(pipeline.runTemplate as unknown as RunTemplate, {
    ...params,
    ...(chosen === undefined ? {} : { package: chosen }),
    ...request,
  });
  const api = await openApiServer(team.kubeconfig);
  const created = pipelineRunSchema.parse(await kubectl.json(["create", "--filename=-"], JSON.stringify(run)));
  const { name } = created.metadata;
  display.write(`run ${name}: ${request.repository} at ${request.commit.slice(0, 12)}, directory ${request.directory}`);
  const stages = pipeline.stages.map((stage) => stage.name);
  const deadline = started + Number(options.timeout) * 60_000;
  const showTraffic = async () => {
    const { namespace, networkPolicies } = team;
    const taskRuns = async () => taskRunList.parse((await read(api, namespace, name))[1]).items;
    const traffic = await readTraffic({ kubectl, namespace, networkPolicies, stages: pipeline.stages, taskRuns });
    for (const line of describeTraffic(traffic)) display.write(line);
    return traffic;
  };
  const finished = await watch({ kubectl, api }, team.namespace, name, stages, display, deadline).catch(
    async (error: unknown) => {
      await showTraffic();
      throw error;
    },
  );
  const network = await showTraffic();
  const seconds = (Date.now() - started) / 1000;
  if (options.json) console.log(JSON.stringify({ ...finished, run: name, ...request, network, seconds }, undefined, 2));
  else {
    display.write(`built and signed in ${duration(seconds * 1000)}`);
    display.write(`image: ${finished.image}`);
  }
  return exitCode.held;
};

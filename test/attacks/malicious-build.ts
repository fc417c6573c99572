import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Session } from "../../tools/cli/attack-session";
import { privateDirectory } from "../../tools/cli/kubectl";
import { execute } from "../../tools/process";
import { runTwins, targetsOf } from "./jail";
import { parseProbes, probeAttempts, proberFile, type Probes, type Target } from "./prober";
import type { FactoryAttack } from "./support";

const project = join(__dirname, "malicious-build");

/** Always the same commit for the same targets, so that the forge keeps one. */
const author = {
  GIT_AUTHOR_NAME: "attacker",
  GIT_AUTHOR_EMAIL: "attacker@example.com",
  GIT_AUTHOR_DATE: "2026-01-01T00:00:00Z",
  GIT_COMMITTER_NAME: "attacker",
  GIT_COMMITTER_EMAIL: "attacker@example.com",
  GIT_COMMITTER_DATE: "2026-01-01T00:00:00Z",
};

/** A repository with the package and the prober that its build code starts. */
const repositoryWith = async (targets: readonly Target[]): Promise<string> => {
  const directory = join(privateDirectory(), "malicious-build");
  mkdirSync(directory);
  cpSync(project, directory, { recursive: true });
  cpSync(proberFile, join(directory, "prober.py"));
  writeFileSync(join(directory, "targets.json"), JSON.stringify({ targets }));
  for (const args of [
    ["init", "--quiet"],
    ["add", "--all"],
    ["commit", "--quiet", "--message=Take over"],
  ]) {
    const { code, stderr } = await execute("git", ["-C", directory, ...args], { env: author });
    if (code !== 0) throw new Error(`git ${args.join(" ")}: ${stderr}`);
  }
  return directory;
};

const podList = z.object({ items: z.array(z.object({ metadata: z.object({ name: z.string() }) })) });

/** What the prober printed in stage build of a run. */
const probesOfBuild = async ({ kubectl, team }: Session, name: string): Promise<Probes> => {
  const inTeam = `--namespace=${team.namespace}`;
  const selector = `--selector=tekton.dev/pipelineRun=${name},tekton.dev/pipelineTask=build`;
  const [pod] = podList.parse(await kubectl.json(["get", "pods", inTeam, selector])).items;
  if (pod === undefined) throw new Error(`run ${name} has no pod of stage build`);
  return parseProbes(await kubectl.text(["logs", pod.metadata.name, inTeam, "--container=step-build"]));
};

export const maliciousBuild: FactoryAttack = {
  name: "malicious-build",
  covers: "A dependency or program whose own build code was taken over.",
  tries: "to leave the jail from the build code of a Python package, inside the real stage build",
  refusal: { by: ["jail", "kernel"], message: /^(jailed|denied):/ },
  control: "The build succeeds and is signed, and the same prober reaches its targets outside the jail.",
  inapplicable: ({ team }) => (team.pipelines.pip === undefined ? "the team has no pipeline for pip" : undefined),
  prepare: async (session) => {
    const targets = await targetsOf(session);
    const built = await session.build(await repositoryWith(targets));
    const jailed = await probesOfBuild(session, built.run);
    const twins = await runTwins(session, await session.workbench(), targets);
    return {
      attempts: probeAttempts("build", jailed, twins, session.factory.runtimeClasses !== null),
      controls: [
        {
          name: "the build is signed",
          run: () =>
            Promise.resolve(
              built.annotations["chains.tekton.dev/signed"] === "true"
                ? { is: "accepted", detail: built.image }
                : { is: "unproven", detail: "no mark of Chains" },
            ),
        },
      ],
    };
  },
};

import { clusterRules, factoryRules } from "../../../policies/admission";
import { gateConstraints } from "../../../policies/admission/gate";
import { isOwnCluster } from "../../../stacks/outputs";
import { factoryImages, readToolchain } from "../../../stacks/toolchain";
import { goodRunOf } from "../attack-session";
import { builtImage } from "../built-image";
import { type Kubectl, openKubectl } from "../kubectl";
import { exitCode, type ExitCode } from "../outcome";
import { factoryStack, readOutputs, readTeams } from "../outputs";
import { allHeld, type Check } from "../provenance";
import { checkObjects, ruleNames } from "../self-checks";
import { readCluster } from "../self-cluster";
import { askRules, type NotAsked, type RequestWorld } from "../self-requests";
import { readOwnTrust } from "../trust";
import { trustedFor } from "../trusted";
import { openWorkspace, type Workspace, type WorkspaceOptions } from "../workspace";

/** What was found out about the factory itself. */
export interface SelfReport {
  checks: Check[];
  /** Rules of which nothing was shown either way. */
  notAsked: NotAsked[];
}

const firstName = async (kubectl: Kubectl, resource: string, namespace: string): Promise<string | undefined> => {
  const names = await kubectl.text(["get", resource, `--namespace=${namespace}`, "--output=name"]);
  return /^\S+\/(\S+)$/m.exec(names)?.[1];
};

const look = async (workspace: Workspace): Promise<SelfReport> => {
  const factory = await readOutputs(workspace, "factory", factoryStack(workspace));
  const teams = await readTeams(workspace);
  const kubectl = openKubectl(factory.kubeconfig);
  const objects = await readCluster(kubectl);
  const images = factoryImages(readToolchain());
  const { signedImages } = trustedFor(await readOwnTrust(workspace), factory.provenance.builderId);
  const { runtimeClasses } = factory;
  const gateRules = gateConstraints.map(({ metadata }) => metadata.name);
  const settings = { runtimeClasses, unjailedServiceAccounts: [], images, stack: { users: [], groups: [] } };
  const teamRules = teams.map(({ namespace }) => `ssf-runs-${namespace}`);
  const ownRules = isOwnCluster(factory) ? clusterRules(images.components) : [];
  const expected = [...[...factoryRules(settings), ...ownRules].map(({ name }) => name), ...teamRules];
  const checks = checkObjects(objects, {
    images: images.components,
    teamImages: images.stages,
    signedImages: signedImages([...images.components, ...images.stages]),
    rules: expected,
    gateRules,
    now: new Date(),
  });
  const worlds = teams.map(async (team): Promise<RequestWorld> => {
    const { namespace } = team;
    return {
      namespace,
      elsewhere: "default",
      runtimeClasses,
      images,
      goodRun: goodRunOf(team),
      task: await firstName(kubectl, "tasks.tekton.dev", namespace),
      networkPolicy: await firstName(kubectl, "networkpolicies.networking.k8s.io", namespace),
      run: await firstName(kubectl, "pipelineruns.tekton.dev", namespace),
      built: await builtImage(kubectl, team),
      pod: objects.pods.find(({ metadata }) => metadata.namespace === namespace)?.metadata.name,
    };
  });
  const { check, notAsked } = await askRules(kubectl, [...ruleNames(objects), ...gateRules], await Promise.all(worlds));
  const all = [...checks, check].sort((one, other) => (one.code < other.code ? -1 : 1));
  return { checks: all, notAsked };
};

/** A rule that could not be asked, and that no other one covers, leaves the answer open; a failed check does not. */
export const selfOutcome = ({ checks, notAsked }: SelfReport): ExitCode => {
  if (!allHeld(checks)) return exitCode.didNotHold;
  return notAsked.every(({ isCovered }) => isCovered) ? exitCode.held : exitCode.notChecked;
};

/** Checks what the factory promises about itself, and prints each check. */
export const verifySelf = async (options: WorkspaceOptions & { json: boolean }): Promise<ExitCode> => {
  const report = await look(openWorkspace(options));
  const outcome = selfOutcome(report);
  if (options.json) console.log(JSON.stringify({ held: outcome === exitCode.held, ...report }, undefined, 2));
  else {
    for (const { code, title, held, detail } of report.checks)
      console.log(`${held ? "held  " : "FAILED"} ${code} ${title}: ${detail}`);
    for (const { rule, why } of report.notAsked) console.log(`not asked: ${rule}: ${why}`);
    const summary = {
      [exitCode.held]: "verified",
      [exitCode.didNotHold]: "not verified",
      [exitCode.notChecked]: "open",
    };
    console.log(`${summary[outcome]}: the factory itself`);
  }
  return outcome;
};

import { COMPONENTS } from "../../../components/workloads";
import { clusterRules, factoryRules } from "../../../policies/admission";
import { gateConstraints, generatedRules } from "../../../policies/admission/gate";
import { factoryImages } from "../../../stacks/factory-images";
import { isOwnCluster } from "../../../stacks/outputs";
import { readToolchain } from "../../../stacks/toolchain";
import { openApiServer } from "../api-server";
import { goodRunOf } from "../attack-session";
import { builtImage } from "../built-image";
import { columns } from "../columns";
import { type Kubectl, openKubectl } from "../kubectl";
import { exitCode, type ExitCode } from "../outcome";
import { factoryStack, readOutputs, readTeams } from "../outputs";
import { allHeld, type Check } from "../provenance";
import { checkLives, newestSigning, type SigningCertificate } from "../self-certificates";
import { checkObjects, ruleNames } from "../self-checks";
import { readCluster } from "../self-cluster";
import { checkMatches, countMatches, notShown, ruleScopes } from "../self-matches";
import { checkRules, readRules } from "../self-policy";
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
  const trust = await readOwnTrust(workspace);
  const { signedImages } = trustedFor(trust, factory.provenance.builderId);
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
    trustDomain: factory.trustDomain,
    components: COMPONENTS,
    generatedRules,
    now: new Date(),
  });
  const scopes = ruleScopes(objects, gateRules);
  const counts = await countMatches(kubectl, scopes, objects.namespaces);
  const signing = await newestSigning(kubectl, factory.provenance);
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
  const { check, findings, notAsked } = await askRules(
    await openApiServer(factory.kubeconfig),
    [...ruleNames(objects), ...gateRules],
    await Promise.all(worlds),
  );
  const matches = checkMatches(scopes, counts, findings, objects.namespaces);
  const rules = checkRules(
    await readRules(kubectl),
    trust.policy,
    teams.flatMap(({ ruleDigests }) => ruleDigests),
  );
  const all = [...checks, check, matches, rules, checkLives(objects, signing)];
  return {
    checks: all.sort((one, other) => (one.code < other.code ? -1 : 1)),
    notAsked: [...notShown(notAsked, counts), ...unsigned(signing)],
  };
};

const unsigned = (signing: SigningCertificate | undefined): NotAsked[] =>
  signing === undefined
    ? [{ rule: "life of Fulcio's certificates", why: "no run is in the log yet", isCovered: false }]
    : [];

/** Characters of what was found that a row shows. */
const WIDTH = 60;

const shortened = (text: string): string => (text.length > WIDTH ? `${text.slice(0, WIDTH - 1)}…` : text);

/** What a person reads: a row for each check with the beginning of what was found, and below whole what is wrong. */
export const describeSelf = ({ checks, notAsked }: SelfReport): string[] => [
  ...columns([
    ["", "code", "check", "found"],
    ...checks.map(({ code, title, held, detail }) => [held ? "held" : "FAILED", code, title, shortened(detail)]),
  ]),
  ...checks.filter(({ held }) => !held).map(({ code, detail }) => `${code}: ${detail}`),
  ...notAsked.map(({ rule, why }) => `not asked: ${rule}: ${why}`),
];

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
    for (const line of describeSelf(report)) console.log(line);
    const summary = {
      [exitCode.held]: "verified",
      [exitCode.didNotHold]: "not verified",
      [exitCode.notChecked]: "open",
    };
    console.log(`${summary[outcome]}: the factory itself`);
  }
  return outcome;
};

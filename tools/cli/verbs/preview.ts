import { existsSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { FactoryError } from "../../../components/lib/errors";
import { lastLines } from "../../process";
import { withDirectory } from "../directory";
import { exitCode, type ExitCode } from "../outcome";
import { layOut, shortName, standingStack, whatIsMissing, withStandIns } from "../preview/basis";
import { changedStacks, judging, readChange } from "../preview/changed-stacks";
import { changesBetween, changesToState, type ResourceChange } from "../preview/differences";
import { type PicturedStack, previewPicture } from "../preview/picture";
import { addEvent, codeIn, type Finding, type Planned, readDependencies, startOfPlan } from "../preview/planned";
import { type PreviewReport, reportComment, reportText, type StackReport } from "../preview/report";
import { preview as previewWithEngine, type ReadyStack } from "../pulumi";
import type { PlannedStack } from "../stack-plan";
import { displayFor, runSteps, type Step } from "../steps";
import {
  knownSalt,
  openWorkspace,
  repository,
  type Workspace,
  type WorkspaceOptions,
  writeConfigFile,
} from "../workspace";

/** Options of {@link preview}. */
export interface PreviewOptions extends WorkspaceOptions {
  json: boolean;
  base?: string;
  comment?: string;
}

/** A preview of one stack, with what depends on what. */
interface Preview extends Planned {
  dependencies: Map<string, string[]>;
  /** Why the engine could not say everything. */
  failure?: string;
}

/** The pack that judges previews. */
const pack = join(repository, "policies/preview");

const ask = async (workspace: Workspace, ready: ReadyStack, judged: boolean): Promise<Preview> => {
  const plan = startOfPlan();
  const planFile = join(workspace.state, "logs", `${ready.stack.name}.plan.json`);
  await rm(planFile, { force: true });
  const { code, stderr } = await previewWithEngine(workspace, ready, {
    ...(judged ? { pack } : {}),
    plan: planFile,
    onEvent: (event) => addEvent(plan, event),
  });
  const dependencies = existsSync(planFile) ? await readDependencies(planFile) : new Map<string, string[]>();
  await rm(planFile, { force: true });
  if (code === 0 || plan.findings.some(({ level }) => level === "mandatory")) return { ...plan, dependencies };
  const errors = [...new Set(plan.errors.map(({ message }) => message))];
  return { ...plan, dependencies, failure: errors.join("\n") || lastLines(stderr) };
};

/** Codes that say something of this machine, of what runs on it or of the pack's own end, and nothing of the change. */
const ofTheMachine = /^SSF-(?:CLUSTER|STACK|TOOLCHAIN|RUN|TOOL|HOST)-|^SSF-PREVIEW-00/;

/** The program's own refusal is a finding as any other; what kept the engine from asking the program is none. */
const failureOf = (failure: string): { findings: Finding[]; unchecked?: string } => {
  const code = codeIn(failure);
  if (code === undefined || ofTheMachine.test(code)) return { findings: [], unchecked: failure };
  return { findings: [{ code, level: "mandatory", resource: "the program", urn: undefined, message: failure }] };
};

const reportOf = (
  { name }: PlannedStack,
  head: Preview,
  changes: ResourceChange[],
  unknownChanges?: string,
): StackReport => {
  const failed = head.failure === undefined ? { findings: [] } : failureOf(head.failure);
  const because = head.failure === undefined ? unknownChanges : "The program did not come to its end.";
  return {
    stack: name,
    changes: because === undefined ? changes : [],
    ...(because === undefined ? {} : { unknownChanges: because }),
    ...failed,
    findings: [...head.findings, ...failed.findings],
  };
};

/** What was found out about the stacks so far. */
interface Found {
  reports: StackReport[];
  pictured: PicturedStack[];
}

/** Compares each stack with the state of the factory that is up. */
const againstState = (workspace: Workspace, stack: PlannedStack, found: Found): Step => ({
  title: `stack ${stack.name}`,
  run: async ({ status }) => {
    status("asking the engine");
    const head = await ask(workspace, await standingStack(workspace, stack), true);
    const changes = changesToState(head);
    const resources = new Map([...head.before, ...head.after]);
    found.reports.push(reportOf(stack, head, changes));
    found.pictured.push({ stack: stack.name, changes, resources, dependencies: head.dependencies });
    return `${changes.length} changes`;
  },
});

/** Compares each stack with what the base's program makes of it. */
const againstBase = (workspace: Workspace, base: Workspace, stack: PlannedStack, found: Found): Step => ({
  title: `stack ${stack.name}`,
  run: async ({ status }) => {
    const asked = async (of: Workspace, judged: boolean): Promise<Preview> => {
      const configFile = await writeConfigFile(of, stack, await knownSalt(of, stack.name));
      return ask(of, { stack, configFile, resources: 0, mended: [] }, judged);
    };
    status("asking the engine about the base");
    const before = await asked(base, false);
    status("asking the engine about the change");
    const head = await asked(workspace, true);
    const changes = changesBetween(before, head);
    const unknown = before.failure && `The base could not be previewed:\n${before.failure}`;
    const report = reportOf(stack, head, changes, unknown);
    found.reports.push(report);
    found.pictured.push({
      stack: stack.name,
      changes: report.changes,
      resources: new Map([...before.after, ...head.after]),
      dependencies: new Map([...before.dependencies, ...head.dependencies]),
    });
    return report.unknownChanges === undefined ? `${changes.length} changes` : "changes not known";
  },
});

const outcomeOf = (stacks: readonly StackReport[]): PreviewReport["outcome"] => {
  if (stacks.some(({ findings }) => findings.some(({ level }) => level === "mandatory"))) return "did not hold";
  return stacks.some(({ unchecked }) => unchecked !== undefined) ? "could not be checked" : "held";
};

const codes: Readonly<Record<PreviewReport["outcome"], ExitCode>> = {
  held: exitCode.held,
  "did not hold": exitCode.didNotHold,
  "could not be checked": exitCode.notChecked,
};

const standIns =
  "Stand-ins: what stacks read of each other, keys, certificates, the trust repository, and the cluster's answers. Not checked: what only a cluster says, such as whether an update replaces an object.";

const requirePack = (): void => {
  if (existsSync(join(pack, "PulumiPolicy.yaml"))) return;
  throw new FactoryError({
    code: "SSF-CLI-010",
    path: pack,
    given: "not there",
    rule: "A preview is judged by the policy pack of the checkout.",
    fix: "Restore the directory.",
  });
};

/** Says what the checkout changes in the factory, and whether it breaks a rule; nothing is changed by it. */
export const preview = async (options: PreviewOptions): Promise<ExitCode> => {
  requirePack();
  const workspace = openWorkspace(options);
  const display = displayFor(options.json);
  const change = await readChange(repository, options.base);
  const stacks = changedStacks(change.files, workspace.stacks);
  const base = await shortName(change.commit);
  const missing = await whatIsMissing(workspace);
  const basis = [
    ...(missing === undefined ? [] : [`Without a cluster: ${missing}.`]),
    ...(stacks.length === 0 ? [`The change since ${base} touches no stack.`] : []),
    ...(stacks.length > 0 && missing === undefined ? ["Compared with the state of the factory that is up."] : []),
    ...(stacks.length > 0 && missing !== undefined ? [`Compared with commit ${base}. ${standIns}`] : []),
  ];
  basis.forEach(display.write);

  const found: Found = { reports: [], pictured: [] };
  if (missing === undefined)
    await runSteps(
      stacks.map((stack) => againstState(workspace, stack, found)),
      display,
    );
  else if (stacks.length > 0)
    await withStandIns(workspace, (standIn) =>
      withDirectory(async (directory) => {
        const before = { ...standIn, program: await layOut(change.commit, directory) };
        await runSteps(
          stacks.map((stack) => againstBase(standIn, before, stack, found)),
          display,
        );
      }),
    );

  const judges = judging(change.files);
  const picture = previewPicture(found.pictured);
  const report: PreviewReport = {
    outcome: outcomeOf(found.reports),
    basis,
    warnings: judges.length === 0 ? [] : [`the change touches what judges it: ${judges.join(", ")}.`],
    stacks: found.reports,
    ...(picture === undefined ? {} : { picture }),
  };
  if (options.comment !== undefined)
    await writeFile(resolve(process.env.SSF_CALLER_DIRECTORY ?? ".", options.comment), reportComment(report));
  console.log(options.json ? JSON.stringify(report, undefined, 2) : reportText(report));
  return codes[report.outcome];
};

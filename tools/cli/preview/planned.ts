import { readFile } from "node:fs/promises";
import type { EngineEvent, StepEventMetadata } from "@pulumi/pulumi/automation/events";
import { z } from "zod";
import { nameOf } from "../engine-events";

/** What happens to a resource. */
export type Operation = "create" | "update" | "replace" | "delete";

/** A resource as the program, or the state, has it. */
export interface PlannedResource {
  urn: string;
  type: string;
  /** Whether a provider manages it; components only hold others. */
  custom: boolean;
  parent: string;
  /** Secrets are marked, and not there. */
  inputs: Record<string, unknown>;
}

/** What a policy pack, or the program itself, says against a preview. */
export interface Finding {
  /** Such as `SSF-ADMISSION-010`; the policy's name where its message has none. */
  code: string;
  /** Whether it only notes something, such as what cannot be checked before the gate does. */
  level: "mandatory" | "advisory";
  /** Type and name; the stack where it is about none. */
  resource: string;
  urn: string | undefined;
  message: string;
}

/** What the engine would do to a stack. */
export interface Planned {
  /** Resources as they would be, by URN. */
  after: Map<string, PlannedResource>;
  /** Resources as they are in the state. */
  before: Map<string, PlannedResource>;
  operations: Map<string, Operation>;
  findings: Finding[];
  errors: { urn: string | undefined; message: string }[];
}

export const startOfPlan = (): Planned => ({
  after: new Map(),
  before: new Map(),
  operations: new Map(),
  findings: [],
  errors: [],
});

const operations: Readonly<Record<string, Operation>> = {
  create: "create",
  update: "update",
  replace: "replace",
  "create-replacement": "replace",
  delete: "delete",
  "delete-replaced": "replace",
};

/** Questions of the engine's own, which are no part of the factory. */
const questions = new Set(["pulumi:pulumi:Stack", "pulumi:pulumi:StackReference", "pulumi:providers:pulumi"]);

const code = /SSF-[A-Z]+-[0-9A-Z]+/;

/** The code that a message begins with or names first. */
export const codeIn = (message: string): string | undefined => code.exec(message)?.[0];

const withoutColours = (text: string): string => text.replace(/<\{%[^%]*%\}>|\u001b\[[0-9;]*m/g, "").trim();

const describeUrn = (urn: string): string => `${(urn.split("::")[2] ?? "").split("$").at(-1) ?? ""} ${nameOf(urn)}`;

const addStep = (plan: Planned, { op, urn, type, old, new: next }: StepEventMetadata): void => {
  if (questions.has(type)) return;
  const resource = ({ custom = false, parent, inputs }: NonNullable<typeof old>): PlannedResource => ({
    urn,
    type,
    custom,
    parent,
    inputs: inputs as Record<string, unknown>,
  });
  const operation = operations[op];
  if (operation !== undefined) plan.operations.set(urn, operation);
  if (old) plan.before.set(urn, resource(old));
  if (next && operation !== "delete") plan.after.set(urn, resource(next));
};

/** Adds what one more event of the engine tells. */
export const addEvent = (plan: Planned, event: EngineEvent): void => {
  const { policyEvent: policy, diagnosticEvent: diagnostic, resourcePreEvent: step } = event;
  if (step) addStep(plan, step.metadata);
  if (policy) {
    const message = withoutColours(policy.message);
    const urn = policy.resourceUrn === "" ? undefined : policy.resourceUrn;
    plan.findings.push({
      code: codeIn(message) ?? policy.policyName,
      level: policy.enforcementLevel === "mandatory" ? "mandatory" : "advisory",
      resource: urn === undefined ? "the stack" : describeUrn(urn),
      urn,
      message,
    });
  }
  if (diagnostic?.severity === "error" && !diagnostic.ephemeral) {
    const message = withoutColours(diagnostic.message);
    if (message !== "") plan.errors.push({ urn: diagnostic.urn, message });
  }
};

const planSchema = z.object({
  resourcePlans: z.record(
    z.string(),
    z.object({
      goal: z.object({ dependencies: z.array(z.string()).nullish() }).nullish(),
    }),
  ),
});

/** URNs that each resource depends on, as the engine's plan names them. */
export const readDependencies = async (file: string): Promise<Map<string, string[]>> => {
  const { resourcePlans } = planSchema.parse(JSON.parse(await readFile(file, "utf8")));
  return new Map(Object.entries(resourcePlans).map(([urn, { goal }]) => [urn, goal?.dependencies ?? []]));
};

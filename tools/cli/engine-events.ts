import type { EngineEvent, StepEventMetadata } from "@pulumi/pulumi/automation/events";

/** A resource that the engine is working on. */
export interface ActiveResource {
  urn: string;
  operation: string;
  type: string;
  name: string;
  /** Milliseconds since 1970. */
  since: number;
}

/** What the engine's events have told so far. */
export interface UpdateProgress {
  /** Resources that are done, also those without a change. */
  done: number;
  active: ActiveResource[];
  /** Resources by operation, as the engine's summary counts them; set at the end. */
  changes: Record<string, number>;
  /** What went wrong, each with the resource that it belongs to. */
  errors: { resource: string | undefined; message: string }[];
  warnings: string[];
}

export const startOfUpdate: UpdateProgress = { done: 0, active: [], changes: {}, errors: [], warnings: [] };

/** Name of a resource: the last part of its URN. */
export const nameOf = (urn: string): string => urn.split("::").slice(3).join("::");

/** Type without the parents' types, as short as a person says it: `apps/v1:Deployment`. */
export const shortType = (type: string): string => type.replace(/^kubernetes:/, "").replace(/^[^:]+:index:/, "");

const colours = /<\{%[^%]*%\}>|\u001b\[[0-9;]*m/g;

const silent = new Set(["same", "read", "read-discard", "discard-replaced"]);

const withoutResource = (active: ActiveResource[], { urn }: StepEventMetadata): ActiveResource[] =>
  active.filter((resource) => resource.urn !== urn);

/** The progress after one more event. */
export const afterEvent = (progress: UpdateProgress, event: EngineEvent): UpdateProgress => {
  const started = event.resourcePreEvent?.metadata;
  if (started && !silent.has(started.op)) {
    const { op, urn, type } = started;
    const resource = { urn, operation: op, type, name: nameOf(urn), since: event.timestamp * 1000 };
    return { ...progress, active: [...withoutResource(progress.active, started), resource] };
  }
  const ended = event.resOutputsEvent?.metadata;
  if (ended) return { ...progress, done: progress.done + 1, active: withoutResource(progress.active, ended) };
  const failed = event.resOpFailedEvent?.metadata;
  if (failed) return { ...progress, active: withoutResource(progress.active, failed) };
  const diagnostic = event.diagnosticEvent;
  if (diagnostic) {
    const message = diagnostic.message.replace(colours, "").trim();
    const resource = diagnostic.urn ? nameOf(diagnostic.urn) : undefined;
    if (message === "" || diagnostic.ephemeral) return progress;
    if (diagnostic.severity === "error" || (diagnostic.severity === "info#err" && /^\s*error:/.test(message)))
      return { ...progress, errors: [...progress.errors, { resource, message }] };
    if (diagnostic.severity === "warning" && !message.startsWith("using pulumi-"))
      return { ...progress, warnings: [...progress.warnings, message] };
    return progress;
  }
  if (event.summaryEvent) return { ...progress, changes: { ...event.summaryEvent.resourceChanges } };
  return progress;
};

/** Changes as a person reads them: `3 created, 1 updated`, or `no changes`. */
export const describeChanges = (changes: Readonly<Record<string, number>>): string => {
  const words: Record<string, string> = {
    create: "created",
    update: "updated",
    delete: "deleted",
    replace: "replaced",
    import: "imported",
  };
  const parts = Object.entries(words).flatMap(([operation, word]) => {
    const count = changes[operation] ?? 0;
    return count === 0 ? [] : [`${count} ${word}`];
  });
  return parts.length === 0 ? "no changes" : parts.join(", ");
};

const doing: Record<string, string> = {
  create: "creating",
  "create-replacement": "creating",
  update: "updating",
  delete: "deleting",
  "delete-replaced": "deleting",
  replace: "replacing",
  refresh: "reading",
};

/**
 * One line on what goes on: how many resources are done of how many, and the one that has taken longest so far.
 *
 * @param expected resources that the stack had before, or 0 when it is new
 */
export const describeProgress = (progress: UpdateProgress, expected: number): string => {
  const count = expected > progress.done ? `${progress.done} of ${expected}` : `${progress.done}`;
  const [oldest, ...others] = progress.active.toSorted((one, other) => one.since - other.since);
  const more = others.length === 0 ? "" : ` and ${others.length} more`;
  const now = oldest
    ? `, ${doing[oldest.operation] ?? oldest.operation} ${shortType(oldest.type)} ${oldest.name}${more}`
    : "";
  return `${count} resources${now}`;
};

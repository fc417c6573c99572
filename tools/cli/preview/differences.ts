import { nameOf, shortType } from "../engine-events";
import type { Operation, Planned, PlannedResource } from "./planned";

/** What happens to one resource. */
export interface ResourceChange {
  operation: Operation;
  urn: string;
  /** Type without its parents'. */
  type: string;
  name: string;
  /** Properties that differ: a line with `-` for what was there and one with `+` for what comes. */
  lines: string[];
}

/** A value's mark in the engine's events: it is a secret. */
const secretMark = "4dabf18193072939515e22adb298388d";
/** A value's mark in the engine's events: it is known only after the update. */
const unknownMark = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

/** A definition's signature differs whenever the definition does, and says nothing to a reader. */
const signature = /\.tekton\.dev\/signature$/;

const longestValue = 400;
const longestChange = 24;

type Properties = Readonly<Record<string, unknown>>;

const isProperties = (value: unknown): value is Properties =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(secretMark in value);

const describeValue = (value: unknown): string => {
  if (typeof value === "object" && value !== null && secretMark in value) return "(secret)";
  if (value === unknownMark) return "(known after up)";
  const text = JSON.stringify(value);
  return text.length <= longestValue ? text : `${text.slice(0, longestValue)}...`;
};

/** The lines of a text that are not the same at both ends. */
const middles = (before: string, after: string): [before: string[], after: string[]] => {
  const [old, next] = [before.split("\n"), after.split("\n")];
  const shorter = Math.min(old.length, next.length);
  let start = 0;
  while (start < shorter && old[start] === next[start]) start++;
  let end = 0;
  while (end < shorter - start && old.at(-1 - end) === next.at(-1 - end)) end++;
  return [old.slice(start, old.length - end), next.slice(start, next.length - end)];
};

const isText = (value: unknown): value is string => typeof value === "string" && value.includes("\n");

/** What differs between two values, a line or two for each property, in the order of the paths. */
export const differences = (before: unknown, after: unknown, path = ""): string[] => {
  if (JSON.stringify(before) === JSON.stringify(after)) return [];
  if (signature.test(path)) return before === undefined ? [] : [`  ${path}: signed anew`];
  if (isText(before) && isText(after)) {
    const [removed, added] = middles(before, after);
    return [`  ${path}:`, ...removed.map((line) => `-   ${line}`), ...added.map((line) => `+   ${line}`)];
  }
  if (Array.isArray(before) && Array.isArray(after))
    return differences(Object.fromEntries(before.entries()), Object.fromEntries(after.entries()), path);
  if (isProperties(before ?? {}) && isProperties(after ?? {})) {
    const [old, next] = [(before ?? {}) as Properties, (after ?? {}) as Properties];
    const keys = [...new Set([...Object.keys(old), ...Object.keys(next)])].sort();
    return keys.flatMap((key) => differences(old[key], next[key], path === "" ? key : `${path}.${key}`));
  }
  return [
    ...(before === undefined ? [] : [`- ${path}: ${describeValue(before)}`]),
    ...(after === undefined ? [] : [`+ ${path}: ${describeValue(after)}`]),
  ];
};

const shortened = (lines: readonly string[]): string[] =>
  lines.length <= longestChange
    ? [...lines]
    : [...lines.slice(0, longestChange), `  ... and ${lines.length - longestChange} more lines`];

const change = (
  operation: Operation,
  { urn, type }: PlannedResource,
  before: Properties,
  after: Properties,
): ResourceChange => ({
  operation,
  urn,
  type: shortType(type),
  name: nameOf(urn),
  lines: operation === "delete" ? [] : shortened(differences(before, after)),
});

/** What cannot be undone comes first. */
const gravity: Readonly<Record<Operation, number>> = { delete: 0, replace: 1, update: 2, create: 3 };

const byGravity = (one: ResourceChange, other: ResourceChange): number =>
  gravity[one.operation] - gravity[other.operation] || one.urn.localeCompare(other.urn);

/** What the engine would do to a stack that is up. Components only hold what changes, and are left out. */
export const changesToState = ({ before, after, operations }: Planned): ResourceChange[] =>
  [...operations]
    .flatMap(([urn, operation]) => {
      const resource = after.get(urn) ?? before.get(urn);
      if (resource === undefined || !resource.custom) return [];
      return [change(operation, resource, before.get(urn)?.inputs ?? {}, after.get(urn)?.inputs ?? {})];
    })
    .sort(byGravity);

/** What differs between two programs' resources. Whether an update becomes a replacement, only a cluster can say. */
export const changesBetween = (base: Planned, head: Planned): ResourceChange[] => {
  const urns = new Set([...base.after.keys(), ...head.after.keys()]);
  return [...urns]
    .flatMap((urn) => {
      const [before, after] = [base.after.get(urn), head.after.get(urn)];
      const resource = after ?? before;
      if (resource === undefined || !resource.custom) return [];
      const operation = after === undefined ? "delete" : before === undefined ? "create" : "update";
      const changed = change(operation, resource, before?.inputs ?? {}, after?.inputs ?? {});
      return operation === "update" && changed.lines.length === 0 ? [] : [changed];
    })
    .sort(byGravity);
};

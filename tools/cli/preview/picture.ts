import { mermaidText } from "../../../pipelines";
import { nameOf } from "../engine-events";
import type { ResourceChange } from "./differences";
import type { Operation, PlannedResource } from "./planned";

/** What a picture shows of a stack. */
export interface PicturedStack {
  stack: string;
  changes: readonly ResourceChange[];
  /** All resources, also those that go away, by URN. */
  resources: ReadonlyMap<string, PlannedResource>;
  /** URNs that each resource depends on. */
  dependencies: ReadonlyMap<string, readonly string[]>;
}

const marks: readonly [Operation, string][] = [
  ["delete", "-"],
  ["replace", "±"],
  ["update", "~"],
  ["create", "+"],
];

/** A component, or a resource of the stack itself, and what happens in it. */
interface Part {
  urn: string;
  counts: Map<Operation, number>;
}

/** The resource right below the stack that a resource is part of. */
const partOf = (urn: string, resources: PicturedStack["resources"]): string => {
  const parent = resources.get(urn)?.parent;
  return parent !== undefined && resources.has(parent) ? partOf(parent, resources) : urn;
};

type Edges = Map<string, Set<string>>;

const edgesOf = ({ resources, dependencies }: PicturedStack): Edges => {
  const edges: Edges = new Map();
  for (const [urn, targets] of dependencies)
    for (const target of targets) {
      if (!resources.has(urn) || !resources.has(target)) continue;
      const [from, to] = [partOf(urn, resources), partOf(target, resources)];
      if (from !== to) edges.set(from, (edges.get(from) ?? new Set()).add(to));
    }
  return edges;
};

/** Everything that is reached from there by one step or more. */
const reached = (from: string, edges: Edges, seen = new Set<string>()): Set<string> => {
  for (const next of edges.get(from) ?? []) if (!seen.has(next)) reached(next, edges, seen.add(next));
  return seen;
};

/** Without the edges that a longer way says as well. */
const shortest = (edges: Edges): Edges =>
  new Map(
    [...edges].map(([from, targets]) => {
      const further = new Set([...targets].flatMap((target) => [...reached(target, edges)]));
      return [from, new Set([...targets].filter((target) => !further.has(target)))];
    }),
  );

const colour = ({ counts }: Part): string => {
  if (counts.has("delete") || counts.has("replace")) return "lost";
  if (counts.has("update")) return "changed";
  return counts.has("create") ? "added" : "same";
};

const pictureOf = (stack: PicturedStack, place: number): string[] => {
  const parts = new Map<string, Part>();
  const part = (urn: string): Part => {
    const known = parts.get(urn) ?? { urn, counts: new Map<Operation, number>() };
    parts.set(urn, known);
    return known;
  };
  for (const { urn, operation } of stack.changes) {
    const { counts } = part(partOf(urn, stack.resources));
    counts.set(operation, (counts.get(operation) ?? 0) + 1);
  }
  const touched = new Set(parts.keys());
  const edges = [...shortest(edgesOf(stack))]
    .flatMap(([from, targets]) => [...targets].map((to) => [from, to] as const))
    .filter(([from, to]) => touched.has(from) || touched.has(to));
  for (const urn of edges.flat()) part(urn);
  const shown = [...parts.values()].sort((one, other) => one.urn.localeCompare(other.urn));
  const node = (urn: string) => `s${place}n${shown.findIndex((one) => one.urn === urn)}`;
  const label = ({ urn, counts }: Part): string => {
    const said = marks.flatMap(([operation, mark]) =>
      counts.has(operation) ? [`${mark}${counts.get(operation) ?? 0}`] : [],
    );
    return [mermaidText(nameOf(urn)), ...(said.length === 0 ? [] : [said.join(" ")])].join("<br/>");
  };
  return [
    `  subgraph s${place} ["stack ${mermaidText(stack.stack)}"]`,
    ...shown.map((one) => `    ${node(one.urn)}["${label(one)}"]:::${colour(one)}`),
    ...edges.map(([from, to]) => `    ${node(to)} --> ${node(from)}`).sort(),
    "  end",
  ];
};

/**
 * What changes in the factory's graph as a Mermaid flowchart: the components that change, how many of their resources are
 * deleted (-), replaced (±), updated (~) and created (+), and the components next to them. An arrow leads to what depends
 * on where it begins.
 *
 * @returns undefined when nothing changes
 */
export const previewPicture = (stacks: readonly PicturedStack[]): string | undefined => {
  const changed = stacks.filter(({ changes }) => changes.length > 0);
  if (changed.length === 0) return undefined;
  return [
    "flowchart LR",
    ...changed.flatMap(pictureOf),
    "  classDef added stroke:#17683a,stroke-width:3px",
    "  classDef changed stroke:#8a5a00,stroke-width:3px",
    "  classDef lost stroke:#b3261e,stroke-width:4px",
    "  classDef same stroke-dasharray:5 4",
    "",
  ].join("\n");
};

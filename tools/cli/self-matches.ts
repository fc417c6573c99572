import type { Kubectl } from "./kubectl";
import type { Check } from "./provenance";
import { isFactoryRule, selfCheck } from "./self-checks";
import { type ClusterObjects, type Selector, selects } from "./self-cluster";
import type { Finding, NotAsked } from "./self-requests";

/** What a rule looks at. */
export interface RuleScope {
  rule: string;
  /** Kinds of which it looks at objects, by plural or by kind; those of which it looks at requests alone are left out. */
  kinds: { group: string; name: string }[];
  /** Where it holds: an object that all selectors of one place select is looked at. */
  places: { namespaces: (Selector | undefined)[]; objects: (Selector | undefined)[] }[];
}

/** A kind that the API server lists. */
interface ServedKind {
  group: string;
  plural: string;
  kind: string;
}

/** An object of the cluster, as far as selectors look at it. */
interface LiveObject {
  group: string;
  kind: string;
  /** Empty for what has no namespace. */
  namespace: string;
  labels: Record<string, string>;
}

/** Subresources that are a part of their object; of the others there is nothing at rest. */
const partsOfObjects = ["status", "finalize", "ephemeralcontainers", "resize"];

const ruleKinds = (group: string, resources: readonly string[]) =>
  resources.flatMap((resource) => {
    const [name = "", part] = resource.split("/");
    return part === undefined || partsOfObjects.includes(part) ? [{ group, name }] : [];
  });

/** What every rule looks at: those of the API server by their bindings with Deny, and those of the gate. */
export const ruleScopes = (
  { policies, bindings, constraints }: Pick<ClusterObjects, "policies" | "bindings" | "constraints">,
  gateRules: readonly string[],
): RuleScope[] => [
  ...policies.filter(isFactoryRule).map(({ metadata, spec: { matchConstraints: match } }) => ({
    rule: metadata.name,
    kinds: match.resourceRules.flatMap(({ apiGroups, resources }) =>
      apiGroups.flatMap((group) => ruleKinds(group, resources)),
    ),
    places: bindings
      .filter(({ spec }) => spec.policyName === metadata.name && spec.validationActions.includes("Deny"))
      .map(({ spec: { matchResources } }) => ({
        namespaces: [match.namespaceSelector, matchResources.namespaceSelector],
        objects: [match.objectSelector, matchResources.objectSelector],
      })),
  })),
  ...constraints
    .filter(({ metadata }) => gateRules.includes(metadata.name))
    .map(({ metadata, spec: { match } }) => ({
      rule: metadata.name,
      kinds: match.kinds.flatMap(({ apiGroups, kinds }) =>
        apiGroups.flatMap((group) => kinds.map((name) => ({ group, name }))),
      ),
      places: [{ namespaces: [match.namespaceSelector], objects: [match.labelSelector] }],
    })),
];

/** What `kubectl api-resources` prints, without its heading. */
const servedKinds = (lines: string): ServedKind[] =>
  lines.split("\n").flatMap((line) => {
    const columns = line.trim().split(/\s+/);
    const [version, , kind] = columns.slice(-3);
    if (version === undefined || kind === undefined) return [];
    return [{ group: version.includes("/") ? version.replace(/\/.*/, "") : "", plural: columns[0] ?? "", kind }];
  });

const kindIn = (served: readonly ServedKind[], { group, name }: RuleScope["kinds"][number]): ServedKind | undefined =>
  served.find((one) => one.group === group && [one.plural, one.kind].includes(name));

const LABELS_OF_ALL = `--output=jsonpath={range .items[*]}{.apiVersion}{"\\t"}{.kind}{"\\t"}{.metadata.namespace}{"\\t"}{.metadata.labels}{"\\n"}{end}`;

/** The live objects of each rule: how many there are of the kinds that it names, where and with the labels that it names. */
export const countMatches = async (
  kubectl: Kubectl,
  scopes: readonly RuleScope[],
  namespaces: ClusterObjects["namespaces"],
): Promise<Map<string, number>> => {
  const served = servedKinds(await kubectl.text(["api-resources", "--verbs=list", "--no-headers"]));
  const named = scopes.flatMap(({ kinds }) => kinds).flatMap((kind) => kindIn(served, kind) ?? []);
  const resources = [...new Set(named.map(({ group, plural }) => (group === "" ? plural : `${plural}.${group}`)))];
  if (resources.length === 0) return new Map(scopes.map(({ rule }) => [rule, 0]));
  const lines = await kubectl.text(["get", resources.join(","), "--all-namespaces", LABELS_OF_ALL]);
  const objects = lines
    .split("\n")
    .filter((line) => line !== "")
    .map((line): LiveObject => {
      const [version = "", kind = "", namespace = "", labels = ""] = line.split("\t");
      return {
        group: version.includes("/") ? version.replace(/\/.*/, "") : "",
        kind,
        namespace,
        labels: labels === "" ? {} : (JSON.parse(labels) as Record<string, string>),
      };
    });
  return new Map(scopes.map((scope) => [scope.rule, matching(scope, objects, served, namespaces).length]));
};

const matching = (
  { kinds, places }: RuleScope,
  objects: readonly LiveObject[],
  served: readonly ServedKind[],
  namespaces: ClusterObjects["namespaces"],
): LiveObject[] => {
  const looked = kinds.flatMap((kind) => kindIn(served, kind) ?? []);
  return objects.filter(
    (object) =>
      looked.some(({ group, kind }) => group === object.group && kind === object.kind) &&
      places.some(
        (place) =>
          place.objects.every((selector) => selects(selector, object.labels)) && isWithin(object, place, namespaces),
      ),
  );
};

/** As Kubernetes does it: a namespace counts by its own labels, and what has none is everywhere. */
const isWithin = (
  { group, kind, namespace, labels }: LiveObject,
  place: RuleScope["places"][number],
  namespaces: ClusterObjects["namespaces"],
): boolean => {
  const isNamespace = group === "" && kind === "Namespace";
  if (namespace === "" && !isNamespace) return true;
  const present = isNamespace
    ? labels
    : namespaces.find(({ metadata }) => metadata.name === namespace)?.metadata.labels;
  return present !== undefined && place.namespaces.every((selector) => selects(selector, present));
};

const describe = (rule: string, count: number, finding: Finding | undefined): string => {
  if (count > 0) return `${rule}: ${count} live ${count === 1 ? "object" : "objects"}`;
  return finding !== undefined && "why" in finding ? `${rule}: none yet` : `${rule}: only requests`;
};

/**
 * Whether every rule matches something: a live object, or, where there is none, the request that it was seen to refuse.
 * A rule that could not be asked is not judged by that; {@link notShown} names it.
 */
export const checkMatches = (
  scopes: readonly RuleScope[],
  counts: ReadonlyMap<string, number>,
  findings: readonly Finding[],
  namespaces: ClusterObjects["namespaces"],
): Check => {
  const results = scopes.map(({ rule, places }) => {
    const finding = findings.find((one) => one.rule === rule);
    const count = counts.get(rule) ?? 0;
    const holdsSomewhere = places.some((place) =>
      namespaces.some(({ metadata }) => place.namespaces.every((selector) => selects(selector, metadata.labels))),
    );
    if (!holdsSomewhere) return { fault: `${rule}: selects no namespace`, found: "" };
    const isShown = finding !== undefined && ("why" in finding || finding.fault === undefined);
    if (count === 0 && !isShown) return { fault: `${rule}: matches no live object and no request`, found: "" };
    return { found: describe(rule, count, finding) };
  });
  return selfCheck(
    "scoped",
    results.flatMap(({ fault }) => fault ?? []),
    results.map(({ found }) => found).join(", "),
  );
};

/**
 * Rules of which something was not shown. That another one refuses all that a rule refuses makes up for its own refusal,
 * and for nothing else: without a live object it may match nothing at all.
 */
export const notShown = (notAsked: readonly NotAsked[], counts: ReadonlyMap<string, number>): NotAsked[] =>
  notAsked.map((one) =>
    (counts.get(one.rule) ?? 0) > 0 ? one : { ...one, why: `${one.why}; it matches no live object`, isCovered: false },
  );

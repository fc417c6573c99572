import { sha256 } from "../../components/lib/digest";

/** An object of the cluster that decides what is admitted. */
export interface RuleObject {
  apiVersion: string;
  kind: string;
  metadata: { name: string };
  spec: unknown;
}

/** A rule by its kind and name in the cluster, such as `ValidatingAdmissionPolicy/ssf-pod-form`, and its digest. */
export interface RuleDigest {
  path: string;
  /** SHA-256 of {@link ruleBytes}, in hex. */
  sha256: string;
}

const saysNothing = (value: unknown): boolean =>
  value === null || value === undefined || (typeof value === "object" && Object.keys(value).length === 0);

/** The value with its members in the order of their names, without those that say nothing, which the API server adds and drops. */
const canonical = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value)
    .map(([name, inner]): [string, unknown] => [name, canonical(inner)])
    .filter(([, inner]) => !saysNothing(inner))
    .sort(([one], [other]) => (one < other ? -1 : 1));
  return Object.fromEntries(members);
};

/**
 * What a rule says, as text that is the same for the object that was written and for the one that the cluster has. All of its
 * specification counts, whoever wrote it: a field that is added may switch a rule off.
 */
export const ruleBytes = ({ apiVersion, kind, metadata: { name }, spec }: RuleObject): string =>
  `${JSON.stringify(canonical({ apiVersion, kind, metadata: { name }, spec }), undefined, 2)}\n`;

/** See {@link RuleDigest}. */
export const ruleDigest = (object: RuleObject): RuleDigest => ({
  path: `${object.kind}/${object.metadata.name}`,
  sha256: sha256(ruleBytes(object)),
});

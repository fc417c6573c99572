import { Secret } from "@pulumi/policy";
import * as proxy from "@pulumi/policy/proxy";

/** Names of fields from a resource's inputs down to one value; an element of a list is named by its number. */
export type Path = readonly string[];

/** One resource, as the program asked for it in a preview. */
export interface PreviewedResource {
  urn: string;
  /** Pulumi's type, such as `kubernetes:core/v1:Pod`. */
  type: string;
  /** Inputs, secrets in clear; {@link UNKNOWN} stands where a value is not known. */
  inputs: Readonly<Record<string, unknown>>;
  /** What of the inputs is marked secret. */
  secrets: readonly Path[];
  /** What of the inputs is not known before it is made. */
  unknown: readonly Path[];
  /** URN of the parent; the stack's own resource has none. */
  parent: string | undefined;
  /** URN of the provider; components have none. */
  provider: string | undefined;
  /** Whether Pulumi refuses to remove it. */
  protect: boolean;
}

/** Stands where a value is not known at preview. */
export const UNKNOWN = "unknown-until-made";

/** What the engine sends in the place of a value of each type. */
const SENTINELS: readonly unknown[] = Object.entries(proxy as Record<string, unknown>)
  .filter(([name]) => /^unknown[A-Z]\w*Value$/.test(name))
  .map(([, value]) => value);

/** Inputs without the wrappers around secrets and the marks of what is not known, and where those were. */
export const readInputs = (wrapped: unknown): Pick<PreviewedResource, "inputs" | "secrets" | "unknown"> => {
  const secrets: Path[] = [];
  const unknown: Path[] = [];
  const read = (value: unknown, path: Path): unknown => {
    if (value instanceof Secret) {
      secrets.push(path);
      return read(value.value, path);
    }
    if (SENTINELS.includes(value)) {
      unknown.push(path);
      return UNKNOWN;
    }
    if (Array.isArray(value)) return value.map((item, index) => read(item, [...path, String(index)]));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, read(item, [...path, key])]));
  };
  return { inputs: read(wrapped, []) as Record<string, unknown>, secrets, unknown };
};

/** Whether `path` is `ancestor` or lies below it. */
export const isWithin = (path: Path, ancestor: Path): boolean => ancestor.every((name, index) => path[index] === name);

/** Whether a value at that path is marked secret. */
export const isSecret = ({ secrets }: PreviewedResource, path: Path): boolean =>
  secrets.some((secret) => isWithin(path, secret));

/** Every text in the inputs, with its path; what is not known is left out. */
export const textsOf = ({ inputs, unknown }: PreviewedResource): { path: Path; text: string }[] => {
  const texts = (value: unknown, path: Path): { path: Path; text: string }[] => {
    if (typeof value === "string") return unknown.some((one) => isWithin(path, one)) ? [] : [{ path, text: value }];
    if (typeof value !== "object" || value === null) return [];
    return Object.entries(value).flatMap(([key, item]) => texts(item, [...path, key]));
  };
  return texts(inputs, []);
};

/** The value at a path of the inputs; undefined where there is none. */
export const valueAt = ({ inputs }: Pick<PreviewedResource, "inputs">, ...path: Path): unknown =>
  path.reduce<unknown>(
    (value, name) =>
      typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined,
    inputs,
  );

/** A path as a person writes it, such as `spec.containers[0].image`. */
export const describePath = (path: Path): string =>
  path.map((name, index) => (/^\d+$/.test(name) ? `[${name}]` : index === 0 ? name : `.${name}`)).join("");

/** Whether the resource is an object of a cluster. */
export const isObject = ({ type, inputs }: PreviewedResource): boolean =>
  type.startsWith("kubernetes:") && typeof inputs.kind === "string" && typeof inputs.apiVersion === "string";

/** Namespace of an object; undefined for one that has none. */
export const namespaceOf = (resource: PreviewedResource): string | undefined => {
  const namespace = valueAt(resource, "metadata", "namespace");
  return typeof namespace === "string" ? namespace : undefined;
};

/** An expression in CEL, over the variables that Kubernetes gives a ValidatingAdmissionPolicy. */
export type Cel = string;

/** Requests that a rule looks at. */
export interface ResourceMatch {
  apiGroup: string;
  /** @default `["*"]`, every version that the API server has or will have */
  apiVersions?: readonly string[];
  /** Plural names, with the subresource behind a slash if it is one. */
  resources: readonly string[];
  operations: readonly ("CREATE" | "UPDATE" | "DELETE" | "CONNECT")[];
}

/** An expression with a name; later expressions read it as `variables.<name>`. */
export interface Variable {
  name: string;
  expression: Cel;
}

/** One condition, and what a person is told whose request breaks it. */
export interface Validation {
  /** Stable code. */
  code: `SSF-${"ADMISSION" | "TRIGGER"}-${string}`;
  /** Where the value stands in the request. */
  path: string;
  /** Condition under which the request is admitted. */
  admits: Cel;
  /** What was found there, as an expression of type string; never the content of a Secret. */
  given: Cel;
  /** The rule, as one sentence. */
  rule: string;
  /** What to do about it, as one sentence. */
  fix: string;
}

/**
 * Namespaces whose objects a rule looks at: those of all teams, those of the factory's components, one by its name, or all
 * and what has no namespace.
 */
export type Scope = "teams" | "factory" | "cluster" | { namespace: string };

/**
 * One rule of admission, apart from the form in which an engine takes it.
 *
 * A rule refuses; what no rule refuses is admitted. An expression that fails refuses as well.
 */
export interface AdmissionRule {
  /** Name of the objects that enforce it. */
  name: string;
  /** What it protects, as one sentence. */
  protects: string;
  scope: Scope;
  matches: readonly ResourceMatch[];
  variables: readonly Variable[];
  validations: readonly Validation[];
}

/** A string in CEL. JSON writes it in a form that CEL reads alike. */
export const text = (value: string): Cel => JSON.stringify(value);

/** A list of strings in CEL. */
export const texts = (values: readonly string[]): Cel => JSON.stringify(values);

/**
 * A JSON value in CEL. Every value within an object or a list is marked as dynamic, because Kubernetes refuses literals
 * whose parts differ in type.
 */
export const literal = (value: unknown): Cel => {
  if (Array.isArray(value)) return `[${value.map((item) => `dyn(${literal(item)})`).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  return `{${fields.map(([key, field]) => `${text(key)}: dyn(${literal(field)})`).join(", ")}}`;
};

/** The spec of a Tekton object, which may have none. */
export const specOf = (object: "object" | "oldObject"): Cel => `has(${object}.spec) ? dyn(${object}.spec) : dyn({})`;

/** What a person reads when the request breaks the condition; one line, as Kubernetes demands. */
export const messageOf = ({ code, path, given, rule, fix }: Validation): Cel =>
  `${text(`${code} ${path}: `)} + (${given}) + ${text(`; rule: ${rule} fix: ${fix}`)}`;

/** The same where the value cannot be shown. */
export const plainMessageOf = ({ code, path, rule, fix }: Validation): string =>
  `${code} ${path}; rule: ${rule} fix: ${fix}`;

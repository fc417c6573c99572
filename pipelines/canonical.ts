import * as crypto from "node:crypto";
import { FactoryError } from "../components/lib/errors";

/** A Task or Pipeline of API `tekton.dev/v1`, as far as this module can write its canonical bytes. */
export interface TektonObject {
  apiVersion: "tekton.dev/v1";
  kind: "Task" | "Pipeline";
  metadata: {
    name: string;
    namespace: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  };
  spec: object;
}

/** Annotation that holds the signature of a definition, in base64. */
export const signatureAnnotation = "tekton.dev/signature";

/** Annotations that Tekton leaves out of what is signed. */
const unsignedAnnotations = new Set([
  signatureAnnotation,
  "kubectl-client-side-apply",
  "kubectl.kubernetes.io/last-applied-configuration",
]);

/** How Go's `encoding/json` writes one type. */
interface Codec {
  /** The bytes of a value. */
  encode(value: unknown, path: string): string;
  /** What Go writes when the value was never set. */
  zero: string;
}

/** A field of a Go struct, with its rule for leaving it out. */
interface Field {
  codec: Codec;
  /**
   * `always`: written even when unset. `nonzero`: left out when unset or zero (`omitempty`).
   * `set`: left out only when unset (`omitempty` on a pointer).
   */
  presence: "always" | "nonzero" | "set";
}

const always = (codec: Codec): Field => ({ codec, presence: "always" });
const nonzero = (codec: Codec): Field => ({ codec, presence: "nonzero" });
const whenSet = (codec: Codec): Field => ({ codec, presence: "set" });

const refuse = (code: string, path: string, given: unknown, rule: string, fix: string): FactoryError =>
  new FactoryError({ code, path, given: given === undefined ? "nothing" : JSON.stringify(given), rule, fix });

const wrongType = (path: string, given: unknown, wanted: string): FactoryError =>
  refuse("SSF-PIPELINE-013", path, given, `Tekton reads ${wanted} here.`, `Give ${wanted}.`);

const loneSurrogate = /\p{Surrogate}/u;
const goEscapes = /[<>&\u2028\u2029]/g;

/** A string as Go writes it: like JSON.stringify, and with five more characters escaped. */
const quote = (value: string): string =>
  JSON.stringify(value).replace(goEscapes, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);

const text: Codec = {
  zero: '""',
  encode(value, path) {
    if (typeof value !== "string") throw wrongType(path, value, "a string");
    if (loneSurrogate.test(value)) {
      throw refuse("SSF-PIPELINE-013", path, value, "Text is valid Unicode.", "Remove the lone surrogate.");
    }
    return quote(value);
  },
};

const boolean: Codec = {
  zero: "false",
  encode(value, path) {
    if (typeof value !== "boolean") throw wrongType(path, value, "true or false");
    return String(value);
  },
};

const integer: Codec = {
  zero: "0",
  encode(value, path) {
    if (!Number.isSafeInteger(value)) throw wrongType(path, value, "a whole number");
    return String(value);
  },
};

const quantityPattern = /^(?:0|([1-9][0-9]*)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?)$/;

/** Whether Kubernetes writes this quantity back with the very same characters. */
export const isCanonicalQuantity = (value: string): boolean => {
  const match = quantityPattern.exec(value);
  if (!match) return false;
  const [, digits, suffix = ""] = match;
  if (digits === undefined) return true;
  if (digits.length > 15) return false;
  if (suffix === "E" || suffix === "Ei") return true;
  return Number(digits) % (suffix.endsWith("i") ? 1024 : 1000) !== 0;
};

const quantity: Codec = {
  zero: '"0"',
  encode(value, path) {
    if (typeof value === "string" && isCanonicalQuantity(value)) return quote(value);
    throw refuse(
      "SSF-PIPELINE-013",
      path,
      value,
      "A quantity is a whole number with the largest suffix that keeps it whole, because Kubernetes rewrites any other.",
      'Write for instance "500m" for half, "1k" for 1000 and "1Gi" for 1024Mi.',
    );
  },
};

const list = (item: Codec): Codec => ({
  zero: "null",
  encode(value, path) {
    if (!Array.isArray(value)) throw wrongType(path, value, "a list");
    return `[${value.map((element: unknown, index) => item.encode(element, `${path}[${index}]`)).join(",")}]`;
  },
});

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const map = (item: Codec): Codec => ({
  zero: "null",
  encode(value, path) {
    if (!isRecord(value)) throw wrongType(path, value, "a map");
    const members = Object.entries(value)
      .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      .map(([key, element]) => `${text.encode(key, path)}:${item.encode(element, `${path}.${key}`)}`);
    return `{${members.join(",")}}`;
  },
});

const isZero = (codec: Codec, encoded: string): boolean =>
  encoded === codec.zero || encoded === "[]" || encoded === "{}";

/** A Go struct; `fields` stand in the order of its declaration. */
const struct = (fields: Readonly<Record<string, Field>>): Codec => ({
  zero: `{${Object.entries(fields)
    .filter(([, field]) => field.presence === "always")
    .map(([name, field]) => `${quote(name)}:${field.codec.zero}`)
    .join(",")}}`,
  encode(value, path) {
    if (!isRecord(value)) throw wrongType(path, value, "an object");
    for (const name of Object.keys(value)) {
      if (fields[name] !== undefined) continue;
      throw refuse(
        "SSF-PIPELINE-012",
        `${path}.${name}`,
        value[name],
        `A definition may only use the fields ${Object.keys(fields).join(", ")} here, whose canonical form is known.`,
        "Remove the field, or add it to pipelines/canonical.ts at its place in Tekton's type.",
      );
    }
    const members: string[] = [];
    for (const [name, { codec, presence }] of Object.entries(fields)) {
      const member = value[name];
      if (member === undefined) {
        if (presence === "always") members.push(`${quote(name)}:${codec.zero}`);
        continue;
      }
      const encoded = codec.encode(member, `${path}.${name}`);
      if (presence === "nonzero" && isZero(codec, encoded)) continue;
      members.push(`${quote(name)}:${encoded}`);
    }
    return `{${members.join(",")}}`;
  },
});

const param = struct({ name: always(text), value: always(text) });

const paramSpec = struct({
  name: always(text),
  type: nonzero(text),
  description: nonzero(text),
  default: whenSet(text),
});

const keyToPath = struct({ key: always(text), path: always(text), mode: whenSet(integer) });

const securityContext = struct({
  capabilities: whenSet(struct({ add: nonzero(list(text)), drop: nonzero(list(text)) })),
  privileged: whenSet(boolean),
  runAsUser: whenSet(integer),
  runAsGroup: whenSet(integer),
  runAsNonRoot: whenSet(boolean),
  readOnlyRootFilesystem: whenSet(boolean),
  allowPrivilegeEscalation: whenSet(boolean),
  seccompProfile: whenSet(struct({ type: always(text), localhostProfile: whenSet(text) })),
});

const step = struct({
  name: always(text),
  displayName: nonzero(text),
  image: nonzero(text),
  command: nonzero(list(text)),
  args: nonzero(list(text)),
  workingDir: nonzero(text),
  env: nonzero(list(struct({ name: always(text), value: nonzero(text) }))),
  computeResources: always(struct({ limits: nonzero(map(quantity)), requests: nonzero(map(quantity)) })),
  volumeMounts: nonzero(
    list(struct({ name: always(text), readOnly: nonzero(boolean), mountPath: always(text), subPath: nonzero(text) })),
  ),
  imagePullPolicy: nonzero(text),
  securityContext: whenSet(securityContext),
  script: nonzero(text),
});

const volume = struct({
  name: always(text),
  emptyDir: whenSet(struct({ medium: nonzero(text), sizeLimit: whenSet(quantity) })),
  secret: whenSet(
    struct({
      secretName: nonzero(text),
      items: nonzero(list(keyToPath)),
      defaultMode: whenSet(integer),
      optional: whenSet(boolean),
    }),
  ),
  configMap: whenSet(
    struct({
      name: nonzero(text),
      items: nonzero(list(keyToPath)),
      defaultMode: whenSet(integer),
      optional: whenSet(boolean),
    }),
  ),
  csi: whenSet(struct({ driver: always(text), readOnly: whenSet(boolean) })),
});

const taskSpec = struct({
  params: nonzero(list(paramSpec)),
  displayName: nonzero(text),
  description: nonzero(text),
  steps: nonzero(list(step)),
  volumes: nonzero(list(volume)),
  workspaces: nonzero(
    list(
      struct({
        name: always(text),
        description: nonzero(text),
        mountPath: nonzero(text),
        readOnly: nonzero(boolean),
        optional: nonzero(boolean),
      }),
    ),
  ),
  results: nonzero(list(struct({ name: always(text), type: nonzero(text), description: nonzero(text) }))),
});

const pipelineTask = struct({
  name: nonzero(text),
  displayName: nonzero(text),
  description: nonzero(text),
  taskRef: whenSet(struct({ resolver: nonzero(text), params: nonzero(list(param)) })),
  runAfter: nonzero(list(text)),
  params: nonzero(list(param)),
  workspaces: nonzero(list(struct({ name: always(text), workspace: nonzero(text), subPath: nonzero(text) }))),
});

const pipelineSpec = struct({
  displayName: nonzero(text),
  description: nonzero(text),
  tasks: nonzero(list(pipelineTask)),
  params: nonzero(list(paramSpec)),
  workspaces: nonzero(list(struct({ name: always(text), description: nonzero(text), optional: nonzero(boolean) }))),
  results: nonzero(
    list(struct({ name: always(text), type: nonzero(text), description: always(text), value: always(text) })),
  ),
});

const definition = (spec: Codec): Codec =>
  struct({
    kind: always(text),
    apiVersion: always(text),
    metadata: always(
      struct({
        name: nonzero(text),
        namespace: nonzero(text),
        labels: nonzero(map(text)),
        annotations: nonzero(map(text)),
      }),
    ),
    spec: always(spec),
  });

const codecs: Readonly<Record<TektonObject["kind"], Codec>> = {
  Task: definition(taskSpec),
  Pipeline: definition(pipelineSpec),
};

/** What Tekton's defaulting does to the fields that {@link canonicalBytes} knows: a missing type means `string`. */
const withStringType = (entries: unknown): unknown =>
  Array.isArray(entries)
    ? entries.map((entry: unknown) =>
        isRecord(entry) && (entry["type"] === undefined || entry["type"] === "") ? { ...entry, type: "string" } : entry,
      )
    : entries;

const withDefaults = (kind: TektonObject["kind"], spec: object): object => {
  const { params, results, ...rest } = spec as Record<string, unknown>;
  return {
    ...rest,
    ...(params === undefined ? {} : { params: withStringType(params) }),
    ...(results === undefined ? {} : { results: kind === "Task" ? withStringType(results) : results }),
  };
};

/**
 * The exact bytes over which Tekton computes a definition's checksum: Go's JSON of the object after defaulting, with
 * its metadata reduced to name, namespace, labels and annotations. Refuses a field whose place in them is not known.
 */
export const canonicalBytes = (object: TektonObject): Buffer => {
  const { kind, apiVersion, metadata, spec } = object;
  const annotations = Object.entries(metadata.annotations ?? {}).filter(([key]) => !unsignedAnnotations.has(key));
  const signed = {
    kind,
    apiVersion,
    metadata: { ...metadata, annotations: Object.fromEntries(annotations) },
    spec: withDefaults(kind, spec),
  };
  return Buffer.from(codecs[kind].encode(signed, `${kind}/${metadata.name}`), "utf8");
};

/** SHA-256 of a definition's canonical bytes: what is signed, and what the resolver records as `sha256`. */
export const definitionChecksum = (object: TektonObject): Buffer =>
  crypto.createHash("sha256").update(canonicalBytes(object)).digest();

/** {@link definitionChecksum} in hexadecimal, as it stands in provenance. */
export const digest = (object: TektonObject): string => definitionChecksum(object).toString("hex");

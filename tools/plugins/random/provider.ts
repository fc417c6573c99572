import { randomBytes } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type {
  CheckFailure,
  CheckResult,
  CreateResult,
  DiffResult,
  Provider,
  ReadResult,
} from "@pulumi/pulumi/provider";
import { specialSecretSig, specialSigKey } from "@pulumi/pulumi/runtime/rpc";
import { hashSync } from "bcryptjs";
import { generatePassword, type PasswordRules } from "./password";

/** Properties as the engine sends them: plain JSON in which a secret is an object with a signature. */
export type Properties = Record<string, unknown>;

/** What the engine sends for a value that is not known before the update. */
export const unknownValue = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

/** The identifier of every resource here: the values are secret, so nothing of them may stand in an identifier. */
const identifier = "none";

const secret = (value: string): Properties => ({ [specialSigKey]: specialSecretSig, value });

const isProperties = (value: unknown): value is Properties =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The value without its marks as a secret, at any depth. */
const plain = (value: unknown): unknown => {
  if (!isProperties(value)) return Array.isArray(value) ? value.map(plain) : value;
  if (value[specialSigKey] === specialSecretSig) return plain(value.value);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
};

interface ResourceType {
  /** Inputs that stay out of the outputs when they are not given, with the value that an absent one counts as. */
  optional: Properties;
  /** Inputs that appear in the outputs with this value when they are not given. */
  defaults: Properties;
  /** Rules over inputs that are all known. */
  check: (inputs: Properties) => CheckFailure[];
  /** The outputs beside the inputs. */
  generate: (inputs: Properties) => Properties;
  /** Inputs and outputs of an existing value that is imported by giving it as the identifier. */
  imported: (id: string) => Properties;
}

const wholeNumber = (inputs: Properties, property: string, minimum: number): CheckFailure[] => {
  const value = inputs[property];
  return Number.isInteger(value) && Number(value) >= minimum
    ? []
    : [{ property, reason: `must be a whole number of at least ${minimum}, got ${JSON.stringify(value)}` }];
};

const minimums = ["minLower", "minUpper", "minNumeric", "minSpecial"] as const;
const classes = ["lower", "upper", "numeric", "special"] as const;

/** The hash of the first 72 bytes, which is all that bcrypt reads. */
const bcryptHash = (password: string): string => hashSync(password, 10);

const password: ResourceType = {
  optional: { keepers: {}, overrideSpecial: "" },
  defaults: {
    lower: true,
    upper: true,
    numeric: true,
    special: true,
    minLower: 0,
    minUpper: 0,
    minNumeric: 0,
    minSpecial: 0,
  },
  check: (inputs) => {
    const failures = [
      ...wholeNumber(inputs, "length", 1),
      ...minimums.flatMap((property) => wholeNumber(inputs, property, 0)),
      ...classes
        .filter((property) => typeof inputs[property] !== "boolean")
        .map((property) => ({ property, reason: `must be true or false, got ${JSON.stringify(inputs[property])}` })),
    ];
    if (failures.length > 0) return failures;
    const required = minimums.reduce((sum, property) => sum + Number(inputs[property]), 0);
    if (required > Number(inputs.length))
      return [{ property: "length", reason: `must be at least ${required}, the sum of the minimums` }];
    return classes.some((property) => inputs[property] === true)
      ? []
      : [{ property: "lower", reason: `one of ${classes.join(", ")} must be true` }];
  },
  generate: (inputs) => {
    const result = generatePassword(inputs as unknown as PasswordRules);
    return { number: inputs.numeric, result: secret(result), bcryptHash: secret(bcryptHash(result)) };
  },
  imported: (id) => ({ length: id.length, number: true, result: secret(id), bcryptHash: secret(bcryptHash(id)) }),
};

const bytesOutputs = (bytes: Buffer): Properties => ({
  base64: secret(bytes.toString("base64")),
  hex: secret(bytes.toString("hex")),
});

const bytes: ResourceType = {
  optional: { keepers: {} },
  defaults: {},
  check: (inputs) => wholeNumber(inputs, "length", 1),
  generate: (inputs) => bytesOutputs(randomBytes(Number(inputs.length))),
  imported: (id) => {
    const value = Buffer.from(id, "base64");
    return { length: value.length, ...bytesOutputs(value) };
  },
};

const types: Record<string, ResourceType> = {
  "random:index/randomPassword:RandomPassword": password,
  "random:index/randomBytes:RandomBytes": bytes,
};

const typeOf = (urn: string): ResourceType => {
  const token = urn.split("::")[2]?.split("$").pop() ?? urn;
  const type = types[token];
  if (!type) throw new Error(`no resource type ${token}: this provider serves ${Object.keys(types).join(" and ")}`);
  return type;
};

/** Inputs as they count: without marks, defaults filled in, the deprecated `number` read as `numeric`. */
const effective = (type: ResourceType, properties: Properties): Properties => {
  const given = Object.fromEntries(
    Object.entries(properties)
      .map(([key, value]): [string, unknown] => [key, plain(value)])
      .filter(([, value]) => value !== undefined && value !== null),
  );
  const named = "numeric" in type.defaults && given.numeric === undefined ? { numeric: given.number ?? true } : {};
  return { ...type.optional, ...type.defaults, ...given, ...named };
};

const inputsOf = (type: ResourceType): string[] => [
  "length",
  ...Object.keys(type.optional),
  ...Object.keys(type.defaults),
];

/**
 * The provider for the resource types of `@pulumi/random` that the factory uses, with the inputs and outputs of the
 * official provider of major version 4. Nothing is kept outside the state: a value is made once and stays until an
 * input changes, which replaces the resource.
 */
export const randomProvider = (version: string) =>
  ({
    version,

    check: (urn: string, _olds: Properties, news: Properties): Promise<CheckResult> => {
      const type = typeOf(urn);
      const inputs = effective(type, news);
      const known = inputsOf(type).every((property) => inputs[property] !== unknownValue);
      return Promise.resolve({ inputs: news, failures: known ? type.check(inputs) : [] });
    },

    diff: (_id: string, urn: string, olds: Properties, news: Properties): Promise<DiffResult> => {
      const type = typeOf(urn);
      const [before, after] = [effective(type, olds), effective(type, news)];
      const replaces = inputsOf(type).filter((property) => !isDeepStrictEqual(before[property], after[property]));
      return Promise.resolve({ changes: replaces.length > 0, replaces });
    },

    create: (urn: string, inputs: Properties): Promise<CreateResult> => {
      const type = typeOf(urn);
      const rules = effective(type, inputs);
      const outs = { ...type.defaults, ...inputs, ...type.generate(rules) };
      return Promise.resolve({ id: identifier, outs });
    },

    read: (id: string, urn: string, props: Properties): Promise<ReadResult> => {
      if (Object.keys(props).length > 0) return Promise.resolve({ id, props, inputs: undefined });
      const type = typeOf(urn);
      const found = { ...type.defaults, ...type.imported(id) };
      const inputs = Object.fromEntries(
        Object.entries(found).filter(([property]) => inputsOf(type).includes(property)),
      );
      return Promise.resolve({ id: identifier, props: found, inputs });
    },

    delete: (): Promise<void> => Promise.resolve(),
  }) satisfies Provider;

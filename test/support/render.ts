import * as pulumi from "@pulumi/pulumi";

/** One resource as the program registered it. */
export interface Rendered {
  type: string;
  name: string;
  inputs: Record<string, unknown>;
  /** Paths of the inputs that are secret, such as `stringData.htpasswd`. */
  secrets: string[];
  /** Logical name of the parent; empty for the stack. */
  parent: string;
  /** URN and ID of the provider, joined by `::`; empty for a component. */
  provider: string;
  /** Whether Pulumi refuses to remove it. */
  protect: boolean;
  /** Logical names of what must exist first. */
  dependsOn: string[];
  /** Logical name of what takes it with it when it goes; empty when it is removed by itself. */
  deletedWith: string;
}

/** Everything that a program registered, in the order of its names. */
export class Rendering {
  constructor(readonly resources: readonly Rendered[]) {}

  /** `<type> <name>` of every child of the component `parent`, sorted. */
  childrenOf(parent: string): string[] {
    return this.resources
      .filter((resource) => resource.parent === parent)
      .map(({ type, name }) => `${type.replace(/^kubernetes:/, "")} ${name}`)
      .sort();
  }

  /** The one resource called `name`. */
  get(name: string): Rendered {
    const found = this.resources.filter((resource) => resource.name === name);
    if (found.length === 1 && found[0] !== undefined) return found[0];
    throw new Error(`${found.length} resources are called ${name}: ${this.resources.map((r) => r.name).join(", ")}`);
  }
}

/** The part of a resource's inputs at a dotted path, such as `spec.template`. */
export const inputAt = ({ inputs }: Rendered, path: string): unknown =>
  path.split(".").reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], inputs);

interface RegisterRequest {
  getType(): string;
  getName(): string;
  getParent(): string;
  getProvider(): string;
  getProtect(): boolean;
  getDependenciesList(): string[];
  getDeletedwith(): string;
}

interface MockMonitor {
  registerResource(request: RegisterRequest, callback: unknown): Promise<void>;
}

const lastPart = (urn: string): string => urn.split("::").at(-1) ?? "";

/** What mocks answer for a resource beside its own inputs. */
export type ExtraState = (type: string, name: string, inputs: Record<string, unknown>) => Record<string, unknown>;

/**
 * Runs `program` against a recorder instead of an engine, and waits until everything that it made is registered.
 * A random password is `password-of-<name>`, random bytes are 32 times the letter A in base64.
 */
export const render = async (
  program: () => unknown,
  { preview = false, extra = () => ({}) }: { preview?: boolean; extra?: ExtraState } = {},
): Promise<Rendering> => {
  const inputs = new Map<string, Record<string, unknown>>();
  const resources: Rendered[] = [];
  await pulumi.runtime.setMocks(
    {
      newResource: (args) => {
        const given = args.inputs as Record<string, unknown>;
        inputs.set(args.name, given);
        const state = { ...given, ...stateOf(args.type, args.name), ...extra(args.type, args.name, given) };
        return { id: args.id === undefined || args.id === "" ? `${args.name}-id` : args.id, state };
      },
      call: (args) => args.inputs as Record<string, unknown>,
    },
    "secure-software-factory",
    "test",
    preview,
    "organization",
  );
  const monitor = pulumi.runtime.getMonitor() as unknown as MockMonitor;
  const register = monitor.registerResource.bind(monitor);
  monitor.registerResource = async (request, callback) => {
    await register(request, callback);
    const secrets: string[] = [];
    resources.push({
      type: request.getType(),
      name: request.getName(),
      inputs: reveal(inputs.get(request.getName()) ?? {}, [], secrets) as Record<string, unknown>,
      secrets,
      parent: lastPart(request.getParent()),
      provider: request.getProvider(),
      protect: request.getProtect(),
      dependsOn: request.getDependenciesList().map(lastPart).sort(),
      deletedWith: lastPart(request.getDeletedwith()),
    });
  };
  const { stackTraceLimit } = Error;
  // Pulumi writes a stack trace for each of a resource's promises, and jest looks up every line of it.
  Error.stackTraceLimit = 0;
  try {
    await program();
    await pulumi.runtime.disconnect();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
  return new Rendering([...resources].sort((a, b) => (a.name < b.name ? -1 : 1)));
};

/** The value without the wrappers around secrets, whose paths are added to `secrets`. */
const reveal = (value: unknown, path: string[], secrets: string[]): unknown => {
  if (pulumi.runtime.isRpcSecret(value)) {
    secrets.push(path.join("."));
    return reveal(pulumi.runtime.unwrapRpcSecret(value), path, []);
  }
  if (Array.isArray(value)) return value.map((item, index) => reveal(item, [...path, String(index)], secrets));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, reveal(item, [...path, key], secrets)]));
};

/** What {@link render} says the certificates of an authority are, as PEM. */
export const testCertificates = (...names: string[]): string =>
  names.map((name) => `-----BEGIN CERTIFICATE-----\n${name}\n-----END CERTIFICATE-----\n`).join("");

const base64 = (names: string[]) => Buffer.from(testCertificates(...names)).toString("base64");

const stateOf = (type: string, name: string): Record<string, unknown> => {
  switch (type) {
    case "random:index/randomPassword:RandomPassword":
      return { result: `password-of-${name}`, bcryptHash: `$2a$10$hash-of-${name}` };
    case "random:index/randomBytes:RandomBytes":
      return { base64: Buffer.alloc(32, "A").toString("base64") };
    case "kubernetes:core/v1:Secret":
      return { data: { "tls.crt": base64(["LEAF", "INTERMEDIATE"]), "ca.crt": base64(["ROOT"]) } };
    default:
      return {};
  }
};

/** The value of an output, for assertions. */
export const valueOf = <T>(output: pulumi.Output<T>): Promise<T> =>
  new Promise((resolve) => {
    output.apply((value) => resolve(value));
  });

/** A reference by digest that no registry has. */
export const testImage = (name: string): string => `ssf.local/${name}@sha256:${"0".repeat(64)}`;

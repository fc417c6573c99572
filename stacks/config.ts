import { z } from "zod";

import { CertManagerEngine } from "../components/lib/cert-manager-engine";
import { FactoryError, type Problem } from "../components/lib/errors";
import { HOSTS_RULE, isHostList } from "../components/lib/hosts";
import { IMAGE_RULE, isByDigest } from "../components/lib/images";
import { isDnsLabel, MAXIMUM_TEAM_NAME } from "../components/lib/names";
import { inRange } from "../components/lib/ranges";
import { patterns } from "../pipelines/patterns";

/** What a person is told about one key, in the reference and when the value is refused. */
interface KeyFacts extends Record<string, unknown> {
  /** What the key decides, as one sentence. */
  description: string;
  /** What its value must be, as one sentence. */
  rule: string;
  /** A value that holds the rule. */
  example: string;
}

const facts = (description: string, rule: string, example: string): KeyFacts => ({ description, rule, example });

const label = (maximum: number) => z.string().refine((value) => isDnsLabel(value, maximum));

const labelRule = (maximum: number): string =>
  `It must be a DNS label of at most ${maximum} characters: lower-case letters, digits and hyphens, with a letter or digit at both ends.`;

const stack = z.string().regex(/^[A-Za-z0-9_.-]{1,100}$/);

const STACK_RULE = "It must be the name of a stack of this project: letters, digits, hyphens, dots and underscores.";

const quantity = z.string().regex(/^[1-9][0-9]*(m|Ki|Mi|Gi|Ti)?$/);

const QUANTITY_RULE =
  "It must be a Kubernetes quantity: a whole number above zero, with m, Ki, Mi, Gi, Ti or nothing behind it.";

const names = z.string().regex(/^[^\s,]+(,[^\s,]+)*$/);

const NAMES_RULE = "It must be names as the API server knows them, joined by commas without spaces.";

const path = z.string().min(1);

const PATH_RULE = "It must be the path of a file that this machine can read.";

const keyReference = z.string().regex(/^[a-z][a-z0-9_-]*:\/\/\S+$/);

const hosts = z.string().refine(isHostList);
const address = z.string().regex(/^https:\/\/[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?(\/[A-Za-z0-9._~%+-]+)*\/?$/);

const ADDRESS_RULE = "It must be an https address without user name, query or fragment.";

const protectData = z
  .boolean()
  .default(false)
  .meta(
    facts(
      "Whether the factory is to last: Pulumi then refuses to remove the cluster that was made, volumes and the seeds of keys; set it in the stacks of kind cluster and factory.",
      "It must be true or false.",
      "true",
    ),
  );

const epoch = z.int().min(1).default(1);

const EPOCH_RULE = "It must be a whole number of at least 1.";

const clusterSchema = z
  .strictObject({
    kind: z.literal("cluster"),
    clusterName: label(30)
      .default("ssf")
      .meta(facts("Name of the cluster that is made, and prefix of its nodes' names.", labelRule(30), "ssf")),
    workers: z
      .int()
      .min(0)
      .max(20)
      .default(0)
      .meta(
        facts(
          "Worker nodes beside the control plane; another number makes a new cluster in place of the one that is up, whose data goes with it.",
          "It must be a whole number from 0 to 20.",
          "2",
        ),
      ),
    kubeconfig: path
      .optional()
      .meta(
        facts(
          "Kubeconfig of a cluster that already exists; without it a cluster is made.",
          PATH_RULE,
          "~/.kube/config",
        ),
      ),
    clusterCidrs: z
      .string()
      .refine((value) => value.split(",").every((cidr) => z.cidrv4().safeParse(cidr).success && !cidr.endsWith("/0")))
      .optional()
      .meta(
        facts(
          "Ranges of the addresses of pods, services and nodes of a cluster that already exists; stages are kept from them.",
          "It must be IPv4 ranges joined by commas, set with kubeconfig and only with it.",
          "10.244.0.0/16,10.96.0.0/16,192.168.10.0/24",
        ),
      ),
    jail: z
      .enum(["runtime", "network-policy"])
      .default("runtime")
      .meta(
        facts(
          "What keeps jailed pods from the network: a runtime class of our nodes, or network policies alone.",
          "It must be runtime or network-policy.",
          "network-policy",
        ),
      ),
    protectData,
  })
  .refine((config) => config.kubeconfig === undefined || config.workers === 0, { path: ["workers"] })
  .refine((config) => (config.kubeconfig === undefined) === (config.clusterCidrs === undefined), {
    path: ["clusterCidrs"],
  });

const factorySchema = z
  .strictObject({
    kind: z.literal("factory"),
    clusterStack: stack
      .default("cluster")
      .meta(facts("Stack of kind cluster that the factory runs on.", STACK_RULE, "cluster")),
    serviceCidr: z
      .cidrv4()
      .default("10.96.0.0/16")
      .meta(
        facts(
          "Range of the cluster's service addresses.",
          "It must be an IPv4 range such as 10.96.0.0/16.",
          "10.96.0.0/16",
        ),
      ),
    registryClusterIp: z
      .ipv4()
      .default("10.96.0.50")
      .meta(
        facts(
          "Address of the registry, by which every node reaches it.",
          "It must be an IPv4 address within serviceCidr that no other service has.",
          "10.96.0.50",
        ),
      ),
    builderId: z
      .url({ protocol: /^https$/ })
      .default("https://secure-software-factory.dev/builder/v1")
      .meta(
        facts(
          "What provenance names as the builder; verifiers compare it.",
          "It must be an https address, which need not answer.",
          "https://factory.example.com/builder/v1",
        ),
      ),
    trustDomain: z
      .string()
      .max(255)
      .regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/)
      .default("factory.internal")
      .meta(
        facts(
          "SPIFFE trust domain: what the identities of the factory's workloads begin with.",
          "It must be a name as in the DNS, which need not exist; no two factories that know each other share one.",
          "factory.example.com",
        ),
      ),
    certManagerEngine: z
      .enum(CertManagerEngine)
      .default(CertManagerEngine.Chart)
      .meta(
        facts(
          "What installs cert-manager: the chart of the pinned sources, or the package @pulumi/kubernetes-cert-manager.",
          "It must be chart or component.",
          "chart",
        ),
      ),
    stackUsers: names
      .default("kubernetes-admin")
      .meta(
        facts(
          "Users who bring the stacks up: admission lets them, and nobody else, change definitions.",
          NAMES_RULE,
          "kubernetes-admin",
        ),
      ),
    stackGroups: names
      .default("kubeadm:cluster-admins,system:masters")
      .meta(facts("Groups whose members bring the stacks up.", NAMES_RULE, "kubeadm:cluster-admins,system:masters")),
    protectData,
    falcoImage: z
      .string()
      .refine(isByDigest)
      .optional()
      .meta(
        facts(
          "Image of Falco, which reports what stages do that no stage should; without it there is no Falco.",
          IMAGE_RULE,
          `images.example.com/falco@sha256:${"0".repeat(64)}`,
        ),
      ),
    logKeyEpoch: epoch.meta(facts("Counts the log's signing keys; a higher number makes a new key.", EPOCH_RULE, "2")),
    authorityKeyEpoch: epoch.meta(
      facts(
        "Counts the keys of the authority that gives signers their certificates; a higher number makes a new key.",
        EPOCH_RULE,
        "2",
      ),
    ),
    maximumProvenanceAgeDays: z
      .int()
      .min(0)
      .default(0)
      .meta(
        facts(
          "Days after which the gate starts an image no more, so that it is built anew with newer dependencies; 0 for never.",
          "It must be a whole number of at least 0.",
          "90",
        ),
      ),
    trustDirectory: path
      .optional()
      .meta(
        facts(
          "Directory with the public files of the trust repository, as ./factory trust writes them; without it those in the state, of ./factory trust init or of the development ceremony that ./factory up holds.",
          "It must be the path of a directory that this machine can read.",
          "/srv/factory/trust",
        ),
      ),
  })
  .refine((config) => inRange(config.registryClusterIp, config.serviceCidr), { path: ["registryClusterIp"] });

const teamSchema = z.strictObject({
  kind: z.literal("team"),
  team: label(MAXIMUM_TEAM_NAME).meta(
    facts("Name of the team; its namespace is team-<name>.", labelRule(MAXIMUM_TEAM_NAME), "payments"),
  ),
  factoryStack: stack.default("dev").meta(facts("Stack of kind factory that serves the team.", STACK_RULE, "dev")),
  caBundleFile: path
    .optional()
    .meta(
      facts(
        "PEM file with the authorities that stages trust outside the cluster, for networks that have one of their own.",
        PATH_RULE,
        "/etc/ssl/certs/ca-certificates.crt",
      ),
    ),
  goProxy: z
    .string()
    .regex(/^(https:\/\/[^\s,|]+|direct|off)([,|](https:\/\/[^\s,|]+|direct|off))*$/)
    .optional()
    .meta(
      facts(
        "Go module proxies of the team, as GOPROXY.",
        "It must be https addresses, direct or off, joined by commas or bars.",
        "https://goproxy.example.com",
      ),
    ),
  forges: hosts
    .optional()
    .meta(
      facts(
        "Forges that the team takes sources from, beside the factory's own.",
        HOSTS_RULE,
        "github.com,git.example.com:8443",
      ),
    ),
  sources: z
    .string()
    .regex(/^[a-z0-9]+([._-][a-z0-9]+)*=https:\/\/[^\s,=]+(,[a-z0-9]+([._-][a-z0-9]+)*=https:\/\/[^\s,=]+)*$/)
    .optional()
    .meta(
      facts(
        "Repository that each image of the team must come from, or the gate does not let it run; the images that are left out may come from any of the team's forges.",
        "It must be <name of the image>=<https address of the repository> pairs joined by commas.",
        "payments=https://github.com/example/payments.git",
      ),
    ),
  registries: hosts
    .optional()
    .meta(
      facts(
        "Package registries that the team takes dependencies from, beside the mirrors that it sets; without the key the public ones of its languages, where no mirror replaces them.",
        HOSTS_RULE,
        "proxy.golang.org,sum.golang.org",
      ),
    ),
  languages: z
    .string()
    .regex(/^(go|npm|pip)(,(go|npm|pip))*$/)
    .refine((value) => new Set(value.split(",")).size === value.split(",").length)
    .default("go,npm,pip")
    .meta(
      facts(
        "Languages of the team's programs; each gets a pipeline.",
        "It must be one or more of go, npm and pip, joined by commas, each once.",
        "go,npm",
      ),
    ),
  npmRegistry: address
    .optional()
    .meta(facts("npm registry of the team, or a mirror of npm's own.", ADDRESS_RULE, "https://npm.example.com/")),
  pipIndex: address
    .optional()
    .meta(facts("Python package index of the team.", ADDRESS_RULE, "https://pypi.example.com/simple/")),
  deniedPackages: z
    .string()
    .regex(/^pkg:[a-z][a-z0-9.+-]*\/[A-Za-z0-9._~%+*/@-]+(,pkg:[a-z][a-z0-9.+-]*\/[A-Za-z0-9._~%+*/@-]+)*$/)
    .optional()
    .meta(
      facts(
        "Packages that the team may not publish or build from.",
        "It must be package URLs joined by commas, without qualifiers, with or without a version; * stands for any text.",
        "pkg:npm/event-stream@3.3.6,pkg:golang/github.com/example/*",
      ),
    ),
  deniedLicenses: z
    .string()
    .regex(/^[A-Za-z0-9.+*-]+(,[A-Za-z0-9.+*-]+)*$/)
    .optional()
    .meta(
      facts(
        "Licences of packages that the team may not publish or build from.",
        "It must be SPDX identifiers joined by commas; * stands for any text.",
        "AGPL-*,SSPL-1.0",
      ),
    ),
  allowedSignersFile: path
    .optional()
    .meta(
      facts(
        "File with the signers of commits, in OpenSSH's format allowed_signers; with it, only commits that they signed are built.",
        PATH_RULE,
        "allowed_signers",
      ),
    ),
  reproduce: z
    .boolean()
    .default(false)
    .meta(
      facts(
        "Whether a run builds twice and publishes only what comes out the same.",
        "It must be true or false.",
        "true",
      ),
    ),
  artefact: z
    .enum(["image", "file"])
    .default("image")
    .meta(
      facts(
        "What a run publishes: an image that runs the output, or the output's files as an OCI artefact.",
        "It must be image or file.",
        "file",
      ),
    ),
  definitionsKeyEpoch: epoch.meta(
    facts(
      "Counts the keys that the team's definitions are signed with; a higher number makes a new key.",
      EPOCH_RULE,
      "2",
    ),
  ),
  definitionsOldestKeyEpoch: z
    .int()
    .min(0)
    .default(0)
    .meta(
      facts(
        "Oldest of those keys whose signatures still hold; 0 is the one before the newest, for the runs that have begun.",
        "It must be a whole number from 0 to definitionsKeyEpoch.",
        "1",
      ),
    ),
  definitionsKeyFile: path
    .optional()
    .meta(
      facts(
        "PEM file (PKCS #8) with the Ed25519 or ECDSA P-256 key that signs the team's definitions, in place of a key that the stack makes.",
        PATH_RULE,
        "/run/keys/definitions.pem",
      ),
    ),
  definitionsKeyReference: keyReference
    .optional()
    .meta(
      facts(
        "Key of a key management service that signs the team's definitions, which leaves its key to nobody; in place of a file or a key that the stack makes.",
        "It must be a key as Sigstore names it: awskms://, azurekms://, gcpkms:// or hashivault:// with the service's own name of the key, or <name>:// where a program sigstore-kms-<name> on PATH serves it; and definitionsKeyFile must not be set.",
        "awskms:///alias/definitions",
      ),
    ),
  definitionsFormerKeysFile: path
    .optional()
    .meta(facts("PEM file with public keys (SPKI) whose signatures still hold.", PATH_RULE, "/run/keys/former.pem")),
  quotaCpu: quantity.default("16").meta(facts("CPU limit of all pods of the team together.", QUANTITY_RULE, "16")),
  quotaMemory: quantity
    .default("32Gi")
    .meta(facts("Memory limit of all pods of the team together.", QUANTITY_RULE, "32Gi")),
  quotaStorage: quantity.default("100Gi").meta(facts("Volumes of the team together.", QUANTITY_RULE, "100Gi")),
  quotaPods: z
    .int()
    .min(1)
    .max(10000)
    .default(60)
    .meta(facts("Number of pods of the team.", "It must be a whole number from 1 to 10000.", "60")),
  triggerRepository: z
    .string()
    .regex(new RegExp(`^(?:${patterns.repository})$`))
    .optional()
    .meta(
      facts(
        "Repository that is built when somebody pushes to it, or by schedule; without it runs start by hand only.",
        "It must be the https address by which the forge names it in its webhooks (clone_url), without user name.",
        "https://github.com/example/payments.git",
      ),
    ),
  triggerBranch: z
    .string()
    .regex(/^(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._/-]{0,99}$/)
    .default("main")
    .meta(
      facts(
        "Branch of triggerRepository that is built.",
        "It must be the name of a branch: letters, digits, hyphens, dots, underscores and slashes.",
        "main",
      ),
    ),
  triggerPipeline: label(30)
    .default("go")
    .meta(facts("Pipeline that builds triggerRepository.", "It must be one of the team's pipelines.", "go")),
  triggerParams: z
    .string()
    .regex(/^[a-z-]+=[^,\s]+(,[a-z-]+=[^,\s]+)*$/)
    .optional()
    .meta(
      facts(
        "Parameters of the runs that triggerRepository starts, such as the image's name.",
        "It must be name=value pairs joined by commas; repository, commit, trigger and event are not among them.",
        "name=payments,package=./cmd/payments",
      ),
    ),
  schedule: z
    .string()
    .regex(/^(@(hourly|daily|weekly|monthly)|[0-9A-Za-z*/,-]+( [0-9A-Za-z*/,-]+){4})$/)
    .optional()
    .meta(
      facts(
        "When the newest commit of triggerBranch is built without a push, in UTC.",
        "It must be @hourly, @daily, @weekly, @monthly or the five fields of a cron expression, and triggerRepository must be set.",
        "@daily",
      ),
    ),
});

const checkedTeamSchema = teamSchema
  .refine(({ schedule, triggerRepository }) => schedule === undefined || triggerRepository !== undefined, {
    path: ["schedule"],
  })
  .refine(({ definitionsKeyEpoch, definitionsOldestKeyEpoch }) => definitionsOldestKeyEpoch <= definitionsKeyEpoch, {
    path: ["definitionsOldestKeyEpoch"],
  })
  .refine((config) => config.definitionsKeyReference === undefined || config.definitionsKeyFile === undefined, {
    path: ["definitionsKeyReference"],
  });

const schemas = { cluster: clusterSchema, factory: factorySchema, team: checkedTeamSchema } as const;

/** Kinds of stacks, in the order in which they are made. */
export const STACK_KINDS = ["cluster", "factory", "team"] as const;

/** Kind of a stack. */
export type StackKind = (typeof STACK_KINDS)[number];

/** Settings of a stack of kind cluster. */
export type ClusterConfig = z.infer<typeof clusterSchema>;

/** Settings of a stack of kind factory. */
export type FactoryConfig = z.infer<typeof factorySchema>;

/** Settings of a stack of kind team. */
export type TeamConfig = z.infer<typeof teamSchema>;

/** Settings of a stack. */
export type Config = ClusterConfig | FactoryConfig | TeamConfig;

/** One key as the reference and `Pulumi.yaml` show it. */
export interface ConfigKey extends KeyFacts {
  name: string;
  kinds: StackKind[];
  type: "string" | "integer" | "boolean";
  default: string | number | boolean;
  /** Whether a stack of its kind may leave it out. */
  optional: boolean;
}

const KIND_FACTS = facts("What the stack holds.", "It must be cluster, factory or team.", "factory");

/** Every key of every kind, in the order of the schemas. */
export const configKeys = (): ConfigKey[] => [
  { name: "kind", kinds: [...STACK_KINDS], type: "string", default: "", optional: false, ...KIND_FACTS },
  ...STACK_KINDS.flatMap((kind) => {
    const { properties = {}, required = [] } = z.toJSONSchema(schemas[kind], { io: "input" });
    return Object.entries(properties)
      .filter(([name]) => name !== "kind")
      .map(([name, property]) => keyOf(kind, name, property as Record<string, unknown>, required.includes(name)));
  }),
];

const keyOf = (kind: StackKind, name: string, property: Record<string, unknown>, required: boolean): ConfigKey => ({
  name,
  kinds: [kind],
  type: property.type === "integer" || property.type === "boolean" ? property.type : "string",
  default: (property.default as string | number | boolean | undefined) ?? "",
  optional: !required,
  description: String(property.description),
  rule: String(property.rule),
  example: String(property.example),
});

/**
 * The `config:` block of `Pulumi.yaml`.
 * The engine demands a value for every key without a default, in stacks of every kind; an empty one stands for none.
 */
export const toPulumiConfigBlock = (): Record<
  string,
  { type: string; description: string; default: string | number | boolean }
> =>
  Object.fromEntries(
    configKeys().map((key) => [
      key.name,
      { type: key.type, description: `${key.description} ${key.rule}`, default: key.default },
    ]),
  );

/** Checks the raw settings of a stack, by key without the project's name; throws {@link FactoryError} with all problems. */
export const parseConfig = (raw: Readonly<Record<string, string>>): Config => {
  const keys = configKeys();
  const kind = STACK_KINDS.find((candidate) => candidate === raw.kind);
  const known = keys.filter((key) => kind === undefined || key.kinds.includes(kind));
  const problems = Object.entries(raw).flatMap(([name, value]) => strayKey(keys, known, name, value));

  if (kind === undefined) {
    throw new FactoryError(refusal("SSF-CONFIG-001", "kind", raw.kind, KIND_FACTS), ...problems);
  }
  const values = known
    .filter((key) => raw[key.name] !== undefined && raw[key.name] !== "")
    .map((key) => [key.name, decode(key, raw[key.name] ?? "")]);
  const parsed = schemas[kind].safeParse(Object.fromEntries(values));
  if (!parsed.success) {
    for (const name of new Set(parsed.error.issues.map((issue) => String(issue.path[0])))) {
      const key = known.find((candidate) => candidate.name === name);
      if (key !== undefined) problems.push(refusal("SSF-CONFIG-004", name, raw[name], key));
    }
  }
  const [first, ...others] = problems;
  if (first !== undefined) throw new FactoryError(first, ...others);
  if (!parsed.success) throw parsed.error;
  return parsed.data;
};

const decode = (key: ConfigKey, value: string): string | number | boolean => {
  if (key.type === "integer" && /^-?[0-9]+$/.test(value)) return Number(value);
  return key.type === "boolean" && /^(true|false)$/.test(value) ? value === "true" : value;
};

const refusal = (code: string, name: string, given: string | undefined, { rule, example }: KeyFacts): Problem => ({
  code,
  path: `config ${name}`,
  given: given === undefined || given === "" ? "nothing" : `"${given}"`,
  rule,
  fix: `Run pulumi config set ${name} ${example}, or choose another value that holds the rule.`,
});

/** A key that no kind has, or that another kind has; the engine adds every kind's defaults to every stack. */
const strayKey = (all: ConfigKey[], known: ConfigKey[], name: string, value: string): Problem[] => {
  if (known.some((key) => key.name === name)) return [];
  const foreign = all.find((key) => key.name === name);
  if (foreign === undefined) {
    return [
      {
        code: "SSF-CONFIG-002",
        path: `config ${name}`,
        given: `"${value}"`,
        rule: "Every key must be one that the program knows.",
        fix: `Did you mean ${nearest(name, known)}? Run pulumi config rm ${name}.`,
      },
    ];
  }
  if (value === String(foreign.default)) return [];
  return [
    {
      code: "SSF-CONFIG-003",
      path: `config ${name}`,
      given: `"${value}"`,
      rule: `The key belongs to stacks of kind ${foreign.kinds.join(" or ")}.`,
      fix: `Set it in such a stack, and run pulumi config rm ${name} here.`,
    },
  ];
};

const nearest = (name: string, keys: ConfigKey[]): string =>
  keys
    .map((key) => ({ name: key.name, distance: editDistance(name.toLowerCase(), key.name.toLowerCase()) }))
    .reduce((best, candidate) => (candidate.distance < best.distance ? candidate : best)).name;

/** Number of letters to insert, delete or replace until one word is the other (Levenshtein). */
const editDistance = (from: string, to: string): number => {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (const [line, letter] of Array.from(from).entries()) {
    const next = [line + 1];
    for (const [column, other] of Array.from(to).entries()) {
      const replace = (row[column] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(replace, (row[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
};

import type * as pulumi from "@pulumi/pulumi";
import { z } from "zod";

import { FactoryError, type Problem } from "../components/lib/errors";
import { NetworkPolicies } from "../components/lib/network-policies";
import { factoryTrustSchema, ruleDigestSchema } from "../trust";
import { STACK_KINDS, type StackKind } from "./config";

/** Version of the outputs' form; a stack of an older program must be brought up again before others read it. */
export const SCHEMA = 6;

const text = z.string().min(1);
const schema = z.literal(SCHEMA);
// The engine drops an output that is null.
const runtimeClasses = z
  .object({ jailed: text, networked: text })
  .nullish()
  .transform((classes) => classes ?? null);
const registry = z.object({ host: text, namespace: text, service: text, caPem: text });
const login = z.object({ username: text, password: text });
const provenance = z.object({
  builderId: text,
  signer: z.object({ identity: text, issuer: text }),
  certificateAuthorityPem: text,
  log: z.object({
    url: text,
    host: text,
    namespace: text,
    service: text,
    port: z.int(),
    caPem: text,
    publicKeyPem: text,
  }),
});
const forge = z.object({
  url: text,
  namespace: text,
  service: text,
  username: text,
  password: text,
  caPem: text,
});

const verifying = { publicKeyPem: text, formerPublicKeysPem: z.array(text) };
const definitions = z.union([
  z.object({ ...verifying, privateKeyPem: text }),
  z.object({ ...verifying, keyReference: text }),
]);

const networkPolicies = z.enum(NetworkPolicies);
const hosts = z.array(z.object({ name: text, port: z.int() }));
const clusterCidrs = z.array(text).min(1);
const stage = z.object({
  name: text,
  task: text,
  serviceAccount: text,
  jailed: z.boolean(),
  network: text,
  reads: z.array(text),
  writes: text.optional(),
});

/** Form of the outputs of each kind. */
export const outputSchemas = {
  cluster: z.object({
    schema,
    kubeconfig: text,
    clusterIdentifier: text,
    runtimeClasses,
    networkPolicies,
    clusterCidrs,
    /** The rules of admission that the cluster has of its own. */
    ruleDigests: z.array(ruleDigestSchema),
    apiServer: text,
  }),
  factory: z.object({
    schema,
    kubeconfig: text,
    clusterIdentifier: text,
    runtimeClasses,
    networkPolicies,
    clusterCidrs,
    registry,
    registryReadersKey: text,
    trustDomain: text,
    provenance,
    trust: factoryTrustSchema,
    forge,
    stageImages: z.record(z.string(), text),
  }),
  team: z.object({
    schema,
    team: text,
    namespace: text,
    kubeconfig: text,
    pipelines: z.record(
      z.string(),
      z.object({
        name: text,
        stages: z.array(stage),
        digests: z.record(z.string(), text),
        runTemplate: z.record(z.string(), z.unknown()),
        params: z.array(z.object({ name: text, description: text, pattern: text, default: z.string().optional() })),
      }),
    ),
    networkPolicies,
    egress: z.object({ forges: hosts, registries: hosts }),
    registryRepository: text,
    // A stack of an older program says none, and then its rule counts as nobody's.
    ruleDigests: z.array(ruleDigestSchema).default([]),
    provenance,
    definitions,
    definitionsPublicKeyPem: text,
    registry,
    registryCredentials: z.object({ reader: login }),
    forge,
    trigger: z.object({ url: text, repository: text, branch: text, secret: text }).optional(),
  }),
} as const;

/** What a stack of each kind leaves for those that come after it. Secrets are plain here: never log or export them. */
export type StackOutputs = { [K in StackKind]: z.infer<(typeof outputSchemas)[K]> };

/** Whether the program made the cluster: then it also made the network, and knows every image in it. */
export const isOwnCluster = ({ networkPolicies }: Pick<StackOutputs["factory"], "networkPolicies">): boolean =>
  networkPolicies === NetworkPolicies.Cilium;

/** Who signs a factory's provenance, which authority says so, and which log has every signature. */
export type ProvenanceOutputs = z.infer<typeof provenance>;

/** The same with values that are known only while the program runs; what a stack exports. */
export type ExportedOutputs<K extends StackKind> = pulumi.Inputs & Record<keyof StackOutputs[K], pulumi.Input<unknown>>;

/** Checks the outputs of a stack, as read from it; names the stack and the command that mends it. */
export const parseOutputs = <K extends StackKind>(
  kind: K,
  stack: string,
  values: Readonly<Record<string, unknown>>,
): StackOutputs[K] => {
  const parsed = outputSchemas[kind].safeParse(values);
  if (parsed.success) return parsed.data as StackOutputs[K];
  const present = Object.values(values).some((value) => value !== undefined);
  if (!present) throw new FactoryError(notUp(kind, stack, "it has no outputs"));
  const problems = parsed.error.issues.map((issue): Problem => ({
    code: "SSF-STACK-002",
    path: `stack ${stack}, output ${issue.path.join(".")}`,
    given: issue.message,
    rule: `The stack must be of kind ${kind}, and have been brought up by this version of the program.`,
    fix: bringUp(stack),
  }));
  const [first, ...others] = problems;
  if (first === undefined) throw new Error("a failed parse has an issue");
  throw new FactoryError(first, ...others);
};

/** That a stack which another one builds on cannot be read. @param given why */
export const notUp = (kind: StackKind, stack: string, given: string): Problem => ({
  code: "SSF-STACK-001",
  path: `stack ${stack}`,
  given,
  rule: `The stack of kind ${kind} that this one builds on must be up.`,
  fix: bringUp(stack),
});

const bringUp = (stack: string): string =>
  `Run pulumi up --stack ${stack}, or make up, which brings up the stacks in order (${STACK_KINDS.join(", ")}).`;

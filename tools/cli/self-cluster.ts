import { z } from "zod";
import { CONSTRAINT_RESOURCES } from "../../policies/admission/gate";
import type { Kubectl } from "./kubectl";

const labels = z.record(z.string(), z.string()).default({});
const metadata = z.object({ name: z.string(), namespace: z.string().default(""), labels });
const listOf = <T extends z.ZodType>(item: T) => z.object({ items: z.array(item) }).transform(({ items }) => items);

const container = z.object({ name: z.string(), image: z.string() });
const containers = z.array(container).default([]);
const containerStatuses = z.array(z.object({ name: z.string(), imageID: z.string().default("") })).default([]);
const pods = listOf(
  z.object({
    metadata,
    spec: z.object({
      containers,
      initContainers: containers,
      ephemeralContainers: containers,
      serviceAccountName: z.string().default("default"),
      volumes: z.array(z.object({ name: z.string() })).default([]),
    }),
    status: z.object({
      phase: z.string().default(""),
      containerStatuses,
      initContainerStatuses: containerStatuses,
      ephemeralContainerStatuses: containerStatuses,
    }),
  }),
);

const namespaces = listOf(z.object({ metadata }));

const selector = z.object({
  matchLabels: z.record(z.string(), z.string()).default({}),
  matchExpressions: z
    .array(z.object({ key: z.string(), operator: z.string(), values: z.array(z.string()).default([]) }))
    .default([]),
});

/** What selects objects, by their own labels and by those of their namespaces. */
const selectors = { namespaceSelector: selector.optional(), objectSelector: selector.optional() };

const policies = listOf(
  z.object({
    metadata: metadata.extend({ generation: z.int() }),
    spec: z.object({
      failurePolicy: z.string(),
      matchConstraints: z
        .object({
          ...selectors,
          resourceRules: z
            .array(z.object({ apiGroups: z.array(z.string()), resources: z.array(z.string()) }))
            .default([]),
        })
        .default({ resourceRules: [] }),
    }),
    status: z
      .object({
        observedGeneration: z.int().optional(),
        typeChecking: z
          .object({ expressionWarnings: z.array(z.object({ fieldRef: z.string() })).default([]) })
          .optional(),
      })
      .default({}),
  }),
);

const bindings = listOf(
  z.object({
    metadata,
    spec: z.object({
      policyName: z.string(),
      validationActions: z.array(z.string()).default([]),
      matchResources: z.object(selectors).default({}),
    }),
  }),
);

const webhooks = listOf(
  z.object({
    kind: z.string(),
    metadata,
    webhooks: z
      .array(
        z.object({
          name: z.string(),
          failurePolicy: z.string().default("Fail"),
          namespaceSelector: selector.optional(),
          clientConfig: z.object({
            caBundle: z.string().default(""),
            service: z.object({ namespace: z.string(), name: z.string() }).optional(),
          }),
        }),
      )
      .default([]),
  }),
);

const constraints = listOf(
  z.object({
    metadata,
    spec: z.object({
      enforcementAction: z.string().default("deny"),
      match: z
        .object({
          namespaceSelector: selector.optional(),
          labelSelector: selector.optional(),
          kinds: z.array(z.object({ apiGroups: z.array(z.string()), kinds: z.array(z.string()) })).default([]),
        })
        .default({ kinds: [] }),
    }),
    status: z
      .object({
        byPod: z.array(z.object({ enforced: z.boolean().default(false), operations: z.array(z.string()).default([]) })),
      })
      .default({ byPod: [] }),
  }),
);

const endpointSlices = listOf(
  z.object({
    metadata,
    endpoints: z
      .array(z.object({ conditions: z.object({ ready: z.boolean().default(true) }).default({ ready: true }) }))
      .nullish(),
  }),
);

const identities = listOf(
  z.object({
    metadata,
    spec: z.object({
      spiffeIDTemplate: z.string(),
      ttl: z.string().default(""),
      jwtTtl: z.string().default(""),
    }),
  }),
);

const registrations = listOf(
  z.object({
    metadata,
    // With every other field, since each of them gives something.
    spec: z.looseObject({
      spiffeID: z.string(),
      selectors: z.array(z.string()),
      x509SVIDTTL: z.string().default(""),
      jwtSVIDTTL: z.string().default(""),
    }),
  }),
);

const federations = listOf(z.object({ metadata, spec: z.object({ trustDomain: z.string() }) }));

const certificates = listOf(
  z.object({
    metadata,
    spec: z
      .object({
        isCA: z.boolean().default(false),
        duration: z.string().optional(),
        secretName: z.string().default(""),
        usages: z.array(z.string()).default([]),
      })
      .default({ isCA: false, secretName: "", usages: [] }),
    status: z
      .object({
        notBefore: z.string().optional(),
        notAfter: z.string().optional(),
        renewalTime: z.string().optional(),
        conditions: z.array(z.object({ type: z.string(), status: z.string() })).default([]),
      })
      .default({ conditions: [] }),
  }),
);

/** What is asked for, and the form that is expected. */
const readings = {
  pods: ["pods", pods],
  namespaces: ["namespaces", namespaces],
  policies: ["validatingadmissionpolicies", policies],
  bindings: ["validatingadmissionpolicybindings", bindings],
  webhooks: ["validatingwebhookconfigurations,mutatingwebhookconfigurations", webhooks],
  constraints: [CONSTRAINT_RESOURCES, constraints],
  endpointSlices: ["endpointslices.discovery.k8s.io", endpointSlices],
  identities: ["clusterspiffeids.spire.spiffe.io", identities],
  registrations: ["clusterstaticentries.spire.spiffe.io", registrations],
  federations: ["clusterfederatedtrustdomains.spire.spiffe.io", federations],
  certificates: ["certificates.cert-manager.io", certificates],
} as const;

type Readings = { [K in keyof typeof readings]: z.output<(typeof readings)[K][1]> };

/** Objects of a cluster, as far as checks of the factory itself look at them. */
export interface ClusterObjects extends Readings {
  /** Secrets with a long-lived token of a service account, as `<namespace>/<name>`; their content is never read. */
  tokenSecrets: string[];
}

/** Selects objects by their labels. */
export type Selector = z.output<typeof selector>;

/** Reads a kind from all namespaces. */
export const readObjects = async <K extends keyof Readings>(kubectl: Kubectl, kind: K): Promise<Readings[K]> => {
  const [resource, schema] = readings[kind];
  return schema.parse(await kubectl.json(["get", resource, "--all-namespaces"])) as Readings[K];
};

/** Reads all that the checks look at. */
export const readCluster = async (kubectl: Kubectl): Promise<ClusterObjects> => {
  const objects: Partial<Record<keyof Readings, unknown>> = {};
  for (const kind of Object.keys(readings) as (keyof Readings)[]) objects[kind] = await readObjects(kubectl, kind);
  const secrets = await kubectl.text([
    "get",
    "secrets",
    "--all-namespaces",
    "--field-selector=type=kubernetes.io/service-account-token",
    '--output=jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name}{"\\n"}{end}',
  ]);
  return { ...(objects as Readings), tokenSecrets: secrets.split("\n").filter((line) => line !== "") };
};

/** Whether a selector selects an object with these labels; one that is left out selects all. */
export const selects = (selector: Selector | undefined, present: Readonly<Record<string, string>>): boolean => {
  const { matchLabels = {}, matchExpressions = [] } = selector ?? {};
  return (
    Object.entries(matchLabels).every(([key, value]) => present[key] === value) &&
    matchExpressions.every(({ key, operator, values }) => {
      const value = present[key];
      if (operator === "Exists") return value !== undefined;
      if (operator === "DoesNotExist") return value === undefined;
      const isIn = value !== undefined && values.includes(value);
      return operator === "In" ? isIn : !isIn;
    })
  );
};

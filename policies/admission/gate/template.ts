import type { Cel } from "../rule";

/** A condition of a {@link CelTemplate}, and what a person is told whose request breaks it. */
export interface GateValidation {
  /** Condition under which the request is admitted. */
  admits: Cel;
  /** One line: code, place, what was found, rule, fix; as an expression of type string. */
  message: Cel;
}

/** A rule of the gate, as Gatekeeper takes it; it becomes a ValidatingAdmissionPolicy as well. */
export interface CelTemplate {
  /** Kind of its constraints. */
  kind: string;
  /** What it protects, as one sentence. */
  protects: string;
  variables: readonly { name: string; expression: Cel }[];
  validations: readonly GateValidation[];
}

/** A ConstraintTemplate or a constraint, as an object of the cluster. */
export interface GateObject {
  apiVersion: string;
  kind: string;
  metadata: { name: string; annotations?: Record<string, string> };
  spec: object;
}

/** Conditions of a template in CEL. */
export interface CelSource {
  generateVAP: true;
  failurePolicy: "Fail";
  variables: readonly { name: string; expression: Cel }[];
  validations: readonly { expression: Cel; messageExpression: Cel }[];
}

/** How one engine evaluates a template. */
export type GateCode =
  { engine: "K8sNativeValidation"; source: CelSource } | { engine: "Rego"; source: { version: "v1"; rego: string } };

/** A ConstraintTemplate. */
export interface GateTemplate extends GateObject {
  spec: {
    crd: { spec: { names: { kind: string }; validation?: object } };
    targets: readonly { target: string; code: readonly [GateCode] }[];
  };
}

const target = "admission.k8s.gatekeeper.sh";

const templateObject = (kind: string, protects: string, code: GateCode): GateTemplate => ({
  apiVersion: "templates.gatekeeper.sh/v1",
  kind: "ConstraintTemplate",
  metadata: { name: kind.toLowerCase(), annotations: { description: protects } },
  // The schema is what Gatekeeper would write by itself, so that the cluster gives back what is signed.
  spec: {
    crd: { spec: { names: { kind }, validation: { legacySchema: false } } },
    targets: [{ target, code: [code] }],
  },
});

/** A template whose conditions are in CEL. What it cannot evaluate is refused. */
export const celTemplate = ({ kind, protects, variables, validations }: CelTemplate): GateTemplate =>
  templateObject(kind, protects, {
    engine: "K8sNativeValidation",
    source: {
      generateVAP: true,
      failurePolicy: "Fail",
      variables: variables.map(({ name, expression }) => ({ name, expression })),
      validations: validations.map(({ admits, message }) => ({ expression: admits, messageExpression: message })),
    },
  });

/** The conditions of a template in CEL; undefined for one in Rego. */
export const celSource = ({ spec: { targets } }: GateTemplate): CelSource | undefined => {
  const code = targets[0]?.code[0];
  return code?.engine === "K8sNativeValidation" ? code.source : undefined;
};

/** A template in Rego, for what CEL cannot ask: a provider of external data. */
export const regoTemplate = (kind: string, protects: string, rego: string): GateTemplate =>
  templateObject(kind, protects, { engine: "Rego", source: { version: "v1", rego } });

/** Kinds that workloads are made of. */
const workloads = [
  { apiGroups: [""], kinds: ["Pod", "ReplicationController"] },
  { apiGroups: ["apps"], kinds: ["Deployment", "DaemonSet", "StatefulSet", "ReplicaSet"] },
  { apiGroups: ["batch"], kinds: ["Job", "CronJob"] },
];

/** A template, put into force over workloads of the namespaces with a label. */
export const workloadConstraint = ({ spec }: GateTemplate, name: string, label: string): GateObject => ({
  apiVersion: "constraints.gatekeeper.sh/v1beta1",
  kind: spec.crd.spec.names.kind,
  metadata: { name },
  spec: {
    enforcementAction: "deny",
    match: { kinds: workloads, namespaceSelector: { matchExpressions: [{ key: label, operator: "Exists" }] } },
  },
});

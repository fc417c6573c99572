import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";

import { type RuleDigest, ruleDigest } from "../policies/admission";
import {
  gateConstraints,
  type GateObject,
  gateTemplates,
  PROVIDER_OBJECT,
  providerSpec,
} from "../policies/admission/gate";
import { GATE_LABEL, standardLabels } from "./lib/labels";
import { openNamespace } from "./lib/namespace";
import { timeouts } from "./lib/timeouts";

/** Namespace behind the gate in which nothing runs: `verify self` asks there whether the gate answers. */
export const GATE_NAMESPACE = "ssf-gate";

/** Arguments of {@link Gate}. */
export interface GateArgs {
  /** Where the verifier is asked; by the name in its certificate. */
  verifierUrl: pulumi.Input<string>;
  /** Authority that the verifier's certificate comes from, as PEM. */
  caPem: pulumi.Input<string>;
}

/**
 * The policies of the gate, in force in every namespace with the label `secure-software-factory.dev/gate`: workloads run
 * images with provenance of this factory, by digest, and within bounds.
 * @example
 * new Gate("gate", { verifierUrl: verifier.url, caPem }, { dependsOn: [gatekeeper, verifier] });
 */
export class Gate extends pulumi.ComponentResource {
  /** The rules, once all are in force. */
  public readonly constraints: pulumi.Output<string[]>;
  /** What the rules say and whom they ask, by digest, once all are in force. */
  public readonly digests: pulumi.Output<RuleDigest[]>;

  constructor(name: string, args: GateArgs, opts?: pulumi.ComponentResourceOptions) {
    super("secure-software-factory:index:Gate", name, args, opts);
    const make = (object: GateObject, dependsOn: pulumi.Resource[], waitFor?: string) =>
      new k8s.apiextensions.CustomResource(
        `${name}-${object.kind.toLowerCase()}-${object.metadata.name}`,
        {
          apiVersion: object.apiVersion,
          kind: object.kind,
          metadata: {
            name: object.metadata.name,
            labels: standardLabels("gate"),
            // Never an empty map: the API server drops it, and the next update would add it again.
            annotations:
              waitFor === undefined
                ? object.metadata.annotations
                : { ...object.metadata.annotations, "pulumi.com/waitFor": waitFor },
          },
          spec: object.spec,
        },
        { parent: this, dependsOn, customTimeouts: timeouts.reconciled },
      );
    const { apiVersion, kind, metadata } = PROVIDER_OBJECT;
    const asked = pulumi.all([args.verifierUrl, args.caPem]).apply(([url, caPem]) => providerSpec(url, caPem));
    const provider = new k8s.apiextensions.CustomResource(
      `${name}-provider`,
      {
        apiVersion,
        kind,
        metadata: { ...metadata, labels: standardLabels("gate") },
        spec: asked,
      },
      { parent: this, customTimeouts: timeouts.plain },
    );
    const templates = gateTemplates.map((template) => make(template, [provider], "jsonpath={.status.created}=true"));
    openNamespace(name, this, {
      name: GATE_NAMESPACE,
      labels: { ...standardLabels("gate"), [GATE_LABEL]: "" },
      level: "restricted",
    });
    const constraints = gateConstraints.map((constraint) => make(constraint, templates));

    this.constraints = pulumi.all(constraints.map(({ id }) => id));
    this.digests = pulumi
      .all([asked, this.constraints])
      .apply(([spec]) => [{ ...PROVIDER_OBJECT, spec }, ...gateTemplates, ...gateConstraints].map(ruleDigest));
    this.registerOutputs({ constraints: this.constraints, digests: this.digests });
  }
}

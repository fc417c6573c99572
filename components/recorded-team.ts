import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";

import { RECORD_KEY, RECORD_LABEL, type TeamRecord, VERIFIER_NAMESPACE } from "../policies/admission/gate/records";
import { sha256 } from "./lib/digest";
import { standardLabels } from "./lib/labels";
import { dnsLabel, teamNamespace } from "./lib/names";
import { timeouts } from "./lib/timeouts";

/** Arguments of {@link RecordedTeam}. */
export interface RecordedTeamArgs {
  /** Name of the team. */
  team: string;
  /** UID of the team's namespace; the records go when it goes. */
  namespaceUid: pulumi.Input<string>;
  /** What images of the team must have. */
  record: TeamRecord;
}

/**
 * Tells the gate's verifier what images of a team must have.
 *
 * A record never changes. When the team's definitions do, the next record takes its place in the stack and the former one
 * stays in the cluster, so that what was built before may still run; whoever deletes it there ends that. All of
 * them are dependents of the team's namespace, so Kubernetes removes them when the team is gone.
 * @example
 * new RecordedTeam("recorded-team", { team: "payments", namespaceUid: team.namespaceUid, record });
 */
export class RecordedTeam extends pulumi.ComponentResource {
  /** Name of the record, in the verifier's namespace. */
  public readonly record: pulumi.Output<string>;

  constructor(name: string, args: RecordedTeamArgs, opts?: pulumi.ComponentResourceOptions) {
    super("secure-software-factory:index:RecordedTeam", name, args, opts);
    const content = JSON.stringify(args.record);
    const record = new k8s.core.v1.ConfigMap(
      `${name}-record`,
      {
        metadata: {
          name: dnsLabel([args.team, sha256(content).slice(0, 12)]),
          namespace: VERIFIER_NAMESPACE,
          labels: { ...standardLabels("verifier"), [RECORD_LABEL]: args.team },
          ownerReferences: [
            { apiVersion: "v1", kind: "Namespace", name: teamNamespace(args.team), uid: args.namespaceUid },
          ],
        },
        immutable: true,
        data: { [RECORD_KEY]: content },
      },
      { parent: this, retainOnDelete: true, customTimeouts: timeouts.plain },
    );
    this.record = record.metadata.name;
    this.registerOutputs({ record: this.record });
  }
}

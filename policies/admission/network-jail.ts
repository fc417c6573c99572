import { PUBLISHER } from "../../components/lib/workload-api";
import { text, texts, type AdmissionRule } from "./rule";

/** Stages whose pods need a network, each with an egress rule of its own; their accounts have the same names. */
export const UNJAILED_STAGES = ["ingest-source", "ingest-dependencies", PUBLISHER];

/** Settings of {@link networkJail}. */
export interface JailSettings {
  /** RuntimeClass whose pods have no network. */
  jailedRuntimeClass: string;
  /** Service accounts whose pods may run without it. */
  unjailedServiceAccounts: readonly string[];
}

/** In every team's namespace a pod is jailed unless its stage needs a network. */
export const networkJail = ({ jailedRuntimeClass, unjailedServiceAccounts }: JailSettings): AdmissionRule => ({
  name: "ssf-network-jail",
  protects: "A build has no network.",
  scope: "teams",
  matches: [{ apiGroup: "", apiVersions: ["v1"], resources: ["pods"], operations: ["CREATE", "UPDATE"] }],
  variables: [
    { name: "account", expression: "object.spec.?serviceAccountName.orValue('default')" },
    { name: "runtime", expression: "object.spec.?runtimeClassName.orValue('')" },
  ],
  validations: [
    {
      code: "SSF-ADMISSION-001",
      path: "spec.runtimeClassName",
      admits: `variables.runtime == ${text(jailedRuntimeClass)} || variables.account in ${texts(unjailedServiceAccounts)}`,
      given: `"'" + variables.runtime + "' for service account '" + variables.account + "'"`,
      rule: "In a team's namespace every pod is jailed.",
      fix: `Set runtimeClassName to '${jailedRuntimeClass}', or let Tekton run it as the stage that needs a network (${unjailedServiceAccounts.join(", ")}).`,
    },
  ],
});

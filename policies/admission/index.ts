import type { RuntimeClasses } from "../../pipelines/tekton";
import { accountTokens, podAccess, runtimeClasses } from "./access";
import { factoryImages, systemImages } from "./factory-images";
import { definitions, networkPolicies, resolutionRequests, stepActions, teamNamespaces } from "./definitions";
import type { Identities } from "./identities";
import { networkJail } from "./network-jail";
import { podForm, podImages } from "./pods";
import { healedRuns, reservedMetadata } from "./reserved-metadata";
import type { AdmissionRule } from "./rule";
import { childRuns, podStatus, runReference, runStatus, runTrigger } from "./runs";
import { type IdentityUser, identityUsers, registrations } from "./workload-identities";

export { ruleBytes, ruleDigest, type RuleDigest, type RuleObject } from "./bundle";
export { FACTORY_NAMESPACES, SYSTEM_NAMESPACE } from "./factory-images";
export { UNJAILED_STAGES } from "./network-jail";
export { triggerOf, users, UNASSIGNED_ACCOUNT, type Identities } from "./identities";
export type { AdmissionRule, Scope, Validation } from "./rule";
export { messageOf, plainMessageOf } from "./rule";
export { teamRuns, type RunnablePipeline } from "./team-runs";

/** Images of a factory, by reference with digest. */
export interface FactoryImages {
  /** Those that its components may run. */
  components: readonly string[];
  /** Those that pods of teams may run: the steps of stages, and what Tekton puts beside them. */
  stages: readonly string[];
  /** Those of the components that use their identities, by account: pods of that account run no others. */
  identityUsers: readonly IdentityUser[];
}

/** What the rules of a factory depend on. */
export interface AdmissionSettings {
  /** RuntimeClasses of the cluster; `null` when NetworkPolicies alone are the jail. */
  runtimeClasses: RuntimeClasses | null;
  /** Service accounts of the stages that have a network. */
  unjailedServiceAccounts: readonly string[];
  /** Images that may run, by reference with digest. */
  images: FactoryImages;
  /** Who brings the stacks up. */
  stack: Identities;
}

/** The rules that hold for all teams of a factory. */
export const factoryRules = (settings: AdmissionSettings): AdmissionRule[] => {
  const { runtimeClasses: classes, unjailedServiceAccounts, images, stack } = settings;
  return [
    ...(classes === null
      ? []
      : [
          networkJail({ jailedRuntimeClass: classes.jailed, unjailedServiceAccounts }),
          runtimeClasses(stack, [classes.jailed, classes.networked]),
        ]),
    podForm({ runtimeClasses: classes, unjailedServiceAccounts, images: images.stages }),
    podImages,
    podStatus,
    podAccess,
    accountTokens,
    reservedMetadata(stack),
    healedRuns,
    runReference,
    runTrigger,
    childRuns,
    runStatus,
    definitions(stack),
    networkPolicies(stack),
    stepActions,
    resolutionRequests,
    teamNamespaces(stack),
    factoryImages(images.components),
    identityUsers(images.identityUsers),
    registrations(stack),
  ];
};

/** The rules that hold in a cluster which the program made, whoever comes after: all that runs there is of the lock file. */
export const clusterRules = (images: readonly string[]): AdmissionRule[] => [systemImages(images)];

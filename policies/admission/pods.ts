import { PUBLISHER, WORKLOAD_API } from "../../components/lib/workload-api";
import type { RuntimeClasses } from "../../pipelines/tekton";
import { isUser, userName, users } from "./identities";
import { text, texts, type AdmissionRule, type Validation } from "./rule";

/** Settings of {@link podForm}. */
export interface PodSettings {
  /** RuntimeClasses of the cluster; `null` when NetworkPolicies alone are the jail. */
  runtimeClasses: RuntimeClasses | null;
  /** Service accounts of the stages that have a network. */
  unjailedServiceAccounts: readonly string[];
  /** Images that the pods may run, by reference with digest. */
  images: readonly string[];
}

const byTekton = isUser(users.tekton);

const runtimeClass = ({ runtimeClasses }: PodSettings): Validation => {
  const allowed = runtimeClasses === null ? [] : [runtimeClasses.jailed, runtimeClasses.networked];
  return {
    code: "SSF-ADMISSION-003",
    path: "spec.runtimeClassName",
    admits: `!has(object.spec.runtimeClassName) || object.spec.runtimeClassName in ${texts(allowed)}`,
    given: `"'" + object.spec.?runtimeClassName.orValue('') + "'"`,
    rule: "A pod runs in a runtime class of the factory.",
    fix: allowed.length === 0 ? "Leave it out." : `Take ${allowed.join(" or ")}.`,
  };
};

/**
 * What a pod of a team may not ask for beyond what Pod Security `restricted` refuses.
 * Only creation is looked at, since what these fields say of a pod cannot be changed later.
 */
export const podForm = (settings: PodSettings): AdmissionRule => ({
  name: "ssf-pod-form",
  protects: "A pod of a team gets no network, host, name server, token or volume that its stage lacks.",
  scope: "teams",
  matches: [{ apiGroup: "", apiVersions: ["v1"], resources: ["pods"], operations: ["CREATE"] }],
  variables: [
    { name: "account", expression: "object.spec.?serviceAccountName.orValue('default')" },
    { name: "containers", expression: "object.spec.containers + object.spec.?initContainers.orValue([])" },
    {
      name: "others",
      expression: `variables.containers.map(c, c.?image.orValue("none")).filter(image, !(image in ${texts(settings.images)}))`,
    },
    { name: "volumes", expression: "object.spec.?volumes.orValue([])" },
  ],
  validations: [
    {
      code: "SSF-ADMISSION-002",
      path: "spec.serviceAccountName",
      admits: `!(variables.account in ${texts(settings.unjailedServiceAccounts)}) || ${byTekton}`,
      given: `"'" + variables.account + "' asked for by '" + request.userInfo.username + "'"`,
      rule: "Only Tekton's controller makes pods of the stages that have a network.",
      fix: "Start a run of the team's pipeline, or use another service account.",
    },
    runtimeClass(settings),
    {
      code: "SSF-ADMISSION-004",
      path: "spec.dnsPolicy, spec.dnsConfig, spec.hostAliases",
      admits: [
        "size(object.spec.?hostAliases.orValue([])) == 0",
        `object.spec.?dnsPolicy.orValue("ClusterFirst") in ${texts(["ClusterFirst", "None"])}`,
        "(!has(object.spec.dnsConfig) || object.spec.dnsConfig.?nameservers.orValue([]).all(server, server == '127.0.0.1'))",
        "(!has(object.spec.dnsConfig) || size(object.spec.dnsConfig.?searches.orValue([])) == 0)",
      ].join(" && "),
      given: `"policy " + object.spec.?dnsPolicy.orValue("ClusterFirst")`,
      rule: "A pod resolves names by the cluster or not at all.",
      fix: "Leave dnsConfig and hostAliases out, or set dnsPolicy None with name server 127.0.0.1.",
    },
    {
      code: "SSF-ADMISSION-005",
      path: "spec.schedulerName, spec.nodeName",
      admits: `object.spec.?schedulerName.orValue("default-scheduler") == "default-scheduler" && object.spec.?nodeName.orValue("") == ""`,
      given: `"'" + object.spec.?schedulerName.orValue("") + "', '" + object.spec.?nodeName.orValue("") + "'"`,
      rule: "The cluster's own scheduler chooses the node.",
      fix: "Leave both fields out.",
    },
    {
      code: "SSF-ADMISSION-006",
      path: "spec.containers[].env, envFrom",
      admits: `variables.containers.all(c, size(c.?envFrom.orValue([])) == 0 && c.?env.orValue([]).all(e, !(e.name in ${texts(["TEKTON_RESOURCE_NAME", "TEKTON_HERMETIC"])})))`,
      given: `variables.containers.map(c, c.name).join(", ")`,
      rule: "No variable switches a step's isolation, and none comes from an object as a whole.",
      fix: "Remove TEKTON_RESOURCE_NAME and TEKTON_HERMETIC, and name each variable instead of using envFrom.",
    },
    {
      code: "SSF-ADMISSION-007",
      path: "spec.containers[].image",
      admits: "size(variables.others) == 0",
      given: 'variables.others.join(", ")',
      rule: "A pod of a team runs images of the factory, by digest.",
      fix: "Take an image that the team's definitions name; where the factory's images are newer than those, bring the team's stack up.",
    },
    {
      code: "SSF-ADMISSION-008",
      path: "spec.automountServiceAccountToken",
      admits: "!object.spec.?automountServiceAccountToken.orValue(false)",
      given: `"true for service account '" + variables.account + "'"`,
      rule: "No pod of a team holds a token of the API server.",
      fix: "Set it to false.",
    },
    {
      code: "SSF-ADMISSION-009",
      path: "spec.volumes[]",
      admits: `variables.volumes.all(v, ${["emptyDir", "configMap", "secret", "downwardAPI", "persistentVolumeClaim"].map((kind) => `has(v.${kind})`).join(" || ")} || (has(v.csi) && v.csi.driver == ${text(WORKLOAD_API.driver)} && v.csi.?readOnly.orValue(false) && variables.account == ${text(PUBLISHER)}) || (has(v.projected) && v.projected.?sources.orValue([]).all(s, has(s.configMap) || has(s.secret) || has(s.downwardAPI))))`,
      given: `variables.volumes.map(v, v.name).join(", ")`,
      rule: "A volume is an emptyDir, a claim, files of ConfigMaps, Secrets and the pod itself, without tokens and certificates, or the Workload API of a stage that has an identity.",
      fix: "Use one of these kinds.",
    },
    {
      code: "SSF-ADMISSION-010",
      path: "spec.volumes[].persistentVolumeClaim.claimName",
      admits: `${byTekton} || variables.volumes.all(v, !has(v.persistentVolumeClaim) || !v.persistentVolumeClaim.claimName.matches(${text("^pvc-[0-9a-f]{10}$")}))`,
      given: `variables.volumes.filter(v, has(v.persistentVolumeClaim)).map(v, v.persistentVolumeClaim.claimName).join(", ")`,
      rule: "The workspaces of a run are mounted by that run's stages only.",
      fix: "Use a claim of the pod's own; results of a run are read from the registry.",
    },
    {
      code: "SSF-ADMISSION-011",
      path: "spec.hostUsers, spec.shareProcessNamespace, spec.resourceClaims",
      // In a user namespace of its own, Pod Security would let a pod be root.
      admits: [
        "object.spec.?hostUsers.orValue(true)",
        "!object.spec.?shareProcessNamespace.orValue(false)",
        "size(object.spec.?resourceClaims.orValue([])) == 0",
      ].join(" && "),
      given: `"hostUsers " + string(object.spec.?hostUsers.orValue(true)) + ", shareProcessNamespace " + string(object.spec.?shareProcessNamespace.orValue(false))`,
      rule: "No user of a pod is root, its containers do not see each other's processes, and it gets no devices.",
      fix: "Leave these fields out.",
    },
  ],
});

/** A running pod keeps its images; Tekton alone replaces one, to stop a sidecar. */
export const podImages: AdmissionRule = {
  name: "ssf-pod-images",
  protects: "A running stage is not replaced by another program.",
  scope: "teams",
  matches: [{ apiGroup: "", apiVersions: ["v1"], resources: ["pods"], operations: ["UPDATE"] }],
  variables: [],
  validations: [
    {
      code: "SSF-ADMISSION-012",
      path: "spec.containers[].image",
      admits: `${byTekton} || (${["containers", "initContainers"].map((field) => `object.spec.?${field}.orValue([]).map(c, c.?image.orValue("")) == oldObject.spec.?${field}.orValue([]).map(c, c.?image.orValue(""))`).join(" && ")})`,
      given: userName,
      rule: "Only Tekton's controller changes the images of a pod.",
      fix: "Delete the pod and create it anew.",
    },
  ],
};

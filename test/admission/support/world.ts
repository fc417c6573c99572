import { Admission } from "../../../components/admission";
import { ClusterAdmission } from "../../../components/cluster-admission";
import { TEAM_LABEL } from "../../../components/lib/labels";
import type { KubernetesObject } from "../../../components/lib/manifests";
import { NetworkPolicies } from "../../../components/lib/network-policies";
import { spireCrds } from "../../../components/spire";
import { tektonCrds } from "../../../components/tekton";
import { Team } from "../../../components/team";
import { unsignedTeamPipeline, verificationPolicyOf } from "../../../pipelines";
import { type FactoryImages, SYSTEM_NAMESPACE, triggerOf, users } from "../../../policies/admission";
import { readToolchain, source } from "../../../stacks/toolchain";
import { teamArgs, testKeys } from "../../pipelines/fixtures";
import { render, type Rendered } from "../../support/render";
import { type Answer, type ApiServer, type Requester, startApiServer } from "./api-server";

/** A namespace of the factory's own components. */
export const factorySpace = "gatekeeper-system";

/** Namespace of the team whose rules are tried, one of a team without a rule of its own, and one that is no team's. */
export const [teamSpace, bareSpace, otherSpace] = ["team-a", "team-bare", "elsewhere"];

/** Images that the factory and its stages may run, and one that nobody may. */
export const [listedImage, otherListedImage, strangeImage] = ["1", "2", "3"].map(
  (digit) => `registry.test/app@sha256:${digit.repeat(64)}`,
) as [string, string, string];

/** Group with every right and no place in the rules, so that a refusal is admission's. */
const EVERYTHING = "test:everything";
const withRights = (user: string, ...groups: string[]): Requester => ({ user, groups: [EVERYTHING, ...groups] });

/** Who asks. */
export const as = {
  stack: { user: "kubernetes-admin", groups: ["kubeadm:cluster-admins", "system:authenticated"] },
  /** May do everything but is not who brings up the stacks. */
  operator: withRights("operator"),
  tekton: withRights(users.tekton),
  chains: withRights(users.chains),
  healer: withRights(users.healer),
  resolvers: withRights(users.resolvers),
  garbageCollector: withRights(users.garbageCollector),
  namespaceController: withRights(users.namespaceController),
  trigger: withRights(triggerOf("a")),
  bareTrigger: withRights(triggerOf("bare")),
  node: withRights("system:node:somewhere", "system:nodes"),
  /** A member of the team, with the rights of one. */
  member: { user: "mallory", groups: [`secure-software-factory:${teamSpace}`, "system:authenticated"] },
} as const satisfies Record<string, Requester>;

export const pipeline = unsignedTeamPipeline(teamArgs({ namespace: teamSpace }));

const admission = (images: FactoryImages) => () =>
  new Admission("admission", {
    jailedRuntimeClass: "jailed",
    networkedRuntimeClass: "networked",
    unjailedServiceAccounts: ["ingest-source", "ingest-dependencies", "publish"],
    images,
    stackUsers: ["kubernetes-admin"],
    stackGroups: ["kubeadm:cluster-admins", "system:masters"],
  });

const clusterAdmission =
  ({ components }: FactoryImages) =>
  () =>
    new ClusterAdmission("cluster-admission", { images: components });

const team = () =>
  new Team("team", {
    team: "a",
    owner: "team-a",
    accounts: pipeline.stages.map(({ serviceAccount, network }) => ({ name: serviceAccount, network })),
    definitions: [
      verificationPolicyOf({ team: "a", namespace: teamSpace }, [
        { name: "factory", publicKeyPem: testKeys.publicKeyPem },
      ]),
      ...pipeline.tasks,
      pipeline.pipeline,
    ],
    pipelines: [pipeline],
    registryHost: "registry.test:5000",
    reader: { username: "team-a", password: "r" },
    trustDomain: "factory.test",
    caPem: "CA",
    quota: { cpu: "8", memory: "16Gi", storage: "20Gi", pods: 30 },
    networkPolicies: NetworkPolicies.Kubernetes,
    clusterCidrs: ["10.0.0.0/8"],
    egress: { forges: [], registries: [] },
  });

/** Tekton's and SPIRE's kinds. */
export const crds = (): readonly KubernetesObject[] => {
  const toolchain = readToolchain();
  return [...tektonCrds(source(toolchain, "tekton")), ...spireCrds(source(toolchain, "spire-controller-manager"))];
};

/** Kinds that are made, in this order, and the plural names by which the API server knows them. */
const plurals = {
  Namespace: "namespaces",
  ServiceAccount: "serviceaccounts",
  Role: "roles",
  RoleBinding: "rolebindings",
  NetworkPolicy: "networkpolicies",
  ValidatingAdmissionPolicy: "validatingadmissionpolicies",
  ValidatingAdmissionPolicyBinding: "validatingadmissionpolicybindings",
  VerificationPolicy: "verificationpolicies",
  Task: "tasks",
  Pipeline: "pipelines",
  CustomResourceDefinition: "customresourcedefinitions",
  RuntimeClass: "runtimeclasses",
  ClusterRoleBinding: "clusterrolebindings",
} as const;

const isMade = (kind: string): kind is keyof typeof plurals => kind in plurals;

const collectionOf = ({ apiVersion, kind, metadata }: KubernetesObject): string => {
  if (!isMade(kind)) throw new Error(`no plural of ${kind} is known`);
  const group = apiVersion === "v1" ? "/api/v1" : `/apis/${apiVersion}`;
  return metadata.namespace === undefined
    ? `${group}/${plurals[kind]}`
    : `${group}/namespaces/${metadata.namespace}/${plurals[kind]}`;
};

/** The objects among what the program registered, without those that need a controller behind them. */
const objectsOf = (resources: readonly Rendered[]): KubernetesObject[] =>
  resources
    .map(({ inputs }) => inputs as unknown as KubernetesObject)
    .filter(({ kind }) => isMade(kind))
    .sort((a, b) => Object.keys(plurals).indexOf(a.kind) - Object.keys(plurals).indexOf(b.kind));

const isDone = ({ status }: Answer): boolean => status === 200 || status === 201;

const listedImages: FactoryImages = {
  components: [listedImage, otherListedImage],
  stages: [listedImage, otherListedImage],
  identityUsers: [{ namespace: factorySpace, serviceAccount: "signer", images: [listedImage] }],
};

/** An API server with Tekton's kinds and SPIRE's, the factory's rules, and a team. @param images what may run there */
export const startWorld = async (images = listedImages): Promise<ApiServer> => {
  const server = await startApiServer();
  const make = async (object: object, as?: Requester): Promise<void> => {
    const answer = await server.ask("POST", collectionOf(object as KubernetesObject), object, as);
    if (!isDone(answer)) throw new Error(`${JSON.stringify(object)}: ${answer.status} ${answer.message}`);
  };
  const clusterAdmin = (name: string, group: string) => ({
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRoleBinding",
    metadata: { name },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
    subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "Group", name: group }],
  });
  const runtimeClass = (name: string) => ({
    apiVersion: "node.k8s.io/v1",
    kind: "RuntimeClass",
    metadata: { name },
    handler: name,
  });
  const account = (namespace: string, name = "default") => ({
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata: { name, namespace },
    automountServiceAccountToken: false,
  });
  const ownSpaces = [...new Set([factorySpace, ...images.identityUsers.map(({ namespace }) => namespace)])];
  try {
    for (const crd of crds()) await make(crd);
    await make(clusterAdmin("everything", EVERYTHING));
    await make(clusterAdmin("stack", "kubeadm:cluster-admins"));
    for (const name of ["jailed", "networked", "foreign"]) await make(runtimeClass(name));
    for (const who of [as.stack, as.operator])
      await server.askUntil(isDone, "GET", "/apis/node.k8s.io/v1/runtimeclasses", undefined, who);
    for (const program of [clusterAdmission(images), admission(images)])
      for (const object of objectsOf((await render(program)).resources)) await make(object, as.stack);
    for (const name of [otherSpace, ...ownSpaces])
      await make({ apiVersion: "v1", kind: "Namespace", metadata: { name } }, as.operator);
    const labels = { [TEAM_LABEL]: "bare" };
    await make({ apiVersion: "v1", kind: "Namespace", metadata: { name: bareSpace, labels } }, as.stack);
    for (const name of [otherSpace, ...ownSpaces, SYSTEM_NAMESPACE]) await make(account(name), as.operator);
    for (const { namespace, serviceAccount } of images.identityUsers)
      await make(account(namespace, serviceAccount), as.operator);

    const tenant = objectsOf((await render(team)).resources);
    for (const served of ["tekton.dev/v1/pipelineruns", "spire.spiffe.io/v1alpha1/clusterstaticentries"])
      await server.askUntil(isDone, "GET", `/apis/${served}`);
    for (const object of tenant) await make(object, as.stack);
    const refused = ({ message }: Answer) => message.includes("SSF-ADMISSION-");
    const task = `/apis/tekton.dev/v1/namespaces/${teamSpace}/tasks?dryRun=All`;
    const run = `/apis/tekton.dev/v1/namespaces/${teamSpace}/pipelineruns/absent`;
    await server.askUntil(refused, "POST", task, { ...pipeline.tasks[0], metadata: { name: "x" } }, as.operator);
    await server.askUntil(({ status }) => status === 404, "GET", run);
    return server;
  } catch (error) {
    await server.stop();
    throw error;
  }
};

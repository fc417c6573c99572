import { TEAM_LABEL } from "../../components/lib/labels";
import { text, texts, type Cel } from "./rule";

/** Users of the API server who are known by name. */
export const users = {
  /** Makes the children of a run. */
  tekton: "system:serviceaccount:tekton-pipelines:tekton-pipelines-controller",
  /** Answers what the controller asks to resolve. */
  resolvers: "system:serviceaccount:tekton-pipelines-resolvers:tekton-pipelines-resolvers",
  /** Signs what a run has made, and notes that on the run. */
  chains: "system:serviceaccount:tekton-chains:tekton-chains-controller",
  /** Gives runs back to Chains that it gave up on. */
  healer: "system:serviceaccount:tekton-chains:signing-healer",
  /** Empties namespaces that are deleted. */
  namespaceController: "system:serviceaccount:kube-system:namespace-controller",
  /** Deletes what has lost its owner. */
  garbageCollector: "system:serviceaccount:kube-system:generic-garbage-collector",
} as const;

/** What starts the runs of a team on a push or by schedule. */
export const triggerOf = (team: string): string => `system:serviceaccount:ssf-triggers:${team}`;

/** Who brings the stacks up. */
export interface Identities {
  users: readonly string[];
  groups: readonly string[];
}

/** Whether the request comes from one of these users. */
export const isUser = (...names: readonly string[]): Cel =>
  names.length === 1 && names[0] !== undefined
    ? `request.userInfo.username == ${text(names[0])}`
    : `request.userInfo.username in ${texts(names)}`;

/** Whether the request comes from one of these users or a member of one of these groups. */
export const isOneOf = ({ users: names, groups }: Identities): Cel =>
  `(request.userInfo.username in ${texts(names)} || request.userInfo.?groups.orValue([]).exists(group, group in ${texts(groups)}))`;

/**
 * Whether the request comes from the trigger of the team whose namespace it is about. Nobody else's request needs the
 * namespace for that, which gator does not have.
 */
export const isTrigger: Cel = [
  `request.userInfo.username.startsWith(${text(triggerOf(""))})`,
  `request.userInfo.username == ${text(triggerOf(""))} + namespaceObject.metadata.labels[${text(TEAM_LABEL)}]`,
].join(" && ");

/** Whether the cluster itself removes the object: empties its namespace, or collects it, which ends in a last update. */
export const removal: Cel = [
  `(request.operation == "DELETE" && ${isUser(users.namespaceController, users.garbageCollector)})`,
  `(request.operation == "UPDATE" && ${isUser(users.garbageCollector)} && has(object.metadata.deletionTimestamp))`,
].join(" || ");

/** Who asks, as the message shows it. */
export const userName: Cel = `"'" + request.userInfo.username + "'"`;

/** Account of a run that names none, by Tekton's defaults; there is no such account, so that the run makes no pod. */
export const UNASSIGNED_ACCOUNT = "unassigned";

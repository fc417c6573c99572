import { as, otherSpace, teamSpace } from "../support/world";
import { type Case, create, inNamespace, patch, remove } from "./case";

const pods = inNamespace("v1", teamSpace, "pods");

const enter = (namespace: string, resource: string, as: Case["bad"]["as"]): Case["bad"] => ({
  method: "POST",
  path: inNamespace("v1", namespace, resource),
  ...(as === undefined ? {} : { as }),
});

/** Ways into a pod; what is admitted elsewhere finds nothing there. */
export const connectCases: Case[] = ["exec", "attach", "portforward", "proxy"].flatMap((way) =>
  [as.operator, as.stack, undefined].map((who): Case => ({
    attempt: `pods/${way} as ${who?.user ?? "system:masters"}`,
    code: "040",
    bad: enter(teamSpace, `pods/running/${way}?command=sh`, who),
    good: enter(otherSpace, `pods/absent/${way}?command=sh`, who),
  })),
);

/** Changes to pods, accounts and runtime classes; `running` is a pod that Tekton has made. */
export const accessCases = (running: string): Case[] => {
  const classes = "/apis/node.k8s.io/v1/runtimeclasses";
  const runtimeClass = (name: string) => ({
    apiVersion: "node.k8s.io/v1",
    kind: "RuntimeClass",
    metadata: { name },
    handler: "runc",
  });
  const token = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: { audiences: ["x"] } };
  const debug = {
    op: "add",
    path: "/spec/ephemeralContainers",
    value: [
      {
        name: "debug",
        image: "busybox",
        securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
      },
    ],
  };
  const elsewhere = inNamespace("v1", otherSpace, `pods/plain`);
  const resize = { op: "replace", path: "/spec/containers/0/resources/requests/cpu", value: "20m" };
  return [
    {
      attempt: "an ephemeral container",
      code: "040",
      bad: patch(`${pods}/${running}/ephemeralcontainers`, [debug], as.operator),
      good: patch(`${elsewhere}/ephemeralcontainers`, [debug], as.operator),
    },
    {
      attempt: "other resources in a running pod",
      code: "040",
      bad: patch(`${pods}/${running}/resize`, [resize], as.operator),
      good: patch(`${elsewhere}/resize`, [resize], as.operator),
    },
    {
      attempt: "a pod's status that no node has reported",
      code: "036",
      bad: patch(`${pods}/${running}/status`, { status: { message: "done" } }, as.operator),
      good: patch(`${pods}/${running}/status`, { status: { message: "done" } }, as.node),
    },
    {
      attempt: "a token of a stage's account",
      code: "041",
      bad: create(inNamespace("v1", teamSpace, "serviceaccounts/publish/token"), token, as.stack),
      good: create(inNamespace("v1", otherSpace, "serviceaccounts/default/token"), token, as.stack),
    },
    {
      attempt: "the removal of the jail's class",
      code: "061",
      bad: remove(`${classes}/jailed`, as.operator),
      good: remove(`${classes}/jailed`, as.stack),
    },
    {
      attempt: "a change of the jail's class",
      code: "061",
      bad: patch(`${classes}/jailed`, { metadata: { labels: { colour: "green" } } }, as.operator),
      good: patch(`${classes}/foreign`, { metadata: { labels: { colour: "green" } } }, as.operator),
    },
    {
      attempt: "a class with the name of the factory's, before there is one",
      code: "061",
      bad: create(classes, runtimeClass("networked"), as.operator),
      good: create(classes, runtimeClass("mine"), as.operator),
    },
  ];
};

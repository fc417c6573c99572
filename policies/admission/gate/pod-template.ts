import type { Cel } from "../rule";

/** Where the form of a pod stands in each kind of workload; where none stands, evaluation fails and refuses. */
const pod: Cel = [
  'variables.anyObject.kind == "Pod" ? variables.anyObject.spec',
  'variables.anyObject.kind == "CronJob" ? variables.anyObject.spec.jobTemplate.spec.template.spec',
  "variables.anyObject.spec.template.spec",
].join(" : ");

const containers: Cel = ["initContainers", "containers", "ephemeralContainers"]
  .map((field) => `variables.pod.?${field}.orValue([])`)
  .join(" + ");

/** Variables of a rule about pods, in whatever workload they are described: `pod` and all its `containers`. */
export const podVariables = [
  { name: "pod", expression: pod },
  { name: "containers", expression: containers },
] as const;

/** Names of the containers in a list, each with what is said about it. */
export const eachOf = (list: Cel, said: Cel): Cel => `${list}.map(c, c.name + ${said}).join(", ")`;

import { text } from "../rule";
import { eachOf, podVariables } from "./pod-template";
import { celTemplate, type GateTemplate } from "./template";

const rule = (said: string): string => text(`; rule: ${said}`);

/** What Pod Security `restricted` does not ask for: nothing in the image changes, nothing is unbounded, no token by default. */
export const workloadBounds: GateTemplate = celTemplate({
  kind: "WorkloadBounds",
  protects: "A workload stays the program that was checked, within bounds, and asks for a token where it needs one.",
  variables: [
    ...podVariables,
    {
      name: "writable",
      expression: "variables.containers.filter(c, c.?securityContext.?readOnlyRootFilesystem.orValue(false) != true)",
    },
    {
      name: "unbounded",
      expression:
        "(variables.pod.?initContainers.orValue([]) + variables.pod.containers).filter(c, !c.?resources.?limits.?memory.hasValue())",
    },
  ],
  validations: [
    {
      admits: "size(variables.writable) == 0",
      message: [
        text("SSF-GATE-007 containers[].securityContext.readOnlyRootFilesystem: not true for "),
        eachOf("variables.writable", '""'),
        rule(
          "A container does not change what its image holds. fix: Set it to true, and mount an emptyDir where the program writes.",
        ),
      ].join(" + "),
    },
    {
      admits: "size(variables.unbounded) == 0",
      message: [
        text("SSF-GATE-008 containers[].resources.limits.memory: none for "),
        eachOf("variables.unbounded", '""'),
        rule("A container has a limit of memory. fix: Set resources.limits.memory."),
      ].join(" + "),
    },
    {
      admits: "variables.pod.?automountServiceAccountToken.orValue(true) == false",
      message: text(
        "SSF-GATE-009 spec.automountServiceAccountToken: not false; rule: A token of the API server is mounted where it is needed, and expires. fix: Set it to false, and mount a projected token where the program needs one.",
      ),
    },
  ],
});

/** Label that every namespace of a team carries; policies and network rules select teams by it. */
export const TEAM_LABEL = "secure-software-factory.dev/team";

/** Annotation of a team's namespace that says who made it: a stack, by name and by an id that its state alone has. */
export const OWNER_ANNOTATION = "secure-software-factory.dev/owner";

/** Label of a namespace whose workloads run only images with provenance of this factory; its value says nothing. */
export const GATE_LABEL = "secure-software-factory.dev/gate";

/** Label that Tekton puts on every pod of a pipeline: the name of the stage. */
export const STAGE_LABEL = "tekton.dev/pipelineTask";

/** Label of a run that nobody started by hand: `push` or `schedule`. */
export const TRIGGER_LABEL = "secure-software-factory.dev/trigger";

/** The labels of everything that belongs to the part of the factory called `part`. */
export const standardLabels = (part: string): Record<string, string> => ({
  "app.kubernetes.io/name": part,
  "app.kubernetes.io/part-of": "secure-software-factory",
  "app.kubernetes.io/managed-by": "pulumi",
});

/** The part of {@link standardLabels} that never changes, for selectors. */
export const selectorLabels = (part: string): Record<string, string> => ({ "app.kubernetes.io/name": part });

/** Namespace labels that hold every pod to one level of the Pod Security Standards. */
export const podSecurity = (level: "restricted" | "baseline" | "privileged"): Record<string, string> => ({
  "pod-security.kubernetes.io/enforce": level,
  "pod-security.kubernetes.io/audit": level,
  "pod-security.kubernetes.io/warn": level,
});

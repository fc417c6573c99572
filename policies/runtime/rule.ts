/** A condition in Falco's filter language, over the fields of one event. */
export type Filter = string;

/** Values with a name, which a condition takes where it takes a list. */
export interface FalcoList {
  name: string;
  items: readonly string[];
}

/** A condition with a name, which other conditions take as it is. */
export interface FalcoMacro {
  name: string;
  condition: Filter;
}

/** How urgent an alert is, in Falco's words, the most urgent first. */
export const PRIORITIES = ["CRITICAL", "ERROR", "WARNING", "NOTICE"] as const;

/** One of {@link PRIORITIES}. */
export type Priority = (typeof PRIORITIES)[number];

/** One rule of detection, apart from the form in which Falco takes it. A rule reports; it never prevents anything. */
export interface RuntimeRule {
  /** Name by which alerts call it. */
  name: string;
  /** What it protects, as one sentence. */
  why: string;
  /** The attack that it sees, as one sentence. */
  detects: string;
  /** What it does not see although a reader might think so, each as one sentence. */
  misses: readonly string[];
  condition: Filter;
  /** Fields that its alerts show beside the {@link COMMON_FIELDS}. */
  fields: readonly string[];
  priority: Priority;
  /** Tactic and technique of MITRE ATT&CK. */
  tags: readonly [`mitre_${string}`, `T${number}${string}`];
}

/** Everything that a rules file holds. */
export interface RuntimePolicy {
  lists: readonly FalcoList[];
  macros: readonly FalcoMacro[];
  rules: readonly RuntimeRule[];
}

/** Label of a pod as a field of its events. */
export const podLabel = (label: string): string => `k8s.pod.label[${label}]`;

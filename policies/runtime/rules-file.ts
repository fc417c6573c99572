import { stringify } from "yaml";

import { STAGE_LABEL } from "../../components/lib/labels";
import { podLabel, type RuntimePolicy, type RuntimeRule } from "./rule";

/** Falco's version whose fields and operators the rules use, and the versions that a rules file demands for it. */
export const FALCO = {
  version: "0.42.1",
  /** Version of the rules engine in it. */
  engine: "0.57.0",
  /** Version of the plugin in it that knows containers and pods. */
  containerPlugin: "0.4.0",
} as const;

/** Fields by which an alert says where it comes from. */
export const ORIGIN = {
  namespace: "k8s.ns.name",
  pod: "k8s.pod.name",
  stage: podLabel(STAGE_LABEL),
  container: "container.name",
  command: "proc.cmdline",
} as const;

/** Fields that every alert shows. */
export const COMMON_FIELDS: readonly string[] = [
  ...Object.values(ORIGIN),
  ...["container.id", "proc.exepath", "proc.pid", "evt.type"],
];

/** What Falco writes when the rule matches: its name, and each field as `<field>=<value>`. */
export const outputOf = ({ name, fields }: RuntimeRule): string =>
  `${name} | ${[...COMMON_FIELDS, ...fields].map((field) => `${field}=%${field}`).join(" ")}`;

/** A rules file of Falco. */
export const rulesFile = ({ lists, macros, rules }: RuntimePolicy): string =>
  stringify(
    [
      { required_engine_version: FALCO.engine },
      { required_plugin_versions: [{ name: "container", version: FALCO.containerPlugin }] },
      ...lists.map(({ name, items }) => ({ list: name, items })),
      ...macros.map(({ name, condition }) => ({ macro: name, condition })),
      ...rules.map((rule) => ({
        rule: rule.name,
        desc: `${rule.why} ${rule.detects}`,
        condition: rule.condition,
        output: outputOf(rule),
        priority: rule.priority,
        source: "syscall",
        tags: ["container", "k8s", ...rule.tags],
      })),
    ],
    { lineWidth: 0 },
  );

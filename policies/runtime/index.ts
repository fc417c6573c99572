export { PRIORITIES, type Priority, type RuntimePolicy, type RuntimeRule } from "./rule";
export { runtimePolicy, type RuntimeSettings } from "./rules";
export { COMMON_FIELDS, FALCO, ORIGIN, outputOf, rulesFile } from "./rules-file";

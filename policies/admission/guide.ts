import { type AdmissionRule, clusterRules, factoryRules, teamRuns, type RunnablePipeline } from ".";

/** Names that stand for what differs from factory to factory. */
const SAMPLE = {
  runtimeClasses: { jailed: "jailed", networked: "networked" },
  unjailedServiceAccounts: ["ingest-source", "ingest-dependencies", "publish"],
  images: { components: ["<image>@sha256:..."], stages: ["<image>@sha256:..."], identityUsers: [] },
  stack: { users: ["kubernetes-admin"], groups: ["kubeadm:cluster-admins", "system:masters"] },
};

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("<", "\\<");

const PLACES = {
  teams: "every team's namespace",
  factory: "the namespaces of the factory's components",
  cluster: "the cluster",
} as const;

const section = ({ name, protects, scope, matches, validations }: AdmissionRule): string => {
  const requests = matches.flatMap(({ resources, operations }) =>
    resources.map((resource) => `\`${resource}\` (${operations.join(", ").toLowerCase()})`),
  );
  const where = typeof scope === "string" ? PLACES[scope] : `namespace \`${scope.namespace}\``;
  return [
    `## \`${name}\``,
    "",
    `${protects} In ${where}: ${requests.join(", ")}.`,
    "",
    "| code | what it looks at | rule | to be admitted |",
    "| --- | --- | --- | --- |",
    ...validations.map(({ code, path, rule, fix }) => `| ${code} | \`${cell(path)}\` | ${cell(rule)} | ${cell(fix)} |`),
    "",
  ].join("\n");
};

/** The guide to admission, as Markdown: how the rules work, and each rule with its codes. */
export const admissionGuide = (pipeline: RunnablePipeline): string =>
  [
    "# Admission",
    "",
    "Generated from `policies/admission` by `npm run generate`.",
    "",
    "The API server itself refuses what could bend a pipeline. Each rule is a ValidatingAdmissionPolicy, so it holds while",
    "every webhook is down, and an expression that fails refuses. A refusal is one line: code, place, what was found, rule,",
    "fix. It is noted in the audit log as well.",
    "",
    "The tables show the runtime classes `jailed` and `networked`, and for a team's own rule the pipeline for Go programs. On a",
    "cluster whose jail is made of network policies alone, `ssf-network-jail` and `ssf-runtime-classes` are absent; on one that the",
    "program did not make, `ssf-system-images` is.",
    "",
    "## Who is exempt",
    "",
    "- Tekton's controller and Chains write what only they can know, each its own part.",
    "- Who brings the stacks up changes definitions, namespaces of teams, runtime classes and what is registered at SPIRE: the",
    "  users in `stackUsers` and the members of `stackGroups` of the factory's stack. On a cluster that you brought yourself, put",
    "  your own identity there before the first team; `kubectl auth whoami` shows it.",
    "- Nobody else, and for runs, pods and ways into a pod nobody at all.",
    "",
    "## In an emergency",
    "",
    "Kubernetes lets no admission rule guard the rules themselves, so an administrator can always remove a binding:",
    "`kubectl delete validatingadmissionpolicybinding ssf-pod-access`. The audit log keeps that. `pulumi up --refresh` on the",
    "factory's stack makes it anew.",
    "",
    "## Marks of Chains at creation",
    "",
    "Tekton's own webhook removes annotations `chains.tekton.dev/...` from a run that is made, before any rule sees them: the run",
    "is admitted without them and signed. A label, a later change, or a missing webhook meets SSF-ADMISSION-020 or 021.",
    "",
    ...[
      ...factoryRules(SAMPLE),
      ...clusterRules(SAMPLE.images.components),
      teamRuns({ team: "<team>", namespace: "team-<team>" }, [pipeline]),
    ].map(section),
  ].join("\n");

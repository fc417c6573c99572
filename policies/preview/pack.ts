import { PolicyPack, type ResourceValidationPolicy, type StackValidationPolicy } from "@pulumi/policy";

import { describeProblem } from "../../components/lib/errors";
import { type PreviewedResource, readInputs } from "./resource";
import { describeUnchecked, type Finding, type PreviewRule, type Verdicts } from "./rule";
import { rules } from "./rules";
import { readSettings } from "./settings";

const settings = readSettings();
const resources = new Map<string, PreviewedResource>();

/** The inputs with the marks of secrets and unknown values, which the SDK hides behind two proxies. */
const markedInputs = (props: unknown): unknown =>
  ["validation of access", "secrets"].reduce<unknown>(
    (proxied) => (proxied as { __getSpecialProxyTarget: unknown }).__getSpecialProxyTarget,
    props,
  );

/** Remembers each resource as it comes by. Only a remediation is told what is secret; this one changes nothing. */
const seen: ResourceValidationPolicy = {
  name: "resources",
  description: "The resources of the preview are known to the other policies.",
  enforcementLevel: "remediate",
  remediateResource: ({ urn, type, props, opts, provider }) => {
    resources.set(urn, {
      urn,
      type,
      ...readInputs(markedInputs(props)),
      parent: opts.parent,
      provider: provider?.urn,
      protect: opts.protect,
    });
  },
};

const verdicts = new Map<PreviewRule, Verdicts>();

/** What a rule says of the whole preview; asked once. */
const verdictsOf = (rule: PreviewRule): Verdicts => {
  const known = verdicts.get(rule) ?? rule.judge([...resources.values()], settings);
  verdicts.set(rule, known);
  return known;
};

const NOT_SEEN = {
  code: "SSF-PREVIEW-005",
  path: "policy resources",
  given: "no resource came by",
  rule: "What the other policies judge is what the policy resources has seen, and it sees nothing at another level.",
  fix: 'Set its level to "remediate" in the configuration of the pack, beside that of "all".',
};

const policy = (
  { name, protects, level }: Pick<PreviewRule, "name" | "protects" | "level">,
  findings: () => readonly Finding[],
): StackValidationPolicy => ({
  name,
  description: protects,
  enforcementLevel: level,
  validateStack: (_, report) => {
    if (resources.size === 0) report(describeProblem(NOT_SEEN));
    else findings().forEach(({ urn, problem }) => report(describeProblem(problem), urn));
  },
});

const notChecked = policy(
  { name: "not-checked", protects: "What nobody can know at preview is said, and never passed.", level: "advisory" },
  () => describeUnchecked(rules.flatMap((rule) => verdictsOf(rule).unchecked)),
);

new PolicyPack("secure-software-factory", {
  policies: [seen, ...rules.map((rule) => policy(rule, () => verdictsOf(rule).violations)), notChecked],
});

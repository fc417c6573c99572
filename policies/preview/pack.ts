import { PolicyPack, type ResourceValidationPolicy, type StackValidationPolicy } from "@pulumi/policy";

import { describeProblem } from "../../components/lib/errors";
import { compileTemplates } from "./compile";
import { type PreviewedResource, readInputs } from "./resource";
import { describeUnchecked, type Finding, type PreviewRule, type Verdicts } from "./rule";
import { rules } from "./rules";
import { readSettings, type RuleConfig, withConfig } from "./settings";

const settings = readSettings();
compileTemplates(settings);

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

const NOT_SEEN = {
  code: "SSF-PREVIEW-005",
  path: "policy resources",
  given: "no resource came by",
  rule: "What the other policies judge is what the policy resources has seen, and it sees nothing at another level.",
  fix: 'Set its level to "remediate" in the configuration of the pack, beside that of "all".',
};

const policy = (
  { name, protects, level, config }: Omit<PreviewRule, "judge">,
  findings: (config: RuleConfig) => readonly Finding[],
): StackValidationPolicy => ({
  name,
  description: protects,
  enforcementLevel: level,
  configSchema: config,
  validateStack: (args, report) => {
    if (resources.size === 0) report(describeProblem(NOT_SEEN));
    else findings(args.getConfig()).forEach(({ urn, problem }) => report(describeProblem(problem), urn));
  },
});

/** What each rule that is not disabled said; the engine asks policies in their order. */
const verdicts = new Map<PreviewRule, Verdicts>();

const judging = (rule: PreviewRule): StackValidationPolicy =>
  policy(rule, (config) => {
    const said = rule.judge([...resources.values()], withConfig(settings, config));
    verdicts.set(rule, said);
    return said.violations;
  });

const notChecked = policy(
  { name: "not-checked", protects: "What nobody can know at preview is said, and never passed.", level: "advisory" },
  () => describeUnchecked([...verdicts.values()].flatMap(({ unchecked }) => unchecked)),
);

new PolicyPack("secure-software-factory", { policies: [seen, ...rules.map(judging), notChecked] });

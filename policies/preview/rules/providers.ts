import { isObject, type PreviewedResource } from "../resource";
import { notChecked, passed, type PreviewRule, together, type Verdicts, violation } from "../rule";

const isDefault = (provider: string): boolean => /::pulumi:providers:[^:]+::default(_[0-9_]+)?$/.test(provider);

const byDefault = (resource: PreviewedResource): Verdicts => {
  if (!isObject(resource)) return passed;
  if (resource.provider === undefined) return notChecked(resource, "provider", "SSF-PREVIEW-020", "pulumi up");
  if (!isDefault(resource.provider)) return passed;
  return violation(resource, {
    code: "SSF-PREVIEW-020",
    path: "provider",
    given: "the default provider",
    rule: "An object names its cluster by a provider; the default one takes whatever this machine's kubeconfig points to.",
    fix: "Give it, or its component, the provider of its stack.",
  });
};

const anonymous = (resource: PreviewedResource): Verdicts => {
  const { type, urn, inputs, unknown } = resource;
  if (type !== "pulumi:providers:kubernetes" || isDefault(urn)) return passed;
  if ("renderYamlToDirectory" in inputs) return passed;
  if (unknown.some((path) => path[0] === "kubeconfig"))
    return notChecked(resource, "kubeconfig", "SSF-PREVIEW-021", "pulumi up");
  if (typeof inputs.kubeconfig === "string" && inputs.kubeconfig !== "") return passed;
  return violation(resource, {
    code: "SSF-PREVIEW-021",
    path: "kubeconfig",
    given: "none",
    rule: "A provider names its cluster; without a kubeconfig it takes whatever this machine's points to.",
    fix: "Give it the kubeconfig that the stack of kind cluster exports.",
  });
};

/** Objects go to the cluster that the program names. */
export const providers: PreviewRule = {
  name: "providers",
  protects: "No object goes to a cluster that the program did not name.",
  level: "mandatory",
  judge: (resources) => together(resources.flatMap((one) => [byDefault(one), anonymous(one)])),
};

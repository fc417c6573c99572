import { isObject, type PreviewedResource } from "../resource";
import { notChecked, passed, type PreviewRule, together, type Verdicts, violation } from "../rule";

const SEEDS = ["random:index/randomBytes:RandomBytes", "random:index/randomPassword:RandomPassword"];

/** What of a resource holds data that nothing could make again; undefined where nothing does, `null` where nobody knows. */
const dataOf = (resource: PreviewedResource): string | null | undefined => {
  const { type, inputs, unknown } = resource;
  if (SEEDS.includes(type)) return "a seed that keys and passwords come from";
  if (!isObject(resource)) return undefined;
  if (inputs.kind === "PersistentVolumeClaim") return "a volume";
  if (inputs.kind !== "StatefulSet") return undefined;
  const claims = (inputs.spec as { volumeClaimTemplates?: unknown[] } | undefined)?.volumeClaimTemplates;
  if (
    unknown.some(([first, second]) => first === "spec" && (second === undefined || second === "volumeClaimTemplates"))
  )
    return null;
  return claims === undefined || claims.length === 0 ? undefined : "the volumes of its pods";
};

const verdictOf = (resource: PreviewedResource): Verdicts => {
  const data = dataOf(resource);
  if (data === undefined || resource.protect) return passed;
  if (data === null) return notChecked(resource, "spec.volumeClaimTemplates", "SSF-PREVIEW-060", "pulumi up");
  return violation(resource, {
    code: "SSF-PREVIEW-060",
    path: "protect",
    given: `not set, and the resource holds ${data}`,
    rule: "What holds the data of a factory that is to last is protected.",
    fix: "Set protectData to true in the stack's settings, or protect: true on the resource.",
  });
};

/** Nothing removes what cannot be made again. */
export const kept: PreviewRule = {
  name: "protect",
  protects: "Nothing removes by accident what cannot be made again.",
  level: "mandatory",
  judge: (resources, { protectData }) => (protectData ? together(resources.map(verdictOf)) : passed),
};

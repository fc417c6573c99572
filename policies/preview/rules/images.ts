import { FACTORY_NAMESPACES, SYSTEM_NAMESPACE } from "../../admission";
import { describePath, isObject, isWithin, namespaceOf, type Path, type PreviewedResource, textsOf } from "../resource";
import { notChecked, passed, type PreviewRule, together, type Verdicts, violation } from "../rule";
import type { Settings } from "../settings";

/** Namespaces that hold nothing but the factory and its cluster. */
const OWN_NAMESPACES: readonly string[] = [...FACTORY_NAMESPACES, SYSTEM_NAMESPACE];

/** Where the form of a pod, or of a stage, stands in each kind that has one. */
const PODS: Readonly<Record<string, Path>> = {
  Pod: ["spec"],
  ReplicationController: ["spec", "template", "spec"],
  Deployment: ["spec", "template", "spec"],
  DaemonSet: ["spec", "template", "spec"],
  StatefulSet: ["spec", "template", "spec"],
  ReplicaSet: ["spec", "template", "spec"],
  Job: ["spec", "template", "spec"],
  CronJob: ["spec", "jobTemplate", "spec", "template", "spec"],
  Task: ["spec"],
};

const LISTS = ["containers", "initContainers", "ephemeralContainers", "steps", "sidecars"];

/** Whether a path below a pod's form is that of an image, or of a part that holds images. */
const isImage = ([list = "", ...rest]: Path): boolean =>
  list === "stepTemplate"
    ? rest.length === 0 || rest[0] === "image"
    : LISTS.includes(list) && (rest.length < 2 || rest[1] === "image");

const verdictsOf = (resource: PreviewedResource, { images }: Settings): Verdicts => {
  const kind = String(resource.inputs.kind);
  const pod = PODS[kind];
  if (!isObject(resource) || pod === undefined) return passed;
  const stages = kind === "Task";
  const inPod = (path: Path): boolean => isWithin(path, pod) && isImage(path.slice(pod.length));
  if (!stages && resource.unknown.some((path) => isWithin(["metadata", "namespace"], path)))
    return notChecked(resource, "metadata.namespace", "SSF-PREVIEW-040");
  if (!stages && !OWN_NAMESPACES.includes(namespaceOf(resource) ?? "")) return passed;
  const listed = stages ? images.stages : images.components;
  return together([
    ...resource.unknown
      .filter((path) => isWithin(pod, path) || inPod(path))
      .map((path) => notChecked(resource, describePath(path), "SSF-PREVIEW-040")),
    ...textsOf(resource)
      .filter(({ path, text }) => path.at(-1) === "image" && inPod(path) && !listed.includes(text))
      .map(({ path, text }) =>
        violation(resource, {
          code: "SSF-PREVIEW-040",
          path: describePath(path),
          given: text,
          rule: stages
            ? "A stage runs an image of a stage that the lock file lists, by digest."
            : "A component of the factory runs an image that the lock file lists, by digest.",
          fix: "Take it from toolchain.lock.json by its name; make toolchain builds and lists images.",
        }),
      ),
  ]);
};

/** The factory and its stages run what was built and locked with them. */
export const images: PreviewRule = {
  name: "images",
  protects: "The factory and its stages run what was built and locked with them.",
  level: "mandatory",
  judge: (resources, settings) => together(resources.map((one) => verdictsOf(one, settings))),
};

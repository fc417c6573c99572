import { texts, type AdmissionRule } from "./rule";

/** Namespaces of the factory's own components: the scope `factory` of rules. */
export const FACTORY_NAMESPACES = [
  "gatekeeper-system",
  "ssf-cert-manager",
  "ssf-falco",
  "ssf-forge",
  "ssf-fulcio",
  "ssf-node-trust",
  "ssf-registry",
  "ssf-rekor",
  "ssf-spire",
  "ssf-spire-agent",
  "ssf-storage",
  "ssf-triggers",
  "ssf-tuf",
  "ssf-verifier",
  "tekton-chains",
  "tekton-pipelines",
  "tekton-pipelines-resolvers",
] as const;

/** Namespace of Kubernetes' own pods and the network's. */
export const SYSTEM_NAMESPACE = "kube-system";

/** Requests that start a container in a pod, or give one another image. */
export const startsContainers: AdmissionRule["matches"] = [
  {
    apiGroup: "",
    apiVersions: ["v1"],
    resources: ["pods", "pods/ephemeralcontainers"],
    operations: ["CREATE", "UPDATE"],
  },
];

const onlyThese = (images: readonly string[]): Pick<AdmissionRule, "matches" | "variables"> => ({
  matches: startsContainers,
  variables: [
    {
      name: "others",
      expression: [
        `(${["containers", "initContainers", "ephemeralContainers"].map((field) => `object.spec.?${field}.orValue([]).map(c, c.?image.orValue("none"))`).join(" + ")})`,
        `.filter(image, !(image in ${texts(images)}))`,
      ].join(""),
    },
  ],
});

const othersRefused = {
  path: "spec.containers[].image",
  admits: "size(variables.others) == 0",
  given: 'variables.others.join(", ")',
};

/**
 * The factory's components run what was built and locked with them. The API server itself holds to it, so that it also
 * protects the namespace that Gatekeeper cannot be asked about.
 */
export const factoryImages = (images: readonly string[]): AdmissionRule => ({
  name: "ssf-factory-images",
  protects:
    "A component of the factory is not replaced by another program, that which decides about others least of all.",
  scope: "factory",
  ...onlyThese(images),
  validations: [
    {
      code: "SSF-ADMISSION-023",
      ...othersRefused,
      rule: "A component of the factory runs an image of its lock file.",
      fix: "Run other programs in a namespace of their own; ./factory up puts the factory's own images in order.",
    },
  ],
});

/** The same of {@link SYSTEM_NAMESPACE}, which Gatekeeper cannot be asked about either, and whose pods may see every node. */
export const systemImages = (images: readonly string[]): AdmissionRule => ({
  name: "ssf-system-images",
  protects: "No program hides among those of Kubernetes and of the network, which the gate must let in.",
  scope: { namespace: SYSTEM_NAMESPACE },
  ...onlyThese(images),
  validations: [
    {
      code: "SSF-ADMISSION-026",
      ...othersRefused,
      rule: "What belongs to the cluster itself runs an image of the lock file.",
      fix: "Run other programs in a namespace of their own; ./factory up puts the cluster's own images in order.",
    },
  ],
});

import { pod } from "./pods";
import { type Case, create, inNamespace, patch } from "./case";
import { SYSTEM_NAMESPACE } from "../../../policies/admission";
import { as, factorySpace, listedImage, strangeImage } from "../support/world";

const running = (image: string) => ({ name: "main", image });

/** A pod as a node shows what it runs by itself. */
const mirrored = (image: string) => ({
  ...pod(
    {
      containers: [running(image)],
      nodeName: "somewhere",
      hostNetwork: true,
      serviceAccountName: undefined,
      runtimeClassName: undefined,
    },
    { name: "etcd-somewhere", namespace: SYSTEM_NAMESPACE, annotations: { "kubernetes.io/config.mirror": "1" } },
  ),
});

const casesIn = (space: string, code: string, component: string): Case[] => {
  const pods = inNamespace("v1", space, "pods");
  const made = (containers: object) => create(pods, pod(containers, { namespace: space }), as.stack);
  const debugging = (image: string) =>
    patch(
      `${pods}/${component}/ephemeralcontainers`,
      [{ op: "add", path: "/spec/ephemeralContainers", value: [{ name: "debug", image }] }],
      as.stack,
    );
  const replaced = (image: string) =>
    patch(`${pods}/${component}`, [{ op: "replace", path: "/spec/containers/0/image", value: image }], as.stack);
  const good = made({ containers: [running(listedImage)] });
  return [
    {
      attempt: `another program in ${space}`,
      code,
      bad: made({ containers: [running(strangeImage)] }),
      good,
    },
    {
      attempt: `the same beside a component in ${space}`,
      code,
      bad: made({ containers: [running(listedImage)], initContainers: [{ name: "first", image: strangeImage }] }),
      good: made({ containers: [running(listedImage)], initContainers: [{ name: "first", image: listedImage }] }),
    },
    {
      attempt: `the image of a component by tag in ${space}`,
      code,
      bad: made({ containers: [running("registry.test/app:1")] }),
      good,
    },
    {
      attempt: `another image in a running component in ${space}`,
      code,
      bad: replaced(strangeImage),
      good: replaced(listedImage),
    },
    {
      attempt: `another program in an ephemeral container of a component in ${space}`,
      code,
      bad: debugging(strangeImage),
      good: debugging(listedImage),
    },
  ];
};

/** What nobody does to a component of the factory or of its cluster, not even who brings it up. */
export const factoryCases = (component: string): Case[] => [
  ...casesIn(factorySpace, "023", component),
  ...casesIn(SYSTEM_NAMESPACE, "026", component),
  {
    attempt: "a pod of the node itself, by tag",
    code: "026",
    bad: create(inNamespace("v1", SYSTEM_NAMESPACE, "pods"), mirrored("registry.test/app:1"), as.node),
    good: create(inNamespace("v1", SYSTEM_NAMESPACE, "pods"), mirrored(listedImage), as.node),
  },
];

import { pod } from "./pods";
import { type Case, create, inNamespace, patch } from "./case";
import { as, factorySpace, listedImage, strangeImage } from "../support/world";

const pods = inNamespace("v1", factorySpace, "pods");

const running = (image: string) => ({ name: "main", image });
const made = (containers: object) => create(pods, pod(containers, { namespace: factorySpace }), as.stack);
const debugging = (name: string, image: string) =>
  patch(
    `${pods}/${name}/ephemeralcontainers`,
    [{ op: "add", path: "/spec/ephemeralContainers", value: [{ name: "debug", image }] }],
    as.stack,
  );

/** What nobody does to a component of the factory, not even who brings it up. */
export const factoryCases = (component: string): Case[] => [
  {
    attempt: "another program in a namespace of the factory",
    code: "023",
    bad: made({ containers: [running(strangeImage)] }),
    good: made({ containers: [running(listedImage)] }),
  },
  {
    attempt: "the same beside a component",
    code: "023",
    bad: made({ containers: [running(listedImage)], initContainers: [{ name: "first", image: strangeImage }] }),
    good: made({ containers: [running(listedImage)], initContainers: [{ name: "first", image: listedImage }] }),
  },
  {
    attempt: "the image of a component by tag",
    code: "023",
    bad: made({ containers: [running("registry.test/app:1")] }),
    good: made({ containers: [running(listedImage)] }),
  },
  {
    attempt: "another image in a running component",
    code: "023",
    bad: patch(
      `${pods}/${component}`,
      [{ op: "replace", path: "/spec/containers/0/image", value: strangeImage }],
      as.stack,
    ),
    good: patch(
      `${pods}/${component}`,
      [{ op: "replace", path: "/spec/containers/0/image", value: listedImage }],
      as.stack,
    ),
  },
  {
    attempt: "another program in an ephemeral container of a component",
    code: "023",
    bad: debugging(component, strangeImage),
    good: debugging(component, listedImage),
  },
];

import { IDENTITY_USERS } from "../components/workloads";
import type { FactoryImages } from "../policies/admission";
import { image, stageImages, type Toolchain } from "./toolchain";

/** Images that Tekton puts beside the steps of every stage. */
const TEKTON_HELPERS = [
  "tekton-entrypoint",
  "tekton-nop",
  "tekton-workingdirinit",
  "tekton-sidecarlogresults",
  "shell",
];

/**
 * Images that the factory may run.
 *
 * @param falcoImage the image of Falco, which the toolchain does not have
 */
export const factoryImages = (toolchain: Toolchain, falcoImage?: string): FactoryImages => ({
  components: [
    ...Object.values(toolchain.images).map(({ reference }) => reference),
    ...(falcoImage === undefined ? [] : [falcoImage]),
  ],
  stages: [...Object.values(stageImages(toolchain)), ...TEKTON_HELPERS.map((name) => image(toolchain, name))],
  identityUsers: IDENTITY_USERS.map(({ namespace, serviceAccount, images }) => ({
    namespace,
    serviceAccount,
    images: images.map((name) => image(toolchain, name)),
  })),
});

import { CERT_MANAGER_WORKLOADS } from "./cert-manager";
import { CHAINS_WORKLOAD } from "./chains";
import { FORGE_WORKLOAD } from "./forge";
import { FULCIO_WORKLOAD } from "./fulcio";
import { GATEKEEPER_WORKLOAD } from "./gatekeeper";
import type { Workload } from "./lib/workload-api";
import { REGISTRY_WORKLOAD } from "./registry";
import { REKOR_WORKLOAD } from "./rekor";
import { SIGNING_HEALER } from "./signing-healer";
import { STORAGE_WORKLOAD } from "./storage";
import { TEKTON_WORKLOADS } from "./tekton";
import { TRIGGERS_WORKLOADS } from "./triggers";
import { TUF_WORKLOAD } from "./tuf-repository";
import { VERIFIER_WORKLOAD } from "./verifier";

/**
 * The components of the factory, each with an identity of its own. Without one are SPIRE's own pods, which the server knows
 * by other means, and those that reach nobody by network: what teaches nodes their registry, and Falco.
 */
export const COMPONENTS: readonly Workload[] = [
  ...CERT_MANAGER_WORKLOADS,
  CHAINS_WORKLOAD,
  FORGE_WORKLOAD,
  FULCIO_WORKLOAD,
  GATEKEEPER_WORKLOAD,
  REGISTRY_WORKLOAD,
  REKOR_WORKLOAD,
  { namespace: CHAINS_WORKLOAD.namespace, serviceAccount: SIGNING_HEALER },
  STORAGE_WORKLOAD,
  ...TEKTON_WORKLOADS,
  ...TRIGGERS_WORKLOADS,
  TUF_WORKLOAD,
  VERIFIER_WORKLOAD,
];

/** Those of them that use their identity, with the images of their pods, by name in the lock file. */
export const IDENTITY_USERS: readonly (Workload & { images: readonly string[] })[] = [
  { ...CHAINS_WORKLOAD, images: ["chains-controller"] },
  { ...REGISTRY_WORKLOAD, images: ["registry", "registry-guard"] },
  { ...VERIFIER_WORKLOAD, images: ["verifier"] },
];

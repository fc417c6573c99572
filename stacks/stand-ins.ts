import { CHAINS_WORKLOAD } from "../components/chains";
import { FULCIO_URL } from "../components/fulcio";
import { POD_CIDR, SERVICE_CIDR } from "../components/lib/kind-config";
import { NetworkPolicies } from "../components/lib/network-policies";
import { TLS_PROXY_PORT } from "../components/lib/tls-proxy";
import { REGISTRY_HOST } from "../components/registry";
import { REKOR_HOST, REKOR_URL } from "../components/rekor";
import { spiffeId, SPIRE_ISSUER } from "../components/spire";
import { ed25519KeyPair } from "../pipelines";
import { SCHEMA, type StackOutputs } from "./outputs";
import { stageImages, type Toolchain } from "./toolchain";

const certificate = "-----BEGIN CERTIFICATE-----\nc3RhbmQtaW4=\n-----END CERTIFICATE-----\n";
const address = "https://stand-in.invalid";

/** A key that signs for nobody, the same each time. */
const { publicKeyPem } = ed25519KeyPair(Buffer.alloc(32, "stand-in").toString("base64"));

/**
 * Outputs in place of those of stacks that are not up, so that the stacks which read them can be previewed all the same:
 * names as the program gives them, and keys, certificates and passwords that nothing accepts.
 *
 * @param kubeconfig of what stands in for the cluster
 */
export const standInOutputs = (kubeconfig: string, toolchain: Toolchain): Pick<StackOutputs, "cluster" | "factory"> => {
  const clusterCidrs = [POD_CIDR, SERVICE_CIDR];
  const cluster = {
    schema: SCHEMA,
    kubeconfig,
    clusterIdentifier: "stand-in",
    runtimeClasses: { jailed: "jailed", networked: "networked" },
    networkPolicies: NetworkPolicies.Cilium,
    clusterCidrs,
  } as const;
  const signer = { identity: spiffeId("stand-in.invalid", CHAINS_WORKLOAD), issuer: SPIRE_ISSUER };
  const images = stageImages(toolchain);
  return {
    cluster: { ...cluster, ruleDigests: [], apiServer: address },
    factory: {
      ...cluster,
      registry: { host: REGISTRY_HOST, namespace: "ssf-registry", service: "registry", caPem: certificate },
      registryReadersKey: "stand-in",
      trustDomain: "stand-in.invalid",
      provenance: {
        builderId: address,
        signer,
        certificateAuthorityPem: certificate,
        log: {
          url: REKOR_URL,
          host: REKOR_HOST,
          namespace: "ssf-rekor",
          service: "rekor",
          port: TLS_PROXY_PORT,
          caPem: certificate,
          publicKeyPem,
        },
      },
      trust: {
        builderId: address,
        authority: { url: FULCIO_URL, chainPem: certificate },
        log: { url: REKOR_URL, publicKeyPem },
        signer,
        images: Object.values(images),
      },
      forge: {
        url: "https://forge.ssf-forge.svc.cluster.local:8443",
        namespace: "ssf-forge",
        service: "forge",
        username: "developer",
        password: "stand-in",
        caPem: certificate,
      },
      stageImages: images,
    },
  };
};

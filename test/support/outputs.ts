import { NetworkPolicies } from "../../components/lib/network-policies";
import { SCHEMA } from "../../stacks/outputs";
import { testCertificates, testImage } from "./render";

/** What a stack of kind cluster gives. */
export const clusterOutputs = {
  schema: SCHEMA,
  kubeconfig: "kubeconfig",
  clusterIdentifier: "ssf",
  runtimeClasses: { jailed: "jailed", networked: "networked" },
  networkPolicies: NetworkPolicies.Cilium,
  clusterCidrs: ["10.20.0.0/16", "10.21.0.0/16", "192.0.2.0/24"],
  ruleDigests: [{ path: "ValidatingAdmissionPolicy/ssf-system-images", sha256: "5".repeat(64) }],
  apiServer: "https://127.0.0.1:6443",
};

/** What a stack of kind factory gives. */
export const factoryOutputs = {
  schema: SCHEMA,
  kubeconfig: "kubeconfig",
  clusterIdentifier: "ssf",
  runtimeClasses: clusterOutputs.runtimeClasses,
  networkPolicies: NetworkPolicies.Cilium,
  clusterCidrs: clusterOutputs.clusterCidrs,
  registry: { host: "registry.example:5000", namespace: "ssf-registry", service: "registry", caPem: "CA" },
  registryReadersKey: "k",
  trustDomain: "factory.example",
  provenance: {
    builderId: "https://b.example",
    signer: { identity: "spiffe://factory.example/ns/ssf-chains/sa/chains", issuer: "https://oidc.example" },
    certificateAuthorityPem: "CA",
    log: {
      url: "https://rekor.example:3000",
      host: "rekor.example",
      namespace: "ssf-rekor",
      service: "rekor",
      port: 3000,
      caPem: "CA",
      publicKeyPem: "PUBLIC",
    },
  },
  trust: {
    builderId: "https://b.example",
    authority: { url: "https://fulcio.example", chainPem: testCertificates("FULCIO", "ROOT") },
    log: { url: "https://rekor.example:3000", publicKeyPem: "PUBLIC" },
    signer: { identity: "spiffe://factory.example/ns/ssf-chains/sa/chains", issuer: "https://oidc.example" },
    images: [testImage("stage-go")],
  },
  forge: {
    url: "https://forge.example",
    namespace: "ssf-forge",
    service: "forge",
    username: "developer",
    password: "f",
    caPem: "CA",
  },
  stageImages: {
    "stage-git": testImage("stage-git"),
    "stage-go": testImage("stage-go"),
    "stage-node": testImage("stage-node"),
    "stage-python": testImage("stage-python"),
    "stage-publish": testImage("stage-publish"),
    "stage-trigger": testImage("stage-trigger"),
    "stage-scan": testImage("stage-scan"),
  },
};

/** What a mocked reference to a stack with these outputs answers. */
export const referenceTo = (outputs: Record<string, unknown>) => (type: string) =>
  type === "pulumi:pulumi:StackReference" ? { outputs, secretOutputNames: [] } : {};

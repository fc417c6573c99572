import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";

import { Admission } from "../components/admission";
import { CertManager } from "../components/cert-manager";
import { Chains, CHAINS_WORKLOAD, chainsPeer } from "../components/chains";
import { Falco } from "../components/falco";
import { Forge } from "../components/forge";
import { Gate } from "../components/gate";
import { Gatekeeper, GATEKEEPER_CLIENT, gatekeeperPeer } from "../components/gatekeeper";
import { Fulcio, FULCIO_URL, fulcioPeer } from "../components/fulcio";
import { ofEpoch } from "../components/lib/names";
import { TLS_PROXY_PORT } from "../components/lib/tls-proxy";
import { NodeTrust } from "../components/node-trust";
import { Registry, REGISTRY_HOST, REGISTRY_PORT, registryPeer } from "../components/registry";
import { Rekor, REKOR_HOST, REKOR_URL, rekorPeer } from "../components/rekor";
import { SigningHealer, signingHealerPeer } from "../components/signing-healer";
import { Spire, SPIRE_ISSUER, SPIRE_ISSUER_PORT, spireServerPeer, spiffeId } from "../components/spire";
import { Storage } from "../components/storage";
import { Tekton } from "../components/tekton";
import { Triggers } from "../components/triggers";
import { TUF_PORT, tufPeer, TufRepository } from "../components/tuf-repository";
import { Verifier, VERIFIER_WORKLOAD, verifierPeer } from "../components/verifier";
import { COMPONENTS, IDENTITY_USERS } from "../components/workloads";
import { UNJAILED_STAGES } from "../policies/admission";
import { readRepository, stateRepository } from "../trust";
import type { FactoryConfig } from "./config";
import { protectData } from "./kept-data";
import { type ExportedOutputs, SCHEMA } from "./outputs";
import { readStack } from "./read-stack";
import { clusterProvider } from "./provider";
import { factoryImages } from "./factory-images";
import { image, readToolchain, source, stageImages, type Toolchain } from "./toolchain";

/** The shared services of one cluster. */
export const factoryStack = async (config: FactoryConfig): Promise<ExportedOutputs<"factory">> => {
  if (config.protectData) protectData();
  const cluster = await readStack("cluster", config.clusterStack);
  const trustFiles = readRepository(config.trustDirectory ?? stateRepository(process.env.SSF_STATE ?? ""));
  const toolchain = readToolchain();
  const images = factoryImages(toolchain, config.falcoImage);
  const opts = { providers: [clusterProvider(cluster)] };
  const shell = image(toolchain, "shell");

  const storage = new Storage(
    "storage",
    { provisionerImage: image(toolchain, "local-path-provisioner"), shellImage: shell },
    opts,
  );
  const authority = new CertManager(
    "cert-manager",
    {
      source: source(toolchain, "cert-manager"),
      images: {
        controller: image(toolchain, "cert-manager-controller"),
        webhook: image(toolchain, "cert-manager-webhook"),
        cainjector: image(toolchain, "cert-manager-cainjector"),
      },
      engine: config.certManagerEngine,
      chartVersion: version(toolchain, "cert-manager-controller"),
    },
    opts,
  );
  const served = { ...opts, dependsOn: [storage, authority] };
  const spire = new Spire(
    "spire",
    {
      images: {
        server: image(toolchain, "spire-server"),
        agent: image(toolchain, "spire-agent"),
        oidcDiscoveryProvider: image(toolchain, "spire-oidc-discovery-provider"),
        controllerManager: image(toolchain, "spire-controller-manager"),
        workloadApiDriver: image(toolchain, "workload-api-driver"),
      },
      trustDomain: config.trustDomain,
      issuer: authority.issuer,
      workloads: COMPONENTS,
      identityUsers: IDENTITY_USERS,
      verifiers: [fulcioPeer],
      storageClass: storage.storageClass,
    },
    served,
  );
  const signer = { identity: spiffeId(config.trustDomain, CHAINS_WORKLOAD), issuer: spire.tokenIssuer };
  const registry = new Registry(
    "registry",
    {
      images: { registry: image(toolchain, "registry"), guard: image(toolchain, "registry-guard") },
      clusterIp: config.registryClusterIp,
      issuer: authority.issuer,
      attestor: signer.identity,
      reader: spiffeId(config.trustDomain, VERIFIER_WORKLOAD),
      storageClass: storage.storageClass,
      networkPolicies: cluster.networkPolicies,
    },
    { ...opts, dependsOn: [spire] },
  );
  const nodeTrust = new NodeTrust(
    "node-trust",
    { registryHost: REGISTRY_HOST, registryUrl: registry.url, caPem: authority.caPem, shellImage: shell },
    opts,
  );
  const forge = new Forge(
    "forge",
    { image: image(toolchain, "forge"), issuer: authority.issuer, storageClass: storage.storageClass },
    served,
  );

  const tekton = new Tekton(
    "tekton",
    {
      source: source(toolchain, "tekton"),
      images: {
        controller: image(toolchain, "tekton-controller"),
        webhook: image(toolchain, "tekton-webhook"),
        events: image(toolchain, "tekton-events"),
        resolvers: image(toolchain, "tekton-resolvers"),
        entrypoint: image(toolchain, "tekton-entrypoint"),
        nop: image(toolchain, "tekton-nop"),
        workingdirinit: image(toolchain, "tekton-workingdirinit"),
        sidecarlogresults: image(toolchain, "tekton-sidecarlogresults"),
        shell,
      },
      version: version(toolchain, "tekton-controller"),
      defaultRuntimeClass: cluster.runtimeClasses?.jailed,
    },
    opts,
  );
  const triggers = new Triggers(
    "triggers",
    {
      source: source(toolchain, "triggers"),
      images: {
        controller: image(toolchain, "triggers-controller"),
        webhook: image(toolchain, "triggers-webhook"),
        eventListener: image(toolchain, "triggers-eventlistenersink"),
      },
      version: version(toolchain, "triggers-controller"),
      issuer: authority.issuer,
    },
    { ...opts, dependsOn: [tekton, authority] },
  );
  const signers = [chainsPeer, signingHealerPeer(CHAINS_WORKLOAD.namespace)];
  const logSeed = new random.RandomBytes(ofEpoch("rekor-key", config.logKeyEpoch), { length: 32 });
  const rekor = new Rekor(
    "rekor",
    {
      images: { rekor: image(toolchain, "rekor"), tlsProxy: image(toolchain, "tls-proxy") },
      issuer: authority.issuer,
      seed: pulumi.secret(logSeed.base64),
      storageClass: storage.storageClass,
      clients: [...signers, verifierPeer],
    },
    served,
  );
  const fulcio = new Fulcio(
    "fulcio",
    {
      images: { fulcio: image(toolchain, "fulcio"), tlsProxy: image(toolchain, "tls-proxy") },
      issuer: authority.issuer,
      caPem: authority.caPem,
      keyEpoch: config.authorityKeyEpoch,
      tokens: {
        issuer: SPIRE_ISSUER,
        peer: spireServerPeer,
        port: SPIRE_ISSUER_PORT,
        trustDomain: config.trustDomain,
      },
      clients: signers,
    },
    { ...opts, dependsOn: [spire] },
  );
  const chains = new Chains(
    "chains",
    {
      source: source(toolchain, "chains"),
      image: image(toolchain, "chains-controller"),
      version: version(toolchain, "chains-controller"),
      builderId: config.builderId,
      signer: {
        fulcioUrl: FULCIO_URL,
        rekorUrl: REKOR_URL,
        rekorPublicKeyPem: rekor.publicKeyPem,
      },
      registry: { host: REGISTRY_HOST, caPem: authority.caPem },
    },
    { ...opts, dependsOn: [tekton, registry, spire, fulcio, rekor] },
  );
  const healer = new SigningHealer(
    "signing-healer",
    {
      image: image(toolchain, "signing-healer"),
      namespace: CHAINS_WORKLOAD.namespace,
      caPem: authority.caPem,
      requires: [`${FULCIO_URL}/api/v2/configuration`, `${REKOR_URL}/api/v1/log`, `https://${REGISTRY_HOST}/v2/`],
    },
    { ...opts, dependsOn: [chains] },
  );
  const admission = new Admission(
    "admission",
    {
      jailedRuntimeClass: cluster.runtimeClasses?.jailed,
      networkedRuntimeClass: cluster.runtimeClasses?.networked,
      unjailedServiceAccounts: UNJAILED_STAGES,
      images,
      stackUsers: config.stackUsers.split(","),
      stackGroups: config.stackGroups.split(","),
    },
    opts,
  );
  const tuf = new TufRepository(
    "tuf",
    {
      image: image(toolchain, "tls-proxy"),
      issuer: authority.issuer,
      metadata: trustFiles,
      clients: [verifierPeer],
    },
    served,
  );
  const falco =
    config.falcoImage === undefined
      ? []
      : [new Falco("falco", { image: config.falcoImage, networkedStages: UNJAILED_STAGES }, opts)];

  const verifier = new Verifier(
    "verifier",
    {
      image: image(toolchain, "verifier"),
      issuer: authority.issuer,
      settings: pulumi.output({
        registry: { host: REGISTRY_HOST, caPem: authority.caPem },
        log: { host: `${REKOR_HOST}:${TLS_PROXY_PORT}`, caPem: authority.caPem },
        trust: { url: tuf.url, caPem: authority.caPem, rootJson: tuf.rootJson },
        builderId: chains.builderId,
        maximumAgeDays: config.maximumProvenanceAgeDays,
        callers: { name: GATEKEEPER_CLIENT, caPem: authority.caPem },
      }),
      sources: [
        { peer: registryPeer, port: REGISTRY_PORT },
        { peer: rekorPeer, port: TLS_PROXY_PORT },
        { peer: tufPeer, port: TUF_PORT },
      ],
      client: gatekeeperPeer,
      networkPolicies: cluster.networkPolicies,
    },
    { ...opts, dependsOn: [registry, rekor, tuf] },
  );
  const services = [
    ...[storage, authority, registry, nodeTrust, forge, tekton, triggers, rekor, spire, fulcio, chains, healer],
    ...[admission, tuf, verifier, ...falco],
  ];
  // Last of all that has pods: from then on nothing starts that it does not admit.
  const gatekeeper = new Gatekeeper(
    "gatekeeper",
    {
      source: source(toolchain, "gatekeeper"),
      image: image(toolchain, "gatekeeper"),
      version: version(toolchain, "gatekeeper"),
      issuer: authority.issuer,
    },
    { ...opts, dependsOn: services },
  );
  const gate = new Gate(
    "gate",
    { verifierUrl: verifier.url, caPem: authority.caPem },
    { ...opts, dependsOn: [gatekeeper] },
  );

  return {
    schema: SCHEMA,
    kubeconfig: pulumi.secret(cluster.kubeconfig),
    clusterIdentifier: cluster.clusterIdentifier,
    runtimeClasses: cluster.runtimeClasses,
    networkPolicies: cluster.networkPolicies,
    clusterCidrs: cluster.clusterCidrs,
    registry: {
      host: registry.host,
      namespace: registry.namespace,
      service: registry.service,
      caPem: authority.caPem,
    },
    registryReadersKey: pulumi.secret(registry.readersKey),
    trustDomain: config.trustDomain,
    provenance: {
      builderId: chains.builderId,
      signer,
      certificateAuthorityPem: fulcio.caPem,
      log: {
        url: rekor.url,
        host: REKOR_HOST,
        namespace: rekor.namespace,
        service: rekor.service,
        port: TLS_PROXY_PORT,
        caPem: authority.caPem,
        publicKeyPem: rekor.publicKeyPem,
      },
    },
    trust: {
      builderId: chains.builderId,
      authority: { url: fulcio.url, chainPem: fulcio.caPem },
      log: { url: rekor.url, publicKeyPem: rekor.publicKeyPem },
      signer,
      images: images.components,
      policy: pulumi.all([cluster.ruleDigests, admission.digests, gate.digests]).apply((digests) => digests.flat()),
    },
    forge: {
      url: forge.url,
      namespace: forge.namespace,
      service: forge.service,
      username: forge.username,
      password: forge.password,
      caPem: authority.caPem,
    },
    stageImages: stageImages(toolchain),
  };
};

const version = (toolchain: Toolchain, name: string): string => toolchain.images[name]?.version ?? "unknown";

import { pod } from "./pods";
import { type Case, create, inNamespace, patch, remove } from "./case";
import { as, factorySpace, listedImage, otherListedImage } from "../support/world";

const entries = "/apis/spire.spiffe.io/v1alpha1/clusterstaticentries";
const patterns = "/apis/spire.spiffe.io/v1alpha1/clusterspiffeids";
const domains = "/apis/spire.spiffe.io/v1alpha1/clusterfederatedtrustdomains";
const pods = inNamespace("v1", factorySpace, "pods");

const registered = (kind: string, name: string, spec: object) => ({
  apiVersion: "spire.spiffe.io/v1alpha1",
  kind,
  metadata: { name },
  spec,
});

/** An entry of SPIRE. */
export const entry = (name: string) =>
  registered("ClusterStaticEntry", name, {
    spiffeID: "spiffe://factory.test/ns/tekton-chains/sa/tekton-chains-controller",
    parentID: "spiffe://factory.test/nodes",
    selectors: ["k8s:ns:elsewhere"],
  });

const pattern = registered("ClusterSPIFFEID", "rogue", { spiffeIDTemplate: "spiffe://factory.test/any" });
const domain = registered("ClusterFederatedTrustDomain", "rogue", {
  trustDomain: "elsewhere.test",
  bundleEndpointURL: "https://elsewhere.test",
  bundleEndpointProfile: { type: "https_web" },
});
const coloured = { metadata: { labels: { colour: "green" } } };

const by = (who: typeof as.operator | typeof as.stack, path: string, object: object) => create(path, object, who);
const signer = (container: object, spec: object = {}) =>
  create(
    pods,
    pod(
      { serviceAccountName: "signer", containers: [{ name: "main", image: listedImage, ...container }], ...spec },
      { namespace: factorySpace },
    ),
    as.stack,
  );
const good = signer({});
const debugging = (name: string) =>
  patch(
    `${pods}/${name}/ephemeralcontainers`,
    [{ op: "add", path: "/spec/ephemeralContainers", value: [{ name: "debug", image: listedImage }] }],
    as.stack,
  );

/** How nobody gets an identity, and nobody uses another's: `user` is a pod whose identity is used, `plain` one without. */
export const identityCases = (user: string, plain: string): Case[] => [
  ...[
    ["an entry of SPIRE", entries, entry("rogue")] as const,
    ["a pattern of SPIRE's entries", patterns, pattern] as const,
    ["a foreign trust domain", domains, domain] as const,
  ].map(([what, path, object]) => ({
    attempt: `${what} by somebody with every right`,
    code: "062",
    bad: by(as.operator, path, object),
    good: by(as.stack, path, object),
  })),
  {
    attempt: "a change of an entry of SPIRE by somebody with every right",
    code: "062",
    bad: patch(`${entries}/nodes`, coloured, as.operator),
    good: patch(`${entries}/nodes`, coloured, as.stack),
  },
  {
    attempt: "the removal of an entry of SPIRE by somebody with every right",
    code: "062",
    bad: remove(`${entries}/nodes`, as.operator),
    good: remove(`${entries}/nodes`, as.stack),
  },
  {
    attempt: "another component's image under an account with an identity",
    code: "024",
    bad: signer({ image: otherListedImage }),
    good,
  },
  {
    attempt: "another component's image under an account with an identity, where it starts first",
    code: "024",
    bad: signer({}, { initContainers: [{ name: "first", image: otherListedImage }] }),
    good: signer({}, { initContainers: [{ name: "first", image: listedImage }] }),
  },
  {
    attempt: "another component's image in a running pod with an identity",
    code: "024",
    bad: patch(
      `${pods}/${user}`,
      [{ op: "replace", path: "/spec/containers/0/image", value: otherListedImage }],
      as.stack,
    ),
    good: patch(`${pods}/${user}`, coloured, as.stack),
  },
  { attempt: "another command under an account with an identity", code: "025", bad: signer({ command: ["sh"] }), good },
  {
    attempt: "a command that is run when such a pod starts",
    code: "025",
    bad: signer({ lifecycle: { postStart: { exec: { command: ["sh"] } } } }),
    good,
  },
  ...["livenessProbe", "readinessProbe", "startupProbe"].map((probe) => ({
    attempt: `a command as ${probe} of such a pod`,
    code: "025",
    bad: signer({ [probe]: { exec: { command: ["sh"] } } }),
    good: signer({ [probe]: { tcpSocket: { port: 1 } } }),
  })),
  {
    attempt: "an ephemeral container in such a pod",
    code: "025",
    bad: debugging(user),
    good: debugging(plain),
  },
];

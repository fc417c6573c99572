import { createHash, sign } from "node:crypto";
import type { ExpectedPipeline, Expectations } from "../../../tools/cli/provenance";
import type { Attestation } from "../../../tools/cli/registry";
import {
  type LogEntry,
  parseAttestation,
  type SignaturePolicy,
  type SignedStatement,
  statementPayloadType,
} from "../../../tools/cli/signature";
import { type Authority, type Leaf, makeAuthority } from "./authority";
import { TestLog } from "./log";

/** Who signs in these tests, and who says so. */
export const signer = {
  identity: "spiffe://factory.test/ns/ssf-chains/sa/tekton-chains-controller",
  issuer: "https://oidc.ssf-spire.svc.cluster.local",
};

/** An authority, a log, and a certificate for the {@link signer}. */
export interface SigningServices {
  authority: Authority;
  log: TestLog;
  leaf: Leaf;
  policy: SignaturePolicy;
}

/** Makes {@link SigningServices}. */
export const signingServices = (): SigningServices => {
  const authority = makeAuthority();
  const log = new TestLog();
  return {
    authority,
    log,
    leaf: authority.issue({ subjectAltName: `URI:${signer.identity}`, issuer: signer.issuer }),
    policy: { ...signer, certificateAuthorityPem: authority.certificatePem, logPublicKeyPem: log.publicKeyPem },
  };
};

/** The services that sign in most tests. */
export const services = signingServices();

const sha256 = (content: Buffer) => createHash("sha256").update(content).digest("hex");

/** Signs a payload as Chains does: DSSE over the payload's type and bytes. */
export const signEnvelope = (payload: string, { privateKey }: Leaf, payloadType = statementPayloadType): Buffer => {
  const bytes = Buffer.from(payload);
  const encoded = Buffer.concat([Buffer.from(`DSSEv1 ${payloadType.length} ${payloadType} ${bytes.length} `), bytes]);
  const sig = sign("sha256", encoded, privateKey).toString("base64");
  const envelope = { payloadType, payload: bytes.toString("base64"), signatures: [{ sig }] };
  return Buffer.from(JSON.stringify(envelope));
};

/** The body that Rekor makes of an envelope that cosign 2 enters: type intoto 0.0.1 in canonical form. */
export const intotoBody = (envelope: Buffer, { certificatePem }: Leaf) => {
  const { payload } = JSON.parse(envelope.toString()) as { payload: string };
  return {
    apiVersion: "0.0.1",
    kind: "intoto",
    spec: {
      content: {
        hash: { algorithm: "sha256", value: sha256(envelope) },
        payloadHash: { algorithm: "sha256", value: sha256(Buffer.from(payload, "base64")) },
      },
      publicKey: Buffer.from(certificatePem).toString("base64"),
    },
  };
};

/** A layer of an image's attestations as Chains writes it. */
export const attestation = (content: Buffer, { certificatePem }: Leaf, entry: LogEntry): Attestation => ({
  content,
  annotations: {
    "dev.cosignproject.cosign/signature": "",
    "dev.sigstore.cosign/certificate": certificatePem,
    "dev.sigstore.cosign/chain": "",
    "dev.sigstore.cosign/bundle": JSON.stringify({
      SignedEntryTimestamp: entry.signedEntryTimestamp.toString("base64"),
      Payload: {
        body: entry.body.toString("base64"),
        integratedTime: entry.integratedTime,
        logIndex: entry.logIndex,
        logID: entry.logId,
      },
    }),
  },
});

/** The signed statement in a layer. */
export const parsed = (layer: Attestation): SignedStatement => {
  const found = parseAttestation(layer);
  if (found === undefined) throw new Error("no signed statement");
  return found;
};

/** Signs a payload and enters it in the log. */
export const signStatement = (payload: string, { leaf, log } = services, payloadType?: string): SignedStatement => {
  const envelope = signEnvelope(payload, leaf, payloadType);
  return parsed(attestation(envelope, leaf, log.add(Buffer.from(JSON.stringify(intotoBody(envelope, leaf))))));
};

const digest = (character: string) => character.repeat(64);
const commit = digest("c").slice(0, 40);
const repository = "https://forge.ssf-forge.svc.cluster.local:8443/service.git";
const imageName = "registry.ssf-registry.svc.cluster.local:5000/team-a/service";

const stages = [
  { name: "ingest-source", jailed: false, image: "1" },
  { name: "ingest-dependencies", jailed: false, image: "2" },
  { name: "build", jailed: true, image: "2" },
  { name: "scan", jailed: true, image: "3" },
  { name: "publish", jailed: false, image: "3" },
];

const podTemplate = (jailed: boolean) => ({
  automountServiceAccountToken: false,
  runtimeClassName: jailed ? "jailed" : "networked",
});

const reference = (kind: string, name: string) => ({
  resolver: "cluster",
  params: [
    { name: "kind", value: kind },
    { name: "name", value: name },
    { name: "namespace", value: "team-a" },
  ],
});

const runSpec = {
  pipelineRef: reference("pipeline", "go"),
  taskRunTemplate: { podTemplate: podTemplate(true) },
  taskRunSpecs: stages.map(({ name, jailed }) => ({
    pipelineTaskName: name,
    serviceAccountName: name,
    podTemplate: podTemplate(jailed),
  })),
};

/** The pipeline as a team's stack describes it. */
export const pipeline: ExpectedPipeline = {
  name: "go",
  stages: stages.map(({ name, jailed }) => ({ name, task: `go-${name}`, serviceAccount: name, jailed })),
  digests: {
    "pipeline/go": digest("a"),
    ...Object.fromEntries(stages.map(({ name }, index) => [`task/go-${name}`, digest(String(index + 4))])),
  },
  runTemplate: { spec: runSpec },
};

const uid = "0b0e5f1e-4f4c-4a6e-9c0d-2f6f3a1f7f10";
const definition = (kind: string, name: string) => `/apis/tekton.dev/v1/namespaces/team-a/${kind}/${name}@${uid}`;

/** A result of the run as Chains records it. */
export const byproduct = (name: string, value: string) => ({
  name: `pipelineRunResults/go-abcde/${name}`,
  content: Buffer.from(JSON.stringify(value)).toString("base64"),
  mediaType: "application/json",
});

/** A time as Chains writes it. */
export const minutesAgo = (minutes: number): string =>
  new Date(Date.now() - minutes * 60_000).toISOString().replace(/\.\d+/, "");

/** A statement as Chains 0.28 writes it for a run of that pipeline. */
export const statement = () => ({
  _type: "https://in-toto.io/Statement/v1",
  subject: [
    { name: imageName, digest: { sha256: digest("f") } },
    { name: imageName, digest: { sha256: digest("e") } },
  ],
  predicateType: "https://slsa.dev/provenance/v1",
  predicate: {
    buildDefinition: {
      buildType: "https://tekton.dev/chains/v2/slsa",
      externalParameters: {
        buildConfigSource: { ref: `sha256:${digest("a")}`, repository: definition("pipeline", "go"), path: "" },
        runSpec: {
          ...structuredClone(runSpec),
          pipelineSpec: undefined as unknown,
          taskRunTemplate: {
            serviceAccountName: "unassigned",
            podTemplate: podTemplate(true) as Record<string, unknown>,
          },
          taskRunSpecs: structuredClone(runSpec.taskRunSpecs) as Record<string, unknown>[],
          params: [
            { name: "repository", value: repository },
            { name: "commit", value: commit },
            { name: "name", value: "service" },
          ],
        },
      },
      resolvedDependencies: [
        { name: "pipeline", uri: definition("pipeline", "go"), digest: { sha256: digest("a") } },
        ...stages.flatMap(({ name, image }, index) => [
          {
            name: "pipelineTask",
            uri: definition("task", `go-${name}`),
            digest: { sha256: digest(String(index + 4)) },
          },
          { uri: `oci://ssf.local/stage-${image}`, digest: { sha256: digest(image) } },
        ]),
        { name: "inputs/result", uri: `git+${repository}`, digest: { sha1: commit } },
      ] as { name?: string; uri: string; digest: Record<string, string> }[],
    },
    runDetails: {
      builder: { id: "https://secure-software-factory.dev/builder/v1" },
      metadata: { invocationId: uid, startedOn: minutesAgo(5), finishedOn: minutesAgo(2) } as Record<string, string>,
      byproducts: ["output-digest", "reproduced-digest"].map((name) => byproduct(name, `sha256:${digest("d")}`)),
    },
  },
});

/** What the image of {@link statement} must have. */
export const expectations = (signature = services.policy): Expectations => ({
  signature: () => [signature],
  image: { name: imageName, digest: `sha256:${digest("f")}` },
  sboms: [{ digest: `sha256:${digest("e")}`, packages: 3 }],
  builderId: "https://secure-software-factory.dev/builder/v1",
  namespace: "team-a",
  pipelines: [pipeline],
  stageImages: ["1", "2", "3"].map((image) => `ssf.local/stage-${image}@sha256:${digest(image)}`),
  jailedRuntimeClass: "jailed",
});

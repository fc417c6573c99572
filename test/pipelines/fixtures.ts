import {
  definitionSigner,
  ed25519KeyPair,
  go,
  type DefinitionSigner,
  type PipelineModel,
  type Stage,
  type TeamPipelineArgs,
} from "../../pipelines";

/** A digest that no image has. */
export const someDigest = `sha256:${"ab".repeat(32)}`;

/** A key that everybody knows. */
export const testKeys = ed25519KeyPair(Buffer.alloc(32, 7).toString("base64"));

export const testSigner: DefinitionSigner = definitionSigner(testKeys.privateKeyPem);

/** A team with every optional setting. */
export const teamArgs = (changes: Partial<TeamPipelineArgs> = {}): TeamPipelineArgs => ({
  team: "a",
  namespace: "team-a",
  images: {
    "stage-git": `images.test/stage-git@${someDigest}`,
    "stage-go": `images.test/stage-go@${someDigest}`,
    "stage-node": `images.test/stage-node@${someDigest}`,
    "stage-python": `images.test/stage-python@${someDigest}`,
    "stage-publish": `images.test/stage-publish@${someDigest}`,
    "stage-scan": `images.test/stage-scan@${someDigest}`,
  },
  language: go({ goProxy: "https://modules.test", goSumDb: "sums.test", goNoSumDb: "example.com/*" }),
  registry: { repository: "images.test:5000/team-a", caConfigMap: "registry-ca" },
  caBundleConfigMap: "certificates",
  runtimeClasses: { jailed: "jailed", networked: "networked" },
  ...changes,
});

/** A stage that breaks no rule. */
export const stage = (name: string, changes: Partial<Stage> = {}): Stage => ({
  name,
  description: "Does something.",
  image: `images.test/tool@${someDigest}`,
  script: "true",
  params: [],
  results: [],
  reads: [],
  network: "none",
  env: {},
  mounts: [],
  resources: { cpu: "1", memory: "1Gi", scratch: "1Gi" },
  ...changes,
});

/** Two stages, where the second reads what the first wrote; it breaks no rule. */
export const model = (changes: Partial<PipelineModel> = {}): PipelineModel => ({
  name: "small",
  description: "Two stages.",
  params: [{ name: "word", description: "a word.", pattern: "[a-z]+", default: "some" }],
  workspaces: [{ name: "things", description: "What the first stage made.", storage: "1Gi" }],
  stages: [
    stage("make", {
      writes: "things",
      params: [{ name: "word", description: "A word.", pattern: "[a-z]+", from: { run: "word" } }],
      results: [{ name: "count", description: "How many." }],
    }),
    stage("use", {
      reads: ["things"],
      params: [
        { name: "count", description: "How many.", pattern: "[0-9]+", from: { stage: "make", result: "count" } },
      ],
    }),
  ],
  results: [{ name: "count", description: "How many.", from: { stage: "make", result: "count" } }],
  ...changes,
});

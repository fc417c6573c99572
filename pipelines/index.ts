export { canonicalBytes, definitionChecksum, digest, signatureAnnotation, type TektonObject } from "./canonical";
export { checkPipeline, networkOfStage } from "./graph";
export { ecdsaKeyPair, ed25519KeyPair, type KeyPair } from "./keys";
export { go, type GoOptions } from "./languages/go";
export type * from "./model";
export { patterns } from "./patterns";
export { definitionSigner, signDefinition, verifyDefinition, type DefinitionSigner } from "./sign";
export {
  teamModel,
  teamPipeline,
  unsignedTeamPipeline,
  type SignedTeamPipeline,
  type SignedTeamPipelineArgs,
  type StageSummary,
  type TeamPipeline,
  type TeamPipelineArgs,
} from "./team-pipeline";
export {
  pipelineRun,
  runParams,
  verificationPolicyOf,
  type DefinitionAuthority,
  type Pipeline,
  type PipelineRun,
  type RuntimeClasses,
  type Task,
  type VerificationPolicy,
} from "./tekton";

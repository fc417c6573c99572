export { parseAllowedSigners } from "./allowed-signers";
export { canonicalBytes, definitionChecksum, digest, signatureAnnotation, type TektonObject } from "./canonical";
export { checkPipeline, networkOfStage } from "./graph";
export { ecdsaKeyPair, ed25519KeyPair, type KeyPair } from "./keys";
export { go, type GoOptions } from "./languages/go";
export { npm, type NpmOptions } from "./languages/npm";
export { pip, type PipOptions } from "./languages/pip";
export type * from "./model";
export { patterns } from "./patterns";
export {
  describePipeline,
  mermaidPicture,
  mermaidText,
  svgPicture,
  type PicturedPipeline,
  type PicturedStage,
} from "./picture";
export {
  definitionSigner,
  signDefinition,
  signsDefinitions,
  verifyChecksum,
  verifyDefinition,
  type DefinitionSigner,
  type Signed,
} from "./sign";
export {
  defaultPipeline,
  teamModel,
  teamPipeline,
  unsignedTeamPipeline,
  type SignedTeamPipeline,
  type SignedTeamPipelineArgs,
  type StageSummary,
  type TeamPipeline,
  type TeamPipelineArgs,
} from "./team-pipeline";
export { EVENT_FIELDS, triggeredRun, triggerParams, type TriggeredRun } from "./trigger";
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

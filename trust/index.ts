export { directoryFiles, httpsFiles, type HttpsRepository, type ReadFile, readTrust, type TrustSource } from "./client";
export {
  type Builder,
  type FactoryImage,
  type FactoryTrust,
  factoryTrustSchema,
  fingerprints,
  parseFactoryTrust,
  parseTargets,
  type PolicyFile,
  ruleDigestSchema,
  signersAt,
  TARGETS,
  type Trust,
  type TrustChange,
  updateTrust,
  writeTargets,
} from "./content";
export { ownRepository, readFiles, readRepository, stateRepository, writeFiles } from "./directory";
export { decryptKey, MINIMUM_PASSPHRASE, type NewKey, newKey, requirePassphrase, type SigningKey } from "./keys";
export {
  type Files,
  isRepositoryFile,
  makeRepository,
  newestRoot,
  openRepository,
  PERIODS,
  type Periods,
  type Repository,
  type Role,
  type RoleKeys,
  ROLES,
  type RoleState,
  roleStates,
  rotateKeys,
  type Signed,
  signRepository,
} from "./repository";

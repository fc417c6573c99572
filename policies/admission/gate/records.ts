import { z } from "zod";

const text = z.string().min(1);

/** Settings of the verifier that are the same for all teams; see {@link VerifierSettings}. */
export const verifierSettingsSchema = z.strictObject({
  registry: z.strictObject({ host: text, caPem: text }),
  log: z.strictObject({ host: text, caPem: text }),
  trust: z.strictObject({ url: text, caPem: text, rootJson: text }),
  builderId: text,
  maximumAgeDays: z.int().nonnegative(),
  callers: z.strictObject({ name: text, caPem: text }),
});

/** What one state of a team's definitions vouches for; see {@link TeamRecord}. */
export const teamRecordSchema = z.strictObject({
  namespace: text,
  repository: text,
  forges: z.array(text),
  sources: z.record(z.string(), text),
  stageImages: z.array(text),
  jailedRuntimeClass: text.nullable(),
  pipelines: z.array(
    z.object({
      name: text,
      stages: z.array(z.object({ name: text, task: text, serviceAccount: text, jailed: z.boolean() })),
      digests: z.record(z.string(), text),
      runTemplate: z.object({ spec: z.unknown() }),
    }),
  ),
});

/** Where registry, log and trust repository are, and who may ask: what the verifier holds of every image. */
export type VerifierSettings = z.infer<typeof verifierSettingsSchema>;

/**
 * What images of one team must have. `sources` names the one repository that an image, by its path below `repository`, must
 * come from; the others may come from any of `forges`, each as `<name>:<port>`.
 */
export type TeamRecord = z.infer<typeof teamRecordSchema>;

/** Namespace of the verifier; the records of teams lie there, as ConfigMaps with {@link RECORD_LABEL}. */
export const VERIFIER_NAMESPACE = "ssf-verifier";

/** Label of a ConfigMap that holds a {@link TeamRecord}; its value is the name of the team. */
export const RECORD_LABEL = "secure-software-factory.dev/verified-team";

/** Key of the record in its ConfigMap. */
export const RECORD_KEY = "record.json";

/** ConfigMap of the verifier with the last checkpoint that it saw of each log, by the log's ID. */
export const VERIFIER_CHECKPOINTS = "verifier-checkpoints";

/** Files of the verifier's pod, by directory. */
export const VERIFIER_FILES = {
  settings: "/etc/verifier/settings.json",
  certificate: "/etc/verifier-tls/tls.crt",
  key: "/etc/verifier-tls/tls.key",
  cache: "/var/cache/verifier/trust",
} as const;

/** Port of the verifier. */
export const VERIFIER_PORT = 8443;

/** Path of the one question that the verifier is asked. */
export const VERIFY_PATH = "/verify";

/** Path that says whether the verifier answers; it takes no certificate. */
export const HEALTH_PATH = "/healthz";

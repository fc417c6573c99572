import type { TeamRecord } from "../../policies/admission/gate/records";
import { checkEvidence, conclude, fetchEvidence } from "../cli/image-checks";
import { askLog, openLog } from "../cli/log";
import { allHeld, bestOf, type Check } from "../cli/provenance";
import { type ImageReference, openRegistry, readingUntil, type RegistryAccess } from "../cli/registry";
import type { ServiceAccess } from "../cli/service";
import type { Trusted } from "../cli/trusted";
import type { KeptCheckpoints } from "./checkpoints";
import { takingTurns } from "./turns";

/** Settings of {@link imageChecker}. */
export interface CheckerSettings {
  registry: RegistryAccess;
  log: ServiceAccess;
  /** Where checkpoints of the log are kept that has that key, and had those before, the newest first. */
  memory: KeptCheckpoints;
  /** Builder that every image must name. */
  builderId: string;
  /** Days after which an image is to be built anew; 0 for never. */
  maximumAgeDays: number;
  /** Whose signatures count. */
  trusted: () => Promise<Trusted>;
  /** What the image of that name must have by its team's records, of which there is one at least, the newest first. */
  records: (image: string) => Promise<readonly TeamRecord[]>;
}

const DAY_MILLISECONDS = 24 * 60 * 60 * 1000;

/** How many images of one team are checked at once, so that what one of them pushed leaves time for those of the others. */
const AT_ONCE_BY_TEAM = 2;

/** Checks an image, unless the signal is given before that is done. */
export type ImageChecker = (image: ImageReference, signal: AbortSignal) => Promise<Check[]>;

/**
 * Checks images of the teams as `factory verify` does, from within the cluster. An image holds when it holds under one of its
 * team's records: what was built by earlier definitions of the team may still run.
 */
export const imageChecker = (settings: CheckerSettings): ImageChecker => {
  const log = openLog(settings.log);
  const registry = openRegistry(settings.registry);
  const { builderId, maximumAgeDays } = settings;
  const check: ImageChecker = async (image, signal) => {
    signal.throwIfAborted();
    const name = `${image.host}/${image.path}`;
    const records = await settings.records(name);
    const { signature, logPublicKeyPem, formerLogPublicKeysPem, signedImages, revokedAt } = await settings.trusted();
    const memory = settings.memory(logPublicKeyPem, formerLogPublicKeysPem);
    const notBefore = maximumAgeDays === 0 ? undefined : new Date(Date.now() - maximumAgeDays * DAY_MILLISECONDS);
    const evidence = await fetchEvidence(readingUntil(registry, signal), image, revokedAt);
    const results: Check[][] = [];
    for (const { repository, sources, ...record } of records) {
      const stageImages = signedImages(record.stageImages);
      const source = sources[name.slice(repository.length + 1)];
      const expected = { ...record, stageImages, builderId, signature, source, notBefore };
      const checks = await checkEvidence(evidence, expected, (entry) => askLog(log, entry, logPublicKeyPem, memory));
      if (allHeld(checks)) return checks;
      results.push(checks);
    }
    return conclude(evidence, bestOf(results));
  };
  const byTeam = takingTurns(AT_ONCE_BY_TEAM);
  return (image, signal) => byTeam(image.path.split("/")[0] ?? "", () => check(image, signal));
};

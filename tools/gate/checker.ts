import type { TeamRecord } from "../../policies/admission/gate/records";
import type { CheckpointMemory } from "../cli/checkpoint";
import { checkImage } from "../cli/image-checks";
import { askLog, openLog } from "../cli/log";
import { allHeld, bestOf, type Check } from "../cli/provenance";
import { type ImageReference, openRegistry, type RegistryAccess } from "../cli/registry";
import type { ServiceAccess } from "../cli/service";
import type { Trusted } from "../cli/trusted";

/** Settings of {@link imageChecker}. */
export interface CheckerSettings {
  registry: RegistryAccess;
  log: ServiceAccess;
  /** Where checkpoints of the log with that key are kept. */
  memory: (logPublicKeyPem: string) => CheckpointMemory;
  /** Builder that every image must name. */
  builderId: string;
  /** Whose signatures count. */
  trusted: () => Promise<Trusted>;
  /** What the image of that name must have by its team's records, of which there is one at least, the newest first. */
  records: (image: string) => Promise<readonly TeamRecord[]>;
}

/**
 * Checks images of the teams as `factory verify` does, from within the cluster. An image holds when it holds under one of its
 * team's records: what was built by earlier definitions of the team may still run.
 */
export const imageChecker = (settings: CheckerSettings): ((image: ImageReference) => Promise<Check[]>) => {
  const log = openLog(settings.log);
  const registry = openRegistry(settings.registry);
  const { builderId } = settings;
  return async (image) => {
    const name = `${image.host}/${image.path}`;
    const records = await settings.records(name);
    const { signature, logPublicKeyPem, signedImages } = await settings.trusted();
    const results: Check[][] = [];
    for (const { repository, sources, ...record } of records) {
      const stageImages = signedImages(record.stageImages);
      const source = sources[name.slice(repository.length + 1)];
      const expected = { ...record, stageImages, builderId, signature, source };
      const checks = await checkImage(image, registry, expected, (entry) =>
        askLog(log, entry, logPublicKeyPem, settings.memory(logPublicKeyPem)),
      );
      if (allHeld(checks)) return checks;
      results.push(checks);
    }
    return bestOf(results);
  };
};

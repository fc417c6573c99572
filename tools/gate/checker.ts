import { FactoryError } from "../../components/lib/errors";
import type { Checkpoint, CheckpointMemory } from "../cli/checkpoint";
import { checkImage, type ImageExpectations } from "../cli/image-checks";
import { askLog, openLog } from "../cli/log";
import type { Check } from "../cli/provenance";
import { type ImageReference, openRegistry, type RegistryAccess } from "../cli/registry";
import type { ServiceAccess } from "../cli/service";

/** A team whose images may run, and what they must have. */
export interface GateTeam {
  /** Registry and path below which its images lie. */
  repository: string;
  /** Its registry, and who may read the team's images there. */
  registry: RegistryAccess;
  expected: ImageExpectations;
}

/** Settings of {@link imageChecker}. */
export interface CheckerSettings {
  teams: readonly GateTeam[];
  log: ServiceAccess;
}

/** Remembers the largest checkpoint of this process, and starts with trust in the first one. */
const processMemory = (): CheckpointMemory => {
  let last: Checkpoint | undefined;
  return {
    read: () => Promise.resolve(last),
    write: (checkpoint) => {
      // Another question may have been answered meanwhile.
      if (last === undefined || checkpoint.size > last.size) last = checkpoint;
      return Promise.resolve();
    },
  };
};

/** Checks images of the teams as `factory verify` does, from within the cluster. */
export const imageChecker = ({
  teams,
  log: access,
}: CheckerSettings): ((image: ImageReference) => Promise<Check[]>) => {
  const memory = processMemory();
  const log = openLog(access);
  const known = teams.map(({ repository, registry, expected }) => ({
    repository,
    expected,
    registry: openRegistry(registry),
  }));
  return async (image) => {
    const { host, path } = image;
    const team = known.find(({ repository }) => `${host}/${path}`.startsWith(`${repository}/`));
    if (team === undefined)
      throw new FactoryError({
        code: "SSF-VERIFY-004",
        path: `${host}/${path}`,
        given: "no image of a team of this factory",
        rule: "A factory vouches for the images of its own teams.",
        fix: `Start an image below ${teams.map(({ repository }) => repository).join(" or ")}.`,
      });
    const { logPublicKeyPem } = team.expected.signature;
    return checkImage(image, team.registry, team.expected, (entry) => askLog(log, entry, logPublicKeyPem, memory));
  };
};

import { FactoryError } from "../../components/lib/errors";
import type { StackOutputs } from "../../stacks/outputs";
import { checkpointMemory } from "./checkpoint";
import { checkEvidence, conclude, fetchEvidence } from "./image-checks";
import { openKubectl } from "./kubectl";
import { askLog, type LogFindings, openLog } from "./log";
import { factoryStack, readOutputs, readTeams } from "./outputs";
import type { Check } from "./provenance";
import { type ImageReference, openRegistry, parseImage } from "./registry";
import { type LogEntry, logIdOf } from "./signature";
import { readOwnTrust } from "./trust";
import { trustedFor } from "./trusted";
import { checkpointFile, type Workspace } from "./workspace";

/** What is asked of an image beyond that the factory built it. */
export interface AskedFor {
  /** Address that the source must come from. @default any */
  source?: string;
  /** Commit that the source must be. @default any */
  commit?: string;
}

/** Looks at everything that the provenance of an image, given as text, says. */
export type ImageVerifier = (text: string, asked?: AskedFor) => Promise<Check[]>;

const ownerOf = (teams: readonly StackOutputs["team"][], { host, path, digest }: ImageReference) => {
  const found = teams.find(({ registryRepository }) => `${host}/${path}`.startsWith(`${registryRepository}/`));
  if (found !== undefined) return found;
  throw new FactoryError({
    code: "SSF-VERIFY-004",
    path: `${host}/${path}@${digest}`,
    given: "no image of a team of this factory",
    rule: "A factory vouches for the images of its own teams.",
    fix:
      teams.length === 0
        ? "Bring up a team by ./factory up, then build the image."
        : `Give an image below ${teams.map(({ registryRepository }) => registryRepository).join(" or ")}.`,
  });
};

/** Reads once what the factory says of itself, and verifies images by it. */
export const openImageVerifier = async (workspace: Workspace): Promise<ImageVerifier> => {
  const factory = await readOutputs(workspace, "factory", factoryStack(workspace));
  const teams = await readTeams(workspace);
  const trust = await readOwnTrust(workspace);
  return async (text, { source, commit } = {}) => {
    const image = parseImage(text);
    const team = ownerOf(teams, image);
    const { registry, provenance } = team;
    const { log } = provenance;
    const kubectl = openKubectl(team.kubeconfig);
    const { signature, logPublicKeyPem, formerLogPublicKeysPem, signedImages, revokedAt } = trustedFor(
      trust,
      provenance.builderId,
    );
    const kept = (publicKeyPem: string) => ({ file: checkpointFile(workspace, logIdOf(publicKeyPem)), publicKeyPem });
    const memory = checkpointMemory(kept(logPublicKeyPem).file, logPublicKeyPem, formerLogPublicKeysPem.map(kept));
    const askOurs = async (entry: LogEntry): Promise<LogFindings> => {
      const { port, close } = await kubectl.portForward(log.namespace, log.service, log.port);
      try {
        return await askLog(openLog({ ...log, localPort: port }), entry, logPublicKeyPem, memory);
      } finally {
        close();
      }
    };
    const port = Number(registry.host.split(":")[1] ?? 443);
    const forward = await kubectl.portForward(registry.namespace, registry.service, port);
    try {
      const login = () => Promise.resolve(team.registryCredentials.reader);
      const client = openRegistry({ login, ...registry, localPort: forward.port });
      const evidence = await fetchEvidence(client, image, revokedAt);
      const expected = {
        signature,
        builderId: provenance.builderId,
        namespace: team.namespace,
        pipelines: Object.values(team.pipelines),
        stageImages: signedImages(Object.values(factory.stageImages)),
        jailedRuntimeClass: factory.runtimeClasses?.jailed ?? null,
        source,
        commit,
      };
      return conclude(evidence, await checkEvidence(evidence, expected, askOurs));
    } finally {
      forward.close();
    }
  };
};

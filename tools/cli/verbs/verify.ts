import { FactoryError } from "../../../components/lib/errors";
import type { StackOutputs } from "../../../stacks/outputs";
import { checkpointMemory } from "../checkpoint";
import { openKubectl } from "../kubectl";
import { askLog, type LogFindings, openLog } from "../log";
import { exitCode, type ExitCode } from "../outcome";
import { factoryStack, readOutputs, readTeams } from "../outputs";
import { checkImage } from "../image-checks";
import { allHeld, type Check } from "../provenance";
import { type ImageReference, openRegistry, parseImage } from "../registry";
import { type LogEntry, logIdOf } from "../signature";
import { readOwnTrust } from "../trust";
import { trustedFor } from "../trusted";
import { checkpointFile, openWorkspace, type Workspace, type WorkspaceOptions } from "../workspace";

/** Options of {@link verify}. */
export interface VerifyOptions extends WorkspaceOptions {
  json: boolean;
  source?: string;
  commit?: string;
}

const owner = async (workspace: Workspace, { host, path, digest }: ImageReference): Promise<StackOutputs["team"]> => {
  const teams = await readTeams(workspace);
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

/** Looks at everything that the provenance of an image says. */
export const verifyImage = async (workspace: Workspace, text: string, options: VerifyOptions): Promise<Check[]> => {
  const image = parseImage(text);
  const factory = await readOutputs(workspace, "factory", factoryStack(workspace));
  const team = await owner(workspace, image);
  const { registry, provenance } = team;
  const { log } = provenance;
  const kubectl = openKubectl(team.kubeconfig);
  const { signature, logPublicKeyPem, formerLogPublicKeysPem, signedImages, revokedAt } = trustedFor(
    await readOwnTrust(workspace),
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
    const expected = {
      signature,
      revokedAt,
      builderId: provenance.builderId,
      namespace: team.namespace,
      pipelines: Object.values(team.pipelines),
      stageImages: signedImages(Object.values(factory.stageImages)),
      jailedRuntimeClass: factory.runtimeClasses?.jailed ?? null,
      source: options.source,
      commit: options.commit,
    };
    return await checkImage(image, client, expected, askOurs);
  } finally {
    forward.close();
  }
};

/** Verifies an image by its digest and prints each check. */
export const verify = async (text: string, options: VerifyOptions): Promise<ExitCode> => {
  const checks = await verifyImage(openWorkspace(options), text, options);
  const held = allHeld(checks);
  if (options.json) console.log(JSON.stringify({ image: text, held, checks }, undefined, 2));
  else {
    for (const { code, title, held: itHeld, detail } of checks)
      console.log(`${itHeld ? "held  " : "FAILED"} ${title}: ${detail}${itHeld ? "" : ` (${code})`}`);
    console.log(held ? `verified: ${text}` : `not verified: ${text}`);
  }
  return held ? exitCode.held : exitCode.didNotHold;
};

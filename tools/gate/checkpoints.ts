import { z } from "zod";
import { FactoryError } from "../../components/lib/errors";
import { type CheckpointMemory, rememberedCheckpoint } from "../cli/checkpoint";
import { openService, type ServiceAccess } from "../cli/service";
import { logIdOf } from "../cli/signature";

const configMapSchema = z.object({
  metadata: z.object({ resourceVersion: z.string() }),
  data: z.record(z.string(), z.string()).default({}),
});

const unreachable = (path: string, given: string): FactoryError =>
  new FactoryError({
    code: "SSF-VERIFY-012",
    path,
    given,
    rule: "The last checkpoint of the log that was seen must be kept, or nothing shows that the log only grew.",
    fix: "Look at ./factory status; ./factory up mends what is missing.",
  });

/** The memory of the log that has that key, as PEM, and had those before, the newest first. */
export type KeptCheckpoints = (logPublicKeyPem: string, former?: readonly string[]) => CheckpointMemory;

/**
 * Keeps checkpoints of logs in a ConfigMap that is there, by the log's ID and as the log signed them, so that whoever may
 * write there can put no other ones. A larger one takes the place of a smaller one, never the other way round, also when
 * several processes write at once. A log that was given another key must still grow out of what it was: as long as nothing
 * is kept under its key, what was kept under the last one counts.
 *
 * @throws FactoryError on reading or writing: `SSF-VERIFY-006` when something else is there; `-012` when the ConfigMap is
 * not there or the API server does not answer
 */
export const keptCheckpoints = (access: ServiceAccess, namespace: string, name: string): KeptCheckpoints => {
  const ask = openService(access, unreachable);
  const path = `/api/v1/namespaces/${namespace}/configmaps/${name}`;
  const failed = (status: number) => unreachable(`https://${access.host}${path}`, `HTTP status ${status}`);

  return (logPublicKeyPem, former = []) => {
    const keys = [logPublicKeyPem, ...former].map((publicKeyPem) => ({ publicKeyPem, logId: logIdOf(publicKeyPem) }));
    const look = async () => {
      const { status, body } = await ask(path, "application/json");
      if (status !== 200) throw failed(status);
      const { metadata, data } = configMapSchema.parse(JSON.parse(body.toString()));
      const [last] = keys.flatMap(({ publicKeyPem, logId }) => {
        const note = data[logId];
        const place = `ConfigMap ${name} in ${namespace}, ${logId}`;
        return note === undefined ? [] : [rememberedCheckpoint(note, publicKeyPem, place)];
      });
      return { version: metadata.resourceVersion, checkpoint: last };
    };
    const write: CheckpointMemory["write"] = async (news) => {
      const { version, checkpoint } = await look();
      if (checkpoint !== undefined && checkpoint.size >= news.size) return;
      const { status } = await ask(path, "application/json", {
        sent: {
          method: "PATCH",
          type: "application/merge-patch+json",
          body: JSON.stringify({
            metadata: { resourceVersion: version },
            data: { [logIdOf(logPublicKeyPem)]: news.note },
          }),
        },
      });
      // Somebody else wrote since it was looked at.
      if (status === 409) return write(news);
      if (status !== 200) throw failed(status);
    };
    return { read: async () => (await look()).checkpoint, write };
  };
};

import { z } from "zod";
import { FactoryError } from "../../components/lib/errors";
import { type Checkpoint, type CheckpointMemory, openCheckpoint } from "./checkpoint";
import { hasGrown, isIncluded } from "./merkle";
import { openService, type ServiceAccess } from "./service";
import type { LogEntry } from "./signature";

/** What was found out about one thing. */
export interface Finding {
  /** What is wrong; undefined when it holds. */
  fault?: string;
  /** What was found, when it holds. */
  found: string;
}

/** What a log answered about one entry. */
export interface LogFindings {
  /** Whether the entry is in the log. */
  inclusion: Finding;
  /** Whether the log still has everything that it had when it was last seen. */
  growth: Finding;
}

/** An entry that a log promised to include. */
export type Entered = Pick<LogEntry, "body" | "logIndex">;

/** An entry as the log has it, and the proof that it does. */
interface LoggedEntry {
  body: Buffer;
  /** Place in the tree of the checkpoint. */
  index: number;
  path: Buffer[];
  checkpoint: string;
}

/** A client for reading one log. */
export interface Log {
  /** The entry with that index; undefined when there is none. */
  entry: (logIndex: number) => Promise<LoggedEntry | undefined>;
  /** The log's present checkpoint. */
  checkpoint: () => Promise<string>;
  /** Proof that the tree of the second size begins with that of the first. */
  consistencyProof: (first: Checkpoint, second: Checkpoint) => Promise<Buffer[]>;
}

const base64 = z.base64().transform((content) => Buffer.from(content, "base64"));
const hashes = z.array(z.hash("sha256").transform((hash) => Buffer.from(hash, "hex")));

const entriesSchema = z.record(
  z.string(),
  z.object({
    body: base64,
    verification: z.object({
      inclusionProof: z.object({ checkpoint: z.string(), hashes, logIndex: z.int().nonnegative() }),
    }),
  }),
);
const logSchema = z.object({ signedTreeHead: z.string() });
const proofSchema = z.object({ hashes });

const unreadable = (path: string, given: string): FactoryError =>
  new FactoryError({
    code: "SSF-VERIFY-005",
    path,
    given,
    rule: "The factory's log must answer: without it, nothing shows that an entry is still there.",
    fix: "Look at ./factory status; ./factory up mends what is missing.",
  });

/** A client of Rekor's interface, version 1. */
export const openLog = (access: ServiceAccess): Log => {
  const get = openService(access, unreadable);
  const read = async <T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> => {
    const { status, body } = await get(`/api/v1/log${path}`, "application/json");
    const url = `https://${access.host}/api/v1/log${path}`;
    if (status === 404) return undefined;
    if (status !== 200) throw unreadable(url, `HTTP status ${status}`);
    try {
      return schema.parse(JSON.parse(body.toString()));
    } catch {
      throw unreadable(url, "an answer in another form than Rekor's");
    }
  };
  const readExisting = async <T>(path: string, schema: z.ZodType<T>): Promise<T> => {
    const answer = await read(path, schema);
    if (answer === undefined) throw unreadable(`https://${access.host}/api/v1/log${path}`, "HTTP status 404");
    return answer;
  };
  return {
    entry: async (logIndex) => {
      const [logged] = Object.values((await read(`/entries?logIndex=${logIndex}`, entriesSchema)) ?? {});
      if (logged === undefined) return undefined;
      const { checkpoint, hashes: path, logIndex: index } = logged.verification.inclusionProof;
      return { body: logged.body, index, path, checkpoint };
    },
    checkpoint: async () => (await readExisting("", logSchema)).signedTreeHead,
    consistencyProof: async (first, second) => {
      const tree = / - ([0-9]+)$/.exec(second.origin)?.[1] ?? "";
      const query = `firstSize=${first.size}&lastSize=${second.size}&treeID=${tree}`;
      return (await readExisting(`/proof?${query}`, proofSchema)).hashes;
    },
  };
};

const unsigned = "its checkpoint is not signed by the factory's log";

const inclusionFault = (entry: Entered, logged: LoggedEntry | undefined, checkpoint: Checkpoint | undefined) => {
  if (logged === undefined) return `no entry at index ${entry.logIndex}, although the log promised one`;
  if (checkpoint === undefined) return unsigned;
  if (!logged.body.equals(entry.body)) return `the entry at index ${entry.logIndex} is another one`;
  return isIncluded(entry.body, logged.index, logged.path, checkpoint)
    ? undefined
    : `the proof does not lead from the entry to the root of ${checkpoint.size} entries`;
};

const growthOf = async (log: Log, last: Checkpoint | undefined, now: Checkpoint | undefined): Promise<Finding> => {
  if (now === undefined) return { fault: unsigned, found: "" };
  if (last === undefined)
    return { found: `seen for the first time, with ${now.size} entries: taken as it is, and remembered` };
  if (last.origin !== now.origin)
    return { fault: `it is now ${now.origin}, and was ${last.origin}: another log in its place`, found: "" };
  if (now.size < last.size)
    return {
      fault: `it shows ${now.size} entries, and had ${last.size}: cut off, or an old state shown again`,
      found: "",
    };
  const proof = now.size === last.size ? [] : await log.consistencyProof(last, now);
  return hasGrown(last, now, proof)
    ? { found: now.size === last.size ? `still ${now.size} entries` : `from ${last.size} to ${now.size} entries` }
    : { fault: `its ${now.size} entries do not begin with the ${last.size} that it had: a fork`, found: "" };
};

/**
 * Asks the log about an entry that it promised to include, and remembers its checkpoint when the log only grew since the
 * last one. The first checkpoint ever seen is taken on trust.
 *
 * @throws FactoryError `SSF-VERIFY-005` when the log does not answer
 */
export const askLog = async (
  log: Log,
  entry: Entered,
  publicKeyPem: string,
  memory: CheckpointMemory,
): Promise<LogFindings> => {
  // Before the question: what another process remembers meanwhile is newer than the answer.
  const last = await memory.read();
  const logged = await log.entry(entry.logIndex);
  const checkpoint = openCheckpoint(logged?.checkpoint ?? (await log.checkpoint()), publicKeyPem);
  const fault = inclusionFault(entry, logged, checkpoint);
  const growth = await growthOf(log, last, checkpoint);
  const isNews = growth.fault === undefined && checkpoint !== undefined && checkpoint.size > (last?.size ?? 0);
  if (isNews) await memory.write(checkpoint);
  return {
    inclusion: { fault, found: `entry ${entry.logIndex}, below a checkpoint of ${checkpoint?.size ?? 0} entries` },
    growth,
  };
};

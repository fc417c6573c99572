import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { Agent, request } from "node:https";
import { join } from "node:path";

import { BaseFetcher, Updater } from "tuf-js";
import { DownloadHTTPError } from "tuf-js/dist/error";

import { FactoryError } from "../components/lib/errors";
import { parseTargets, TARGETS, type Trust } from "./content";
import { sha256 } from "../components/lib/digest";
import { isRepositoryFile } from "./repository";

/** Reads a file of the repository by its name; undefined when the repository says that it has none. */
export type ReadFile = (name: string) => Promise<Buffer | undefined>;

/** A repository behind HTTPS. */
export interface HttpsRepository {
  /** Address of the directory with the files, such as `https://tuf.ssf-tuf.svc.cluster.local:8443`. */
  url: string;
  /** Authority of the server's certificate. */
  caPem: string;
  /** Port of this machine that leads to the server. @default none: the address itself is connected to */
  localPort?: number;
}

const SIZE_LIMIT = 8 << 20;
const TIMEOUT_SECONDS = 30;

const unreachable = (path: string, given: string): FactoryError =>
  new FactoryError({
    code: "SSF-TRUST-010",
    path,
    given,
    rule: "The trust repository must answer; without it nothing is trusted.",
    fix: "Look at ./factory status; ./factory up mends what is missing.",
  });

/** Reads files from a server, whose certificate is checked for the name in the address. */
export const httpsFiles = ({ url, caPem, localPort }: HttpsRepository): ReadFile => {
  const base = new URL(url);
  // One connection for all requests: a forwarded port may drop a connection that opens while another one closes.
  const agent = new Agent({ keepAlive: true, maxSockets: 1, servername: base.hostname, ca: caPem });
  return (name) =>
    new Promise((resolve, reject) => {
      const path = `${base.pathname.replace(/\/$/, "")}/${name}`;
      const fail = (reason: string) => reject(unreachable(`${base.origin}${path}`, reason));
      const outgoing = request(
        {
          host: localPort === undefined ? base.hostname : "127.0.0.1",
          port: localPort ?? (base.port === "" ? 443 : Number(base.port)),
          agent,
          path,
          headers: { host: base.host },
          timeout: TIMEOUT_SECONDS * 1000,
        },
        (response) => {
          const chunks: Buffer[] = [];
          let size = 0;
          response.on("data", (chunk: Buffer) => {
            size += chunk.length;
            if (size > SIZE_LIMIT) outgoing.destroy(new Error("larger than 8 MiB"));
            else chunks.push(chunk);
          });
          response.on("end", () => {
            if (response.statusCode === 404) resolve(undefined);
            else if (response.statusCode === 200) resolve(Buffer.concat(chunks));
            else fail(`HTTP status ${response.statusCode ?? 0}`);
          });
        },
      );
      outgoing.on("timeout", () => outgoing.destroy(new Error(`no answer within ${TIMEOUT_SECONDS} s`)));
      outgoing.on("error", (error) => fail(error.message));
      outgoing.end();
    });
};

/** Reads files from a directory of this machine. */
export const directoryFiles =
  (directory: string): ReadFile =>
  async (name) => {
    try {
      return await readFile(join(directory, name));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw unreachable(join(directory, name), error instanceof Error ? error.message : String(error));
    }
  };

/** Where trust comes from. */
export interface TrustSource {
  /** Root metadata that the caller trusts already: text of an `<n>.root.json`. Newer roots are followed from there. */
  rootJson: string;
  /** How files of the repository are read. */
  read: ReadFile;
  /**
   * Directory of the caller's own, which it keeps: what was seen there is never older again. It is made when it is not
   * there, and several roots may share it.
   */
  directory: string;
}

/** Any address does for the library; files are read by name. */
const BASE = "https://tuf.invalid";

/** Hands names of files to a {@link ReadFile}, and keeps its refusal, which the library would wrap. */
class Fetcher extends BaseFetcher {
  failure: Error | undefined;

  constructor(private readonly read: ReadFile) {
    super();
  }

  override async fetch(url: string): ReturnType<BaseFetcher["fetch"]> {
    const name = new URL(url).pathname.slice(1);
    let content: Buffer | undefined;
    try {
      content = isRepositoryFile(name) ? await this.read(name) : undefined;
    } catch (error) {
      this.failure = error instanceof Error ? error : new Error(String(error));
      throw error;
    }
    if (content === undefined) throw new DownloadHTTPError(`${name} is not there`, 404);
    return new Blob([new Uint8Array(content)]).stream() as Awaited<ReturnType<BaseFetcher["fetch"]>>;
  }
}

/** The caller's directory for one root, with a root in it that can be read; a killed process may have torn it. */
const openCache = (directory: string, rootJson: string): string => {
  const cache = join(directory, sha256(rootJson).slice(0, 16));
  mkdirSync(cache, { recursive: true, mode: 0o700 });
  const file = join(cache, "root.json");
  try {
    JSON.parse(readFileSync(file, "utf8"));
  } catch {
    writeFileSync(file, rootJson);
  }
  return cache;
};

/**
 * Reads the trust repository as a TUF 1.0 client: follows its roots, and takes its targets only when signatures,
 * versions, digests and expiry all hold.
 *
 * @throws FactoryError `SSF-TRUST-010` when the repository does not answer
 * @throws FactoryError `SSF-TRUST-011` when it answers with what does not hold
 * @throws FactoryError `SSF-TRUST-012` when no keys of a factory are signed in it
 */
export const readTrust = async ({ rootJson, read, directory }: TrustSource): Promise<Trust> => {
  const fetcher = new Fetcher(read);
  const contents: Record<string, string> = {};
  try {
    const cache = openCache(directory, rootJson);
    const updater = new Updater({
      metadataDir: cache,
      metadataBaseUrl: BASE,
      targetDir: cache,
      targetBaseUrl: BASE,
      fetcher,
    });
    await updater.refresh();
    for (const name of Object.values(TARGETS)) {
      const target = await updater.getTargetInfo(name);
      if (target === undefined) continue;
      const file = (await updater.findCachedTarget(target)) ?? (await updater.downloadTarget(target));
      contents[name] = readFileSync(file, "utf8");
    }
  } catch (error) {
    if (fetcher.failure !== undefined) throw fetcher.failure;
    throw new FactoryError({
      code: "SSF-TRUST-011",
      path: "trust repository",
      given: error instanceof Error ? error.message : String(error),
      rule: "Its metadata must be signed by the keys of its roles, newer than what was seen before, and not expired.",
      fix: "Run ./factory trust show where its files are kept, sign anew what expired, and bring the factory's stack up.",
    });
  }
  return parseTargets(contents);
};

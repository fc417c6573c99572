import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import type { RequestListener } from "node:http";
import { json } from "@sigstore/core";
import type { Checkpoint, CheckpointMemory } from "../../../tools/cli/checkpoint";
import type { LogEntry } from "../../../tools/cli/signature";

const hash = (...parts: Buffer[]): Buffer => {
  const sum = createHash("sha256");
  for (const part of parts) sum.update(part);
  return sum.digest();
};

const split = (size: number): number => {
  let left = 1;
  while (left * 2 < size) left *= 2;
  return left;
};

/** MTH of RFC 6962 section 2.1, as it is written there. */
export const treeHash = (leaves: readonly Buffer[]): Buffer => {
  const [only] = leaves;
  if (only === undefined) return hash();
  if (leaves.length === 1) return hash(Buffer.of(0), only);
  const left = split(leaves.length);
  return hash(Buffer.of(1), treeHash(leaves.slice(0, left)), treeHash(leaves.slice(left)));
};

/** PATH of RFC 6962 section 2.1.1, as it is written there. */
export const auditPath = (index: number, leaves: readonly Buffer[]): Buffer[] => {
  if (leaves.length <= 1) return [];
  const left = split(leaves.length);
  return index < left
    ? [...auditPath(index, leaves.slice(0, left)), treeHash(leaves.slice(left))]
    : [...auditPath(index - left, leaves.slice(left)), treeHash(leaves.slice(0, left))];
};

/** SUBPROOF of RFC 6962 section 2.1.2, as it is written there. */
const subproof = (size: number, leaves: readonly Buffer[], complete: boolean): Buffer[] => {
  if (size === leaves.length) return complete ? [] : [treeHash(leaves)];
  const left = split(leaves.length);
  return size <= left
    ? [...subproof(size, leaves.slice(0, left), complete), treeHash(leaves.slice(left))]
    : [...subproof(size - left, leaves.slice(left), false), treeHash(leaves.slice(0, left))];
};

/** PROOF of RFC 6962 section 2.1.2. */
export const consistencyProof = (size: number, leaves: readonly Buffer[]): Buffer[] => subproof(size, leaves, true);

const host = "rekor.test";

/** A log in memory that signs and answers as Rekor 1.5.3 does. */
export class TestLog {
  readonly publicKeyPem: string;
  readonly logId: string;
  readonly entries: LogEntry[] = [];
  private readonly privateKey: KeyObject;

  constructor(readonly tree = "3904496407287907110") {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    this.privateKey = privateKey;
    this.publicKeyPem = publicKey.export({ type: "spki", format: "pem" }) as string;
    this.logId = hash(publicKey.export({ type: "spki", format: "der" })).toString("hex");
  }

  /** Takes an entry and promises to include it. */
  add(body: Buffer, integratedTime = Math.floor(Date.now() / 1000)): LogEntry {
    const logIndex = this.entries.length;
    const promised = { body: body.toString("base64"), integratedTime, logIndex, logID: this.logId };
    const signedEntryTimestamp = sign("sha256", Buffer.from(json.canonicalize(promised)), this.privateKey);
    const entry = { body, integratedTime, logIndex, logId: this.logId, signedEntryTimestamp };
    this.entries.push(entry);
    return entry;
  }

  /** The tree of the first entries. */
  leaves(size = this.entries.length): Buffer[] {
    return this.entries.slice(0, size).map(({ body }) => body);
  }

  /** A checkpoint of the first entries. */
  checkpoint(size = this.entries.length): string {
    return this.sign(`${host} - ${this.tree}\n${size}\n${treeHash(this.leaves(size)).toString("base64")}\n`);
  }

  /** Signs a text as a note. */
  sign(text: string): string {
    const signature = sign("sha256", Buffer.from(text), this.privateKey);
    const hinted = Buffer.concat([Buffer.from(this.logId.slice(0, 8), "hex"), signature]);
    return `${text}\n\u2014 ${host} ${hinted.toString("base64")}\n`;
  }

  /** Answers of Rekor's interface; undefined where it answers 404. */
  answer(url: string): unknown {
    const { pathname, searchParams } = new URL(url, "https://rekor.test");
    const numbers = (...names: string[]) => names.map((name) => Number(searchParams.get(name)));
    const hex = (hashes: Buffer[]) => hashes.map((one) => one.toString("hex"));
    const leaves = this.leaves();
    const rootHash = treeHash(leaves).toString("hex");
    const treeSize = leaves.length;
    switch (pathname) {
      case "/api/v1/log":
        return { rootHash, treeSize, treeID: this.tree, signedTreeHead: this.checkpoint(), inactiveShards: [] };
      case "/api/v1/log/proof": {
        const [first = 0, last = 0] = numbers("firstSize", "lastSize");
        if (searchParams.get("treeID") !== this.tree || first > last || last > treeSize) return undefined;
        return { rootHash, hashes: hex(consistencyProof(first, leaves.slice(0, last))) };
      }
      case "/api/v1/log/entries": {
        const [logIndex = 0] = numbers("logIndex");
        const entry = this.entries[logIndex];
        if (entry === undefined) return undefined;
        const uuid = `${BigInt(this.tree).toString(16).padStart(16, "0")}${hash(Buffer.of(0), entry.body).toString("hex")}`;
        const inclusionProof = {
          checkpoint: this.checkpoint(),
          hashes: hex(auditPath(logIndex, leaves)),
          ...{ logIndex, rootHash, treeSize },
        };
        return {
          [uuid]: {
            body: entry.body.toString("base64"),
            integratedTime: entry.integratedTime,
            logID: entry.logId,
            logIndex,
            verification: { inclusionProof, signedEntryTimestamp: entry.signedEntryTimestamp.toString("base64") },
          },
        };
      }
      default:
        return undefined;
    }
  }
}

/** A memory of one log, for as long as it is used. */
export const ownMemory = (): CheckpointMemory => {
  let last: Checkpoint | undefined;
  return {
    read: () => Promise.resolve(last),
    write: (checkpoint) => {
      last = checkpoint;
      return Promise.resolve();
    },
  };
};

/** Serves what a function answers, as JSON. */
export const serve =
  (answer: (url: string) => unknown): RequestListener =>
  (request, response) => {
    const content = answer(request.url ?? "");
    response.writeHead(content === undefined ? 404 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify(content ?? { code: 404, message: "" }));
  };

import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import type { RequestListener } from "node:http";
import type { Server } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CheckpointMemory, checkpointMemory, openCheckpoint } from "../../tools/cli/checkpoint";
import { askLog, openLog } from "../../tools/cli/log";
import type { ServiceAccess } from "../../tools/cli/service";
import { serve, TestLog } from "./support/log";
import { certificateFor, listen } from "./support/tls";

const host = "rekor.ssf-rekor.svc.cluster.local";
const certificate = certificateFor(host);
const directory = mkdtempSync(join(tmpdir(), "ssf-log-"));

let log: TestLog;
let memory: CheckpointMemory;
let file: string;
let listener: RequestListener;
let server: Server;
let access: ServiceAccess;
let asked: string[];

beforeAll(async () => {
  const listening = await listen(certificate, (request, response) => {
    asked.push(request.url ?? "");
    listener(request, response);
  });
  server = listening.server;
  access = { host, localPort: listening.port, caPem: certificate.certificatePem, timeoutMilliseconds: 3_000 };
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(directory, { recursive: true });
});

const grow = (size: number, into = log) => {
  while (into.entries.length < size) into.add(Buffer.from(`entry ${into.entries.length}`));
};
const entryAt = (index: number) => {
  const entry = log.entries[index];
  if (entry === undefined) throw new Error(`no entry ${index}`);
  return entry;
};

beforeEach(() => {
  asked = [];
  log = new TestLog();
  grow(7);
  file = join(mkdtempSync(join(directory, "memory-")), "checkpoints", log.logId);
  memory = checkpointMemory(file, log.publicKeyPem);
  listener = serve((url) => log.answer(url));
});

const ask = (index: number, changed: Partial<ServiceAccess> = {}) =>
  askLog(openLog({ ...access, ...changed }), entryAt(index), log.publicKeyPem, memory);

/** Serves what the log answers, changed. */
const forge = (change: (answer: string, url: string) => string | undefined) => {
  listener = serve((url) => {
    const answer = log.answer(url);
    const changed = answer === undefined ? undefined : change(JSON.stringify(answer), url);
    return changed === undefined ? undefined : (JSON.parse(changed) as unknown);
  });
};

const wrongHash = (answer: string) =>
  answer.replace(/"hashes":\["(.)/, (_, first: string) => `"hashes":["${first === "0" ? "1" : "0"}`);

const remembered = async () => (await memory.read())?.size;

describe("a log that answers", () => {
  it("shows every entry below its checkpoint, and is taken on trust the first time", async () => {
    const { inclusion, growth } = await ask(3);
    expect(inclusion).toEqual({ found: "entry 3, below a checkpoint of 7 entries" });
    expect(growth).toEqual({ found: "seen for the first time, with 7 entries: taken as it is, and remembered" });
    for (const index of log.entries.keys()) expect((await ask(index)).inclusion.fault).toBeUndefined();
    expect(await remembered()).toBe(7);
  });

  it("is remembered as it signed itself, in a file of the user's own", async () => {
    await ask(0);
    const note = readFileSync(file, "utf8");
    expect(openCheckpoint(note, log.publicKeyPem)).toMatchObject({ origin: `rekor.test - ${log.tree}`, size: 7, note });
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it("may stay as it is", async () => {
    await ask(0);
    asked = [];
    expect((await ask(0)).growth).toEqual({ found: "still 7 entries" });
    expect(asked).toEqual(["/api/v1/log/entries?logIndex=0"]);
  });

  it("proves that it grew out of what it was, and is remembered as it is then", async () => {
    await ask(0);
    grow(12);
    expect((await ask(9)).growth).toEqual({ found: "from 7 to 12 entries" });
    expect(asked.at(-1)).toBe(`/api/v1/log/proof?firstSize=7&lastSize=12&treeID=${log.tree}`);
    expect(await remembered()).toBe(12);
  });
});

describe("an entry", () => {
  it("that the log promised and does not have is missing", async () => {
    const promised = log.add(Buffer.from("promised"));
    log.entries.pop();
    const { inclusion, growth } = await askLog(openLog(access), promised, log.publicKeyPem, memory);
    expect(inclusion.fault).toBe("no entry at index 7, although the log promised one");
    expect(growth.fault).toBeUndefined();
    expect((await ask(6)).inclusion.fault).toBeUndefined();
  });

  it("is not another one at its place", async () => {
    const promised = entryAt(3);
    log.entries.splice(3, 1, log.add(Buffer.from("another")));
    log.entries.pop();
    const { inclusion } = await askLog(openLog(access), promised, log.publicKeyPem, memory);
    expect(inclusion.fault).toBe("the entry at index 3 is another one");
  });

  it.each<[string, (answer: string) => string]>([
    ["another path", wrongHash],
    ["a shorter path", (answer) => answer.replace(/"hashes":\["[0-9a-f]{64}",/, '"hashes":[')],
    ["no path", (answer) => answer.replace(/"hashes":\[[^\]]*\]/, '"hashes":[]')],
    ["another place", (answer) => answer.replace(/"logIndex":3,"rootHash"/, '"logIndex":4,"rootHash"')],
    ["a place outside", (answer) => answer.replace(/"logIndex":3,"rootHash"/, '"logIndex":7,"rootHash"')],
  ])("is not shown by %s", async (_, change) => {
    forge((answer) => change(answer));
    const { inclusion, growth } = await ask(3);
    expect(inclusion.fault).toBe("the proof does not lead from the entry to the root of 7 entries");
    expect(growth.fault).toBeUndefined();
    forge((answer) => answer);
    expect((await ask(3)).inclusion.fault).toBeUndefined();
  });
});

describe("a log that was given a new key", () => {
  const rekeyed = (change: (entries: TestLog["entries"]) => void = () => undefined) => {
    const entries = [...log.entries];
    change(entries);
    return Object.assign(new TestLog(log.tree), { entries });
  };
  const askRekeyed = async (next: TestLog, isFormerTrusted = true) => {
    const promised = entryAt(3);
    await ask(3);
    grow(12, next);
    listener = serve((url) => next.answer(url));
    const former = isFormerTrusted ? [{ file, publicKeyPem: log.publicKeyPem }] : [];
    const kept = checkpointMemory(join(directory, next.logId), next.publicKeyPem, former);
    const findings = await askLog(openLog(access), promised, next.publicKeyPem, kept);
    return { ...findings, kept };
  };

  it("still has the entries that it promised under the old one, and grew out of what it was", async () => {
    const next = rekeyed();
    const { inclusion, growth, kept } = await askRekeyed(next);
    expect(inclusion).toEqual({ found: "entry 3, below a checkpoint of 12 entries" });
    expect(growth).toEqual({ found: "from 7 to 12 entries" });
    expect(openCheckpoint(readFileSync(join(directory, next.logId), "utf8"), next.publicKeyPem)?.size).toBe(12);
    expect((await kept.read())?.size).toBe(12);
  });

  it("and lost or changed an entry meanwhile is a fork", async () => {
    const shorter = await askRekeyed(rekeyed((entries) => entries.splice(5, 1)));
    expect(shorter.growth.fault).toMatch(/: a fork$/);
    const changed = await askRekeyed(rekeyed((entries) => entries.splice(5, 1, entryAt(6))));
    expect(changed.growth.fault).toMatch(/: a fork$/);
  });

  it("is taken as it is where the old key counts for nothing any more", async () => {
    const { growth } = await askRekeyed(rekeyed(), false);
    expect(growth.found).toMatch(/^seen for the first time/);
  });
});

describe("a checkpoint", () => {
  const unsigned = "its checkpoint is not signed by the factory's log";

  it.each<[string, () => string]>([
    ["by another key", () => Object.assign(new TestLog(log.tree), { entries: log.entries }).checkpoint()],
    ["over another size", () => log.checkpoint().replace("\n7\n", "\n8\n")],
    ["by nobody", () => log.checkpoint().replace(/\u2014.*\n/, "")],
    ["over no checkpoint", () => log.sign("rekor.test - 1\nseven\n")],
    ["over text before it", () => `x${log.checkpoint()}`],
  ])("signed %s proves nothing and is not remembered", async (_, note) => {
    forge((answer) => answer.replace(/"checkpoint":"[^"]*"/, `"checkpoint":${JSON.stringify(note())}`));
    expect(await ask(3)).toMatchObject({ inclusion: { fault: unsigned }, growth: { fault: unsigned } });
    expect(await remembered()).toBeUndefined();
    forge((answer) => answer);
    expect((await ask(3)).growth.fault).toBeUndefined();
  });

  it("may carry signatures of others as well, and lines that we do not know", () => {
    const note = log.checkpoint();
    const witness = `\u2014 witness.test ${Buffer.alloc(68, 1).toString("base64")}\n`;
    expect(openCheckpoint(note + witness, log.publicKeyPem)).toMatchObject({ size: 7, note: note + witness });
    expect(openCheckpoint(note.replace("\u2014", `${witness}\u2014`), log.publicKeyPem)?.size).toBe(7);
    const extended = log.sign(note.replace(/\n\n[^]*/, "\nextra line\n"));
    expect(openCheckpoint(extended, log.publicKeyPem)?.size).toBe(7);
    expect(openCheckpoint(extended.replace("extra", "other"), log.publicKeyPem)).toBeUndefined();
  });
});

describe("a log that was seen before", () => {
  beforeEach(async () => {
    await ask(3);
  });

  const refused = async (fault: RegExp) => {
    const before = readFileSync(file, "utf8");
    expect((await ask(3)).growth.fault).toMatch(fault);
    expect(readFileSync(file, "utf8")).toBe(before);
  };

  it("is refused when it has another past, whether it grew meanwhile or not", async () => {
    const [first] = log.entries.splice(0, 1, log.add(Buffer.from("another past")));
    log.entries.pop();
    await refused(/^its 7 entries do not begin with the 7 that it had: a fork$/);
    grow(12);
    await refused(/^its 12 entries do not begin with the 7 that it had: a fork$/);
    log.entries.splice(0, 1, ...(first ? [first] : []));
    expect((await ask(3)).growth).toEqual({ found: "from 7 to 12 entries" });
  });

  it("is refused when an older checkpoint of its own is shown again", async () => {
    const old = log.answer("/api/v1/log/entries?logIndex=3");
    grow(12);
    await ask(3);
    listener = serve(() => old);
    const { inclusion, growth } = await ask(3);
    expect(inclusion.fault).toBeUndefined();
    expect(growth.fault).toBe("it shows 7 entries, and had 12: cut off, or an old state shown again");
    expect(await remembered()).toBe(12);
  });

  it("is refused when it lost its end, and the entry with it", async () => {
    const lost = entryAt(6);
    log.entries.splice(5);
    expect(await askLog(openLog(access), lost, log.publicKeyPem, memory)).toMatchObject({
      inclusion: { fault: "no entry at index 6, although the log promised one" },
      growth: { fault: "it shows 5 entries, and had 7: cut off, or an old state shown again" },
    });
  });

  it("is refused when another tree stands in its place", async () => {
    Object.assign(log, { tree: "1" });
    await refused(/^it is now rekor.test - 1, and was rekor.test - 3904496407287907110: another log in its place$/);
  });

  it("is refused when its proof of growth is another one", async () => {
    grow(12);
    forge((answer, url) => (url.includes("/proof") ? wrongHash(answer) : answer));
    await refused(/a fork$/);
    forge((answer) => answer);
    expect((await ask(3)).growth.fault).toBeUndefined();
  });

  it("is not asked when what is remembered is damaged", async () => {
    const note = readFileSync(file, "utf8");
    for (const content of ["", "garbage", new TestLog().checkpoint()]) {
      writeFileSync(file, content);
      asked = [];
      await expect(ask(3)).rejects.toThrow(/SSF-VERIFY-006[^]*no checkpoint that the factory's log signed\n {2}rule: /);
      expect(asked).toEqual([]);
    }
    writeFileSync(file, note);
    expect((await ask(3)).growth.fault).toBeUndefined();
  });
});

describe("a log that does not answer is no log that does not have the entry", () => {
  it.each<[string, RequestListener, RegExp]>([
    ["is broken", (_, response) => response.writeHead(500).end("{}"), /HTTP status 500/],
    ["says nothing", () => undefined, /no answer within 3 s/],
    [
      "stops in the middle",
      (_, response) => {
        response.writeHead(200, { "content-length": 1000 }).write("{");
        setTimeout(() => response.destroy(), 50);
      },
      /aborted/,
    ],
    ["is something else", (_, response) => response.writeHead(200).end("<html>"), /another form than Rekor's/],
    ["answers in another form", (_, response) => response.writeHead(200).end('{"x":{}}'), /another form than Rekor's/],
    ["knows no path at all", (_, response) => response.writeHead(404).end(), /HTTP status 404/],
  ])("when it %s", async (_, broken, reason) => {
    const working = listener;
    listener = broken;
    await expect(ask(3)).rejects.toThrow(/SSF-VERIFY-005 https:[^]*\n {2}rule: [^]*\n {2}fix: /);
    await expect(ask(3)).rejects.toThrow(reason);
    expect(await remembered()).toBeUndefined();
    listener = working;
    expect((await ask(3)).inclusion.fault).toBeUndefined();
  });

  it("when it proves no growth", async () => {
    await ask(3);
    grow(12);
    forge((answer, url) => (url.includes("/proof") ? undefined : answer));
    await expect(ask(3)).rejects.toThrow(/SSF-VERIFY-005[^]*\/proof[^]*HTTP status 404/);
    expect(await remembered()).toBe(7);
  });

  it("when its certificate is of another authority, or for another name", async () => {
    const foreign = certificateFor(host);
    await expect(ask(3, { caPem: foreign.certificatePem })).rejects.toThrow(
      /SSF-VERIFY-005[^]*self-signed certificate/,
    );
    await expect(ask(3, { host: "rekor.evil.test" })).rejects.toThrow(/SSF-VERIFY-005[^]*does not match/);
  });

  it("when nothing listens", async () => {
    await expect(ask(3, { localPort: 1 })).rejects.toThrow(/SSF-VERIFY-005[^]*ECONNREFUSED/);
  });
});

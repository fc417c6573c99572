import type { Server } from "node:https";
import type { Answer, Attempt } from "../../tools/cli/attacks";
import { type Checkpoint, type CheckpointMemory, openCheckpoint } from "../../tools/cli/checkpoint";
import { askLog, openLog } from "../../tools/cli/log";
import { openService, type ServiceAccess } from "../../tools/cli/service";
import { TestLog } from "../cli/support/log";
import { certificateFor, listen } from "../cli/support/tls";
import { anyBuilt, type FactoryAttack } from "./support";

/** What stands in the log's place; everything that it does not change is the log's own answer. */
interface Lie {
  name: string;
  /** What it answers in place of the log's own answer to that path; nothing when it has none. @default the log's own */
  tell?: (answer: string, path: string) => string | undefined;
  /** What its victim remembers of the log. @default nothing */
  remembers?: Checkpoint;
  /** What its victim finds. */
  found: RegExp;
}

/** The first hash of a proof, changed. */
const otherHash = (answer: string): string =>
  answer.replace(/"hashes":\["(.)/, (_, first: string) => `"hashes":["${first === "0" ? "1" : "0"}`);

const bodyOf = (answer: string): string => /"body":"[^"]*"/.exec(answer)?.[0] ?? "";

/** A log of which this machine has all that a client can ask for. */
export interface RealLog {
  access: ServiceAccess;
  publicKeyPem: string;
}

/**
 * A server that stands in the log's place with a certificate that its victims take, as if the service had been taken over.
 * It does not have the log's key.
 */
export const openLiar = async ({ access, publicKeyPem }: RealLog) => {
  const ask = openService(access, (url, reason) => new Error(`${url}: ${reason}`));
  const read = async (path: string): Promise<string> => (await ask(path, "application/json")).body.toString();
  const { signedTreeHead } = JSON.parse(await read("/api/v1/log")) as { signedTreeHead: string };
  const now = openCheckpoint(signedTreeHead, publicKeyPem);
  if (now === undefined || now.size < 2)
    throw new Error("the log must have two entries, below a checkpoint of its own");
  const [mine, other] = await Promise.all([0, 1].map((index) => read(`/api/v1/log/entries?logIndex=${index}`)));
  const body = Buffer.from(/"body":"([^"]*)"/.exec(mine ?? "")?.[1] ?? "", "base64");

  let tell: Lie["tell"];
  const certificate = certificateFor(access.host.split(":")[0] ?? "");
  const { server, port }: { server: Server; port: number } = await listen(certificate, ({ url = "" }, response) => {
    read(url).then(
      (answer) => {
        const told = tell === undefined ? answer : tell(answer, url);
        response.writeHead(told === undefined ? 404 : 200, { "content-type": "application/json" });
        response.end(told ?? "{}");
      },
      () => response.destroy(),
    );
  });
  const answerTo = async (lie: Partial<Lie>): Promise<Answer> => {
    tell = lie.tell;
    const memory: CheckpointMemory = {
      read: () => Promise.resolve(lie.remembers),
      write: () => Promise.resolve(),
    };
    const victim = openLog({ ...access, localPort: port, caPem: certificate.certificatePem });
    const { inclusion, growth } = await askLog(victim, { body, logIndex: 0 }, publicKeyPem, memory);
    const faults = [inclusion.fault, growth.fault].filter((fault) => fault !== undefined);
    return faults.length > 0
      ? { is: "refused", by: "factory verify", message: faults.join("; ") }
      : { is: "accepted", detail: `${inclusion.found}; ${growth.found}` };
  };

  const otherRoot = Buffer.from(now.rootHash.map((byte) => byte ^ 1));
  const unsigned = /^its checkpoint is not signed by the factory's log/;
  const proofless = /^the proof does not lead from the entry to the root of \d+ entries$/;
  const lies: Lie[] = [
    { name: "a wrong proof of inclusion", tell: otherHash, found: proofless },
    {
      name: "the proof of another entry",
      tell: () => other?.replace(bodyOf(other), bodyOf(mine ?? "")),
      found: proofless,
    },
    { name: "the entry of another artefact", tell: () => other, found: /^the entry at index 0 is another one$/ },
    {
      name: "no entry",
      tell: (answer, path) => (path.includes("/entries") ? undefined : answer),
      found: /^no entry at/,
    },
    {
      name: "a tree of the same size by another key",
      tell: (answer) => {
        const forger = new TestLog();
        const text = `${now.origin}\n${now.size}\n${otherRoot.toString("base64")}\n`;
        return answer.replace(/"checkpoint":"[^"]*"/, `"checkpoint":${JSON.stringify(forger.sign(text))}`);
      },
      found: unsigned,
    },
    {
      name: "its own checkpoint with another size",
      tell: (answer) => answer.replace(/\\n(\d+)\\n/, (_, size: string) => `\\n${Number(size) + 1}\\n`),
      found: unsigned,
    },
    {
      name: "a fork of the same size as the tree that was seen before",
      remembers: { ...now, rootHash: otherRoot },
      found: /do not begin with the \d+ that it had: a fork$/,
    },
    {
      name: "a fork that has grown since",
      remembers: { ...now, size: now.size - 1, rootHash: otherRoot },
      found: /do not begin with the \d+ that it had: a fork$/,
    },
    {
      name: "an old checkpoint again",
      remembers: { ...now, size: 2 * now.size + 1000 },
      found: /^it shows \d+ entries, and had \d+: cut off, or an old state shown again$/,
    },
    {
      name: "another tree in its place",
      remembers: { ...now, origin: `${now.origin}0` },
      found: /another log in its place$/,
    },
  ];
  return {
    attempts: lies.map((lie): Attempt => ({
      name: lie.name,
      expected: { by: ["factory verify"], message: lie.found },
      run: () => answerTo(lie),
    })),
    controls: [
      { name: "the same server with the log's own answers", run: () => answerTo({}) },
      { name: "the same to somebody who has seen the log", run: () => answerTo({ remembers: now }) },
    ] satisfies Attempt[],
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
};

export const lyingLog: FactoryAttack = {
  name: "lying-log",
  covers: "A log that was taken over: wrong proofs, entries of something else, forks, old states shown again.",
  tries: "to pass answers off as the log's that its entries do not bear out",
  refusal: { by: ["factory verify"], message: /./ },
  control: "The same server is believed when it answers as the log does.",
  // The server tells one lie at a time.
  inTurn: true,
  prepare: async (session) => {
    await anyBuilt(session);
    const { kubectl, factory, defer } = session;
    const { publicKeyPem, ...log } = factory.provenance.log;
    const forward = await kubectl.portForward(log.namespace, log.service, log.port);
    defer("port of the log", () => {
      forward.close();
      return Promise.resolve();
    });
    const { attempts, controls, close } = await openLiar({
      access: { ...log, localPort: forward.port },
      publicKeyPem,
    });
    defer("server in the log's place", () => {
      close();
      return Promise.resolve();
    });
    return { attempts, controls };
  },
};

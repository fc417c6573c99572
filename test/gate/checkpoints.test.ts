import type { IncomingMessage, RequestListener } from "node:http";
import type { Server } from "node:https";
import { openCheckpoint } from "../../tools/cli/checkpoint";
import { askLog, openLog } from "../../tools/cli/log";
import { keptCheckpoints } from "../../tools/gate/checkpoints";
import { serve, TestLog } from "../cli/support/log";
import { certificateFor, listen } from "../cli/support/tls";

const names = { cluster: "kubernetes.default.svc", log: "rekor.ssf-rekor.svc.cluster.local" };
const certificates = { cluster: certificateFor(names.cluster), log: certificateFor(names.log) };
const path = "/api/v1/namespaces/ssf-verifier/configmaps/verifier-checkpoints";

let log: TestLog;
/** The ConfigMap as it lies in the cluster; undefined when it is not there. */
let stored: { metadata: { resourceVersion: string }; data?: Record<string, string> } | undefined;
/** What somebody else does between a look and the change that follows it; done once. */
let meanwhile: (() => void) | undefined;
let status: number | undefined;
let sent: { method: string; authorization: string; type?: string }[];
const servers: Server[] = [];
const ports = { cluster: 0, log: 0 };

const bodyOf = async (request: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
};

/** Changes the ConfigMap as whoever may. */
const put = (data: Record<string, string>) => {
  const version = Number(stored?.metadata.resourceVersion ?? 0) + 1;
  stored = { metadata: { resourceVersion: String(version) }, data: { ...stored?.data, ...data } };
};

/** As much of the API server as a memory needs: one ConfigMap, merge patches, versions. */
const cluster: RequestListener = (request, response) => {
  const answer = (code: number) => response.writeHead(code).end(JSON.stringify(stored ?? {}));
  void bodyOf(request).then((body) => {
    const { method = "", url, headers } = request;
    sent.push({ method, authorization: headers.authorization ?? "", type: headers["content-type"] });
    if (url !== path || stored === undefined) return answer(404);
    if (status !== undefined) return answer(status);
    if (method === "GET") return answer(200);
    meanwhile?.();
    meanwhile = undefined;
    const { metadata, data } = JSON.parse(body) as {
      metadata: { resourceVersion: string };
      data: Record<string, string>;
    };
    if (metadata.resourceVersion !== stored.metadata.resourceVersion) return answer(409);
    put(data);
    return answer(200);
  });
};

beforeAll(async () => {
  const listening = await Promise.all([
    listen(certificates.cluster, cluster),
    listen(
      certificates.log,
      serve((url) => log.answer(url)),
    ),
  ]);
  [ports.cluster, ports.log] = listening.map(({ port }) => port) as [number, number];
  servers.push(...listening.map(({ server }) => server));
});
afterAll(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

const grow = (size: number) => {
  while (log.entries.length < size) log.add(Buffer.from(`entry ${log.entries.length}`));
};

beforeEach(() => {
  log = new TestLog();
  grow(7);
  stored = { metadata: { resourceVersion: "1" } };
  [meanwhile, status, sent] = [undefined, undefined, []];
});

/** The memory of a verifier that has just started. */
const started = () => {
  const access = { host: names.cluster, localPort: ports.cluster, caPem: certificates.cluster.certificatePem };
  const bearer = () => "token-of-the-verifier";
  return keptCheckpoints({ ...access, bearer }, "ssf-verifier", "verifier-checkpoints")(log.publicKeyPem);
};

const ask = async (memory = started()) => {
  const access = { host: names.log, localPort: ports.log, caPem: certificates.log.certificatePem };
  const [entry] = log.entries;
  if (entry === undefined) throw new Error("the log is empty");
  return (await askLog(openLog(access), entry, log.publicKeyPem, memory)).growth;
};

const remembered = async () => (await started().read())?.size;

test("a verifier that starts again knows the log that the one before it saw", async () => {
  expect((await ask()).found).toMatch(/^seen for the first time, with 7 entries/);
  grow(12);
  expect(await ask()).toEqual({ found: "from 7 to 12 entries" });
  expect(await remembered()).toBe(12);
  expect(openCheckpoint(stored?.data?.[log.logId] ?? "", log.publicKeyPem)?.size).toBe(12);
  expect(new Set(sent.map(({ authorization }) => authorization))).toEqual(new Set(["Bearer token-of-the-verifier"]));
  expect(sent.filter(({ method }) => method !== "GET").map(({ type }) => type)).toEqual([
    ...["application/merge-patch+json", "application/merge-patch+json"],
  ]);
});

test("it refuses a log that was forked or cut off meanwhile, and takes the true one", async () => {
  await ask();
  const [first, ...others] = log.entries.splice(0);
  log.add(Buffer.from("another past"));
  log.entries.push(...others);
  expect((await ask()).fault).toMatch(/a fork$/);
  log.entries.splice(0, 7, ...(first ? [first] : []));
  expect((await ask()).fault).toMatch(/cut off, or an old state shown again$/);
  log.entries.push(...others);
  expect(await ask()).toEqual({ found: "still 7 entries" });
});

test("the largest checkpoint stays, whoever else writes at the same time", async () => {
  const memory = started();
  const [five, seven] = [log.checkpoint(5), log.checkpoint()];
  meanwhile = () => put({ [log.logId]: five });
  await ask(memory);
  expect(await remembered()).toBe(7);
  grow(9);
  meanwhile = () => put({ [log.logId]: log.checkpoint() });
  const late = { origin: "", size: 8, rootHash: Buffer.alloc(32), note: log.checkpoint(8) };
  await memory.write(late);
  expect(await remembered()).toBe(9);
  put({ [log.logId]: seven });
  await memory.write(late);
  expect(await remembered()).toBe(8);
});

test("logs with other keys are remembered beside it", async () => {
  await ask();
  const first = log;
  log = new TestLog();
  grow(3);
  expect((await ask()).found).toMatch(/^seen for the first time, with 3 entries/);
  expect(await remembered()).toBe(3);
  log = first;
  expect(await ask()).toEqual({ found: "still 7 entries" });
});

test("what no log signed is no memory, and nothing is taken in its place", async () => {
  for (const note of ["", "garbage", new TestLog().checkpoint()]) {
    put({ [log.logId]: note });
    await expect(ask()).rejects.toThrow(/SSF-VERIFY-006 ConfigMap verifier-checkpoints in ssf-verifier, [0-9a-f]{64}/);
    expect(stored?.data).toEqual({ [log.logId]: note });
  }
  put({ [log.logId]: log.checkpoint() });
  expect(await ask()).toEqual({ found: "still 7 entries" });
});

test("without the ConfigMap, or the right to it, nothing is taken on trust", async () => {
  status = 403;
  await expect(ask()).rejects.toThrow(/SSF-VERIFY-012 https:[^]*verifier-checkpoints[^]*HTTP status 403/);
  status = undefined;
  const there = stored;
  stored = undefined;
  await expect(ask()).rejects.toThrow(/SSF-VERIFY-012 [^]*HTTP status 404/);
  stored = there;
  expect((await ask()).fault).toBeUndefined();
});

import type { Server } from "node:https";
import { type Attempt, runAttack } from "../../tools/cli/attacks";
import { openLiar } from "../attacks/lying-log";
import { serve, TestLog } from "./support/log";
import { certificateFor, listen } from "./support/tls";

const host = "rekor.ssf-rekor.svc.cluster.local:8443";
const certificate = certificateFor("rekor.ssf-rekor.svc.cluster.local");
let log: TestLog;
let server: Server;
let port: number;

beforeAll(async () => {
  ({ server, port } = await listen(
    certificate,
    serve((url) => log.answer(url)),
  ));
});
beforeEach(() => {
  log = new TestLog();
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const grow = (size: number) => {
  while (log.entries.length < size) log.add(Buffer.from(`entry ${log.entries.length}`));
};

const open = () =>
  openLiar({ access: { host, localPort: port, caPem: certificate.certificatePem }, publicKeyPem: log.publicKeyPem });

const results = async ({ attempts, controls }: { attempts: Attempt[]; controls: Attempt[] }) =>
  runAttack(
    {
      ...{ name: "lying-log", covers: "", tries: "", control: "", inTurn: true },
      refusal: { by: ["factory verify"], message: /./ },
      prepare: () => Promise.resolve({ attempts, controls }),
    },
    () => undefined,
    new AbortController().signal,
  );

test.each([2, 3, 8, 13])("every lie about a log of %d entries is found, and the truth is believed", async (size) => {
  grow(size);
  const liar = await open();
  try {
    expect(await results(liar)).toMatchObject({ verdict: "held" });
    // As when others write meanwhile.
    grow(size + 5);
    const later = await results(liar);
    expect(later.attempts.filter(({ verdict }) => verdict !== "held")).toEqual([]);
    expect(later.controls.filter(({ verdict }) => verdict !== "passed")).toEqual([]);
  } finally {
    liar.close();
  }
});

test("a log that lies itself is not taken for the truth", async () => {
  grow(5);
  const liar = await open();
  try {
    const [first] = log.entries.splice(0, 1, log.add(Buffer.from("another past")));
    log.entries.pop();
    const { controls } = await results(liar);
    expect(controls.map(({ verdict }) => verdict)).toEqual(["failed", "failed"]);
    log.entries.splice(0, 1, ...(first ? [first] : []));
    expect((await results(liar)).verdict).toBe("held");
  } finally {
    liar.close();
  }
});

test("a log with one entry can tell none of them", async () => {
  grow(1);
  await expect(open()).rejects.toThrow(/two entries/);
  grow(2);
  (await open()).close();
});

import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { createHash, createHmac } from "node:crypto";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import { request } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { certificateFor } from "../cli/support/tls";

jest.setTimeout(120_000);

const hasGo = spawnSync("go", ["version"]).status === 0;
const describeWithGo = hasGo ? describe : describe.skip;

const repository = "https://git.test/team/pay.git";
const keys = { forge: "f".repeat(48), listener: "l".repeat(48) };
const commit = "0123456789abcdef0123456789abcdef01234567";

interface Answer {
  status: number;
  body: string;
}

/** What the event listener was sent. */
interface Event {
  headers: IncomingHttpHeaders;
  body: string;
}

const hmac = (key: string, body: string, algorithm = "sha256") =>
  `${algorithm}=${createHmac(algorithm, key).update(body).digest("hex")}`;

const push = (changes: object = {}) =>
  JSON.stringify({
    ref: "refs/heads/main",
    after: commit,
    deleted: false,
    repository: { clone_url: repository },
    ...changes,
  });

describeWithGo("the webhook of a team", () => {
  const directory = mkdtempSync(join(tmpdir(), "ssf-webhook-"));
  const program = join(directory, "team-webhook");
  const file = (name: string, content: string) => {
    writeFileSync(join(directory, name), content);
    return join(directory, name);
  };
  const events: Event[] = [];
  let listenerAnswers = 202;
  let listener: Server;
  let webhook: ChildProcess;
  let port = 0;
  let log = "";

  const source = () => [
    `--repository=${repository}`,
    "--branch=main",
    `--listener=http://127.0.0.1:${(listener.address() as AddressInfo).port}/`,
    `--listener-key=${join(directory, "listener")}`,
  ];

  beforeAll(async () => {
    const sources = join(directory, "sources");
    mkdirSync(sources);
    copyFileSync(join(__dirname, "../../tools/modules/triggers/main.go"), join(sources, "main.go"));
    writeFileSync(join(sources, "go.mod"), "module webhook\n\ngo 1.26\n");
    execFileSync("go", ["build", "-o", program, "."], {
      cwd: sources,
      env: { ...process.env, CGO_ENABLED: "0", GOFLAGS: "-buildvcs=false", GOWORK: "off" },
    });
    listener = createServer((asked, answer) => {
      const chunks: Buffer[] = [];
      asked.on("data", (chunk: Buffer) => chunks.push(chunk));
      asked.on("end", () => {
        events.push({ headers: asked.headers, body: Buffer.concat(chunks).toString() });
        answer.writeHead(listenerAnswers).end();
      });
    });
    await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
    const { certificatePem, keyPem } = certificateFor("localhost");
    file("listener", keys.listener);
    port = await freePort();
    webhook = spawn(program, [
      "serve",
      ...source(),
      `--address=127.0.0.1:${port}`,
      `--forge-key=${file("forge", keys.forge)}`,
      `--certificate=${file("tls.crt", certificatePem)}`,
      `--certificate-key=${file("tls.key", keyPem)}`,
    ]);
    webhook.stdout?.on("data", (chunk: Buffer) => (log += chunk.toString()));
    await answering();
  }, 600_000);

  afterAll(() => {
    webhook.kill();
    listener.close();
    rmSync(directory, { recursive: true });
  });

  beforeEach(() => {
    events.length = 0;
    listenerAnswers = 202;
  });

  /** A port that nobody listens on now. */
  const freePort = (): Promise<number> =>
    new Promise((resolve) => {
      const server = createServer().listen(0, "127.0.0.1", () => {
        const { port: found } = server.address() as AddressInfo;
        server.close(() => resolve(found));
      });
    });

  const send = (body: string, headers: Record<string, string | string[]>, path = "/", method = "POST") =>
    new Promise<Answer>((resolve, reject) => {
      // The certificate is the test's own; what is tested is what it says.
      const asked = request({ host: "127.0.0.1", port, path, method, headers, rejectUnauthorized: false }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on("data", (chunk: Buffer) => chunks.push(chunk));
        answer.on("end", () => resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks).toString() }));
      });
      asked.on("error", reject);
      asked.end(body);
    });

  const answering = async (tries = 100): Promise<void> => {
    try {
      await send("", {}, "/", "GET");
    } catch (error) {
      if (tries === 0) throw error;
      await new Promise((resume) => setTimeout(resume, 50));
      await answering(tries - 1);
    }
  };

  const pushed = (body: string, signature: string | string[] = hmac(keys.forge, body)) =>
    send(body, { "Content-Type": "application/json", "X-GitHub-Event": "push", "X-Hub-Signature-256": signature });

  test("hands on three values of a signed push, signed by another key", async () => {
    const body = push({ head_commit: { message: '"}, {"commit": "$(tt.params.commit)' } });
    const id = createHash("sha256").update(body).digest("hex").slice(0, 24);
    const answer = await pushed(body);
    expect([answer.status, JSON.parse(answer.body)]).toEqual([
      202,
      { run: true, reason: "handed to the event listener", event: id },
    ]);
    expect(events.map((event) => event.body)).toEqual([JSON.stringify({ commit, event: id, trigger: "push" })]);
    expect(events[0]?.headers["x-hub-signature-256"]).toBe(hmac(keys.listener, events[0]?.body ?? ""));
  });

  const good = push();
  test.each<[string, string | string[] | undefined]>([
    ["no signature", undefined],
    ["an empty one", ""],
    ["that of another key", hmac("e".repeat(48), good)],
    ["that of the event listener's key", hmac(keys.listener, good)],
    ["that of another body", hmac(keys.forge, push({ after: "f".repeat(40) }))],
    ["one by SHA-1", hmac(keys.forge, good, "sha1")],
    ["one by SHA-512", hmac(keys.forge, good, "sha512")],
    ["half of the right one", hmac(keys.forge, good).slice(0, 39)],
    ["two, one of them right", [hmac("e".repeat(48), good), hmac(keys.forge, good)]],
  ])("answers 401 to a push with %s, and no run; with the right one 202", async (_, signature) => {
    const wrong =
      signature === undefined ? send(good, { "Content-Type": "application/json" }) : pushed(good, signature);
    expect((await wrong).status).toBe(401);
    expect(events).toEqual([]);
    expect((await pushed(good)).status).toBe(202);
    expect(events).toHaveLength(1);
  });

  test("takes the SHA-1 header of older forges for no signature", async () => {
    const answer = await send(good, { "X-Hub-Signature": hmac(keys.forge, good, "sha1") });
    expect([answer.status, events]).toEqual([401, []]);
  });

  test.each<[string, string, number]>([
    ["to another branch", push({ ref: "refs/heads/other" }), 202],
    ["of a tag of the branch's name", push({ ref: "refs/tags/main" }), 202],
    ["that deletes the branch", push({ deleted: true, after: "0".repeat(40) }), 202],
    ["to a foreign repository", push({ repository: { clone_url: "https://git.test/team/pay.git.evil" } }), 403],
    ["without a repository", push({ repository: undefined }), 403],
    ["of a short commit id", push({ after: commit.slice(0, 12) }), 400],
    ["of a commit that is code", push({ after: "$(uid)" }), 400],
    ["that is no JSON", "payload=%7B%7D", 400],
  ])("makes no run of a signed push %s", async (_, body, status) => {
    expect((await pushed(body)).status).toBe(status);
    expect(events).toEqual([]);
  });

  test("gives a push that arrives twice the same id, which names the same run", async () => {
    await pushed(good);
    await pushed(good);
    await pushed(push({ before: "f".repeat(40) }));
    const [first, again, other] = events.map(({ body }) => (JSON.parse(body) as { event: string }).event);
    expect(again).toBe(first);
    expect(other).not.toBe(first);
  });

  test("refuses a body that is too large, before it looks at the signature", async () => {
    const limit = 4 << 20;
    const sized = (size: number) => {
      const rest = size - push({ padding: "" }).length;
      return push({ padding: "x".repeat(rest) });
    };
    expect((await pushed(sized(limit + 1))).status).toBe(413);
    expect(events).toEqual([]);
    expect((await pushed(sized(limit))).status).toBe(202);
  });

  test("answers nothing but posts to its two addresses", async () => {
    expect((await send("", {}, "/", "GET")).status).toBe(405);
    expect((await send(good, { "X-Hub-Signature-256": hmac(keys.forge, good) }, "/other")).status).toBe(404);
    expect(events).toEqual([]);
  });

  test("tells the forge when the event listener takes nothing", async () => {
    listenerAnswers = 503;
    const answer = await pushed(good);
    expect([answer.status, JSON.parse(answer.body)]).toMatchObject([502, { run: false }]);
  });

  describe("asked by the event listener", () => {
    const event = (changes: object = {}) =>
      JSON.stringify({ commit, event: "0".repeat(24), trigger: "push", ...changes });
    const vouchedFor = async (body: string, signature?: string) => {
      const header = signature === undefined ? {} : { "X-Hub-Signature-256": [signature] };
      const answer = await send(JSON.stringify({ body, header }), {}, "/intercept");
      expect(answer.status).toBe(200);
      return (JSON.parse(answer.body) as { continue: boolean }).continue;
    };

    test("vouches for its own events", async () => {
      await expect(vouchedFor(event(), hmac(keys.listener, event()))).resolves.toBe(true);
      const scheduled = event({ trigger: "schedule", event: "29384756" });
      await expect(vouchedFor(scheduled, hmac(keys.listener, scheduled))).resolves.toBe(true);
    });

    test.each<[string, string, string | undefined]>([
      ["has no signature", event(), undefined],
      ["is signed by the forge's key", event(), hmac(keys.forge, event())],
      ["has the signature of another", event({ commit: "f".repeat(40) }), hmac(keys.listener, event())],
    ])("does not vouch for an event that %s", async (_, body, signature) => {
      await expect(vouchedFor(body, signature)).resolves.toBe(false);
    });

    test.each<[string, string]>([
      ["is written otherwise", ` ${event()}`],
      ["says more", event({ image: "evil" })],
      ["says a thing twice", event().replace("{", '{"commit":"x",')],
      ["comes from a trigger that there is not", event({ trigger: "manual", event: "none" })],
      ["has the id of another trigger", event({ trigger: "schedule" })],
      ["has no commit", event({ commit: "" })],
      ["is no JSON", "commit"],
    ])("does not vouch for a signed event that %s", async (_, body) => {
      await expect(vouchedFor(body, hmac(keys.listener, body))).resolves.toBe(false);
    });

    test("does not vouch for a question that it cannot read", async () => {
      const answer = await send("{", {}, "/intercept");
      expect(JSON.parse(answer.body)).toMatchObject({ continue: false });
    });
  });

  describe("at the time of a schedule", () => {
    /** A git that lists what a forge would. */
    const git = (lines: string[]) => {
      const bin = mkdtempSync(join(directory, "bin-"));
      const script = `#!/bin/sh\ncat <<'END'\n${lines.join("\n")}\nEND\n`;
      writeFileSync(join(bin, "git"), script, { mode: 0o755 });
      return bin;
    };
    const schedule = (job: string, lines: string[]) =>
      new Promise<number>((resolve) => {
        const env = { PATH: `${git(lines)}:${process.env.PATH ?? ""}` };
        const child = spawn(program, ["schedule", ...source(), `--job=${job}`], { env });
        child.on("close", (code) => resolve(code ?? 1));
      });
    const branch = `${commit}\trefs/heads/main`;

    test("sends the branch's commit, with the number of the job", async () => {
      await expect(schedule("payments-29384756", [branch])).resolves.toBe(0);
      expect(events.map(({ body }) => body)).toEqual([
        JSON.stringify({ commit, event: "29384756", trigger: "schedule" }),
      ]);
      expect(events[0]?.headers["x-hub-signature-256"]).toBe(hmac(keys.listener, events[0]?.body ?? ""));
    });

    test("is not misled by a ref that only ends like the branch", async () => {
      const trap = `${"f".repeat(40)}\trefs/heads/a/refs/heads/main`;
      await expect(schedule("payments-1", [trap, branch])).resolves.toBe(0);
      expect(events.map(({ body }) => (JSON.parse(body) as { commit: string }).commit)).toEqual([commit]);
      await expect(schedule("payments-2", [trap])).resolves.toBe(1);
      expect(events).toHaveLength(1);
    });

    test("fails when the forge names no commit, the job has no number, or nobody takes the event", async () => {
      await expect(schedule("payments-1", ["short\trefs/heads/main"])).resolves.toBe(1);
      await expect(schedule("payments", [branch])).resolves.toBe(1);
      expect(events).toEqual([]);
      listenerAnswers = 503;
      await expect(schedule("payments-1", [branch])).resolves.toBe(1);
    });
  });

  test("does not start with a key that is short or not there", () => {
    const start = (key: string) =>
      spawnSync(program, ["serve", ...source(), `--forge-key=${key}`], { encoding: "utf8" });
    expect(start(file("short", "secret")).stdout).toContain("a key has at least 32 bytes");
    expect(start(join(directory, "gone")).status).toBe(1);
  });

  test("never logs a key, a body or a signature", () => {
    expect(log).toContain('"status":401');
    for (const secret of [keys.forge, keys.listener, "sha256=", "clone_url"]) expect(log).not.toContain(secret);
  });
});

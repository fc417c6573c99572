import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { Server } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { imageName, localSource, pushToForge } from "../../tools/cli/forge";
import { certificateFor, listen } from "./support/tls";

const base = mkdtempSync(join(tmpdir(), "ssf-forge-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));

const git = (directory: string, ...args: string[]) =>
  execFileSync("git", ["-C", directory, "-c", "user.name=t", "-c", "user.email=t@example.com", ...args], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  }).trim();

const repository = (name: string, files: Record<string, string>): string => {
  const top = join(base, name);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(top, path, ".."), { recursive: true });
    writeFileSync(join(top, path), content);
  }
  git(top, "init", "--quiet", "--initial-branch=main");
  git(top, "add", ".");
  git(top, "commit", "--quiet", "--message=first");
  return top;
};

const top = repository("My Service", { "app/go.mod": "module x", "app/go.sum": "", "plain/README": "x" });
const head = git(top, "rev-parse", "HEAD");

describe("localSource", () => {
  it("finds the top, the path from there, and the commit", async () => {
    expect(await localSource(join(top, "app"))).toEqual({
      top,
      directory: "app",
      commit: head,
      hasUncommittedChanges: false,
    });
    expect((await localSource(top, head.slice(0, 8))).directory).toBe(".");
  });

  it("sees changes of that directory that no commit holds, and only those", async () => {
    const changed = repository("changed", { "a/x": "1", "b/x": "1" });
    writeFileSync(join(changed, "a/x"), "2");
    expect((await localSource(join(changed, "a"))).hasUncommittedChanges).toBe(true);
    expect((await localSource(join(changed, "b"))).hasUncommittedChanges).toBe(false);
  });

  it("refuses a directory of no repository, one without commits, and a commit that does not exist", async () => {
    const [outside, empty] = [join(base, "outside"), join(base, "empty")];
    for (const directory of [outside, empty]) mkdirSync(directory);
    execFileSync("git", ["init", "--quiet", empty]);
    await expect(localSource(outside)).rejects.toThrow("SSF-BUILD-001");
    await expect(localSource(empty)).rejects.toThrow("SSF-BUILD-002");
    await expect(localSource(top, "0".repeat(40))).rejects.toThrow("SSF-BUILD-002 --commit");
    await expect(localSource(top, "--output=/tmp/x")).rejects.toThrow("SSF-BUILD-002 --commit");
  });
});

it.each([
  ["/src/My Service", "my-service"],
  ["https://example.com/a/tool.git", "tool"],
  ["___", "app"],
])("names an image of %s", (text, name) => {
  expect(imageName(text)).toBe(name);
});

describe("pushToForge", () => {
  const hostname = "forge.ssf-forge.svc.cluster.local";
  const served = join(base, "served");
  const bare = join(served, "my-service.git");
  const authorization = `Basic ${Buffer.from("developer:secret").toString("base64")}`;
  const certificate = certificateFor(hostname);
  let server: Server;
  let port: number;

  beforeAll(async () => {
    mkdirSync(served);
    execFileSync("git", ["init", "--quiet", "--bare", bare]);
    const listening = await listen(certificate, (request, response) => {
      if (request.headers.authorization !== authorization) {
        response.writeHead(401, { "www-authenticate": 'Basic realm="forge"' }).end();
        return;
      }
      const [path, query] = (request.url ?? "").split("?");
      const gateway = spawn("git", ["http-backend"], {
        env: {
          ...process.env,
          GIT_PROJECT_ROOT: served,
          GIT_HTTP_EXPORT_ALL: "1",
          PATH_INFO: path,
          QUERY_STRING: query ?? "",
          REQUEST_METHOD: request.method,
          CONTENT_TYPE: request.headers["content-type"] ?? "",
          REMOTE_USER: "developer",
        },
      });
      request.pipe(gateway.stdin);
      const chunks: Buffer[] = [];
      gateway.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
      gateway.on("close", () => {
        const answer = Buffer.concat(chunks);
        const end = answer.indexOf("\r\n\r\n");
        const headers = answer
          .subarray(0, end)
          .toString()
          .split("\r\n")
          .map((line) => line.split(": "));
        const status = Number(headers.find(([name]) => name === "Status")?.[1]?.slice(0, 3) ?? 200);
        response.writeHead(status, Object.fromEntries(headers) as Record<string, string>).end(answer.subarray(end + 4));
      });
    });
    server = listening.server;
    port = listening.port;
  });
  afterAll(() => server.close());

  const forge = () => ({
    url: `https://${hostname}:8443`,
    username: "developer",
    password: "secret",
    caPem: certificate.certificatePem,
  });

  it("pushes exactly the commit and returns the address within the cluster", async () => {
    const pushed = await pushToForge(await localSource(top), forge(), port);
    expect(pushed).toBe(`https://${hostname}:8443/my-service.git`);
    expect(git(bare, "rev-parse", `refs/heads/commit-${head}`)).toBe(head);
    await expect(pushToForge(await localSource(top), forge(), port)).resolves.toBe(pushed);
  });

  it("does not mind that somebody else pushes the same commit at the same time", async () => {
    const hook = join(bare, "hooks/update");
    writeFileSync(hook, '#!/bin/sh\nrm hooks/update && git update-ref "$1" "$3"\n', { mode: 0o755 });
    git(bare, "update-ref", "-d", `refs/heads/commit-${head}`);
    await expect(pushToForge(await localSource(top), forge(), port)).resolves.toContain("my-service.git");
    expect([existsSync(hook), git(bare, "rev-parse", `refs/heads/commit-${head}`)]).toEqual([false, head]);
  });

  it("trusts no other authority, no other name and no wrong password", async () => {
    const source = await localSource(top);
    const foreign = certificateFor(hostname).certificatePem;
    await expect(pushToForge(source, { ...forge(), caPem: foreign }, port)).rejects.toThrow(/certificate/);
    const otherName = { ...forge(), url: "https://forge.evil.example:8443" };
    await expect(pushToForge(source, otherName, port)).rejects.toThrow(/certificate|subject name/i);
    await expect(pushToForge(source, { ...forge(), password: "wrong" }, port)).rejects.toThrow("SSF-BUILD-005");
  });

  it("is not turned elsewhere by a proxy of the environment", async () => {
    process.env.https_proxy = "http://127.0.0.1:1";
    try {
      await expect(pushToForge(await localSource(top), forge(), port)).resolves.toContain("my-service.git");
    } finally {
      delete process.env.https_proxy;
    }
  });
});

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:https";
import { connect, createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeAuthority } from "../../cli/support/authority";
import { type Failure, foreignCertificates, serverArguments } from ".";

const service = {
  namespace: "space",
  name: "asked",
  certificate: "asked-tls",
  port: { containerPort: 1, name: "https" },
};
const servername = "asked.space.svc";

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
};

describe("a stand-in", () => {
  const directory = mkdtempSync(join(tmpdir(), "ssf-stand-in-"));
  const orders = join(directory, "order");
  const { authorityPem, files } = foreignCertificates([service]);
  const own = makeAuthority();
  let port: number;
  let server: ChildProcess;

  beforeAll(async () => {
    const { certificatePem, privateKey } = own.issue({
      subjectAltName: `DNS:${servername}`,
      extendedKeyUsage: "serverAuth",
    });
    const key = privateKey.export({ type: "pkcs8", format: "pem" }) as string;
    for (const [name, content] of Object.entries({ ...files, "own.crt": certificatePem, "own.key": key }))
      writeFileSync(join(directory, name), content);
    port = await freePort();
    server = spawn(process.execPath, serverArguments(port, directory, orders), { stdio: "inherit" });
    const isListening = () =>
      new Promise<boolean>((resolve) => {
        const socket = connect(port, "127.0.0.1", () => resolve(true));
        socket.on("error", () => resolve(false));
        socket.on("connect", () => socket.destroy());
      });
    while (!(await isListening())) await new Promise((resume) => setTimeout(resume, 50));
  });
  afterAll(async () => {
    server.kill();
    await once(server, "exit");
    rmSync(directory, { recursive: true });
  });

  /** What a client is told that trusts this authority. */
  const ask = (ca: string, timeout = 10_000): Promise<string> =>
    new Promise((resolve) => {
      const outgoing = get({ host: "127.0.0.1", port, servername, ca, timeout }, ({ statusCode }) =>
        resolve(`status ${statusCode ?? 0}`),
      );
      outgoing.on("timeout", () => outgoing.destroy(new Error("no answer")));
      outgoing.on("error", ({ message }) => resolve(message));
    });
  const order = (failure: Failure) => {
    writeFileSync(orders, failure);
    server.kill("SIGHUP");
  };
  const until = async (ask: () => Promise<string>, expected: RegExp): Promise<string> => {
    for (;;) {
      const answer = await ask();
      if (expected.test(answer)) return answer;
    }
  };

  test("fails with the service's own certificate before any order", async () => {
    expect(await ask(own.certificatePem)).toBe("status 500");
  });

  test.each<[Failure, string, RegExp]>([
    ["foreign", own.certificatePem, /^unable to verify the first certificate$/],
    ["expired", authorityPem, /^certificate has expired$/],
    ["erroring", own.certificatePem, /^status 500$/],
    ["silent", own.certificatePem, /^no answer$/],
  ])("is %s when it is told so", async (failure, ca, expected) => {
    order(failure);
    await until(() => ask(ca, 300), expected);
  });

  test("lets go of who waits for its answer when it is told something else", async () => {
    order("silent");
    await until(() => ask(own.certificatePem, 300), /^no answer$/);
    const waiting = ask(own.certificatePem);
    await new Promise((resume) => setTimeout(resume, 300));
    order("erroring");
    expect(await waiting).toBe("socket hang up");
  });

  test("its foreign certificate is good for who trusts its authority", async () => {
    order("foreign");
    expect(await until(() => ask(authorityPem), /^status 500$/)).toBe("status 500");
  });
});

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request as httpsRequest } from "node:https";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const root = resolve(__dirname, "../../..");
const programs = ["etcd", "kube-apiserver", "kube-controller-manager"];

/** Directory with the programs of a control plane: the built toolchain's, or `SSF_TEST_BIN`. */
const controlPlaneBin = (): string | undefined => {
  const lock = join(root, "toolchain.lock.json");
  const candidates = [
    process.env.SSF_TEST_BIN,
    existsSync(lock) ? (JSON.parse(readFileSync(lock, "utf8")) as { bin: string }).bin : undefined,
  ];
  return candidates.find((bin) => bin !== undefined && programs.every((program) => existsSync(join(bin, program))));
};

/** `describe` where etcd and the API server are on the machine, `describe.skip` elsewhere. */
export const describeWithApiServer = controlPlaneBin() === undefined ? describe.skip : describe;

/** Who asks; without it the administrator, a member of `system:masters`. */
export interface Requester {
  user: string;
  groups?: readonly string[];
}

/** What the API server answered. */
export interface Answer {
  status: number;
  /** The message of a Status, else the whole body. */
  message: string;
  body: unknown;
}

/** An API server of its own on loopback, with nothing behind it but a store. */
export interface ApiServer {
  ask: (method: string, path: string, body?: object, as?: Requester) => Promise<Answer>;
  /** Asks until the answer holds, for at most a minute. */
  askUntil: (
    holds: (answer: Answer) => boolean,
    method: string,
    path: string,
    body?: object,
    as?: Requester,
  ) => Promise<Answer>;
  /** The administrator's kubeconfig. */
  kubeconfig: string;
  /** A kubeconfig for whom that token is. */
  kubeconfigFor: (token: string) => string;
  /** Ends its processes and removes its directory. */
  stop: () => Promise<void>;
}

const freePort = (): Promise<number> =>
  new Promise((done, fail) => {
    const server = createServer();
    server.on("error", fail);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => done(port));
    });
  });

const ended = (child: ChildProcess): Promise<void> =>
  child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise((done) => {
        child.once("exit", () => done());
      });

const pause = () => new Promise((resume) => setTimeout(resume, 250));

/** An authority, certificates of the server and of the administrator, and the key of service accounts. */
const writeCertificates = (directory: string): void => {
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: directory, stdio: "ignore" });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  openssl("req", "-x509", ...key, "-days", "2", "-subj", "/CN=test-ca", "-keyout", "ca.key", "-out", "ca.crt");
  const issue = (name: string, subject: string, extensions: string) => {
    writeFileSync(join(directory, `${name}.ext`), extensions);
    openssl("req", "-new", ...key, "-subj", subject, "-keyout", `${name}.key`, "-out", `${name}.csr`);
    openssl(
      ...["x509", "-req", "-in", `${name}.csr`, "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"],
      ...["-extfile", `${name}.ext`, "-out", `${name}.crt`],
    );
  };
  issue("server", "/CN=kube-apiserver", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n");
  issue("admin", "/O=system:masters/CN=test-admin", "extendedKeyUsage=clientAuth\n");
  const accounts = generateKeyPairSync("ec", { namedCurve: "P-256" });
  writeFileSync(join(directory, "accounts.key"), accounts.privateKey.export({ type: "sec1", format: "pem" }));
  writeFileSync(join(directory, "accounts.pub"), accounts.publicKey.export({ type: "spki", format: "pem" }));
};

const kubeconfig = (directory: string, port: number, user: object): string =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "test",
    clusters: [
      {
        name: "test",
        cluster: { server: `https://127.0.0.1:${port}`, "certificate-authority": join(directory, "ca.crt") },
      },
    ],
    users: [{ name: "test", user }],
    contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
  });

const contentType = (method: string, body: object): string => {
  if (method !== "PATCH") return "application/json";
  return Array.isArray(body) ? "application/json-patch+json" : "application/merge-patch+json";
};

const answerOf = (status: number, text: string): Answer => {
  try {
    const body = JSON.parse(text) as { message?: string };
    return { status, message: body.message ?? text, body };
  } catch {
    return { status, message: text, body: text };
  }
};

/**
 * Starts one; whatever goes wrong on the way, nothing of it stays.
 *
 * @param controllers controllers of Kubernetes beside the one of admission policies. @default none
 */
export const startApiServer = async (controllers: readonly string[] = []): Promise<ApiServer> => {
  const bin = controlPlaneBin() ?? "";
  const directory = mkdtempSync(join(tmpdir(), "ssf-api-server-"));
  const children: { child: ChildProcess; log: string[] }[] = [];
  const start = (program: string, ...args: string[]): void => {
    const child = spawn(join(bin, program), args, { cwd: directory, stdio: ["ignore", "ignore", "pipe"] });
    const log: string[] = [];
    child.stderr.on("data", (chunk: Buffer) => {
      log.push(chunk.toString());
      if (log.length > 50) log.shift();
    });
    children.push({ child, log });
  };
  const killAll = (): void => children.forEach(({ child }) => void child.kill("SIGKILL"));
  process.once("exit", killAll);
  const agent = new Agent({ keepAlive: true });
  const stop = async (): Promise<void> => {
    agent.destroy();
    killAll();
    await Promise.all(children.map(({ child }) => ended(child)));
    process.removeListener("exit", killAll);
    rmSync(directory, { recursive: true, force: true });
  };

  try {
    writeCertificates(directory);
    const [store, peer, port] = await Promise.all([freePort(), freePort(), freePort()]);
    start(
      "etcd",
      `--data-dir=${join(directory, "etcd")}`,
      `--listen-client-urls=http://127.0.0.1:${store}`,
      `--advertise-client-urls=http://127.0.0.1:${store}`,
      `--listen-peer-urls=http://127.0.0.1:${peer}`,
      `--initial-advertise-peer-urls=http://127.0.0.1:${peer}`,
      `--initial-cluster=default=http://127.0.0.1:${peer}`,
      "--unsafe-no-fsync",
      "--log-level=error",
    );
    start(
      "kube-apiserver",
      `--etcd-servers=http://127.0.0.1:${store}`,
      "--bind-address=127.0.0.1",
      "--advertise-address=127.0.0.1",
      `--secure-port=${port}`,
      `--cert-dir=${directory}`,
      `--tls-cert-file=${join(directory, "server.crt")}`,
      `--tls-private-key-file=${join(directory, "server.key")}`,
      `--client-ca-file=${join(directory, "ca.crt")}`,
      "--service-cluster-ip-range=10.0.0.0/24",
      "--service-account-issuer=https://kubernetes.default.svc",
      `--service-account-key-file=${join(directory, "accounts.pub")}`,
      `--service-account-signing-key-file=${join(directory, "accounts.key")}`,
      "--authorization-mode=RBAC",
      "--endpoint-reconciler-type=none",
    );
    const tls = {
      agent,
      host: "127.0.0.1",
      port,
      ca: readFileSync(join(directory, "ca.crt")),
      cert: readFileSync(join(directory, "admin.crt")),
      key: readFileSync(join(directory, "admin.key")),
    };
    const ask: ApiServer["ask"] = (method, path, body, as) =>
      new Promise((done, fail) => {
        const headers = {
          Accept: "application/json",
          ...(body === undefined ? {} : { "Content-Type": contentType(method, body) }),
          ...(as === undefined ? {} : { "Impersonate-User": as.user, "Impersonate-Group": [...(as.groups ?? [])] }),
        };
        const request = httpsRequest({ ...tls, method, path, headers }, (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("error", fail);
          response.on("end", () => done(answerOf(response.statusCode ?? 0, Buffer.concat(chunks).toString())));
        });
        request.on("error", fail);
        request.end(body === undefined ? undefined : JSON.stringify(body));
      });
    const askUntil: ApiServer["askUntil"] = async (holds, method, path, body, as) => {
      for (const end = Date.now() + 60_000; ; await pause()) {
        const dead = children.find(({ child }) => child.exitCode !== null);
        if (dead !== undefined) throw new Error(`a program of the control plane ended:\n${dead.log.join("")}`);
        const answer = await ask(method, path, body, as).catch((error: unknown) => answerOf(0, String(error)));
        if (holds(answer)) return answer;
        if (Date.now() > end) throw new Error(`${method} ${path}: still ${answer.status} ${answer.message}`);
      }
    };
    await askUntil(({ status }) => status === 200, "GET", "/readyz");

    const admin = { "client-certificate": join(directory, "admin.crt"), "client-key": join(directory, "admin.key") };
    const administrators = kubeconfig(directory, port, admin);
    writeFileSync(join(directory, "kubeconfig"), administrators);
    start(
      "kube-controller-manager",
      `--kubeconfig=${join(directory, "kubeconfig")}`,
      `--controllers=${["validatingadmissionpolicy-status-controller", ...controllers].join(",")}`,
      "--leader-elect=false",
      `--secure-port=${await freePort()}`,
      "--bind-address=127.0.0.1",
      `--cert-dir=${directory}`,
    );
    const kubeconfigFor: ApiServer["kubeconfigFor"] = (token) => kubeconfig(directory, port, { token });
    return { ask, askUntil, kubeconfig: administrators, kubeconfigFor, stop };
  } catch (error) {
    await stop();
    throw error;
  }
};

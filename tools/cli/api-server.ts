import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { z } from "zod";
import { FactoryError } from "../../components/lib/errors";
import { readToolchain } from "../../stacks/toolchain";
import { endWithProcess, privateDirectory, writeKubeconfig } from "./kubectl";

/** Whom a request is made as, in place of the kubeconfig's own user. */
export interface Impersonation {
  user: string;
  groups: readonly string[];
}

/** What the API server answered. */
export interface ApiAnswer {
  status: number;
  body: unknown;
  /** Time from the question to the end of the answer. */
  milliseconds: number;
}

/** As much of an object as the address of its collection needs. */
export interface Addressed {
  apiVersion: string;
  kind: string;
  metadata: { name?: string; namespace?: string };
}

/** As much of an object as its own address needs. */
export interface Named extends Addressed {
  metadata: { name: string; namespace?: string };
}

/** The API server, asked without a process for each question. */
export interface ApiServer {
  /** Sends one request; any status is an answer. The body of a `PATCH` is a JSON patch if it is a list, else a merge patch. */
  send: (method: string, path: string, body?: object, as?: Impersonation) => Promise<ApiAnswer>;
  /** The object or the list at that path; every other answer is a `SSF-KUBE-001`. */
  read: (path: string) => Promise<unknown>;
  /** Path of the collection that an object is made in. */
  collection: (object: Addressed) => Promise<string>;
  /** Makes the object, or only asks whether it may be made; whoever refuses it is told by a `SSF-KUBE-001`. */
  create: (object: Addressed, options?: { dryRun: boolean }) => Promise<unknown>;
  /** Deletes the object if it is there, and waits until it is gone, for two and a half minutes at most. */
  remove: (object: Named) => Promise<void>;
}

const silent = (given: string) =>
  new FactoryError({
    code: "SSF-KUBE-001",
    path: "API server",
    given,
    rule: "The cluster must answer.",
    fix: "Look at ./factory status; ./factory up mends what is missing.",
  });

const timeoutMilliseconds = 30_000;
const secondsToGo = 150;
const statusSchema = z.object({ message: z.string() });

/** What the API server says of a request that it does not grant. */
export const messageOf = ({ body }: ApiAnswer): string => statusSchema.safeParse(body).data?.message ?? "";
const resourcesSchema = z.object({
  resources: z.array(z.object({ name: z.string(), kind: z.string(), namespaced: z.boolean() })),
});

/** Starts kubectl's proxy on a socket that only this user can open; it ends with this process. */
const startProxy = async (kubeconfig: string): Promise<string> => {
  const socket = join(privateDirectory(), "api");
  const program = join(readToolchain().bin, "kubectl");
  // Only this user can open the socket, and kubectl would let them ask for everything.
  const proxy = ["proxy", `--unix-socket=${socket}`, "--reject-paths=^$"];
  const args = [`--kubeconfig=${writeKubeconfig(kubeconfig)}`, ...proxy];
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  endWithProcess(child);
  await new Promise<void>((resolve, reject) => {
    let stderr = "";
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    child.stdout.on("data", () => resolve());
    child.on("error", (error) => reject(silent(error.message)));
    child.on("close", () => reject(silent(stderr.trim())));
  });
  // What keeps this process waiting is an answer, not the proxy.
  for (const one of [child, child.stdout, child.stderr]) (one as unknown as { unref: () => void }).unref();
  return socket;
};

/**
 * Opens the API server with every way to sign in that kubectl knows.
 *
 * @param kubeconfig its content
 * @throws FactoryError `SSF-KUBE-001` when it does not answer
 */
export const openApiServer = async (kubeconfig: string): Promise<ApiServer> => {
  const socketPath = await startProxy(kubeconfig);
  const known = new Map<string, Promise<z.infer<typeof resourcesSchema>["resources"]>>();

  const send: ApiServer["send"] = (method, path, body, as) =>
    new Promise((resolve, reject) => {
      const started = performance.now();
      const impersonated = as === undefined ? {} : { "impersonate-user": as.user, "impersonate-group": [...as.groups] };
      const patch = Array.isArray(body) ? "application/json-patch+json" : "application/merge-patch+json";
      const contentType = method === "PATCH" ? patch : "application/json";
      const headers = {
        accept: "application/json",
        "content-type": contentType,
        "user-agent": "secure-software-factory",
        ...impersonated,
      };
      const outgoing = request({ socketPath, method, path, headers, timeout: timeoutMilliseconds }, (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
        incoming.on("error", (error) => reject(silent(error.message)));
        incoming.on("end", () => {
          const milliseconds = performance.now() - started;
          try {
            resolve({
              status: incoming.statusCode ?? 0,
              body: JSON.parse(Buffer.concat(chunks).toString()),
              milliseconds,
            });
          } catch {
            reject(silent(Buffer.concat(chunks).toString()));
          }
        });
      });
      outgoing.on("timeout", () => outgoing.destroy(new Error(`no answer within ${timeoutMilliseconds / 1000} s`)));
      outgoing.on("error", (error) => reject(silent(existsSync(socketPath) ? error.message : "the proxy has ended")));
      outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    });

  const resourcesOf = (root: string) => {
    const list = known.get(root) ?? send("GET", root).then(({ body }) => resourcesSchema.parse(body).resources);
    known.set(root, list);
    return list;
  };

  const collection: ApiServer["collection"] = async ({ apiVersion, kind, metadata }) => {
    const root = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    const found = (await resourcesOf(root)).find((one) => one.kind === kind && !one.name.includes("/"));
    if (found === undefined) throw silent(`${apiVersion} has no kind ${kind}`);
    const where = found.namespaced ? `/namespaces/${metadata.namespace ?? "default"}` : "";
    return `${root}${where}/${found.name}`;
  };

  const granted = (request: string, answer: ApiAnswer): unknown => {
    if (answer.status < 300) return answer.body;
    throw silent(`${request}: HTTP status ${answer.status}: ${messageOf(answer)}`);
  };

  const ask = async (method: string, path: string, body?: object): Promise<unknown> =>
    granted(`${method} ${path}`, await send(method, path, body));

  return {
    send,
    collection,
    read: (path) => ask("GET", path),
    create: async (object, { dryRun } = { dryRun: false }) =>
      ask("POST", `${await collection(object)}?fieldValidation=Strict${dryRun ? "&dryRun=All" : ""}`, object),
    remove: async (object) => {
      const path = `${await collection(object)}/${object.metadata.name}`;
      const deleted = await send("DELETE", `${path}?propagationPolicy=Background`);
      if (deleted.status === 404) return;
      granted(`DELETE ${path}`, deleted);
      for (let seconds = 0; seconds < secondsToGo; seconds++) {
        if ((await send("GET", path)).status === 404) return;
        await setTimeout(1000);
      }
      throw silent(`${path} is not gone after ${secondsToGo} s`);
    },
  };
};

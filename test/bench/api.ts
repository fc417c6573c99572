import { readFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { parse } from "yaml";
import { z } from "zod";

const kubeconfigSchema = z.object({
  clusters: z
    .array(z.object({ cluster: z.object({ server: z.url(), "certificate-authority-data": z.base64() }) }))
    .min(1),
  users: z
    .array(z.object({ user: z.object({ "client-certificate-data": z.base64(), "client-key-data": z.base64() }) }))
    .min(1),
});

/** What the API server answered, and how long it took, in milliseconds. */
export interface Timed {
  status: number;
  text: string;
  milliseconds: number;
}

/** Sends one request after the other to the API server, on one connection. */
export type Api = (method: string, path: string, body?: object) => Promise<Timed>;

/**
 * Talks to the API server without kubectl, whose start would cost more than what is measured.
 *
 * @param kubeconfig its content, or its path; with a client certificate
 */
export const openApi = (kubeconfig: string): Api => {
  const content = kubeconfig.includes("\n") ? kubeconfig : readFileSync(kubeconfig, "utf8");
  const { clusters, users } = kubeconfigSchema.parse(parse(content));
  const decode = (text = ""): Buffer => Buffer.from(text, "base64");
  const [user, cluster] = [users[0]?.user, clusters[0]?.cluster];
  const agent = new Agent({
    keepAlive: true,
    maxSockets: 1,
    ca: decode(cluster?.["certificate-authority-data"]),
    cert: decode(user?.["client-certificate-data"]),
    key: decode(user?.["client-key-data"]),
  });
  return (method, path, body) =>
    new Promise((resolve, reject) => {
      const started = performance.now();
      const outgoing = request(
        new URL(path, cluster?.server),
        { method, agent, headers: { "content-type": "application/json", accept: "application/json" } },
        (incoming) => {
          const chunks: Buffer[] = [];
          incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
          incoming.on("end", () =>
            resolve({
              status: incoming.statusCode ?? 0,
              text: Buffer.concat(chunks).toString(),
              milliseconds: performance.now() - started,
            }),
          );
        },
      );
      outgoing.on("error", reject);
      outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    });
};

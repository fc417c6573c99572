import { readFileSync } from "node:fs";
import { request as plainRequest } from "node:http";
import { request } from "node:https";
import { dirname, resolve } from "node:path";
import { parse } from "yaml";
import { z } from "zod";

const kubeconfigSchema = z.object({
  "current-context": z.string().min(1),
  contexts: z.array(z.object({ name: z.string(), context: z.object({ cluster: z.string() }) })),
  clusters: z.array(
    z.object({
      name: z.string(),
      cluster: z.object({
        server: z.url({ protocol: /^https?$/ }),
        "certificate-authority": z.string().optional(),
        "certificate-authority-data": z.string().optional(),
        "tls-server-name": z.string().optional(),
        "proxy-url": z.string().optional(),
        "insecure-skip-tls-verify": z.boolean().optional(),
      }),
    }),
  ),
});

type Cluster = z.infer<typeof kubeconfigSchema>["clusters"][number]["cluster"];

const timeoutMilliseconds = 10_000;

const authorities = (cluster: Cluster, file: string): Buffer | undefined => {
  const data = cluster["certificate-authority-data"];
  if (data !== undefined) return Buffer.from(data, "base64");
  const path = cluster["certificate-authority"];
  return path === undefined ? undefined : readFileSync(resolve(dirname(file), path));
};

const ask = (cluster: Cluster, file: string): Promise<string | undefined> =>
  new Promise((done) => {
    const url = new URL(cluster.server);
    const options = { ca: authorities(cluster, file), servername: cluster["tls-server-name"] };
    const asked =
      url.protocol === "https:"
        ? request(url, { ...options, timeout: timeoutMilliseconds })
        : plainRequest(url, { timeout: timeoutMilliseconds });
    asked.on("response", (answer) => {
      answer.resume();
      done(undefined);
    });
    asked.on("timeout", () => asked.destroy(new Error(`no answer within ${timeoutMilliseconds / 1000} s`)));
    asked.on("error", (error: NodeJS.ErrnoException) =>
      done(`${cluster.server}: ${error.message || (error.code ?? "")}`),
    );
    asked.end();
  });

/**
 * Whether the API server that a kubeconfig names answers at all, asked without kubectl and without signing in. Servers
 * behind a proxy, and those whose certificate the kubeconfig does not check, are left to kubectl.
 *
 * @returns why not; undefined when it answers
 */
export const kubeconfigSilence = async (file: string): Promise<string | undefined> => {
  try {
    const { contexts, clusters, ...rest } = kubeconfigSchema.parse(parse(readFileSync(file, "utf8")));
    const context = contexts.find(({ name }) => name === rest["current-context"])?.context;
    const cluster = clusters.find(({ name }) => name === context?.cluster)?.cluster;
    if (cluster === undefined) return `context ${rest["current-context"]} names no cluster`;
    if (cluster["proxy-url"] !== undefined || cluster["insecure-skip-tls-verify"] === true) return undefined;
    return await ask(cluster, file);
  } catch (error) {
    if (error instanceof z.ZodError) return `no kubeconfig: ${error.issues[0]?.path.join(".") ?? ""}`;
    return error instanceof Error ? error.message.split("\n")[0] : String(error);
  }
};

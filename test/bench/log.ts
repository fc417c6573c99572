import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { Agent, request } from "node:https";
import type { StackOutputs } from "../../stacks/outputs";
import type { Kubectl } from "../../tools/cli/kubectl";
import { columns } from "../../tools/cli/columns";
import { quantile, short, tail } from "./statistics";

const ENTRIES = 100;
const WRITERS = 4;

/** An entry of Rekor's type hashedrekord 0.0.1, about nothing, by a key that is forgotten. */
const entry = (): string => {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const artefact = randomBytes(32);
  return JSON.stringify({
    apiVersion: "0.0.1",
    kind: "hashedrekord",
    spec: {
      data: { hash: { algorithm: "sha256", value: createHash("sha256").update(artefact).digest("hex") } },
      signature: {
        content: sign("sha256", artefact, privateKey).toString("base64"),
        publicKey: {
          content: Buffer.from(publicKey.export({ type: "spki", format: "pem" })).toString("base64"),
        },
      },
    },
  });
};

/** Writes of the log by the second. The entries stay in it: a log forgets nothing. */
export const measureLog = async (
  kubectl: Kubectl,
  { log }: StackOutputs["factory"]["provenance"],
): Promise<string[]> => {
  const forward = await kubectl.portForward(log.namespace, log.service, log.port);
  const agent = new Agent({ keepAlive: true, maxSockets: WRITERS, ca: log.caPem, servername: log.host });
  const write = (body: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const started = performance.now();
      const outgoing = request(
        {
          host: "127.0.0.1",
          port: forward.port,
          agent,
          method: "POST",
          path: "/api/v1/log/entries",
          headers: { host: log.host, "content-type": "application/json", accept: "application/json" },
        },
        (incoming) => {
          incoming.resume();
          incoming.on("end", () => {
            if (incoming.statusCode === 201) resolve(performance.now() - started);
            else reject(new Error(`the log answered with HTTP status ${incoming.statusCode ?? 0}`));
          });
        },
      );
      outgoing.on("error", reject);
      outgoing.end(body);
    });
  try {
    const queue = Array.from({ length: ENTRIES }, entry);
    const times: number[] = [];
    const started = performance.now();
    const worker = async () => {
      for (let next = queue.pop(); next !== undefined; next = queue.pop()) times.push(await write(next));
    };
    await Promise.all(Array.from({ length: WRITERS }, worker));
    const seconds = (performance.now() - started) / 1000;
    return columns([
      ["log", "p50 ms", "p99 ms", "entries a second"],
      [`${ENTRIES} entries, ${WRITERS} at once`, short(quantile(times, 0.5)), tail(times), short(ENTRIES / seconds)],
    ]);
  } finally {
    forward.close();
  }
};

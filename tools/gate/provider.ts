import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { Socket } from "node:net";
import { type SecureContextOptions, TLSSocket } from "node:tls";
import { z } from "zod";
import { ADMITTED } from "../../policies/admission/gate/image-provenance";
import { HEALTH_PATH, VERIFY_PATH } from "../../policies/admission/gate/records";
import type { Verdict } from "./verdicts";

const apiVersion = "externaldata.gatekeeper.sh/v1beta1";
const bodyLimit = 64 << 10;

const requestSchema = z.object({
  apiVersion: z.literal(apiVersion),
  kind: z.literal("ProviderRequest"),
  request: z.object({ keys: z.array(z.string().max(512)).min(1).max(64) }),
});

interface Item {
  key: string;
  value?: typeof ADMITTED;
  error?: string;
}

const response = (content: { items: Item[] } | { systemError: string }): string =>
  JSON.stringify({ apiVersion, kind: "ProviderResponse", response: { idempotent: true, ...content } });

/** A certificate, and the key of that, as PEM. */
export interface Pair {
  certificatePem: string;
  keyPem: string;
}

/** Settings of {@link openProvider}. */
export interface ProviderSettings {
  /** What it shows, as it is now: asked for at the start, and by {@link Provider.renew}. */
  pair: () => Pair;
  /** Authority that its callers' certificates must come from. */
  clientCaPem: string;
  /** Name that a caller's certificate must be for. */
  clientName: string;
  verdict: (image: string) => Promise<Verdict>;
}

/** A provider of external data. */
export interface Provider {
  server: Server;
  /**
   * Shows the pair as it is now to whoever connects from now on.
   *
   * @throws Error when the two do not belong together; then the former pair stays
   */
  renew: () => void;
}

/** The body as text; undefined when it is longer than any question of Gatekeeper, and then the rest stays unread. */
const readBody = (request: IncomingMessage): Promise<string | undefined> =>
  new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    request.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size <= bodyLimit) chunks.push(chunk);
      else {
        request.pause();
        resolve(undefined);
      }
    });
    request.on("end", () => {
      resolve(Buffer.concat(chunks).toString());
    });
    request.on("error", reject);
  });

const parse = (body: string): string[] | undefined => {
  try {
    return requestSchema.safeParse(JSON.parse(body)).data?.request.keys;
  } catch {
    return undefined;
  }
};

const isFrom = (socket: Socket, name: string): boolean =>
  socket instanceof TLSSocket &&
  socket.authorized &&
  (socket.getPeerCertificate().subjectaltname ?? "").split(", ").some((one) => one === `DNS:${name}`);

/**
 * A provider of external data for Gatekeeper, version v1beta1, over mutual TLS 1.3: every key that is asked for gets an item,
 * with the value that admits or with an error. Whatever is no question of Gatekeeper gets no item at all.
 */
export const openProvider = (settings: ProviderSettings): Provider => {
  const { pair, clientCaPem, clientName, verdict } = settings;
  const context = ({ certificatePem, keyPem }: Pair): SecureContextOptions => ({
    cert: certificatePem,
    key: keyPem,
    ca: clientCaPem,
    minVersion: "TLSv1.3",
  });
  const itemOf = async (key: string): Promise<Item> => {
    const given = await verdict(key);
    return given.admitted ? { key, value: ADMITTED } : { key, error: given.message };
  };
  const answer = async (request: IncomingMessage): Promise<{ status: number; body: string }> => {
    if (request.method === "GET" && request.url === HEALTH_PATH) return { status: 200, body: "ok\n" };
    if (!isFrom(request.socket, clientName))
      return { status: 403, body: response({ systemError: `only ${clientName} may ask` }) };
    if (request.method !== "POST" || request.url !== VERIFY_PATH)
      return { status: 404, body: response({ systemError: `the one question is POST ${VERIFY_PATH}` }) };
    const body = await readBody(request);
    if (body === undefined) return { status: 413, body: response({ systemError: "the question is too long" }) };
    const keys = parse(body);
    if (keys === undefined)
      return { status: 400, body: response({ systemError: `no ProviderRequest of ${apiVersion}` }) };
    return { status: 200, body: response({ items: await Promise.all(keys.map(itemOf)) }) };
  };
  const server = createServer(
    {
      ...context(pair()),
      requestCert: true,
      // Who may ask is looked at above: the health of the provider is asked for without a certificate.
      rejectUnauthorized: false,
    },
    (request: IncomingMessage, outgoing: ServerResponse) => {
      answer(request)
        .catch(() => ({ status: 500, body: response({ systemError: "the verifier failed" }) }))
        .then(
          ({ status, body }) => {
            // What was not read of the question is not worth reading.
            const isRest = !request.readableEnded;
            outgoing.writeHead(status, {
              "content-type": "application/json",
              ...(isRest ? { connection: "close" } : {}),
            });
            outgoing.end(body);
          },
          () => undefined,
        );
    },
  );
  server.requestTimeout = 5_000;
  server.headersTimeout = 5_000;
  return {
    server,
    renew: () => {
      server.setSecureContext(context(pair()));
    },
  };
};

import { Agent, request } from "node:https";

/** How to reach a service of the cluster. */
export interface ServiceAccess {
  /** Host and port by which the cluster knows it; its certificate must be for that host. */
  host: string;
  /** Port of this machine that leads there. @default none: the host itself is reached, from within the cluster */
  localPort?: number;
  /** Authority that its certificate must come from. */
  caPem: string;
  /** User and password, joined by a colon, as they are at that moment. @default none */
  auth?: () => Promise<string>;
  /** Token that each request carries, as it is at that moment. @default none */
  bearer?: () => string;
  /** How long it may be silent. @default 30000 */
  timeoutMilliseconds?: number;
  /** How much of an answer is taken; a longer one is none. @default 32 */
  answerMebibytes?: number;
  /**
   * How many connections there may be at once.
   * @default 1, because a forwarded port may drop a connection that opens while another one closes
   */
  connections?: number;
}

/** What a service answered. */
export interface Answer {
  status: number;
  body: Buffer;
}

/** What is sent in place of a mere question. */
export interface Sent {
  method: string;
  /** Media type of the body. */
  type: string;
  body: string;
}

/** What a question may have beside its path. */
export interface Asking {
  /** Given up when it is given before the answer is there. */
  signal?: AbortSignal;
  /** @default nothing is sent, and so nothing changed */
  sent?: Sent;
}

/** Asks a path of a service, which begins with a slash. */
export type Ask = (path: string, accept: string, asking?: Asking) => Promise<Answer>;

/**
 * Connects to the service, and checks the certificate for its real name, wherever the connection leads.
 *
 * @param unreadable the error for an address from which no answer came, for that reason
 */
export const openService = (access: ServiceAccess, unreadable: (url: string, reason: string) => Error): Ask => {
  const { host, localPort, caPem, auth, bearer, timeoutMilliseconds = 30_000, connections = 1 } = access;
  const { answerMebibytes = 32 } = access;
  const [servername = "", ownPort = "443"] = host.split(":");
  const agent = new Agent({ keepAlive: true, maxSockets: connections, servername, ca: caPem });
  return async (path, accept, { signal, sent } = {}) => {
    const login = await auth?.();
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => reject(unreadable(`https://${host}${path}`, error.message));
      const outgoing = request(
        {
          host: localPort === undefined ? servername : "127.0.0.1",
          port: localPort ?? Number(ownPort),
          agent,
          method: sent?.method,
          path,
          auth: login,
          headers: {
            host,
            accept,
            ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer()}` }),
            ...(sent === undefined ? {} : { "content-type": sent.type }),
          },
          timeout: timeoutMilliseconds,
          signal,
        },
        (response) => {
          const chunks: Buffer[] = [];
          let size = 0;
          response.on("data", (chunk: Buffer) => {
            size += chunk.length;
            if (size > answerMebibytes << 20) outgoing.destroy(new Error(`larger than ${answerMebibytes} MiB`));
            else chunks.push(chunk);
          });
          response.on("error", fail);
          response.on("end", () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }));
        },
      );
      outgoing.on("timeout", () => outgoing.destroy(new Error(`no answer within ${timeoutMilliseconds / 1000} s`)));
      outgoing.on("error", fail);
      outgoing.end(sent?.body);
    });
  };
};

import { generateKeyPairSync, sign } from "node:crypto";
import { Agent, request } from "node:https";
import { z } from "zod";
import { PUBLISHER } from "../../components/lib/workload-api";
import { spiffeId } from "../../components/spire";
import type { Session } from "../../tools/cli/attack-session";
import type { Answer } from "../../tools/cli/attacks";
import type { Attestation } from "../../tools/cli/registry";
import type { Leaf } from "../cli/support/authority";
import { attestation, signEnvelope } from "../cli/support/provenance";

/** One request to a service of the factory. */
export interface ServiceRequest {
  method: string;
  path: string;
  /** User and password, joined by a colon. @default nobody */
  auth?: string;
  /** @default anything */
  accept?: string;
  /** Content, and its media type. @default none */
  content?: { type: string; body: string | Buffer };
}

/** What the service answered. */
export interface ServiceAnswer {
  status: number;
  body: Buffer;
  /** Where it sent the caller, if anywhere. */
  location?: string;
}

/** Sends one request. */
export type Send = (asked: ServiceRequest) => Promise<ServiceAnswer>;

/**
 * Opens a service of the cluster by its name there, such as `registry.ssf-registry.svc.cluster.local:5000`.
 *
 * @param maxSockets how many requests it is sent at once. @default 1
 */
export const openHttps = async ({ kubectl, factory, defer }: Session, host: string, maxSockets = 1): Promise<Send> => {
  const [servername = "", port = "443"] = host.split(":");
  const [service = "", namespace = ""] = servername.split(".");
  const forward = await kubectl.portForward(namespace, service, Number(port));
  defer(`port of ${host}`, () => {
    forward.close();
    return Promise.resolve();
  });
  const agent = new Agent({ keepAlive: true, maxSockets, servername, ca: factory.registry.caPem });
  const send: Send = (asked) =>
    new Promise((resolve, reject) => {
      const { method, path, auth, accept = "*/*", content } = asked;
      const headers = { host, accept, ...(content === undefined ? {} : { "content-type": content.type }) };
      const outgoing = request(
        { host: "127.0.0.1", port: forward.port, agent, method, path, auth, headers },
        (answer) => {
          const chunks: Buffer[] = [];
          answer.on("data", (chunk: Buffer) => chunks.push(chunk));
          answer.on("end", () =>
            resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks), location: answer.headers.location }),
          );
        },
      );
      outgoing.on("error", (error: NodeJS.ErrnoException) => {
        // A server ends a connection that was idle, it may be just when that is used again: then it has taken no request.
        if (outgoing.reusedSocket && error.code === "ECONNRESET") send(asked).then(resolve, reject);
        else reject(error);
      });
      outgoing.end(content?.body);
    });
  return send;
};

/** What the registry's status says; `reached` are those of a request that it has carried out. */
export const registryAnswer = (status: number, reached: readonly number[], body = ""): Answer => {
  if (reached.includes(status)) return { is: "accepted", detail: `HTTP status ${status}` };
  return status >= 400 && status < 500
    ? { is: "refused", by: "registry", message: `HTTP status ${status} ${body}`.trim() }
    : { is: "unproven", detail: `HTTP status ${status}` };
};

const json = (value: unknown) => ({ type: "application/json", body: JSON.stringify(value) });

const entrySchema = z
  .record(
    z.string(),
    z.object({
      body: z.base64(),
      integratedTime: z.int(),
      logIndex: z.int(),
      logID: z.string(),
      verification: z.object({ signedEntryTimestamp: z.base64() }),
    }),
  )
  .transform((entries) => Object.values(entries)[0]);

/**
 * Signs statements, and enters them in the factory's log, which takes every one whose signature fits its certificate. The log
 * answers once it has written an entry, so several wait together.
 */
export const openLog = async (session: Session): Promise<(payload: string, leaf: Leaf) => Promise<Attestation>> => {
  const { host, port } = session.factory.provenance.log;
  const send = await openHttps(session, `${host.split(":")[0] ?? ""}:${port}`, 4);
  return async (payload, leaf) => {
    const envelope = signEnvelope(payload, leaf);
    const publicKey = Buffer.from(leaf.certificatePem).toString("base64");
    const spec = { content: { envelope: envelope.toString() }, publicKey };
    const content = json({ apiVersion: "0.0.1", kind: "intoto", spec });
    const { status, body } = await send({
      method: "POST",
      path: "/api/v1/log/entries",
      accept: "application/json",
      content,
    });
    const entry = status === 201 ? entrySchema.parse(JSON.parse(body.toString())) : undefined;
    if (entry === undefined) throw new Error(`the log did not take the entry: ${status} ${body.toString()}`);
    return attestation(envelope, leaf, {
      body: Buffer.from(entry.body, "base64"),
      integratedTime: entry.integratedTime,
      logIndex: entry.logIndex,
      logId: entry.logID,
      signedEntryTimestamp: Buffer.from(entry.verification.signedEntryTimestamp, "base64"),
    });
  };
};

/** What Fulcio says to somebody who wants a certificate. */
export type FulcioAnswer = { leaf: Leaf } | { leaf?: undefined; refusal: string };

/** Who asks Fulcio: a token, and what is signed to show that the key is at hand: the token's subject, unless said otherwise. */
export interface FulcioQuestion {
  token: string;
  proof?: string;
}

const certificateSchema = z.object({
  signedCertificateEmbeddedSct: z.object({ chain: z.object({ certificates: z.array(z.string()) }) }).optional(),
  signedCertificateDetachedSct: z.object({ chain: z.object({ certificates: z.array(z.string()) }) }).optional(),
});

const claimsOf = (token: string): Record<string, unknown> =>
  JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as Record<string, unknown>;

/** The token with other claims under its old signature. */
export const withClaims = (token: string, changes: Record<string, unknown>): string => {
  const [header = "", , signature = ""] = token.split(".");
  const claims = Buffer.from(JSON.stringify({ ...claimsOf(token), ...changes })).toString("base64url");
  return [header, claims, signature].join(".");
};

/** Asks Fulcio for certificates, each for a key that is made for it. */
export const openFulcio = async (session: Session): Promise<(question: FulcioQuestion) => Promise<FulcioAnswer>> => {
  const { host } = new URL(session.factory.trust.authority.url);
  const send = await openHttps(session, host);
  return async ({ token, proof = String(claimsOf(token).sub) }) => {
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const content = json({
      credentials: { oidcIdentityToken: token },
      publicKeyRequest: {
        publicKey: { algorithm: "ECDSA", content: publicKey.export({ type: "spki", format: "pem" }) },
        proofOfPossession: sign("sha256", Buffer.from(proof), privateKey).toString("base64"),
      },
    });
    const { status, body } = await send({ method: "POST", path: "/api/v2/signingCert", content });
    if (status >= 400 && status < 500) return { refusal: `HTTP status ${status}: ${body.toString()}` };
    const given = certificateSchema.parse(JSON.parse(body.toString()));
    const chain = given.signedCertificateEmbeddedSct?.chain ?? given.signedCertificateDetachedSct?.chain;
    const certificatePem = chain?.certificates[0];
    if (certificatePem === undefined) throw new Error(`Fulcio gave no certificate: ${status} ${body.toString()}`);
    return { leaf: { certificatePem, privateKey } };
  };
};

/** What SPIRE's server answers to a command; only who may enter its pod may give one. */
export const commandSpire = (
  { kubectl }: Pick<Session, "kubectl">,
  command: string[],
  flags: string[],
): Promise<string> =>
  kubectl.text([
    ...["exec", "--namespace=ssf-spire", "deployment/spire-server", "--container=spire-server", "--"],
    ...["/usr/bin/spire-server", ...command, "-socketPath=/run/spire/server/api.sock", ...flags],
  ]);

/** What a token of SPIRE says. */
interface TokenClaims {
  /** SPIFFE ID. @default one below `attack/`, which no workload has */
  identity?: string;
  /** Whom it is for. @default sigstore */
  audience?: string;
  /** How long it lives. @default 300 */
  seconds?: number;
}

/** A token of SPIRE; only who may command SPIRE's server gets one. */
export const mintToken = async (
  session: Pick<Session, "kubectl" | "factory" | "id">,
  {
    identity = `spiffe://${session.factory.trustDomain}/attack/${session.id}`,
    audience = "sigstore",
    seconds = 300,
  }: TokenClaims = {},
): Promise<string> => {
  const about = [`-spiffeID=${identity}`, `-audience=${audience}`, `-ttl=${seconds}s`];
  return (await commandSpire(session, ["jwt", "mint"], about)).trim();
};

/** Logins of those who write to the registry, each as user and password joined by a colon: as if their tokens were stolen. */
export const stolenLogins = async (
  session: Pick<Session, "kubectl" | "factory" | "id">,
  namespace: string,
): Promise<Record<"publisher" | "attestor", string>> => {
  const { registry, trust, trustDomain } = session.factory;
  const login = async (identity: string) =>
    `spiffe:${await mintToken(session, { identity, audience: registry.host, seconds: 3600 })}`;
  return {
    publisher: await login(spiffeId(trustDomain, { namespace, serviceAccount: PUBLISHER })),
    attestor: await login(trust.signer.identity),
  };
};

/**
 * A certificate of Fulcio, as only who may command SPIRE's server gets it for somebody else.
 *
 * @param identity whom it names. @default one that no workload has
 */
export const mintLeaf = async (session: Session, identity?: string): Promise<Leaf> => {
  const fulcio = await openFulcio(session);
  const { leaf } = await fulcio({ token: await mintToken(session, { identity }) });
  if (leaf === undefined) throw new Error("Fulcio gave no certificate");
  return leaf;
};

import { sha256 } from "../../components/lib/digest";
import { z } from "zod";
import { sbomMediaType } from "../../pipelines/stages/scan";
import type { Session } from "../../tools/cli/attack-session";
import {
  type Attestation,
  envelopeMediaType,
  fetchAttestations,
  fetchSboms,
  MANIFEST_TYPES,
  openRegistry,
  parseImage,
} from "../../tools/cli/registry";
import type { Answer } from "../../tools/cli/attacks";
import type { Said } from "./lies";
import { openHttps, registryAnswer, type ServiceRequest, stolenLogins } from "./services";

const manifestType = "application/vnd.oci.image.manifest.v1+json";
const indexType = "application/vnd.oci.image.index.v1+json";

const descriptor = z.looseObject({ mediaType: z.string(), digest: z.string(), size: z.int() });
const manifestSchema = z.looseObject({ config: descriptor, layers: z.array(descriptor) });
const sbomSchema = z.looseObject({ subject: z.looseObject({ digest: z.string() }) });
const configSchema = z.looseObject({
  config: z.looseObject({ Labels: z.record(z.string(), z.string()).optional() }).default({}),
});

/** Puts images into the registry beside one that was built, as a thief of the tokens of those who write could. */
export interface Forger {
  /** The statement about the image that was built, as it lies in the registry. */
  statement: Attestation;
  /** A copy of the image with another label, and so another digest. */
  copy: (label: string) => Promise<{ image: string; digest: string }>;
  /**
   * Attaches the bill of materials of the image that was built to a copy.
   *
   * @param times how often the list of what refers to the copy names it. @default 1
   * @returns its digest
   */
  attachSbom: (digest: string, times?: number) => Promise<string>;
  /** Lays a signed statement beside an image. */
  attach: (digest: string, statement: Attestation) => Promise<void>;
  /** The image that was built, byte for byte, in the repository that is written to. */
  whole: () => Promise<{ image: string; digest: string }>;
  /** Makes a tag name an image, or tells how the registry refuses that. */
  tag: (tag: string, digest: string) => Promise<Answer>;
}

/**
 * Opens the registry to whoever has stolen those tokens.
 *
 * @param path repository that is written to. @default that of the image
 */
export const openForger = async (session: Session, built: string, path = parseImage(built).path): Promise<Forger> => {
  const { factory, team, kubectl, defer } = session;
  const { registry } = factory;
  const image = parseImage(built);
  const { host } = image;
  const https = await openHttps(session, host);
  const { publisher, attestor } = await stolenLogins(session, path.split("/")[0] ?? "");
  const { username, password } = team.registryCredentials.reader;
  const login = () => Promise.resolve({ username, password });
  const send = async (asked: ServiceRequest, expected: number) => {
    const answer = await https({ auth: publisher, ...asked, accept: MANIFEST_TYPES });
    if (answer.status === expected) return answer;
    throw new Error(`${asked.method} ${asked.path}: HTTP status ${answer.status} ${answer.body.toString()}`);
  };
  const get = async (what: string, from = image.path) => {
    const auth = from === image.path ? `${username}:${password}` : publisher;
    return (await send({ method: "GET", path: `/v2/${from}/${what}`, auth }, 200)).body;
  };

  const pushBlob = async (content: Buffer): Promise<{ digest: string; size: number }> => {
    const digest = `sha256:${sha256(content)}`;
    const { location = "" } = await send({ method: "POST", path: `/v2/${path}/blobs/uploads/` }, 202);
    const { pathname, searchParams } = new URL(location, `https://${host}`);
    searchParams.set("digest", digest);
    const body = { type: "application/octet-stream", body: content };
    await send({ method: "PUT", path: `${pathname}?${searchParams.toString()}`, content: body }, 201);
    return { digest, size: content.length };
  };
  const manifestRequest = (body: Buffer, reference: string, type = manifestType): ServiceRequest => ({
    method: "PUT",
    path: `/v2/${path}/manifests/${reference}`,
    content: { type, body },
  });
  const pushManifest = async (manifest: Buffer): Promise<{ image: string; digest: string }> => {
    const digest = `sha256:${sha256(manifest)}`;
    await send(manifestRequest(manifest, digest), 201);
    return { image: `${host}/${path}@${digest}`, digest };
  };

  const forward = await kubectl.portForward(registry.namespace, registry.service, Number(host.split(":")[1]));
  defer("port of the registry's reader", () => {
    forward.close();
    return Promise.resolve();
  });
  const reader = openRegistry({ login, ...registry, localPort: forward.port });
  const [statement] = (await fetchAttestations(reader, image)).newest;
  const [attached] = await fetchSboms(reader, image);
  if (statement === undefined || attached === undefined) throw new Error(`too little lies beside ${built}`);
  const sbom = sbomSchema.parse(JSON.parse((await get(`manifests/${attached.digest}`)).toString()));
  const original = await get(`manifests/${image.digest}`);
  const manifest = manifestSchema.parse(JSON.parse(original.toString()));
  const originalConfig = await get(`blobs/${manifest.config.digest}`);
  const config = configSchema.parse(JSON.parse(originalConfig.toString()));

  return {
    statement,
    copy: async (label) => {
      const Labels = { ...config.config.Labels, attack: `${session.id} ${label}` };
      const changed = Buffer.from(JSON.stringify({ ...config, config: { ...config.config, Labels } }));
      const pushed = { ...manifest.config, ...(await pushBlob(changed)) };
      return pushManifest(Buffer.from(JSON.stringify({ ...manifest, config: pushed })));
    },
    whole: async () => {
      for (const { digest } of manifest.layers) await pushBlob(await get(`blobs/${digest}`));
      await pushBlob(originalConfig);
      return pushManifest(original);
    },
    attachSbom: async (digest, times = 1) => {
      const about = Buffer.from(JSON.stringify({ ...sbom, subject: { ...sbom.subject, digest } }));
      const pushed = await pushManifest(about);
      const referrer = {
        mediaType: manifestType,
        artifactType: sbomMediaType,
        digest: pushed.digest,
        size: about.length,
      };
      const manifests = Array.from({ length: times }, () => referrer);
      const list = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests }));
      await send(manifestRequest(list, digest.replace(":", "-"), indexType), 201);
      return pushed.digest;
    },
    attach: async (digest, { content, annotations }) => {
      const empty = await pushBlob(Buffer.from("{}"));
      const layer = { mediaType: envelopeMediaType, ...(await pushBlob(content)), annotations };
      const beside = {
        schemaVersion: 2,
        mediaType: manifestType,
        config: { mediaType: "application/vnd.oci.image.config.v1+json", ...empty },
        layers: [layer],
      };
      const laid = manifestRequest(Buffer.from(JSON.stringify(beside)), `${digest.replace(":", "-")}.att`);
      await send({ ...laid, auth: attestor }, 201);
    },
    tag: async (tag, digest) => {
      const asked = manifestRequest(await get(`manifests/${digest}`, path), tag);
      const { status, body } = await https({ ...asked, auth: publisher });
      return registryAnswer(status, [201], body.toString());
    },
  };
};

const statementSchema = z.looseObject({ subject: z.array(z.object({ name: z.string() })).min(1) });
const envelopeSchema = z.object({ payload: z.base64() });

/** What a statement of Chains says. */
export const saidIn = ({ content }: Attestation): Said => {
  const { payload } = envelopeSchema.parse(JSON.parse(content.toString()));
  return statementSchema.parse(JSON.parse(Buffer.from(payload, "base64").toString())) as unknown as Said;
};

/** What the statement says, about another image, and about its bill of materials if it has one. */
export const aboutImage = (statement: Attestation, ...digests: string[]): Said => {
  const said = saidIn(statement);
  const name = said.subject[0]?.name ?? "";
  const subject = digests.map((digest) => ({ name, digest: { sha256: digest.replace("sha256:", "") } }));
  return { ...said, subject };
};

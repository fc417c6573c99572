import { sha256 } from "../../components/lib/digest";
import { z } from "zod";
import type { Session } from "../../tools/cli/attack-session";
import {
  type Attestation,
  envelopeMediaType,
  fetchAttestations,
  MANIFEST_TYPES,
  openRegistry,
  parseImage,
} from "../../tools/cli/registry";
import { openHttps, type ServiceRequest } from "./services";

const manifestType = "application/vnd.oci.image.manifest.v1+json";

const descriptor = z.looseObject({ mediaType: z.string(), digest: z.string(), size: z.int() });
const manifestSchema = z.looseObject({ config: descriptor, layers: z.array(descriptor) });
const configSchema = z.looseObject({
  config: z.looseObject({ Labels: z.record(z.string(), z.string()).optional() }).default({}),
});

/** Puts images into the registry beside one that was built, as a thief of the publisher's password could. */
export interface Forger {
  /** The statement about the image that was built, as it lies in the registry. */
  statement: Attestation;
  /** A copy of the image with another label, and so another digest. */
  copy: (label: string) => Promise<{ image: string; digest: string }>;
  /** Lays a signed statement beside an image. */
  attach: (digest: string, statement: Attestation) => Promise<void>;
  /** Makes a tag name an image. */
  tag: (tag: string, digest: string) => Promise<void>;
}

/** Opens the registry to whoever has stolen the publisher's password. */
export const openForger = async (session: Session, built: string): Promise<Forger> => {
  const { factory, kubectl, defer } = session;
  const { registry, registryCredentials } = factory;
  const { username, password } = registryCredentials.publisher;
  const image = parseImage(built);
  const { host, path } = image;
  const https = await openHttps(session, host);
  const send = async (asked: Omit<ServiceRequest, "auth">, expected: number) => {
    const answer = await https({ ...asked, auth: `${username}:${password}`, accept: MANIFEST_TYPES });
    if (answer.status === expected) return answer;
    throw new Error(`${asked.method} ${asked.path}: HTTP status ${answer.status} ${answer.body.toString()}`);
  };
  const get = async (what: string) => (await send({ method: "GET", path: `/v2/${path}/${what}` }, 200)).body;

  const pushBlob = async (content: Buffer): Promise<{ digest: string; size: number }> => {
    const digest = `sha256:${sha256(content)}`;
    const { location = "" } = await send({ method: "POST", path: `/v2/${path}/blobs/uploads/` }, 202);
    const { pathname, searchParams } = new URL(location, `https://${host}`);
    searchParams.set("digest", digest);
    const body = { type: "application/octet-stream", body: content };
    await send({ method: "PUT", path: `${pathname}?${searchParams.toString()}`, content: body }, 201);
    return { digest, size: content.length };
  };
  const pushManifest = async (manifest: Buffer, reference = `sha256:${sha256(manifest)}`): Promise<string> => {
    const content = { type: manifestType, body: manifest };
    await send({ method: "PUT", path: `/v2/${path}/manifests/${reference}`, content }, 201);
    return `sha256:${sha256(manifest)}`;
  };

  const forward = await kubectl.portForward(registry.namespace, registry.service, Number(host.split(":")[1]));
  defer("port of the registry's reader", () => {
    forward.close();
    return Promise.resolve();
  });
  const reader = openRegistry({ ...registryCredentials.reader, ...registry, localPort: forward.port });
  const [statement] = await fetchAttestations(reader, image);
  if (statement === undefined) throw new Error(`no statement lies beside ${built}`);
  const manifest = manifestSchema.parse(JSON.parse((await get(`manifests/${image.digest}`)).toString()));
  const config = configSchema.parse(JSON.parse((await get(`blobs/${manifest.config.digest}`)).toString()));

  return {
    statement,
    copy: async (label) => {
      const Labels = { ...config.config.Labels, attack: `${session.id} ${label}` };
      const changed = Buffer.from(JSON.stringify({ ...config, config: { ...config.config, Labels } }));
      const pushed = { ...manifest.config, ...(await pushBlob(changed)) };
      const digest = await pushManifest(Buffer.from(JSON.stringify({ ...manifest, config: pushed })));
      return { image: `${host}/${path}@${digest}`, digest };
    },
    attach: async (digest, { content, annotations }) => {
      const empty = await pushBlob(Buffer.from("{}"));
      const layer = { mediaType: envelopeMediaType, ...(await pushBlob(content)), annotations };
      const attached = {
        schemaVersion: 2,
        mediaType: manifestType,
        config: { mediaType: "application/vnd.oci.image.config.v1+json", ...empty },
        layers: [layer],
      };
      await pushManifest(Buffer.from(JSON.stringify(attached)), `${digest.replace(":", "-")}.att`);
    },
    tag: async (tag, digest) => {
      await pushManifest(await get(`manifests/${digest}`), tag);
    },
  };
};

const statementSchema = z.looseObject({ subject: z.array(z.object({ name: z.string() })).min(1) });
const envelopeSchema = z.object({ payload: z.base64() });

/** What the statement says, about another image. */
export const aboutImage = ({ content }: Attestation, digest: string): string => {
  const { payload } = envelopeSchema.parse(JSON.parse(content.toString()));
  const said = statementSchema.parse(JSON.parse(Buffer.from(payload, "base64").toString()));
  const subject = said.subject
    .slice(0, 1)
    .map(({ name }) => ({ name, digest: { sha256: digest.replace("sha256:", "") } }));
  return JSON.stringify({ ...said, subject });
};

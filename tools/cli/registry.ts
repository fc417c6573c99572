import { z } from "zod";
import { sha256 } from "../../components/lib/digest";
import { FactoryError } from "../../components/lib/errors";
import type { Credentials } from "../../components/lib/registry-config";
import { sbomMediaType } from "../../pipelines/stages/scan";
import { openService, type ServiceAccess } from "./service";

/** An image by digest: repository as in `host:port/path`, digest as in `sha256:<hex>`. */
export interface ImageReference {
  /** Host and port. */
  host: string;
  /** Path of the repository. */
  path: string;
  digest: string;
}

const reference = /^([^/@\s]+)\/([a-z0-9._/-]+)(?::[A-Za-z0-9_.-]+)?@(sha256:[0-9a-f]{64})$/;

/** Parses an image by digest; anything else is refused, a tag above all. */
export const parseImage = (text: string): ImageReference => {
  const [, host, path, digest] = reference.exec(text) ?? [];
  if (host !== undefined && path !== undefined && digest !== undefined) return { host, path, digest };
  throw new FactoryError({
    code: "SSF-VERIFY-001",
    path: "image",
    given: `"${text}"`,
    rule: "An image is verified by its digest, since a tag can name another image a moment later.",
    fix: "Write <registry>/<path>@sha256:<64 hex digits>, as ./factory build prints it.",
  });
};

/** Where and as whom to read a registry. */
export interface RegistryAccess extends Omit<ServiceAccess, "auth"> {
  /** As it is at that moment: the login of an identity lasts for minutes only. */
  login: () => Promise<Credentials>;
}

/** A client for reading one registry. */
export interface Registry {
  /** A manifest by tag or digest; undefined when there is none. */
  manifest: (path: string, tagOrDigest: string, signal?: AbortSignal) => Promise<Buffer | undefined>;
  /** A blob, checked against its digest. */
  blob: (path: string, digest: string, signal?: AbortSignal) => Promise<Buffer>;
}

/** The same client, which reads nothing more once the signal is given. */
export const readingUntil = ({ manifest, blob }: Registry, signal: AbortSignal): Registry => ({
  manifest: (path, tagOrDigest) => manifest(path, tagOrDigest, signal),
  blob: (path, digest) => blob(path, digest, signal),
});

/** How large a manifest, a signed statement or a bill of materials may be: as much as any registry takes as a manifest. */
const DOCUMENT_MEBIBYTES = 4;

/** How many signed statements beside an image are read, the newest ones. */
export const STATEMENTS_READ = 16;

/** How many bills of materials may be attached to an image. The commit decides them, so a pipeline attaches one. */
export const SBOMS_READ = 16;

/** Media types of manifests, as a request accepts them. */
export const MANIFEST_TYPES = [
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
].join(", ");

const unreadable = (path: string, given: string) =>
  new FactoryError({
    code: "SSF-VERIFY-002",
    path,
    given,
    rule: `The factory's registry must answer, with at most ${DOCUMENT_MEBIBYTES} MiB at a time.`,
    fix: "Look at ./factory status; ./factory up mends what is missing.",
  });

const digestOf = (content: Buffer): string => `sha256:${sha256(content)}`;

/** A client that connects to a local port, and checks the certificate for the registry's real name. */
export const openRegistry = ({ login, ...service }: RegistryAccess): Registry => {
  const { host } = service;
  const auth = async (): Promise<string> => {
    const { username, password } = await login();
    return `${username}:${password}`;
  };
  const get = openService({ ...service, auth, answerMebibytes: DOCUMENT_MEBIBYTES }, unreadable);
  return {
    manifest: async (path, tagOrDigest, signal) => {
      const { status, body } = await get(`/v2/${path}/manifests/${tagOrDigest}`, MANIFEST_TYPES, { signal });
      if (status === 404) return undefined;
      if (status !== 200) throw unreadable(`${host}/${path}`, `HTTP status ${status}`);
      if (tagOrDigest.startsWith("sha256:") && digestOf(body) !== tagOrDigest)
        throw unreadable(`${host}/${path}`, `a manifest whose digest is not ${tagOrDigest}`);
      return body;
    },
    blob: async (path, digest, signal) => {
      const { status, body } = await get(`/v2/${path}/blobs/${digest}`, "*/*", { signal });
      if (status !== 200) throw unreadable(`${host}/${path}`, `HTTP status ${status} for blob ${digest}`);
      if (digestOf(body) !== digest) throw unreadable(`${host}/${path}`, `a blob whose digest is not ${digest}`);
      return body;
    },
  };
};

const attestationManifest = z.object({
  layers: z.array(
    z.object({
      mediaType: z.string(),
      digest: z.string(),
      annotations: z.record(z.string(), z.string()).default({}),
    }),
  ),
});

/** Media type of a layer that is a signed statement. */
export const envelopeMediaType = "application/vnd.dsse.envelope.v1+json";

/** A layer with a signed statement, in cosign's layout. */
export interface Attestation {
  /** The layer's bytes: a DSSE envelope. */
  content: Buffer;
  /** The layer's annotations, in which signer's certificate and log entry stand. */
  annotations: Record<string, string>;
}

/** What lies beside an image. */
export interface Attestations {
  /** The newest first, {@link STATEMENTS_READ} at most. */
  newest: Attestation[];
  /** How many older ones there are. */
  unread: number;
}

/** Does the work for one item after the other, so that what lies beside one image is never read all at once. */
const inTurn = async <T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> => {
  const results: R[] = [];
  for (const item of items) results.push(await work(item));
  return results;
};

/**
 * The signed statements about an image, from the tag beside it where Chains stores them.
 *
 * @throws FactoryError `SSF-VERIFY-003` when the image itself is not in the registry
 */
export const fetchAttestations = async (registry: Registry, image: ImageReference): Promise<Attestations> => {
  if ((await registry.manifest(image.path, image.digest)) === undefined)
    throw new FactoryError({
      code: "SSF-VERIFY-003",
      path: `${image.host}/${image.path}@${image.digest}`,
      given: "not in the registry",
      rule: "The image must be in the factory's registry.",
      fix: "Give an image that ./factory build printed.",
    });
  return readAttestations(registry, image);
};

/** The same, whether or not the image is there. */
export const readAttestations = async (registry: Registry, image: ImageReference): Promise<Attestations> => {
  const manifest = await registry.manifest(image.path, `${image.digest.replace(":", "-")}.att`);
  if (manifest === undefined) return { newest: [], unread: 0 };
  const { layers } = attestationManifest.parse(JSON.parse(manifest.toString()));
  // Chains adds at the end.
  const envelopes = layers.filter(({ mediaType }) => mediaType === envelopeMediaType).reverse();
  const newest = await inTurn(envelopes.slice(0, STATEMENTS_READ), async ({ digest, annotations }) => ({
    content: await registry.blob(image.path, digest),
    annotations,
  }));
  return { newest, unread: envelopes.length - newest.length };
};

/** What is attached to an image may be anything; what is no JSON is nothing. */
const parseJson = (content: Buffer | undefined): unknown => {
  try {
    return JSON.parse(content?.toString() ?? "null");
  } catch {
    return undefined;
  }
};

const referrersIndex = z.object({
  manifests: z.array(z.object({ digest: z.string(), artifactType: z.string().optional() })),
});

const sbomManifest = z.object({
  artifactType: z.literal(sbomMediaType),
  subject: z.object({ digest: z.string() }),
  layers: z.array(z.object({ mediaType: z.literal(sbomMediaType), digest: z.string() })).length(1),
});

const sbomDocument = z.object({ bomFormat: z.literal("CycloneDX"), components: z.array(z.unknown()) });

/** A bill of materials that is attached to an image. */
export interface AttachedSbom {
  /** Digest of its manifest. */
  digest: string;
  /** Number of packages that it lists. */
  packages: number;
}

const attachedSbom = async (
  registry: Registry,
  image: ImageReference,
  digest: string,
): Promise<AttachedSbom | undefined> => {
  const manifest = sbomManifest.safeParse(parseJson(await registry.manifest(image.path, digest))).data;
  if (manifest?.subject.digest !== image.digest) return undefined;
  const [layer] = manifest.layers;
  const parsed = sbomDocument.safeParse(parseJson(await registry.blob(image.path, layer?.digest ?? ""))).data;
  return parsed === undefined ? undefined : { digest, packages: parsed.components.length };
};

/**
 * The bills of materials that are attached to an image: manifests that name it as their subject, from the tag in which the
 * OCI distribution specification keeps them for a registry without an interface for referrers.
 *
 * @throws FactoryError `SSF-VERIFY-009` when there are more than {@link SBOMS_READ}
 */
export const fetchSboms = async (registry: Registry, image: ImageReference): Promise<AttachedSbom[]> => {
  const index = await registry.manifest(image.path, image.digest.replace(":", "-"));
  const { manifests = [] } = referrersIndex.safeParse(parseJson(index)).data ?? {};
  const referrers = manifests.filter(({ artifactType }) => artifactType === sbomMediaType);
  if (referrers.length > SBOMS_READ)
    throw new FactoryError({
      code: "SSF-VERIFY-009",
      path: `${image.host}/${image.path}@${image.digest}`,
      given: `${referrers.length} bills of materials`,
      rule: `At most ${SBOMS_READ} are attached to an image, lest reading them keep the verifier from other images.`,
      fix: "Find out who pushes to the repository; then build another commit, which gives another image.",
    });
  const found = await inTurn(referrers, ({ digest }) => attachedSbom(registry, image, digest));
  return found.filter((sbom) => sbom !== undefined);
};

import { createHash } from "node:crypto";
import type { Server } from "node:https";
import {
  envelopeMediaType,
  fetchAttestations,
  fetchSboms,
  openRegistry,
  parseImage,
  readingUntil,
  type RegistryAccess,
  SBOMS_READ,
  STATEMENTS_READ,
} from "../../tools/cli/registry";
import { certificateFor, listen } from "./support/tls";

const sha256 = (text: string) => `sha256:${createHash("sha256").update(text).digest("hex")}`;
const host = "registry.ssf-registry.svc.cluster.local:5000";
const certificate = certificateFor("registry.ssf-registry.svc.cluster.local");

describe("parseImage", () => {
  it("takes an image by digest, with or without a tag", () => {
    const digest = sha256("x");
    const parsed = { host, path: "team-a/service", digest };
    expect(parseImage(`${host}/team-a/service@${digest}`)).toEqual(parsed);
    expect(parseImage(`${host}/team-a/service:v1@${digest}`)).toEqual(parsed);
  });

  it.each(["service", `${host}/team-a/service:v1`, `${host}/team-a/service@sha256:12`, ""])("refuses %p", (text) => {
    expect(() => parseImage(text)).toThrow("SSF-VERIFY-001");
  });
});

describe("a registry behind a local port", () => {
  const image = '{"schemaVersion":2}';
  const envelope = '{"payloadType":"x"}';
  const annotations = { "dev.sigstore.cosign/certificate": "PEM" };
  const other = "not an envelope";
  const attestations = JSON.stringify({
    layers: [
      { mediaType: envelopeMediaType, digest: sha256(envelope), annotations },
      { mediaType: envelopeMediaType, digest: sha256(envelope) },
      { mediaType: "text/plain", digest: sha256(other) },
    ],
  });
  const document = JSON.stringify({ bomFormat: "CycloneDX", components: [{}, {}] });
  const mediaType = "application/vnd.cyclonedx+json";
  const sbomOf = (changes: object) =>
    JSON.stringify({
      artifactType: mediaType,
      subject: { digest: sha256(image) },
      layers: [{ mediaType, digest: sha256(document) }],
      ...changes,
    });
  const sbom = sbomOf({});
  /** So many statements, or bills of materials, that differ. */
  const many = (count: number, one: (number: number) => string) => Array.from({ length: count }, (_, i) => one(i));
  const numbered = (count: number) => many(count, (number) => JSON.stringify({ number }));
  const statementsOf = (envelopes: string[]) =>
    JSON.stringify({ layers: envelopes.map((one) => ({ mediaType: envelopeMediaType, digest: sha256(one) })) });
  const sbomsOf = (count: number) => many(count, (number) => sbomOf({ number }));
  const long = (bytes: number) => JSON.stringify("x".repeat(bytes - 2));
  const limit = 4 << 20;
  const strangers = [
    "no JSON",
    sbomOf({ subject: { digest: sha256("x") } }),
    sbomOf({ subject: undefined }),
    sbomOf({ artifactType: "application/spdx+json" }),
    sbomOf({ layers: [] }),
    sbomOf({ layers: [{ mediaType, digest: sha256(other) }] }),
  ];
  const index = (manifests: string[]) =>
    JSON.stringify({ manifests: manifests.map((one) => ({ artifactType: mediaType, digest: sha256(one) })) });
  const referrers = sha256(image).replace(":", "-");
  const manifestsIn = (path: string, contents: string[]) =>
    Object.fromEntries(contents.map((one) => [`/v2/team-a/${path}/manifests/${sha256(one)}`, one]));
  const blobsIn = (path: string, contents: string[]) =>
    Object.fromEntries(contents.map((one) => [`/v2/team-a/${path}/blobs/${sha256(one)}`, one]));
  /** An image beside which so much lies. */
  const crowded = (path: string, envelopes: string[], attached: string[]) => ({
    [`/v2/team-a/${path}/manifests/${referrers}`]: index(attached),
    [`/v2/team-a/${path}/manifests/${referrers}.att`]: statementsOf(envelopes),
    ...manifestsIn(path, [image, ...attached]),
    ...blobsIn(path, [document, ...envelopes]),
  });
  const answers: Record<string, string> = {
    [`/v2/team-a/service/manifests/${referrers}`]: index([...strangers, sbom]),
    ...Object.fromEntries([...strangers, sbom].map((one) => [`/v2/team-a/service/manifests/${sha256(one)}`, one])),
    [`/v2/team-a/service/blobs/${sha256(document)}`]: document,
    [`/v2/team-a/service/blobs/${sha256(other)}`]: other,
    ...crowded("full", numbered(STATEMENTS_READ), sbomsOf(SBOMS_READ)),
    ...crowded("flooded", numbered(STATEMENTS_READ + 3), sbomsOf(SBOMS_READ + 1)),
    ...crowded("large", [long(limit)], []),
    ...crowded("too-large", [long(limit + 1)], []),
    [`/v2/team-a/odd/manifests/${referrers}`]: "no JSON",
    [`/v2/team-a/forged/manifests/${referrers}`]: index([sbom]),
    [`/v2/team-a/forged/manifests/${sha256(sbom)}`]: sbomOf({ extra: true }),
    [`/v2/team-a/service/manifests/${sha256(image)}`]: image,
    [`/v2/team-a/service/manifests/${sha256(image).replace(":", "-")}.att`]: attestations,
    [`/v2/team-a/service/blobs/${sha256(envelope)}`]: envelope,
    [`/v2/team-a/unsigned/manifests/${sha256(image)}`]: image,
    [`/v2/team-a/forged/manifests/${sha256(image)}`]: "other bytes",
    [`/v2/team-a/forged-blob/manifests/${sha256(image)}`]: image,
    [`/v2/team-a/forged-blob/manifests/${sha256(image).replace(":", "-")}.att`]: attestations,
    [`/v2/team-a/forged-blob/blobs/${sha256(envelope)}`]: "other bytes",
  };
  let server: Server;
  let access: RegistryAccess;
  let asked: string[];

  beforeEach(() => (asked = []));
  beforeAll(async () => {
    const authorization = `Basic ${Buffer.from("reader:secret").toString("base64")}`;
    const listening = await listen(certificate, (request, response) => {
      const answer = answers[request.url ?? ""];
      asked.push(request.url ?? "");
      const isKnown = request.headers.authorization === authorization && request.headers.host === host;
      response.writeHead(isKnown ? (answer === undefined ? 404 : 200) : 401).end(answer);
    });
    server = listening.server;
    access = {
      host,
      localPort: listening.port,
      caPem: certificate.certificatePem,
      login: () => Promise.resolve({ username: "reader", password: "secret" }),
    };
  });
  afterAll(() => server.close());

  const fetched = (path: string, changed: Partial<RegistryAccess> = {}) =>
    fetchAttestations(openRegistry({ ...access, ...changed }), { host, path: `team-a/${path}`, digest: sha256(image) });

  it("gives the envelopes beside an image with their annotations, and nothing else", async () => {
    const content = Buffer.from(envelope);
    expect(await fetched("service")).toEqual({
      newest: [
        { content, annotations: {} },
        { content, annotations },
      ],
      unread: 0,
    });
  });

  it("gives none for an image that nobody signed", async () => {
    expect(await fetched("unsigned")).toEqual({ newest: [], unread: 0 });
  });

  it("reads the newest of many envelopes, and says how many it left", async () => {
    const contents = ({ newest }: Awaited<ReturnType<typeof fetched>>) =>
      newest.map(({ content }) => content.toString());
    const full = await fetched("full");
    expect([contents(full), full.unread]).toEqual([numbered(STATEMENTS_READ).reverse(), 0]);
    asked = [];
    const flooded = await fetched("flooded");
    expect([contents(flooded), flooded.unread]).toEqual([
      numbered(STATEMENTS_READ + 3)
        .reverse()
        .slice(0, -3),
      3,
    ]);
    expect(asked).toHaveLength(2 + STATEMENTS_READ);
  });

  it("takes no document that is larger than any of ours", async () => {
    expect((await fetched("large")).newest).toHaveLength(1);
    await expect(fetched("too-large")).rejects.toThrow(/SSF-VERIFY-002[^]*larger than 4 MiB/);
  });

  it("reads nothing more once it is told to stop", async () => {
    const controller = new AbortController();
    const whole = openRegistry(access);
    const stopping = readingUntil(
      {
        ...whole,
        blob: async (...blob) => {
          const content = await whole.blob(...blob);
          if (asked.length === 5) controller.abort();
          return content;
        },
      },
      controller.signal,
    );
    const full = { host, path: "team-a/full", digest: sha256(image) };
    await expect(fetchAttestations(stopping, full)).rejects.toThrow(/SSF-VERIFY-002[^]*abort/);
    expect(asked).toHaveLength(5);
    await expect(fetchSboms(stopping, full)).rejects.toThrow("abort");
    expect((await fetchAttestations(whole, full)).newest).toHaveLength(STATEMENTS_READ);
  });

  it("tells an image that is not there from one that is not signed", async () => {
    await expect(fetched("missing")).rejects.toThrow("SSF-VERIFY-003");
  });

  it("believes a manifest or blob only with its digest", async () => {
    await expect(fetched("forged")).rejects.toThrow("a manifest whose digest is not");
    await expect(fetched("forged-blob")).rejects.toThrow("a blob whose digest is not");
  });

  const sboms = (path: string) =>
    fetchSboms(openRegistry(access), { host, path: `team-a/${path}`, digest: sha256(image) });

  it("gives the bill of materials whose subject is the image, and nothing else that lies there", async () => {
    expect(await sboms("service")).toEqual([{ digest: sha256(sbom), packages: 2 }]);
  });

  it.each(["unsigned", "odd"])("gives no bill of materials for an image without one: %s", async (path) => {
    expect(await sboms(path)).toEqual([]);
  });

  it("reads as many bills of materials as anybody needs, and refuses more without reading one", async () => {
    expect(await sboms("full")).toHaveLength(SBOMS_READ);
    asked = [];
    await expect(sboms("flooded")).rejects.toThrow(`${SBOMS_READ + 1} bills of materials`);
    expect(asked).toHaveLength(1);
  });

  it("believes a bill of materials only with its digest", async () => {
    await expect(sboms("forged")).rejects.toThrow("a manifest whose digest is not");
  });

  it("refuses a wrong login, another authority, and another name", async () => {
    const login = () => Promise.resolve({ username: "reader", password: "wrong" });
    await expect(fetched("service", { login })).rejects.toThrow("HTTP status 401");
    const foreign = certificateFor("registry.ssf-registry.svc.cluster.local");
    await expect(fetched("service", { caPem: foreign.certificatePem })).rejects.toThrow("self-signed certificate");
    await expect(fetched("service", { host: "registry.evil.example:5000" })).rejects.toThrow("does not match");
  });
});

import { createHash } from "node:crypto";
import type { RequestListener } from "node:http";
import { Agent, request, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { connect } from "node:tls";
import { FactoryError } from "../../components/lib/errors";
import { ADMITTED } from "../../policies/admission/gate/image-provenance";
import type { CheckpointMemory } from "../../tools/cli/checkpoint";
import { envelopeMediaType } from "../../tools/cli/registry";
import { type CheckerSettings, imageChecker } from "../../tools/gate/checker";
import {
  HEALTH_PATH,
  RECORD_KEY,
  RECORD_LABEL,
  type TeamRecord,
  VERIFY_PATH,
} from "../../policies/admission/gate/records";
import { openProvider } from "../../tools/gate/provider";
import { teamRecords } from "../../tools/gate/team-records";
import { Verdicts } from "../../tools/gate/verdicts";
import { ownMemory, serve } from "../cli/support/log";
import { attestation, expectations, intotoBody, services, signEnvelope, statement } from "../cli/support/provenance";
import { certificateFor, listen } from "../cli/support/tls";

jest.setTimeout(60_000);

const clientName = "gatekeeper-webhook-service.gatekeeper-system.svc";
const registryName = "registry.ssf-registry.svc.cluster.local";
const logName = "rekor.ssf-rekor.svc.cluster.local";
const clusterName = "kubernetes.default.svc";
const certificates = {
  provider: certificateFor("image-provenance.ssf-gate.svc"),
  gatekeeper: certificateFor(clientName),
  stranger: certificateFor("stranger.test"),
  registry: certificateFor(registryName),
  log: certificateFor(logName),
  cluster: certificateFor(clusterName),
};
const sha256 = (content: Buffer | string) => `sha256:${createHash("sha256").update(content).digest("hex")}`;

/** What is said of team a, said of another. */
const of = <T>(team: string, content: T): T =>
  JSON.parse(JSON.stringify(content).replaceAll("team-a", `team-${team}`)) as T;

/**
 * An image in the repository of a team, its signed statement and its bill of materials, as they lie in the registry.
 *
 * @param said what the statement says. @default what Chains says of a run of that team, for that image
 */
const published = (team = "a", said: { builtBy: string; about: string } = { builtBy: team, about: team }) => {
  const image = JSON.stringify({ schemaVersion: 2 });
  const mediaType = "application/vnd.cyclonedx+json";
  const document = JSON.stringify({ bomFormat: "CycloneDX", components: [{}] });
  const sbom = JSON.stringify({
    artifactType: mediaType,
    subject: { digest: sha256(image) },
    layers: [{ mediaType, digest: sha256(document) }],
  });
  const content = of(said.builtBy, statement());
  content.subject = [image, sbom].map((one) => ({
    name: `${registryName}:5000/team-${said.about}/service`,
    digest: { sha256: sha256(one).slice(7) },
  }));
  const envelope = signEnvelope(JSON.stringify(content), services.leaf);
  const entry = services.log.add(Buffer.from(JSON.stringify(intotoBody(envelope, services.leaf))));
  const { annotations } = attestation(envelope, services.leaf, entry);
  const path = `/v2/team-${team}/service`;
  const tag = sha256(image).replace(":", "-");
  const files: Record<string, Buffer | string> = {
    [`${path}/manifests/${sha256(image)}`]: image,
    [`${path}/manifests/${tag}.att`]: JSON.stringify({
      layers: [{ mediaType: envelopeMediaType, digest: sha256(envelope), annotations }],
    }),
    [`${path}/blobs/${sha256(envelope)}`]: envelope,
    [`${path}/manifests/${tag}`]: JSON.stringify({ manifests: [{ digest: sha256(sbom), artifactType: mediaType }] }),
    [`${path}/manifests/${sha256(sbom)}`]: sbom,
    [`${path}/blobs/${sha256(document)}`]: document,
  };
  return { digest: sha256(image), tag, files };
};

const good = published();
const image = `${registryName}:5000/team-a/service@${good.digest}`;
const sendFiles =
  (files: Record<string, Buffer | string>): RequestListener =>
  ({ url = "" }, response) => {
    const content = files[url];
    response.writeHead(content === undefined ? 404 : 200);
    response.end(content);
  };

/** What the team's stack says, with what a test says otherwise. */
const record = (other: Partial<TeamRecord> = {}): TeamRecord => {
  const { namespace, stageImages, jailedRuntimeClass, pipelines } = expectations();
  return {
    namespace,
    repository: `${registryName}:5000/team-a`,
    forges: ["forge.ssf-forge.svc.cluster.local:8443"],
    sources: {},
    stageImages,
    jailedRuntimeClass,
    pipelines: pipelines.map((one) => ({ ...one, runTemplate: { spec: one.runTemplate.spec } })),
    ...other,
  };
};

const trustError = new FactoryError({
  code: "SSF-TRUST-010",
  path: "https://tuf.test",
  given: "no answer",
  rule: "It answers.",
  fix: "Mend it.",
});

let records: TeamRecord[];
let trusted: CheckerSettings["trusted"];
let registry: RequestListener;
let log: RequestListener;
let asked: number;
let memory: CheckpointMemory;
const servers: Server[] = [];
const ports = { registry: 0, log: 0, cluster: 0, provider: 0 };

/** A record as it lies in the cluster, the first of several as the newest. */
const configMap = (content: TeamRecord, index: number) => ({
  metadata: {
    name: `record-${index}`,
    creationTimestamp: `2026-11-23T00:00:${59 - index}Z`,
    labels: { [RECORD_LABEL]: content.namespace.replace("team-", "") },
  },
  data: { [RECORD_KEY]: JSON.stringify(content) },
});

/** A provider that checks images with these services. */
const startProvider = async (
  registryCa = certificates.registry,
  deadlineMilliseconds = 20_000,
  maximumAgeDays = 0,
): Promise<number> => {
  const timeoutMilliseconds = 10_000;
  const check = imageChecker({
    registry: {
      host: `${registryName}:5000`,
      localPort: ports.registry,
      caPem: registryCa.certificatePem,
      login: () => Promise.resolve({ username: "gate", password: "password" }),
      timeoutMilliseconds,
      connections: 8,
    },
    builderId: expectations().builderId,
    maximumAgeDays,
    trusted: () => trusted(),
    records: teamRecords(
      { host: clusterName, localPort: ports.cluster, caPem: certificates.cluster.certificatePem },
      "ssf-verifier",
      `${registryName}:5000`,
    ),
    log: { host: logName, localPort: ports.log, caPem: certificates.log.certificatePem, timeoutMilliseconds },
    memory: () => memory,
  });
  const verdicts = new Verdicts({
    check,
    trustVersion: async () => (await trusted()).version,
    deadlineMilliseconds,
    keepMilliseconds: 60_000,
  });
  const { server } = openProvider({
    pair: () => certificates.provider,
    // Each certificate of these tests is its own authority; the stranger's is known, but not Gatekeeper's.
    clientCaPem: certificates.gatekeeper.certificatePem + certificates.stranger.certificatePem,
    clientName,
    verdict: (text) => verdicts.on(text),
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
};

beforeAll(async () => {
  const counted: RequestListener = (incoming, response) => {
    asked += 1;
    registry(incoming, response);
  };
  const listening = await Promise.all([
    listen(certificates.registry, counted),
    listen(certificates.log, (incoming, response) => log(incoming, response)),
    listen(certificates.cluster, (_, response) => void response.end(JSON.stringify({ items: records.map(configMap) }))),
  ]);
  [ports.registry, ports.log, ports.cluster] = listening.map(({ port }) => port) as [number, number, number];
  servers.push(...listening.map(({ server }) => server));
});
beforeEach(async () => {
  asked = 0;
  memory = ownMemory();
  records = [record()];
  trusted = () =>
    Promise.resolve({
      signature: () => [services.policy],
      logPublicKeyPem: services.policy.logPublicKeyPem,
      signedImages: (images) => [...images],
      revokedAt: () => undefined,
      version: "1",
      formerLogPublicKeysPem: [],
    });
  registry = sendFiles(good.files);
  log = serve((url) => services.log.answer(url));
  ports.provider = await startProvider();
});
afterAll(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

interface Answer {
  status: number;
  response: { items?: { key: string; value?: string; error?: string }[]; systemError?: string };
}

interface Question {
  as?: keyof typeof certificates | null;
  method?: string;
  path?: string;
  body?: string;
  port?: number;
}

const send = ({ as = "gatekeeper", method = "POST", path = VERIFY_PATH, body, port = ports.provider }: Question) =>
  new Promise<{ status: number; text: string }>((resolve, reject) => {
    const identity = as === null ? {} : { cert: certificates[as].certificatePem, key: certificates[as].keyPem };
    const outgoing = request(
      {
        host: "127.0.0.1",
        port,
        path,
        method,
        agent: new Agent({
          ca: certificates.provider.certificatePem,
          servername: "image-provenance.ssf-gate.svc",
          ...identity,
        }),
      },
      (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
        incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, text: Buffer.concat(chunks).toString() }));
      },
    );
    outgoing.on("error", reject);
    outgoing.end(body);
  });

const question = (keys: unknown) =>
  JSON.stringify({ apiVersion: "externaldata.gatekeeper.sh/v1beta1", kind: "ProviderRequest", request: { keys } });

const ask = async (keys: unknown, options: Question = {}): Promise<Answer> => {
  const { status, text } = await send({ body: question(keys), ...options });
  const { apiVersion, kind, response } = JSON.parse(text) as Answer & Record<string, unknown>;
  expect([apiVersion, kind]).toEqual(["externaldata.gatekeeper.sh/v1beta1", "ProviderResponse"]);
  return { status, response };
};

/** The error of the one item; the value where there is none. */
const verdictOn = async (text = image, options?: Question): Promise<string> => {
  const { status, response } = await ask([text], options);
  expect(status).toBe(200);
  expect(response.items).toHaveLength(1);
  const [item] = response.items ?? [];
  expect(item?.key).toBe(text);
  return item?.error ?? item?.value ?? "nothing";
};

describe("an image with provenance that holds", () => {
  test("is admitted, and asked for once", async () => {
    expect(await verdictOn()).toBe(ADMITTED);
    const first = asked;
    expect(first).toBe(6);
    expect(await verdictOn()).toBe(ADMITTED);
    expect(asked).toBe(first);
  });

  test("has an item beside those of others, in one answer", async () => {
    const keys = [image, "busybox:1", image.replace("team-a", "team-b")];
    const { response } = await ask(keys);
    expect(response.items?.map(({ key, value }) => [key, value])).toEqual(
      keys.map((key, index) => [key, index === 0 ? ADMITTED : undefined]),
    );
    expect(response.items?.[1]?.error).toContain("SSF-GATE-001");
    expect(response.items?.[2]?.error).toContain("no image of a team of this factory");
  });
});

describe("is refused, and says why:", () => {
  test("a tag", async () => {
    expect(await verdictOn(`${registryName}:5000/team-a/service:1.0`)).toMatch(/SSF-GATE-001 .* fix: Write /);
    expect(asked).toBe(0);
  });

  test("an unknown digest", async () => {
    const unknown = image.replace(good.digest, `sha256:${"0".repeat(64)}`);
    expect(await verdictOn(unknown)).toContain("not in the registry");
  });

  test("an image without a statement, and it is admitted once the statement is there", async () => {
    registry = sendFiles(Object.fromEntries(Object.entries(good.files).filter(([file]) => !file.endsWith(".att"))));
    expect(await verdictOn()).toMatch(
      /SSF-GATE-002 .*no signed statement lies beside the image \(SSF-PROVENANCE-001\)/,
    );
    registry = sendFiles(good.files);
    expect(await verdictOn()).toBe(ADMITTED);
  });

  test("another image with this one's statement", async () => {
    const other = JSON.stringify({ schemaVersion: 2, other: true });
    const tag = sha256(other).replace(":", "-");
    const attached = good.files[`/v2/team-a/service/manifests/${good.tag}.att`] ?? "";
    registry = sendFiles({
      ...good.files,
      [`/v2/team-a/service/manifests/${sha256(other)}`]: other,
      [`/v2/team-a/service/manifests/${tag}.att`]: attached,
    });
    expect(await verdictOn(image.replace(good.digest, sha256(other)))).toContain("not about this image");
  });

  test("a registry that says 500", async () => {
    registry = (_, response) => response.writeHead(500).end("{}");
    expect(await verdictOn()).toMatch(
      /SSF-GATE-003 .*could not be checked: SSF-VERIFY-002 .*HTTP status 500; .* fix: /,
    );
  });

  test("a registry that never answers, within the deadline", async () => {
    registry = () => undefined;
    const port = await startProvider(certificates.registry, 1000);
    expect(await verdictOn(image, { port })).toMatch(/SSF-GATE-003 .*no verdict within 1 s/);
  });

  test("a registry whose certificate is another's", async () => {
    const port = await startProvider(certificates.stranger);
    expect(await verdictOn(image, { port })).toMatch(/SSF-GATE-003 .*SSF-VERIFY-002/);
  });

  test("a registry that sends without end", async () => {
    registry = (_, response) => {
      const flood = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(1 << 20)));
        response.once("drain", flood);
      };
      flood();
    };
    expect(await verdictOn()).toContain("SSF-GATE-003");
  });

  test("everything, when the trust repository does not answer; and what nobody trusts any more", async () => {
    const holding = trusted;
    trusted = () => Promise.reject(trustError);
    expect(await verdictOn()).toMatch(/SSF-GATE-003 .*SSF-TRUST-010 .* fix: Mend it/);
    trusted = async () => ({ ...(await holding()), signature: () => [] });
    expect(await verdictOn()).toMatch(/SSF-GATE-002 .*nothing that is trusted counts for an entry of log/);
    trusted = async () => ({ ...(await holding()), signedImages: () => [] });
    expect(await verdictOn()).toMatch(/SSF-GATE-002 .*not signed as images of the factory: .*SSF-PROVENANCE-008/);
    trusted = holding;
    expect(await verdictOn()).toBe(ADMITTED);
  });

  test("an image that was revoked, with the time, until it is not", async () => {
    const holding = trusted;
    const digest = image.split("@")[1] ?? "";
    const revoked = (one: string) => async () => ({
      ...(await holding()),
      revokedAt: (given: string) => (given === one ? "2026-11-23T00:00:00.000Z" : undefined),
    });
    trusted = revoked(digest);
    expect(await verdictOn()).toMatch(
      /SSF-GATE-002 .*not free of revocation: revoked at 2026-11-23T00:00:00\.000Z .*SSF-PROVENANCE-015/,
    );
    expect(asked).toBe(0);
    trusted = revoked(digest.replace(/.$/, (last) => (last === "0" ? "1" : "0")));
    expect(await verdictOn()).toBe(ADMITTED);
  });

  test("a log that does not answer, and one that lost the entry", async () => {
    log = (_, response) => response.writeHead(503).end();
    expect(await verdictOn()).toMatch(/SSF-GATE-003 .*SSF-VERIFY-005/);
    log = serve((url) => (url.includes("/entries") ? undefined : services.log.answer(url)));
    expect(await verdictOn()).toMatch(/SSF-GATE-002 .*not in the log/);
  });
});

describe("an image of another team", () => {
  const theirs = image.replace("team-a", "team-b");
  beforeEach(() => {
    records = [record(), of("b", record())];
  });

  test("with that team's provenance is admitted, beside the first team's", async () => {
    registry = sendFiles({ ...good.files, ...published("b").files });
    expect([await verdictOn(), await verdictOn(theirs)]).toEqual([ADMITTED, ADMITTED]);
  });

  test.each([
    ["what the first team's factory built, copied", { builtBy: "a", about: "a" }, "not about this image"],
    [
      "what the first team's factory built and says is the other's",
      { builtBy: "a", about: "b" },
      "not by our generated pipeline",
    ],
    ["the other team's provenance of the first team's image", { builtBy: "b", about: "a" }, "not about this image"],
  ])("is refused with %s", async (_, said, message) => {
    registry = sendFiles(published("b", said).files);
    expect(await verdictOn(theirs)).toContain(message);
    registry = sendFiles(published("b").files);
    expect(await verdictOn(theirs)).toBe(ADMITTED);
  });

  test("is refused when more lies beside it than anybody reads, and not read", async () => {
    const { tag, files } = published("b");
    const path = `/v2/team-b/service/manifests/${tag}`;
    const { manifests } = JSON.parse(String(files[path])) as { manifests: object[] };
    const flood = JSON.stringify({ manifests: Array.from({ length: 20_000 }, () => manifests[0]) });
    registry = sendFiles({ ...good.files, ...files, [path]: flood });
    expect(await verdictOn(theirs)).toMatch(
      /SSF-GATE-003 .*SSF-VERIFY-009 .*20000 bills of materials; .* fix: Find out/,
    );
    expect(asked).toBe(4);
    expect(await verdictOn()).toBe(ADMITTED);
    registry = sendFiles({ ...good.files, ...files });
    expect(await verdictOn(theirs)).toBe(ADMITTED);
  });

  test("that takes all the time of the checks takes none of the first team's", async () => {
    const files = sendFiles(good.files);
    registry = (incoming, response) => {
      if (incoming.url?.startsWith("/v2/team-b/") !== true) files(incoming, response);
    };
    const port = await startProvider(certificates.registry, 2000);
    const images = Array.from({ length: 20 }, (_, number) => theirs.replace(good.digest, sha256(String(number))));
    const flood = ask(images, { port });
    expect(await verdictOn(image, { port })).toBe(ADMITTED);
    for (const { error } of (await flood).response.items ?? [])
      expect(error).toMatch(/SSF-GATE-003 .*no verdict within/);
  });

  test("does not pass as the first team's, by the other's definitions", async () => {
    registry = sendFiles(published("a", { builtBy: "b", about: "a" }).files);
    expect(await verdictOn()).toMatch(/SSF-GATE-002 .*not by our generated pipeline: .*SSF-PROVENANCE-006/);
    registry = sendFiles(good.files);
    expect(await verdictOn()).toBe(ADMITTED);
  });

  test("is nobody's when only the name of its team begins like one that is known", async () => {
    records = [record()];
    registry = sendFiles(published("a-b").files);
    expect(await verdictOn(image.replace("team-a", "team-a-b"))).toContain("SSF-VERIFY-004");
    records = [record(), of("a-b", record())];
    expect(await verdictOn(image.replace("team-a", "team-a-b"))).toBe(ADMITTED);
  });
});

describe("what its team's records say counts:", () => {
  const refused = /SSF-GATE-002 .*not from this source and commit: expected .*SSF-PROVENANCE-005/;

  test("what earlier definitions built is admitted for as long as their record is there", async () => {
    const [pipeline] = record().pipelines;
    const digests = Object.fromEntries(Object.keys(pipeline?.digests ?? {}).map((name) => [name, "0".repeat(64)]));
    const now = record({ pipelines: record().pipelines.map((one) => ({ ...one, digests })) });
    records = [now];
    expect(await verdictOn()).toMatch(/SSF-GATE-002 .*not by our generated pipeline/);
    records = [now, record()];
    expect(await verdictOn()).toBe(ADMITTED);
  });

  test("a source at a forge that the team does not have", async () => {
    records = [record({ forges: ["github.com:443"] })];
    expect(await verdictOn()).toMatch(refused);
  });

  test("another repository than the image's, and the image's own", async () => {
    const repository = "https://forge.ssf-forge.svc.cluster.local:8443/service.git";
    records = [record({ sources: { service: repository.replace("service", "other") } })];
    expect(await verdictOn()).toMatch(refused);
    records = [record({ sources: { service: repository, other: "https://git.example.com/other.git" } })];
    expect(await verdictOn()).toBe(ADMITTED);
  });

  test("no team at all", async () => {
    records = [];
    expect(await verdictOn()).toMatch(/SSF-GATE-003 .*no image of a team of this factory.* fix: Bring up a team/);
  });
});

describe("gets no item:", () => {
  test("who shows no certificate of Gatekeeper", async () => {
    for (const as of [null, "stranger", "log"] as const) {
      const { status, response } = await ask([image], { as });
      expect([status, response]).toEqual([403, { idempotent: true, systemError: `only ${clientName} may ask` }]);
    }
    expect(asked).toBe(0);
  });

  test.each([
    ["no keys", question([])],
    ["empty request", JSON.stringify({ apiVersion: "externaldata.gatekeeper.sh/v1beta1", kind: "ProviderRequest" })],
    ["keys that are no text", question([1])],
    ["too many keys", question(Array.from({ length: 65 }, () => image))],
    ["an older version", question([image]).replace("v1beta1", "v1alpha1")],
    ["no JSON", "{"],
    ["nothing", ""],
  ])("%s", async (_, body) => {
    const { status, text } = await send({ body });
    expect(status).toBe(400);
    expect(JSON.parse(text)).toMatchObject({ response: { systemError: expect.any(String) as string } });
    expect(text).not.toContain("items");
  });

  test("a huge question, of which little is read", async () => {
    const sent = send({ body: question(["x".repeat(8 << 20)]) });
    // The connection may be closed while the question is still being sent.
    const status = await sent.then(
      (answer) => answer.status,
      (error: unknown) => (error as NodeJS.ErrnoException).code,
    );
    expect([413, "EPIPE", "ECONNRESET"]).toContain(status);
    expect(await verdictOn()).toBe(ADMITTED);
  });

  test("another path or method", async () => {
    expect((await send({ path: "/", body: question([image]) })).status).toBe(404);
    expect((await send({ method: "GET" })).status).toBe(404);
  });
});

test("its health is asked for without a certificate", async () => {
  expect(await send({ as: null, method: "GET", path: HEALTH_PATH })).toEqual({ status: 200, text: "ok\n" });
});

test("a renewed certificate is shown without a restart, and one without its key is not", async () => {
  let pair = certificates.provider;
  const { server, renew } = openProvider({
    pair: () => pair,
    clientCaPem: certificates.gatekeeper.certificatePem,
    clientName,
    verdict: () => Promise.reject(new Error("not asked for")),
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const shown = () =>
    new Promise<string>((resolve, reject) => {
      const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false }, () => {
        resolve(socket.getPeerX509Certificate()?.toString() ?? "");
        socket.destroy();
      });
      socket.on("error", reject);
    });
  expect(await shown()).toBe(certificates.provider.certificatePem);
  pair = { ...certificates.log, keyPem: certificates.provider.keyPem };
  expect(renew).toThrow(/key values mismatch/);
  expect(await shown()).toBe(certificates.provider.certificatePem);
  pair = certificates.log;
  renew();
  expect(await shown()).toBe(certificates.log.certificatePem);
});

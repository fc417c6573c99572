import type { Attestation } from "../../tools/cli/registry";
import { CLOCK_TOLERANCE_SECONDS, signatureFault, type SignaturePolicy, timeOf } from "../../tools/cli/signature";
import { type LeafContent, makeAuthority } from "./support/authority";
import { TestLog } from "./support/log";
import { attestation, intotoBody, parsed, services, signEnvelope, signer } from "./support/provenance";

const { authority, leaf, log, policy } = services;
const payload = JSON.stringify({ a: "statement" });
const envelope = signEnvelope(payload, leaf);
const bodyOf = (content: object) => Buffer.from(JSON.stringify(content));
const good = intotoBody(envelope, leaf);
const now = Math.floor(Date.now() / 1000);
const day = 24 * 60 * 60;
/** Only the date is another one. */
const doNotFake = ["setTimeout", "setInterval", "setImmediate", "nextTick", "queueMicrotask", "performance"] as const;
afterEach(() => jest.useRealTimers());

const faultOf = (layer: Attestation, expected: SignaturePolicy = policy) => signatureFault(parsed(layer), expected);

/** The fault of what another certificate signs, properly and in the right log. */
const signedBy = (content: Partial<LeafContent>, from = authority) => {
  const other = from.issue({ subjectAltName: `URI:${signer.identity}`, issuer: signer.issuer, ...content });
  const signed = signEnvelope(payload, other);
  return faultOf(attestation(signed, other, log.add(bodyOf(intotoBody(signed, other)))));
};

/** The fault of the good statement whose entry in the log is another one. */
const entered = (body: object, integratedTime = now, into = log) =>
  faultOf(attestation(envelope, leaf, into.add(bodyOf(body), integratedTime)));

it("holds with a certificate, a promise of the log and an entry about the statement", () => {
  expect(entered(good)).toBeUndefined();
  expect(signedBy({})).toBeUndefined();
});

describe("the certificate", () => {
  it.each([
    ["an identity that only begins like it", { subjectAltName: `URI:${signer.identity}.evil` }],
    ["an identity that only ends like it", { subjectAltName: `URI:spiffe://evil/${signer.identity}` }],
    ["a prefix of it", { subjectAltName: `URI:${signer.identity.slice(0, -1)}` }],
    ["an identity that a pattern would match", { subjectAltName: `URI:${signer.identity.replaceAll(".", "x")}` }],
    ["a name of another kind", { subjectAltName: "email:signer@factory.test" }],
    ["a second name", { subjectAltName: `URI:${signer.identity},URI:spiffe://factory.test/other` }],
  ])("is refused for %s", (_, content) => {
    expect(signedBy(content)).toMatch(`expected a certificate for URI:${signer.identity}, found`);
  });

  it("is refused for an identity by another issuer", () => {
    const issuer = `${signer.issuer}.evil`;
    expect(signedBy({ issuer })).toBe(`expected an identity by ${signer.issuer}, found ${issuer}`);
  });

  it("is refused when it is not for signing code", () => {
    expect(signedBy({ extendedKeyUsage: "serverAuth" })).toBe("its certificate is not for signing code");
  });

  it("is refused of a foreign authority", () => {
    expect(signedBy({}, makeAuthority())).toMatch(/the certificate, valid from .*: no valid certificate path found$/);
  });

  it("is refused where the log took the entry after its end, or before its beginning", () => {
    // Long after all of this, so that no time that an entry names is yet to come.
    jest.useFakeTimers({ doNotFake: [...doNotFake], now: (now + 3 * day) * 1000 });
    for (const time of [now + 2 * day, now - day]) {
      const at = timeOf(log.add(bodyOf(good), time));
      expect(entered(good, time)).toMatch(
        new RegExp(`^the certificate, valid from .* to .*, at ${at}: certificate is not valid or expired`),
      );
    }
    expect(entered(good, now + day / 2)).toBeUndefined();
  });

  it("is refused when another key signed", () => {
    const signed = signEnvelope(payload, authority.issue({ subjectAltName: "URI:spiffe://x/y", issuer: "https://x" }));
    const layer = attestation(signed, leaf, log.add(bodyOf(intotoBody(signed, leaf))));
    expect(faultOf(layer)).toBe("signature verification failed");
  });

  it.each(["certificate", "bundle"])("and log entry are both needed: no %s", (name) => {
    const layer = attestation(envelope, leaf, log.add(bodyOf(good)));
    const annotation = `dev.sigstore.cosign/${name}`;
    const missing = name === "bundle" ? "no log entry lies beside it" : "no certificate of the signer lies beside it";
    expect(faultOf(layer)).toBeUndefined();
    for (const content of ["", "{}", "garbage"])
      expect(faultOf({ ...layer, annotations: { ...layer.annotations, [annotation]: content } })).toBe(missing);
    expect(faultOf({ ...layer, annotations: {} })).toBe("no certificate of the signer lies beside it");
  });
});

describe("the log's promise", () => {
  const entry = log.add(bodyOf(good));

  it("is refused of another log", () => {
    expect(entered(good, now, new TestLog())).toMatch(/^it was entered in log [0-9a-f]{64}, not in the factory's/);
  });

  it.each([
    ["by another key", { signedEntryTimestamp: new TestLog().add(bodyOf(good), now).signedEntryTimestamp }],
    ["for another time", { integratedTime: entry.integratedTime + 1 }],
    ["for another index", { logIndex: entry.logIndex + 1 }],
    ["for another entry", { body: bodyOf({ ...good, extra: true }) }],
    ["that is empty", { signedEntryTimestamp: Buffer.alloc(0) }],
  ])("is refused %s", (_, change) => {
    expect(faultOf(attestation(envelope, leaf, { ...entry, ...change }))).toBe(
      "the promise to include it is not signed by the factory's log",
    );
    expect(faultOf(attestation(envelope, leaf, entry))).toBeUndefined();
  });
});

describe("the time of the log's entry", () => {
  it("may be ahead of the verifier's clock by as much as clocks differ, and no more", () => {
    const at = (integratedTime: number) => entered(good, integratedTime);
    jest.useFakeTimers({ doNotFake: [...doNotFake], now: now * 1000 });
    expect(at(now + CLOCK_TOLERANCE_SECONDS)).toBeUndefined();
    const early = now + CLOCK_TOLERANCE_SECONDS + 1;
    const said = (time: number) => new Date(time * 1000).toISOString();
    expect(at(early)).toBe(`its log entry is of ${said(early)}, which is later than now, ${said(now)}`);
    jest.setSystemTime((now + 1) * 1000);
    expect(at(early)).toBeUndefined();
  });

  it("counts by the log's word alone: another time beside the same promise is refused, whatever the clock says", () => {
    const entry = log.add(bodyOf(good), now);
    for (const integratedTime of [now - 1, now + 1, now + day])
      expect(faultOf(attestation(envelope, leaf, { ...entry, integratedTime }))).toBe(
        "the promise to include it is not signed by the factory's log",
      );
    expect(faultOf(attestation(envelope, leaf, entry))).toBeUndefined();
  });
});

describe("the log's entry", () => {
  const { spec } = good;
  const { content } = spec;
  const foreign = signEnvelope(JSON.stringify({ another: "statement" }), leaf);
  const otherLeaf = authority.issue({ subjectAltName: `URI:${signer.identity}`, issuer: signer.issuer });

  it.each<[string, object, string]>([
    ["another statement", intotoBody(foreign, leaf), "about another statement"],
    [
      "the same payload in another envelope",
      { ...good, spec: { ...spec, content: { ...content, hash: intotoBody(foreign, leaf).spec.content.hash } } },
      "about another statement",
    ],
    [
      "another payload",
      { ...good, spec: { ...spec, content: { ...content, payloadHash: content.hash } } },
      "about another statement",
    ],
    ["another certificate", intotoBody(envelope, otherLeaf), "about another certificate"],
    [
      "a bare key",
      { ...good, spec: { ...spec, publicKey: Buffer.from(log.publicKeyPem).toString("base64") } },
      "about another certificate",
    ],
    [
      "a digest of another kind",
      { ...good, spec: { ...spec, content: { ...content, hash: { algorithm: "sha1", value: "0".repeat(40) } } } },
      "none of type intoto 0.0.1",
    ],
    ["another kind", { ...good, kind: "dsse" }, "none of type intoto 0.0.1"],
    ["another version", { ...good, apiVersion: "0.0.2" }, "none of type intoto 0.0.1"],
    ["nothing", {}, "none of type intoto 0.0.1"],
  ])("is refused about %s", (_, body, fault) => {
    expect(entered(body)).toBe(`its log entry is ${fault}`);
    expect(entered(good)).toBeUndefined();
  });
});

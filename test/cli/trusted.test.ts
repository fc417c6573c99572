import { fingerprints, parseTargets, type Trust, updateTrust, writeTargets } from "../../trust";
import { checkSignature } from "../../tools/cli/signature";
import { trustedFor } from "../../tools/cli/trusted";
import {
  attestation,
  intotoBody,
  parsed,
  services,
  signEnvelope,
  type SigningServices,
  signingServices,
} from "./support/provenance";

const builderId = "https://factory.test/builder/v1";
const now = Math.floor(Date.now() / 1000);
/** When something changes, and moments before and after that: in the life of the certificates, and within what clocks may differ. */
const [before, change, after] = [now + 10, now + 20, now + 30];
const at = (seconds: number): Date => new Date(seconds * 1000);

const factoryOf = ({ policy, authority, log }: SigningServices) => ({
  builderId,
  authority: { url: "https://fulcio.test", chainPem: authority.certificatePem },
  log: { url: "https://rekor.test", publicKeyPem: log.publicKeyPem },
  signer: { identity: policy.identity, issuer: policy.issuer },
  images: [],
});

/** Trust as a client reads it: from the targets that say it. */
const trustIn = (...changes: Parameters<typeof updateTrust>[0][]): Trust =>
  parseTargets(writeTargets(changes.reduce<Trust>((previous, change) => updateTrust({ previous, ...change }), first)));
const first = updateTrust({ current: factoryOf(services), now: at(now) });

/** A statement that these services signed and entered then. */
const signedAt = (integratedTime: number, { leaf, log } = services) => {
  const envelope = signEnvelope(JSON.stringify({ a: "statement" }), leaf);
  const body = Buffer.from(JSON.stringify(intotoBody(envelope, leaf)));
  return parsed(attestation(envelope, leaf, log.add(body, integratedTime)));
};
const faultOf = (trust: Trust, statement = signedAt(now), builder = builderId) =>
  checkSignature(statement, trustedFor(trust, builder).signature).fault;

const nothing = /^nothing that is trusted counts for an entry of log [0-9a-f]{64} at /;
const others = signingServices();

test("what the repository trusts holds, under the signer's name", () => {
  const trust = trustIn();
  expect(checkSignature(signedAt(now), trustedFor(trust, builderId).signature)).toMatchObject({
    policy: { identity: services.policy.identity, issuer: services.policy.issuer },
  });
  expect(trustedFor(trust, builderId).logPublicKeyPem).toBe(services.log.publicKeyPem);
});

test("another builder's image, and what other services signed, does not", () => {
  expect(faultOf(trustIn(), signedAt(now), "https://other.test/builder/v1")).toMatch(nothing);
  expect(faultOf(trustIn(), signedAt(now, others))).toMatch(nothing);
});

test("after a change of authority and log the old ones count for what is older, and the new ones for what comes", () => {
  const trust = trustIn({ current: factoryOf(others), now: at(change) });
  expect(faultOf(trust, signedAt(before))).toBeUndefined();
  expect(faultOf(trust, signedAt(after, others))).toBeUndefined();
  expect(faultOf(trust, signedAt(after))).toMatch(nothing);
  expect(trustedFor(trust, builderId).logPublicKeyPem).toBe(others.log.publicKeyPem);
});

test("the version of what is trusted changes with what is, and with nothing else", () => {
  const versionOf = (...changes: Parameters<typeof trustIn>) => trustedFor(trustIn(...changes), builderId).version;
  const changed = { current: factoryOf(others), now: at(change) };
  const again = { current: factoryOf(services), now: at(change) };
  const revoke = [fingerprints.log(first.trustedRoot.tlogs[0] as never)];
  expect(versionOf(again)).toBe(versionOf());
  expect(new Set([versionOf(), versionOf(changed), versionOf(changed, { ...changed, revoke })]).size).toBe(3);
});

test("keys that the log had before are told, the newest first, but none that was revoked", () => {
  const third = signingServices();
  const formerOf = (...changes: Parameters<typeof trustIn>) =>
    trustedFor(trustIn(...changes), builderId).formerLogPublicKeysPem;
  const [one, two] = [
    { current: factoryOf(others), now: at(change) },
    { current: factoryOf(third), now: at(after) },
  ];
  expect(formerOf()).toEqual([]);
  expect(formerOf(one, two)).toEqual([others.log.publicKeyPem, services.log.publicKeyPem]);
  const revoke = [fingerprints.log(first.trustedRoot.tlogs[0] as never)];
  expect(formerOf(one, two, { ...two, revoke })).toEqual([others.log.publicKeyPem]);
});

test("an image that was built is revoked by its digest, and no other is", () => {
  const [bad, good] = ["a", "b"].map((digit) => `sha256:${digit.repeat(64)}`) as [string, string];
  const revoke = [`registry.test:5000/team-a/service@${bad}`];
  const { revokedAt } = trustedFor(trustIn({ current: factoryOf(services), now: at(change), revoke }), builderId);
  expect([revokedAt(bad), revokedAt(good)]).toEqual([at(change).toISOString(), undefined]);
});

test("after a change of the authority alone its certificates count until then, and the log goes on", () => {
  const { log } = factoryOf(services);
  const trust = trustIn({ current: { ...factoryOf(others), log }, now: at(change) });
  const mixed = { ...others, log: services.log };
  expect(faultOf(trust, signedAt(before))).toBeUndefined();
  expect(faultOf(trust, signedAt(after, mixed))).toBeUndefined();
  expect(faultOf(trust, signedAt(after))).toBeDefined();
});

test.each([
  ["authority", fingerprints.authority(first.trustedRoot.certificateAuthorities[0] as never)],
  ["log", fingerprints.log(first.trustedRoot.tlogs[0] as never)],
])("a revoked %s counts for nothing, whenever it signed", (_, fingerprint) => {
  const changed = { current: factoryOf(others), now: at(change) };
  expect(faultOf(trustIn(changed), signedAt(before))).toBeUndefined();
  expect(faultOf(trustIn(changed, { ...changed, revoke: [fingerprint] }), signedAt(before))).toBeDefined();
});

test("a statement without certificate or entry is refused before anything else", () => {
  const { signature } = trustedFor(trustIn(), builderId);
  const { certificate, entry, ...rest } = signedAt(now);
  expect(checkSignature({ ...rest, entry }, signature).fault).toBe("no certificate of the signer lies beside it");
  expect(checkSignature({ ...rest, certificate }, signature).fault).toBe("no log entry lies beside it");
});

test("without a log in use nothing can be checked", () => {
  const trust = trustIn();
  expect(() => trustedFor({ ...trust, trustedRoot: { ...trust.trustedRoot, tlogs: [] } }, builderId)).toThrow(
    /SSF-TRUST-012 target trusted_root\.json: no log in use/,
  );
});

test("images count that are signed as the factory's, the former ones too, and none that is revoked", () => {
  const [former = "", present = "", strange = ""] = ["a", "b", "c"].map((name) => `${name}@sha256:${name.repeat(64)}`);
  const current = factoryOf(services);
  const signed = { current: { ...current, images: [former] }, now: at(now) };
  const replaced = { current: { ...current, images: [present] }, now: at(change) };
  const counts = (...changes: Parameters<typeof trustIn>) =>
    trustedFor(trustIn(...changes), builderId).signedImages([former, present, strange]);
  expect(counts(signed)).toEqual([former]);
  expect(counts(signed, replaced)).toEqual([former, present]);
  expect(counts(signed, replaced, { ...replaced, revoke: ["a".repeat(64)] })).toEqual([present]);
});

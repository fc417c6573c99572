import { TrustedRoot } from "@sigstore/protobuf-specs";
import {
  fingerprints,
  parseFactoryTrust,
  parseTargets,
  signersAt,
  type Trust,
  updateTrust,
  writeTargets,
} from "../../trust";
import {
  builderId,
  factoryTrust,
  identity,
  issuer,
  newAuthority,
  newLog,
  signedStatement,
  verifyWith,
} from "./support/sigstore";
import { inDays } from "./support/world";

const [first, second] = [newAuthority("first"), newAuthority("second")];
const [oldLog, newerLog] = [newLog(), newLog()];
const trust = updateTrust({ current: factoryTrust(first, oldLog), now: inDays(0) });
const authorityOf = ({ trustedRoot }: Trust) =>
  trustedRoot.certificateAuthorities.map(fingerprints.authority).at(-1) ?? "";
/** The change by which nothing changes but what else is said with it. */
const same = (previous: Trust) => ({
  previous,
  current: {
    ...factoryTrust(first, oldLog),
    images: previous.images.filter(({ validFor }) => validFor.end === undefined).map(({ reference }) => reference),
  },
  now: inDays(4),
});
const before = signedStatement(first, oldLog, inDays(1));

describe("the keys of a factory as targets", () => {
  it("verify what the factory signs, and name who signed", async () => {
    expect((await verifyWith(trust.trustedRoot, before)).identity).toMatchObject({ subjectAlternativeName: identity });
    expect(signersAt(trust, builderId, inDays(1))).toEqual([{ identity, issuer }]);
    expect(signersAt(trust, "https://other.example", inDays(1))).toEqual([]);
  });

  it("are Sigstore's own format, and read back as they were written", () => {
    const targets = writeTargets({ ...trust, policy: [{ path: "a.yaml", sha256: "0".repeat(64) }] });
    const root = JSON.parse(targets["trusted_root.json"] ?? "") as Record<string, unknown>;
    expect(root.mediaType).toBe("application/vnd.dev.sigstore.trustedroot+json;version=0.1");
    expect(root).toMatchObject({
      certificateAuthorities: [
        { uri: "https://fulcio.example", subject: { organization: "example", commonName: "first" } },
      ],
      tlogs: [{ baseUrl: "https://rekor.example", hashAlgorithm: "SHA2_256" }],
    });
    const read = parseTargets(targets);
    expect(TrustedRoot.toJSON(read.trustedRoot)).toEqual(root);
    expect(writeTargets(read)).toEqual(targets);
  });

  it("change nothing when nothing changed", () => {
    const again = updateTrust({ previous: trust, current: factoryTrust(first, oldLog), now: inDays(5) });
    expect(writeTargets(again)).toEqual(writeTargets(trust));
  });

  it("list the policy bundle's files by digest, and keep the list until another is given", () => {
    const args = { current: factoryTrust(first, oldLog), now: inDays(0) };
    const listed = updateTrust({ ...args, policy: { "b.yaml": "b", "a.yaml": "a" } });
    expect(listed.policy.map(({ path }) => path)).toEqual(["a.yaml", "b.yaml"]);
    expect(updateTrust({ ...args, previous: listed }).policy).toEqual(listed.policy);
  });

  it("list the rules that the factory says it enforces, and sign nothing anew when they are the same", () => {
    const rule = (name: string, digit: string) => ({ path: `ConstraintTemplate/${name}`, sha256: digit.repeat(64) });
    const enforcing = (...policy: ReturnType<typeof rule>[]) => ({ ...factoryTrust(first, oldLog), policy });
    const listed = updateTrust({ current: enforcing(rule("b", "2"), rule("a", "1")), now: inDays(0) });
    expect(listed.policy).toEqual([rule("a", "1"), rule("b", "2")]);
    const again = updateTrust({ previous: listed, current: enforcing(rule("a", "1"), rule("b", "2")), now: inDays(1) });
    expect(writeTargets(again)).toEqual(writeTargets(listed));
    const later = updateTrust({ previous: listed, current: enforcing(rule("a", "3")), now: inDays(1) });
    expect(later.policy).toEqual([rule("a", "3")]);
    const older = updateTrust({ previous: listed, current: factoryTrust(first, oldLog), now: inDays(1) });
    expect(older.policy).toEqual(listed.policy);
  });

  it.each([
    ["authority.chainPem", { authority: { url: "u", chainPem: "nothing" } }],
    ["authority.chainPem", { authority: { url: "u", chainPem: first.chainPem + second.chainPem } }],
    ["log.publicKeyPem", { log: { url: "u", publicKeyPem: "nothing" } }],
  ])("are refused where %s holds something else", (path, wrong) => {
    expect(() => updateTrust({ current: { ...factoryTrust(first, oldLog), ...wrong }, now: inDays(0) })).toThrow(
      `SSF-TRUST-008 ${path}`,
    );
  });

  it("are refused with a field missing, and taken with all of them", () => {
    const missing = { ...factoryTrust(first, oldLog), signer: undefined };
    expect(() => parseFactoryTrust("stack dev, output trust", missing)).toThrow(
      "SSF-TRUST-008 stack dev, output trust.signer",
    );
    expect(parseFactoryTrust("x", factoryTrust(first, oldLog))).toEqual(factoryTrust(first, oldLog));
  });

  it("say which images the factory runs, and since when it runs others", () => {
    const [one, two] = ["1", "2"].map((digit) => `image@sha256:${digit.repeat(64)}`) as [string, string];
    const running = (images: string[], day: number, previous = trust) =>
      updateTrust({ previous, current: { ...factoryTrust(first, oldLog), images }, now: inDays(day) });
    const both = running([two, one, one], 1);
    expect(both.images.map(({ reference, validFor }) => [reference, validFor.end])).toEqual([
      [one, undefined],
      [two, undefined],
    ]);
    const later = running([two], 2, both);
    expect(later.images).toEqual([
      { reference: one, validFor: { ...both.images[0]?.validFor, end: expect.any(String) as string } },
      both.images[1],
    ]);
    expect(running([two], 3, later).images).toEqual(later.images);
    expect(() => running([one], 4, updateTrust({ ...same(later), revoke: ["1".repeat(64)] }))).toThrow("SSF-TRUST-009");
    expect(() => updateTrust({ ...same(later), revoke: ["2".repeat(64)] })).toThrow("SSF-TRUST-009");
    expect(parseTargets(writeTargets(later)).images).toEqual(later.images);
    const { "images.json": images, ...older } = writeTargets(later);
    expect([typeof images, parseTargets(older).images]).toEqual(["string", []]);
    expect(() => parseTargets({ ...older, "images.json": "{}" })).toThrow("SSF-TRUST-012 target images.json");
  });

  it("are refused with an image by tag, and taken with the same by digest", () => {
    const running = (image: string) => ({ ...factoryTrust(first, oldLog), images: [image] });
    expect(() => parseFactoryTrust("x", running("image:latest"))).toThrow(
      "SSF-TRUST-008 x.images.0: must be an image by digest",
    );
    const good = running(`image@sha256:${"1".repeat(64)}`);
    expect(parseFactoryTrust("x", good)).toEqual(good);
  });

  it("are refused when a target is missing or has another form", () => {
    const { "trusted_root.json": root = "" } = writeTargets(trust);
    expect(() => parseTargets({ "trusted_root.json": root })).toThrow("SSF-TRUST-012 target builders.json: not there");
    expect(() => parseTargets({ ...writeTargets(trust), "builders.json": "{}" })).toThrow("SSF-TRUST-012");
  });
});

describe("a drill: the authority of certificates (Fulcio) gets a new key", () => {
  const rotated = updateTrust({ previous: trust, current: factoryTrust(second, oldLog), now: inDays(10) });
  const after = signedStatement(second, oldLog, inDays(11));

  it("what the old one signed before still verifies, and what the new one signs does", async () => {
    await expect(verifyWith(rotated.trustedRoot, before)).resolves.toBeDefined();
    await expect(verifyWith(rotated.trustedRoot, after)).resolves.toBeDefined();
    await expect(verifyWith(trust.trustedRoot, after)).rejects.toThrow("certificate chain");
  });

  it("what the old one signs afterwards is refused", async () => {
    await expect(verifyWith(rotated.trustedRoot, signedStatement(first, oldLog, inDays(11)))).rejects.toThrow(
      "certificate chain",
    );
  });

  it("once revoked, nothing of the old one verifies, and no signing takes it in again", async () => {
    const id = authorityOf(trust);
    const current = factoryTrust(second, oldLog);
    const revoked = updateTrust({ previous: rotated, current, revoke: [id], now: inDays(12) });
    await expect(verifyWith(revoked.trustedRoot, before)).rejects.toThrow("certificate chain");
    await expect(verifyWith(revoked.trustedRoot, after)).resolves.toBeDefined();
    expect(() => updateTrust({ previous: revoked, current: factoryTrust(first, oldLog), now: inDays(13) })).toThrow(
      `SSF-TRUST-009 --revoke ${id}: in use`,
    );
    expect(writeTargets(updateTrust({ previous: revoked, current, revoke: [id], now: inDays(14) }))).toEqual(
      writeTargets(revoked),
    );
  });

  it("neither a present nor an unknown key can be revoked", () => {
    const current = factoryTrust(second, oldLog);
    const present = authorityOf(rotated);
    for (const id of [present, "0".repeat(64)])
      expect(() => updateTrust({ previous: rotated, current, revoke: [id], now: inDays(12) })).toThrow("SSF-TRUST-009");
  });

  it("an image that the factory built is revoked by its reference, once, and the image of a stage in use is not", () => {
    const stage = `stage@sha256:${"1".repeat(64)}`;
    const built = `registry.example/team-a/service@sha256:${"2".repeat(64)}`;
    const current = { ...factoryTrust(second, oldLog), images: [stage] };
    const revoked = updateTrust({ previous: rotated, current, revoke: [built], now: inDays(12) });
    expect(revoked.revoked).toEqual([{ sha256: "2".repeat(64), image: built, at: expect.any(String) as string }]);
    expect(parseTargets(writeTargets(revoked)).revoked).toEqual(revoked.revoked);
    const again = updateTrust({ previous: revoked, current, revoke: [built, "2".repeat(64)], now: inDays(13) });
    expect(again.revoked).toEqual(revoked.revoked);
    for (const refused of [stage, `service@sha256:${"2".repeat(63)}`])
      expect(() => updateTrust({ previous: rotated, current, revoke: [refused], now: inDays(12) })).toThrow(
        "SSF-TRUST-009",
      );
  });

  it("an authority that comes back is open again", async () => {
    const back = updateTrust({ previous: rotated, current: factoryTrust(first, oldLog), now: inDays(12) });
    await expect(verifyWith(back.trustedRoot, signedStatement(first, oldLog, inDays(13)))).resolves.toBeDefined();
    expect(back.trustedRoot.certificateAuthorities).toHaveLength(2);
  });
});

describe("a drill: the log (Rekor) gets a new key", () => {
  const rotated = updateTrust({ previous: trust, current: factoryTrust(first, newerLog), now: inDays(10) });
  const after = signedStatement(first, newerLog, inDays(11));

  it("old entries still verify, new ones are the new key's, and late ones of the old key are refused", async () => {
    await expect(verifyWith(rotated.trustedRoot, before)).resolves.toBeDefined();
    await expect(verifyWith(rotated.trustedRoot, after)).resolves.toBeDefined();
    await expect(verifyWith(trust.trustedRoot, after)).rejects.toThrow("inclusion promise");
    await expect(verifyWith(rotated.trustedRoot, signedStatement(first, oldLog, inDays(11)))).rejects.toThrow(
      "inclusion promise",
    );
  });

  it("what it enters before the authority has its new key, too, verifies", async () => {
    const current = factoryTrust(newAuthority("third"), newerLog);
    const both = updateTrust({ previous: trust, current, now: inDays(10) });
    const [oldest] = trust.trustedRoot.certificateAuthorities;
    expect(both.trustedRoot.tlogs.map(({ publicKey }) => publicKey?.validFor?.start)).toEqual(
      [0, 1].map(() => oldest?.validFor?.start),
    );
    await expect(verifyWith(both.trustedRoot, signedStatement(first, newerLog, inDays(9)))).resolves.toBeDefined();
  });

  it("once revoked, no entry of the old key verifies", async () => {
    const revoke = trust.trustedRoot.tlogs.map(fingerprints.log);
    const current = factoryTrust(first, newerLog);
    const revoked = updateTrust({ previous: rotated, current, revoke, now: inDays(12) });
    await expect(verifyWith(revoked.trustedRoot, before)).rejects.toThrow("inclusion promise");
    await expect(verifyWith(revoked.trustedRoot, after)).resolves.toBeDefined();
  });
});

describe("a drill: the builder signs as another identity", () => {
  const moved = { identity: `${identity}-2`, issuer };
  const current = { ...factoryTrust(first, oldLog), signer: moved };
  const rotated = updateTrust({ previous: trust, current, now: inDays(10) });

  it("each identity counts in its own time", () => {
    expect(signersAt(rotated, builderId, inDays(5))).toEqual([{ identity, issuer }, moved]);
    expect(signersAt(rotated, builderId, inDays(11))).toEqual([moved]);
  });

  it("once revoked, the old one counts at no time", () => {
    const revoke = [fingerprints.builder({ builderId, signer: { identity, issuer } })];
    const revoked = updateTrust({ previous: rotated, current, revoke, now: inDays(12) });
    expect(signersAt(revoked, builderId, inDays(5))).toEqual([moved]);
  });
});

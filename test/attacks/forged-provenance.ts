import { z } from "zod";
import { FactoryError } from "../../components/lib/errors";
import type { Session } from "../../tools/cli/attack-session";
import type { Answer, Attempt } from "../../tools/cli/attacks";
import type { AskedFor } from "../../tools/cli/image-verifier";
import type { Check } from "../../tools/cli/provenance";
import type { Attestation } from "../../tools/cli/registry";
import { makeAuthority } from "../cli/support/authority";
import { TestLog } from "../cli/support/log";
import { attestation, intotoBody, signEnvelope } from "../cli/support/provenance";
import { aboutImage, openForger, saidIn } from "./forgery";
import { aboutOthersToo, lies, type Said, sourceOf } from "./lies";
import { mintLeaf, openLog } from "./services";
import { anyBuilt, type FactoryAttack } from "./support";
import { workload } from "./unproven-images";

const byGate = (fault: RegExp) => ({ by: ["admission policy" as const], message: fault });
const byVerify = (fault: RegExp) => ({ by: ["factory verify" as const], message: fault });

const answerOf = (checks: readonly Check[]): Answer => {
  const failed = checks.filter(({ held }) => !held);
  const message = failed.map(({ title, detail, code }) => `not ${title}: ${detail} (${code})`).join("; ");
  return failed.length === 0
    ? { is: "accepted", detail: `${checks.length} checks held` }
    : { is: "refused", by: "factory verify", message };
};

/** What the checks of `factory verify` say. */
export const verified = async ({ verify }: Session, image: string, asked?: AskedFor): Promise<Answer> => {
  try {
    return answerOf(await verify(image, asked));
  } catch (error) {
    if (!(error instanceof FactoryError)) throw error;
    const message = error.problems.map(({ code, given }) => `${code} ${given}`).join("; ");
    return { is: "refused", by: "factory verify", message };
  }
};

const reportSchema = z.object({
  image: z.string(),
  held: z.boolean(),
  checks: z.array(z.object({ code: z.string(), title: z.string(), held: z.boolean(), detail: z.string() })).min(1),
});

/** What the command itself says, as JSON and by its exit code. */
const commandAnswer = async ({ command }: Session, image: string): Promise<Answer> => {
  const { code, stdout, stderr } = await command("verify", image, "--json");
  const report = code === 0 || code === 1 ? reportSchema.parse(JSON.parse(stdout)) : undefined;
  if (report?.image !== image || report.held !== (code === 0)) throw new Error(`exit code ${code}: ${stdout}${stderr}`);
  return answerOf(report.checks);
};

export const forgedProvenance: FactoryAttack = {
  name: "forged-provenance",
  covers:
    "Statements that somebody else signed, or the signer about something else, or without log, beside images that nobody built; tags that move.",
  tries:
    "to start copies of a good image, and have them verified, beside statements of which one thing is not as it must be",
  refusal: byGate(/SSF-GATE-002/),
  control:
    "The image that the statements were taken from is accepted, whatever its tags name, and a copy beside a statement of which all holds.",
  prepare: async (session) => {
    const { admin, factory } = session;
    const built = await anyBuilt(session);
    const forger = await openForger(session, built);
    const entered = await openLog(session);
    const { identity, issuer } = factory.trust.signer;
    const foreign = makeAuthority().issue({ subjectAltName: `URI:${identity}`, issuer });
    const signer = await mintLeaf(session, identity);
    const ask = (image: string) => admin.wouldCreate(workload(session, image));
    // From here on the verifier believes the good digest without looking again.
    const warm = await ask(built);
    if (warm.is !== "accepted") throw new Error(`the gate does not let ${built} in`);

    const said = (digest: string): string => JSON.stringify(aboutImage(forger.statement, digest));
    const copyWith = async (name: string, state: (digest: string) => Promise<Attestation | undefined>) => {
      const { image, digest } = await forger.copy(name);
      const statement = await state(digest);
      if (statement !== undefined) await forger.attach(digest, statement);
      return image;
    };
    const forged = (
      name: string,
      fault: RegExp,
      state: (digest: string) => Promise<Attestation | undefined>,
      ...others: { who: string; asks: (image: string) => Promise<Answer> }[]
    ): Attempt[] => {
      let copy: Promise<string> | undefined;
      const image = () => (copy ??= copyWith(name, state));
      return [
        { name, expected: byGate(fault), run: async () => ask(await image()) },
        ...others.map(({ who, asks }) => ({
          name: `${name}, ${who}`,
          expected: byVerify(fault),
          run: async () => asks(await image()),
        })),
      ];
    };
    const verify = { who: "verified", asks: (image: string) => verified(session, image) };
    const command = { who: "verified by the command", asks: (image: string) => commandAnswer(session, image) };

    const origin = sourceOf(saidIn(forger.statement));
    const theirs = (identityOfAnother: string) => async (digest: string) =>
      entered(said(digest), await mintLeaf(session, identityOfAnother));
    /** A copy with all that a good image has beside it, but for what its statement says. */
    const told = async (name: string, tell: (statement: Said) => void): Promise<string> => {
      const { image, digest } = await forger.copy(name);
      const statement = aboutImage(forger.statement, digest, await forger.attachSbom(digest));
      tell(statement);
      await forger.attach(digest, await entered(JSON.stringify(statement), signer));
      return image;
    };
    const both = (name: string, tell: (statement: Said) => void, expected?: RegExp, asked = false): Attempt[] => {
      let copy: Promise<string> | undefined;
      const image = () => (copy ??= told(name, tell));
      const atGate = { name, expected: expected && byGate(expected), run: async () => ask(await image()) };
      const atHand = {
        name: `${name}, verified`,
        expected: expected && byVerify(expected),
        run: async () => verified(session, await image(), origin),
      };
      return asked ? [atHand] : [atGate, atHand];
    };

    const otherLog = new TestLog();
    const ofOtherLog = (digest: string) => {
      const envelope = signEnvelope(said(digest), foreign);
      return { envelope, entry: otherLog.add(Buffer.from(JSON.stringify(intotoBody(envelope, foreign)))) };
    };
    const bundleSchema = z.looseObject({ Payload: z.looseObject({ logID: z.string(), integratedTime: z.int() }) });
    const bundle = "dev.sigstore.cosign/bundle";
    const bundleOf = ({ annotations }: Attestation) => bundleSchema.parse(JSON.parse(annotations[bundle] ?? ""));
    const [repository = "", good = ""] = built.split("@");
    const tag = `attack-${session.id}`;

    return {
      attempts: [
        ...forged(
          "no statement",
          /no signed statement lies beside the image/,
          () => Promise.resolve(undefined),
          verify,
          command,
        ),
        ...forged("the good image's statement", /not about this image/, () => Promise.resolve(forger.statement)),
        ...forged(
          "the good image's signature and log entry under another statement",
          /about another statement/,
          (digest) => {
            const envelope = JSON.parse(forger.statement.content.toString()) as object;
            const payload = Buffer.from(said(digest)).toString("base64");
            const content = Buffer.from(JSON.stringify({ ...envelope, payload }));
            return Promise.resolve({ ...forger.statement, content });
          },
        ),
        ...forged(
          "a foreign authority that names the signer",
          /no valid certificate path found.*SSF-PROVENANCE-001/,
          (digest) => entered(said(digest), foreign),
          verify,
          command,
        ),
        ...[
          ["another identity of the factory", `spiffe://${factory.trustDomain}/attack/${session.id}`],
          ["an identity that begins like the signer's", `${identity}-attack`],
          ["an identity that ends like the signer's", identity.replace(factory.trustDomain, "$&/attack")],
        ].flatMap(([name = "", other = ""]) =>
          forged(name, /expected a certificate for URI:.*, found URI:spiffe:/, theirs(other), verify),
        ),
        ...forged("no log entry", /no log entry lies beside it/, (digest) => {
          const envelope = signEnvelope(said(digest), foreign);
          const annotations = { "dev.sigstore.cosign/certificate": foreign.certificatePem };
          return Promise.resolve({ content: envelope, annotations });
        }),
        ...forged("an entry of another log", /nothing that is trusted counts for an entry of log/, (digest) => {
          const { envelope, entry } = ofOtherLog(digest);
          return Promise.resolve(attestation(envelope, foreign, entry));
        }),
        ...forged(
          "an entry of another log that takes the factory's name",
          /not signed by the factory's log/,
          (digest) => {
            const { envelope, entry } = ofOtherLog(digest);
            const { logID } = bundleOf(forger.statement).Payload;
            return Promise.resolve(attestation(envelope, foreign, { ...entry, logId: logID }));
          },
        ),
        ...forged(
          "the signer's statement with another time of its log entry",
          /not signed by the factory's log/,
          async (digest) => {
            const { content, annotations } = await entered(said(digest), signer);
            const { Payload, ...rest } = bundleOf({ content, annotations });
            const later = { ...rest, Payload: { ...Payload, integratedTime: Payload.integratedTime + 60 } };
            return { content, annotations: { ...annotations, [bundle]: JSON.stringify(later) } };
          },
          verify,
        ),
        ...lies.flatMap(({ name, tell, seen, asked }) => both(name, tell, seen, asked)),
        {
          name: "a copy under a tag that names the good image",
          expected: byGate(/SSF-GATE-002/),
          run: async () => {
            const { digest } = await forger.copy("tag");
            await forger.tag(tag, good);
            return ask(`${repository}:${tag}@${digest}`);
          },
        },
        {
          name: "a tag of the good image, moved to a copy",
          expected: { by: ["registry"], message: /HTTP status 403 .*SSF-REGISTRY-005/ },
          run: async () => {
            const { digest } = await forger.copy("moved");
            await forger.tag(`${tag}-moved`, good);
            return forger.tag(`${tag}-moved`, digest);
          },
        },
        {
          name: "a tag that may move",
          expected: byGate(/SSF-GATE-001/),
          run: async () => {
            await forger.tag(`${tag}-good`, good);
            return ask(`${repository}:${tag}-good`);
          },
        },
      ],
      controls: [
        { name: "the image that was built", run: () => ask(built) },
        { name: "the image that was built, verified", run: () => verified(session, built, origin) },
        { name: "the image that was built, verified by the command", run: () => commandAnswer(session, built) },
        ...both("a copy of which the signer says all as it must be", () => undefined),
        ...both("a copy of which the signer says the same as of others", aboutOthersToo),
        {
          name: "the image that was built, under a tag that names another one",
          run: async () => {
            const { digest } = await forger.copy("other");
            await forger.tag(`${tag}-other`, digest);
            return ask(`${repository}:${tag}-other@${good}`);
          },
        },
      ],
    };
  },
};

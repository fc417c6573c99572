import type { Attempt } from "../../tools/cli/attacks";
import type { Attestation } from "../../tools/cli/registry";
import { makeAuthority } from "../cli/support/authority";
import { TestLog } from "../cli/support/log";
import { attestation, intotoBody, signEnvelope } from "../cli/support/provenance";
import { aboutImage, openForger } from "./forgery";
import { mintLeaf, openLog } from "./services";
import { anyBuilt, type FactoryAttack } from "./support";
import { workload } from "./unproven-images";

const refusedFor = (fault: RegExp) => ({ by: ["admission policy" as const], message: fault });

export const forgedProvenance: FactoryAttack = {
  name: "forged-provenance",
  covers:
    "Statements that somebody else signed, or that are about something else, beside images that nobody built; tags that move.",
  tries:
    "to start copies of a good image beside statements by a foreign authority, by another identity, without log or of another one",
  refusal: refusedFor(/SSF-GATE-002/),
  control: "The image that the statements were taken from is accepted, whatever its tags name.",
  prepare: async (session) => {
    const { admin, factory } = session;
    const built = await anyBuilt(session);
    const forger = await openForger(session, built);
    const entered = await openLog(session);
    const { identity, issuer } = factory.trust.signer;
    const foreign = makeAuthority().issue({ subjectAltName: `URI:${identity}`, issuer });
    const ask = (image: string) => admin.wouldCreate(workload(session, image));

    const forged = (
      name: string,
      fault: RegExp,
      state: (digest: string) => Promise<Attestation | undefined>,
    ): Attempt => ({
      name,
      expected: refusedFor(fault),
      run: async () => {
        const { image, digest } = await forger.copy(name);
        const statement = await state(digest);
        if (statement !== undefined) await forger.attach(digest, statement);
        return ask(image);
      },
    });
    const about = (digest: string): string => aboutImage(forger.statement, digest);
    const otherLog = new TestLog();
    const [repository = "", good = ""] = built.split("@");
    const tag = `attack-${session.id}`;

    return {
      attempts: [
        forged("no statement", /no signed statement lies beside the image/, () => Promise.resolve(undefined)),
        forged("the good image's statement", /not about this image/, () => Promise.resolve(forger.statement)),
        forged(
          "the good image's signature and log entry under another statement",
          /about another statement/,
          (digest) => {
            const envelope = JSON.parse(forger.statement.content.toString()) as object;
            const payload = Buffer.from(about(digest)).toString("base64");
            const content = Buffer.from(JSON.stringify({ ...envelope, payload }));
            return Promise.resolve({ ...forger.statement, content });
          },
        ),
        forged("a foreign authority that names the signer", /SSF-PROVENANCE-001/, (digest) =>
          entered(about(digest), foreign),
        ),
        forged(
          "another identity of the factory",
          /expected a certificate for URI:.*, found URI:spiffe:/,
          async (digest) => entered(about(digest), await mintLeaf(session)),
        ),
        forged("no log entry", /no log entry lies beside it/, (digest) => {
          const envelope = signEnvelope(about(digest), foreign);
          const annotations = { "dev.sigstore.cosign/certificate": foreign.certificatePem };
          return Promise.resolve({ content: envelope, annotations });
        }),
        forged("an entry of another log", /nothing that is trusted counts for an entry of log/, (digest) => {
          const envelope = signEnvelope(about(digest), foreign);
          const entry = otherLog.add(Buffer.from(JSON.stringify(intotoBody(envelope, foreign))));
          return Promise.resolve(attestation(envelope, foreign, entry));
        }),
        forged(
          "an entry of another log that takes the factory's name",
          /not signed by the factory's log/,
          async (digest) => {
            const { annotations } = await entered(about(digest), foreign);
            const bundle = JSON.parse(annotations["dev.sigstore.cosign/bundle"] ?? "") as {
              Payload: { logID: string };
            };
            const envelope = signEnvelope(about(digest), foreign);
            const entry = otherLog.add(Buffer.from(JSON.stringify(intotoBody(envelope, foreign))));
            return attestation(envelope, foreign, { ...entry, logId: bundle.Payload.logID });
          },
        ),
        {
          name: "a copy under a tag that names the good image",
          expected: refusedFor(/SSF-GATE-002|SSF-GATE-001/),
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
          expected: refusedFor(/SSF-GATE-001/),
          run: async () => {
            await forger.tag(`${tag}-good`, good);
            return ask(`${repository}:${tag}-good`);
          },
        },
      ],
      controls: [
        { name: "the image that was built", run: () => ask(built) },
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

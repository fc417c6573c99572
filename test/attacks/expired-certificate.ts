import { X509Certificate } from "node:crypto";
import { aboutImage, openForger } from "./forgery";
import { mintLeaf, openLog } from "./services";
import { anyBuilt, type FactoryAttack, pause } from "./support";
import { workload } from "./unproven-images";

export const expiredCertificate: FactoryAttack = {
  name: "expired-certificate",
  covers: "A certificate of the factory's own authority, used once its ten minutes are over.",
  tries: "to start a copy of a good image beside a statement that was signed and entered in the log too late",
  refusal: { by: ["admission policy"], message: /SSF-GATE-002 .*the certificate, valid from .* to .*, at / },
  control: "The image that the statement was taken from is accepted.",
  onlyByName: true,
  prepare: async (session) => {
    const { admin } = session;
    const leaf = await mintLeaf(session);
    const until = Date.parse(new X509Certificate(leaf.certificatePem).validTo);
    while (Date.now() <= until) {
      session.signal.throwIfAborted();
      await pause();
    }
    const built = await anyBuilt(session);
    const forger = await openForger(session, built);
    const entered = await openLog(session);
    return {
      attempts: [
        {
          name: "a statement of a certificate that has expired",
          run: async () => {
            const { image, digest } = await forger.copy("expired");
            const said = JSON.stringify(aboutImage(forger.statement, digest));
            await forger.attach(digest, await entered(said, leaf));
            return admin.wouldCreate(workload(session, image));
          },
        },
      ],
      controls: [{ name: "the image that was built", run: () => admin.wouldCreate(workload(session, built)) }],
    };
  },
};

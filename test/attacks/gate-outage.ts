import { GATEKEEPER_NAMESPACE } from "../../components/gatekeeper";
import { VERIFIER_NAMESPACE } from "../../policies/admission/gate/records";
import type { Session } from "../../tools/cli/attack-session";
import type { Answer, Attempt } from "../../tools/cli/attacks";
import { example, until, type FactoryAttack } from "./support";
import { workload } from "./unproven-images";

/** Ends every pod of a namespace at once; what makes them makes them again. */
const kill = ({ kubectl }: Session, namespace: string): Promise<string> =>
  kubectl.text(["delete", "pods", "--all", `--namespace=${namespace}`, "--grace-period=0", "--force", "--wait=false"]);

/** What the API server says when nobody answers in the gate's place. */
const silent = /failed calling webhook|SSF-GATE-004/;

export const gateOutage: FactoryAttack = {
  name: "gate-outage",
  covers: "The moment in which the gate is away: every pod of Gatekeeper, of its verifier, and of both is killed.",
  tries: "to start an image that nothing proves while nobody answers for the gate",
  refusal: { by: ["admission policy"], message: /SSF-GATE-\d+|failed calling webhook/ },
  control: "The gate comes back by itself, and then lets an image in that the factory has built.",
  onlyByName: true,
  prepare: async (session) => {
    const { admin } = session;
    const { image: built } = await session.build(example);
    const good = workload(session, built);
    const bad = workload(session, built.replace(/[0-9a-f]{64}$/, "0".repeat(64)));
    const during = (title: string, namespaces: readonly string[]): Attempt => ({
      name: title,
      run: async () => {
        await Promise.all(namespaces.map((namespace) => kill(session, namespace)));
        let seen: Answer | undefined;
        return until(session, "the gate", async () => {
          const answer = await admin.wouldCreate(bad);
          if (answer.is !== "refused") return answer;
          if (silent.test(answer.message)) seen = answer;
          const isBack = (await admin.wouldCreate(good)).is === "accepted";
          if (!isBack) return undefined;
          return seen ?? { is: "unproven", detail: "the gate was back before anybody could ask" };
        });
      },
    });
    return {
      attempts: [
        during("without Gatekeeper", [GATEKEEPER_NAMESPACE]),
        during("without the verifier", [VERIFIER_NAMESPACE]),
        during("without both", [GATEKEEPER_NAMESPACE, VERIFIER_NAMESPACE]),
      ],
      controls: [{ name: "an image of the factory, afterwards", run: () => admin.wouldCreate(good) }],
    };
  },
};

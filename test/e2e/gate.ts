import { setTimeout } from "node:timers/promises";
import { GATE_LABEL } from "../../components/lib/labels";
import { TEAM_OBJECTS } from "../../components/team";
import type { ProbeContext } from "./probe";

const shop = "e2e-shop";
const space = {
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name: shop, labels: { [GATE_LABEL]: "", "pod-security.kubernetes.io/enforce": "restricted" } },
};

/** A pod of somebody who runs what a team has built. */
const service = (image: string) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "service", namespace: shop },
  spec: {
    automountServiceAccountToken: false,
    securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: "RuntimeDefault" } },
    imagePullSecrets: [{ name: TEAM_OBJECTS.reader }],
    containers: [
      {
        name: "service",
        image,
        resources: { limits: { cpu: "100m", memory: "64Mi" } },
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] },
        },
      },
    ],
  },
});

/** Asks again until the answer holds, for a minute and a half; the gate takes a minute to see what is trusted now. */
export const eventually = async (ask: () => Promise<void>): Promise<void> => {
  for (let tries = 45; ; tries--) {
    try {
      await ask();
      return;
    } catch (error) {
      if (tries === 1) throw error;
      await setTimeout(2000);
    }
  }
};

/** A namespace behind the gate, in which images of the team can be pulled. */
export class Shop {
  constructor(private readonly context: Pick<ProbeContext, "kubectl" | "api" | "team">) {}

  async open(): Promise<void> {
    const { api, team } = this.context;
    await api.create(space);
    const secrets = `/api/v1/namespaces/${team.namespace}/secrets`;
    const { type, data } = (await api.read(`${secrets}/${TEAM_OBJECTS.reader}`)) as { type: string; data: object };
    const metadata = { name: TEAM_OBJECTS.reader, namespace: shop };
    await api.create({ apiVersion: "v1", kind: "Secret", metadata, ...{ type, data } });
  }

  /** Runs the image until its program is started. */
  async run(image: string): Promise<void> {
    const { api, kubectl } = this.context;
    await api.create(service(image));
    const running = "--for=jsonpath={.status.phase}=Running";
    await kubectl.text(["wait", `--namespace=${shop}`, running, "--timeout=300s", "pod/service"]);
  }

  /** Asks whether the image may run; fails with what the gate says when it may not. */
  async ask(image: string): Promise<void> {
    const metadata = { name: "asked", namespace: shop };
    await this.context.api.create({ ...service(image), metadata }, { dryRun: true });
  }

  async close(): Promise<void> {
    await this.context.api.remove(space);
  }
}

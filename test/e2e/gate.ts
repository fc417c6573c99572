import { setTimeout } from "node:timers/promises";
import { GATE_LABEL } from "../../components/lib/labels";
import { TEAM_OBJECTS } from "../../components/team";
import type { StackOutputs } from "../../stacks/outputs";
import type { Kubectl } from "../../tools/cli/kubectl";

const shop = "e2e-shop";
const inShop = `--namespace=${shop}`;

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
  constructor(
    private readonly kubectl: Kubectl,
    private readonly team: StackOutputs["team"],
  ) {}

  async open(): Promise<void> {
    const labels = { [GATE_LABEL]: "", "pod-security.kubernetes.io/enforce": "restricted" };
    await this.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: shop, labels } });
    const login = (await this.kubectl.json([
      "get",
      "secret",
      TEAM_OBJECTS.reader,
      `--namespace=${this.team.namespace}`,
    ])) as { type: string; data: object };
    const metadata = { name: TEAM_OBJECTS.reader, namespace: shop };
    await this.create({ apiVersion: "v1", kind: "Secret", metadata, type: login.type, data: login.data });
  }

  /** Runs the image until its program is started. */
  async run(image: string): Promise<void> {
    await this.create(service(image));
    const running = "--for=jsonpath={.status.phase}=Running";
    await this.kubectl.text(["wait", inShop, running, "--timeout=120s", "pod/service"]);
  }

  /** Asks whether the image may run; fails with what the gate says when it may not. */
  async ask(image: string): Promise<void> {
    await this.create({ ...service(image), metadata: { name: "asked", namespace: shop } }, "--dry-run=server");
  }

  async close(): Promise<void> {
    await this.kubectl.text(["delete", "namespace", shop, "--wait=false"]);
  }

  private async create(object: object, ...flags: string[]): Promise<void> {
    await this.kubectl.text(["create", "--filename=-", ...flags], JSON.stringify(object));
  }
}

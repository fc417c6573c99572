import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execute } from "../../tools/process";
import { cloneCheckout } from "../support/checkout";

const minutes = 60_000;

/** Previews of a branch against the factory that is up, as `make preview` makes them on a developer's machine. */
export const describePreviews = (settings: { stacks: string; config: readonly string[]; state: string }): void => {
  describe("a preview against the factory that is up", () => {
    const directory = mkdtempSync(join(tmpdir(), "ssf-e2e-preview-"));
    const clone = join(directory, "clone");
    const team = settings.stacks.split(",").at(-1) ?? "";
    const preview = () =>
      execute("./factory", ["preview"], {
        cwd: clone,
        env: { SSF_STATE: settings.state, SSF_STACKS: settings.stacks, SSF_CONFIG: settings.config.join("\n") },
      });

    beforeAll(() => cloneCheckout(clone));
    afterAll(() => rmSync(directory, { recursive: true }));

    test(
      "says what a setting changes of a team, and nothing more",
      async () => {
        const usual = readFileSync(join(clone, "Pulumi.team-a.yaml"), "utf8");
        const changed = usual.replace("config:\n", "config:\n  secure-software-factory:quotaPods: 61\n");
        writeFileSync(join(clone, `Pulumi.${team}.yaml`), changed);
        const { code, stdout } = await preview();
        expect(stdout).toMatch(/^Compared with the state of the factory that is up\./);
        expect(stdout.match(/^stack .*$/gm)).toEqual([`stack ${team}: 1 updated`]);
        expect(stdout).toContain("! update core/v1:ResourceQuota team-quota");
        expect(stdout).toMatch(/\nThe change held\.\n$/);
        expect(code).toBe(0);
      },
      5 * minutes,
    );

    test(
      "refuses what opens a jail",
      async () => {
        const file = join(clone, "components/team.ts");
        const [closed, opened] = ['["Ingress", "Egress"] }', '["Ingress", "Egress"], egress: [{}] }'];
        writeFileSync(
          file,
          readFileSync(file, "utf8").replace(
            `podSelector: {}, policyTypes: ${closed}`,
            `podSelector: {}, policyTypes: ${opened}`,
          ),
        );
        const { code, stdout } = await preview();
        expect(stdout.match(/^stack .*$/gm)?.map((line) => line.replace(/.*: /, ""))).toEqual([
          ...["no changes", "no changes", "2 updated"],
        ]);
        expect(stdout).toContain(
          `SSF-PREVIEW-051 kubernetes:networking.k8s.io/v1:NetworkPolicy team-deny (stack ${team})`,
        );
        expect(stdout).toMatch(/\nThe change did not hold\.\n$/);
        expect(code).toBe(1);
      },
      10 * minutes,
    );
  });
};

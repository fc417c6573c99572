import { execFileSync } from "node:child_process";
import { createHash, createHmac } from "node:crypto";
import { request } from "node:https";
import { resolve } from "node:path";
import type { StackOutputs } from "../../stacks/outputs";
import { imageName } from "../../tools/cli/forge";
import type { Kubectl } from "../../tools/cli/kubectl";

const root = resolve(__dirname, "../..");
const minutes = 60_000;
const namespace = "ssf-triggers";

/** The commit that `./factory build examples/go-service` pushes, and the branch that it makes for it. */
const commit = (): string => execFileSync("git", ["-C", root, "rev-parse", "HEAD"], { encoding: "utf8" }).trim();
const branch = (): string => `commit-${commit()}`;
const repository = `https://forge.ssf-forge.svc.cluster.local:8443/${imageName(root)}.git`;

/** Settings of a team's stack whose example is built by push and by schedule, as lines of `SSF_CONFIG`. */
export const triggerSettings = (stack: string): string[] =>
  Object.entries({
    triggerRepository: repository,
    triggerBranch: branch(),
    triggerParams: "name=triggered,directory=examples/go-service",
    schedule: "@monthly",
  }).map(([key, value]) => `${stack}:${key}=${value}`);

/** What the tests below need. */
export interface TriggerContext {
  kubectl: Kubectl;
  team: StackOutputs["team"];
}

interface Run {
  metadata: { name: string; labels: Record<string, string> };
  spec: { params: { name: string; value: string }[] };
  status?: { conditions?: { reason: string }[] };
}

/** Checks the webhook and the schedule of a team that is up; the example's commit must be in the forge. */
export const describeTriggers = (context: () => TriggerContext): void => {
  const body = (after = commit()) =>
    JSON.stringify({ ref: `refs/heads/${branch()}`, after, repository: { clone_url: repository }, sent: after });
  const signature = (text: string, key = context().team.trigger?.secret ?? "") =>
    `sha256=${createHmac("sha256", key).update(text).digest("hex")}`;
  const nameOf = (text: string) => `go-push-${createHash("sha256").update(text).digest("hex").slice(0, 24)}`;

  /** Posts to the team's webhook as a forge would, with its certificate checked. */
  const post = async (text: string, header: string): Promise<number> => {
    const { kubectl, team } = context();
    const { hostname, port } = new URL(team.trigger?.url ?? "");
    const forward = await kubectl.portForward(namespace, hostname.split(".")[0] ?? "", Number(port));
    try {
      return await new Promise((answered, failed) => {
        const options = { host: "127.0.0.1", port: forward.port, servername: hostname, ca: team.forge.caPem };
        const headers = { "Content-Type": "application/json", "X-Hub-Signature-256": header };
        const asked = request({ ...options, method: "POST", path: "/", headers }, (answer) => {
          answer.resume();
          answered(answer.statusCode ?? 0);
        });
        asked.on("error", failed);
        asked.end(text);
      });
    } finally {
      forward.close();
    }
  };

  const runsOf = async (): Promise<Run[]> => {
    const { kubectl, team } = context();
    const list = await kubectl.json(["get", "pipelineruns.tekton.dev", `--namespace=${team.namespace}`]);
    return (list as { items: Run[] }).items;
  };

  /** The run once Tekton has taken it, after at most two minutes. */
  const taken = async (find: (run: Run) => boolean): Promise<Run> => {
    for (let tries = 0; tries < 120; tries++) {
      const run = (await runsOf()).find((one) => find(one) && one.status?.conditions?.[0] !== undefined);
      if (run !== undefined) return run;
      await new Promise((resume) => setTimeout(resume, 1000));
    }
    throw new Error("no such run");
  };

  const remove = async (run: Run): Promise<void> => {
    const { kubectl, team } = context();
    await kubectl.text(["delete", "pipelineruns.tekton.dev", run.metadata.name, `--namespace=${team.namespace}`]);
  };

  const params = (run: Run) => Object.fromEntries(run.spec.params.map(({ name, value }) => [name, value]));

  describe("a team's trigger", () => {
    test(
      "runs what a forge pushes, once, and says so in the run",
      async () => {
        expect(await post(body(), signature(body()))).toBe(202);
        const run = await taken(({ metadata }) => metadata.name === nameOf(body()));
        expect(params(run)).toMatchObject({ repository, commit: commit(), trigger: "push", name: "triggered" });
        expect(run.metadata.name).toBe(`go-push-${params(run).event ?? ""}`);
        expect(run.metadata.labels).toMatchObject({ "secure-software-factory.dev/trigger": "push" });
        expect(run.status?.conditions?.[0]?.reason).toMatch(/^(Started|Running|Resolving(Pipeline|Task)Ref)$/);
        expect(await post(body(), signature(body()))).toBe(202);
        expect((await runsOf()).filter(({ metadata }) => metadata.name.startsWith("go-push-"))).toHaveLength(1);
        await remove(run);
      },
      5 * minutes,
    );

    test(
      "answers 401 to a wrong HMAC, and no run; the next right one runs",
      async () => {
        const forged = body("f".repeat(40));
        expect(await post(forged, signature(forged, "not the secret of the webhook"))).toBe(401);
        expect(await post(forged, signature(body()))).toBe(401);
        const next = body("e".repeat(40));
        expect(await post(next, signature(next))).toBe(202);
        // Sent later and there already: the forged one's run would be, too.
        const run = await taken(({ metadata }) => metadata.name === nameOf(next));
        expect((await runsOf()).map(({ metadata }) => metadata.name)).not.toContain(nameOf(forged));
        await remove(run);
      },
      5 * minutes,
    );

    test(
      "runs the branch's commit when its time comes",
      async () => {
        const { kubectl, team } = context();
        const job = ["job", "e2e-1", `--namespace=${namespace}`];
        await kubectl.text(["create", ...job, `--from=cronjob/${team.team}`]);
        const run = await taken(({ metadata }) => metadata.name === "go-schedule-1");
        expect(params(run)).toMatchObject({ commit: commit(), trigger: "schedule", event: "1" });
        await kubectl.text(["delete", ...job]);
        await remove(run);
      },
      5 * minutes,
    );

    test(
      "is all that may say that a push started a run",
      async () => {
        const { kubectl, team } = context();
        const run = {
          ...team.pipelines.go?.runTemplate,
          metadata: { name: "claims-a-push", namespace: team.namespace },
        };
        const member = `--as-group=secure-software-factory:${team.namespace}`;
        const submit = (trigger: string) => {
          const said = { repository, commit: commit(), name: "claim", trigger };
          const spec = { ...(run as unknown as { spec: object }).spec, params: pairs(said) };
          const args = ["create", "--filename=-", "--dry-run=server", "--as=somebody", member];
          return kubectl.text(args, JSON.stringify({ ...run, spec }));
        };
        await expect(submit("push")).rejects.toThrow(/SSF-TRIGGER-003/);
        await expect(submit("manual")).resolves.toContain("claims-a-push");
      },
      minutes,
    );
  });
};

const pairs = (values: Record<string, string>) => Object.entries(values).map(([name, value]) => ({ name, value }));

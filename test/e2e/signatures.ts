import { appendFileSync, cpSync, mkdtempSync, rmSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { runState } from "../../tools/cli/watch-run";
import { killPods, pause, scale } from "../attacks/support";
import { Shop } from "./gate";
import { RememberedLog } from "./log";
import { type ProbeContext, type StartRun, withPipeline } from "./probe";
import { entriesOf, readRuns, signedState, signingPipeline, waitForRuns } from "./signed-runs";
import type { Ended } from "./supply-chain";

const minutes = 60_000;

/** What signing needs. Fifty runs in all end while one of them has just been killed. */
const log = { namespace: "ssf-rekor", name: "rekor", runs: 13 };
const authority = { namespace: "ssf-fulcio", name: "fulcio", runs: 13 };
const registry = { namespace: "ssf-registry", name: "registry", runs: 12 };
const identities = { namespace: "ssf-spire", name: "spire-server", runs: 12 };

/** A program that was never built before, as a repository of its own. */
const neverBuilt = (directory: string): string => {
  const top = join(directory, "late-service");
  cpSync(resolve(__dirname, "../../examples/pip-service"), top, { recursive: true });
  appendFileSync(join(top, "app/service.py"), "\n# Built while the log is away.\n");
  const git = (...args: string[]) =>
    execFileSync("git", ["-C", top, "-c", "user.name=Member", "-c", "user.email=member@team.test", ...args]);
  git("init", "--quiet");
  git("add", "--all", "--force");
  git("commit", "--quiet", "--message=A commit");
  return top;
};

/** Runs of a pipeline that only signs, some of them before and some after a service is killed. */
class Batches {
  readonly numbers: string[] = [];
  readonly names: string[] = [];

  constructor(
    private readonly context: ProbeContext,
    private readonly start: StartRun,
  ) {}

  /**
   * Kills the service while runs end, half of them started before and half after.
   *
   * @param stays whether nothing takes its place yet; then one run at least is given up by Chains before this returns
   */
  async around(service: typeof log, { stays }: { stays: boolean }): Promise<void> {
    const { kubectl } = this.context;
    const before = Math.ceil(service.runs / 2);
    const first = await this.startSome(before);
    await waitForRuns(this.context, first, "have ended", ({ succeeded }) => succeeded, { atLeast: 1 });
    const { namespace, name } = service;
    if (stays) await kubectl.text(["scale", `deployment/${name}`, `--namespace=${namespace}`, "--replicas=0"]);
    await killPods(kubectl, namespace);
    const both = [...first, ...(await this.startSome(service.runs - before))];
    if (stays) await waitForRuns(this.context, both, "are given up", ({ givenUp }) => givenUp, { atLeast: 1 });
  }

  private async startSome(count: number): Promise<string[]> {
    const started: string[] = [];
    for (; started.length < count; this.numbers.push(String(this.numbers.length + 100)))
      started.push(await this.start({ number: String(this.numbers.length + 100) }));
    this.names.push(...started);
    return started;
  }
}

/** The image of the run of the team's own pipelines that is new, once Chains has given the run up. */
const givenUpImage = async (context: ProbeContext, known: ReadonlySet<string>): Promise<string> => {
  const own = Object.values(context.team.pipelines).map(({ name }) => name);
  for (let tries = 300; tries > 0; tries--) {
    const runs = await readRuns(context, own);
    const run = runs.find(({ metadata }) => !known.has(metadata.name));
    const state = run && runState(run);
    if (state?.state === "failed" || state?.state === "signed")
      throw new Error(`the build is ${JSON.stringify(state)}`);
    if (run && signedState(run).givenUp) {
      const [url, digest] = ["IMAGE_URL", "IMAGE_DIGEST"].map((name) =>
        String(run.status.results.find((result) => result.name === name)?.value),
      );
      return `${url}@${digest}`;
    }
    await pause();
  }
  throw new Error("the build has not ended");
};

/** Begins work that goes on beside tests, and gives what waits for its end; only that tells what went wrong in it. */
const begin = (work: () => Promise<void>): (() => Promise<void>) => {
  const ended = Promise.allSettled([work()]);
  return async () => {
    const [end] = await ended;
    if (end.status === "rejected") throw end.reason as Error;
  };
};

/**
 * Tests that every run gets its signature, whatever was away when it ended, and that what has none does not run.
 *
 * @param beside tests that need no service of the factory; they use the processors, for which runs and signatures do not ask
 */
export const describeSignatures = (
  factory: (...args: string[]) => Promise<Ended>,
  context: () => ProbeContext,
  beside: () => void,
): void => {
  const signFiftyRuns = async (): Promise<void> => {
    const { kubectl, team } = context();
    const repository = `${team.registryRepository}/sign`;
    const directory = mkdtempSync(join(tmpdir(), "ssf-e2e-late-"));
    const shop = new Shop(context());
    const remembered = new RememberedLog(context);
    const { size } = await remembered.checkpoint();
    const known = new Set((await readRuns(context())).map(({ metadata }) => metadata.name));
    await shop.open();
    try {
      const built = factory("build", neverBuilt(directory), "--json");
      const { names, entries } = await withPipeline(context(), signingPipeline(repository), async (start) => {
        const batches = new Batches(context(), start);
        await batches.around(log, { stays: true });
        await batches.around(authority, { stays: true });
        await scale(kubectl, authority, 1);
        const late = await givenUpImage(context(), known);
        await expect(shop.ask(late)).rejects.toThrow(/SSF-GATE-002 .*no (signed statement|log entry) lies beside/);
        await scale(kubectl, log, 1);
        await batches.around(registry, { stays: true });
        await scale(kubectl, registry, 1);
        await batches.around(identities, { stays: false });
        await waitForRuns(context(), batches.names, "are signed and in the log", ({ signed }) => signed);
        const ended = await built;
        expect(ended.code).toBe(0);
        expect((JSON.parse(ended.stdout) as { image: string }).image).toBe(late);
        await expect(shop.ask(late)).resolves.toBeUndefined();
        return { names: batches.names, entries: await entriesOf(context(), repository, batches.numbers) };
      });
      expect(names).toHaveLength(50);
      expect(entries.filter((entry) => typeof entry === "string")).toEqual([]);
      const logged = entries.filter((entry) => typeof entry !== "string");
      expect(new Set(logged.map(({ logIndex }) => logIndex)).size).toBe(50);
      expect(await remembered.faults(logged)).toEqual([]);
      expect((await remembered.checkpoint()).size).toBeGreaterThanOrEqual(size + 51);
    } finally {
      for (const service of [log, authority, registry]) await scale(kubectl, service, 1);
      await shop.close();
      rmSync(directory, { recursive: true });
    }
  };

  describe("signatures", () => {
    let signed: () => Promise<void>;
    beforeAll(() => {
      signed = begin(signFiftyRuns);
    });

    beside();

    test(
      "of fifty runs are all made and in the log, although each service was killed when runs ended; until then no image is admitted",
      () => signed(),
      20 * minutes,
    );
  });
};

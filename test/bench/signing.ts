import { signature } from "../../tools/cli/watch-run";
import { columns } from "../../tools/cli/columns";
import { type ProbeContext, withPipeline } from "../e2e/probe";
import { readRuns, signingPipeline } from "../e2e/signed-runs";
import { quantile, short } from "./statistics";

const RUNS = 30;
const STARTERS = 6;
const TRIES = 1200;

const pause = () => new Promise((resume) => setTimeout(resume, 250));

/**
 * Time from the end of a run to provenance that can be verified: signed, and in the log. The runs make no image, so that
 * nothing but signing is measured; Tekton tells their ends by the second.
 */
export const measureSigning = async (context: ProbeContext): Promise<string[]> => {
  const { namespace, registryRepository } = context.team;
  const signedAt = new Map<string, number>();
  const endedAt = new Map<string, number>();
  const read = async (names: readonly string[]) => {
    const runs = await readRuns(context);
    const now = Date.now();
    for (const run of runs) {
      const { name } = run.metadata;
      if (!names.includes(name) || run.status.completionTime === undefined) continue;
      endedAt.set(name, Date.parse(run.status.completionTime));
      if (signature(run) === "logged" && !signedAt.has(name)) signedAt.set(name, now);
    }
  };
  const names: string[] = [];
  await withPipeline(context, signingPipeline(`${registryRepository}/bench`), async (start) => {
    const numbers = Array.from({ length: RUNS }, (_, index) => String(Date.now() * RUNS + index));
    const starter = async () => {
      for (let number = numbers.pop(); number !== undefined; number = numbers.pop())
        names.push(await start({ number }));
    };
    const watch = async () => {
      for (let left = TRIES; signedAt.size < RUNS; left--) {
        if (left === 0) throw new Error(`${RUNS - signedAt.size} of ${RUNS} runs are not signed`);
        await read(names);
        await pause();
      }
    };
    // Several are started while others are signed, so that starting them does not bound how fast runs are signed.
    await Promise.all([watch(), ...Array.from({ length: STARTERS }, starter)]);
  });
  await context.kubectl.text([
    "delete",
    "pipelineruns.tekton.dev",
    ...names,
    `--namespace=${namespace}`,
    "--wait=false",
  ]);
  const seconds = names.map((name) => ((signedAt.get(name) ?? 0) - (endedAt.get(name) ?? 0)) / 1000);
  const times = [...signedAt.values()];
  const span = (Math.max(...times) - Math.min(...times)) / 1000;
  return columns([
    ["end of a run to provenance", "p50 s", "p95 s", "signed a second"],
    [
      `${RUNS} runs, ${STARTERS} started at once`,
      short(quantile(seconds, 0.5)),
      short(quantile(seconds, 0.95)),
      short((RUNS - 1) / span),
    ],
  ]);
};

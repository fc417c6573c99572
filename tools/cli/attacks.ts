import { columns } from "./columns";
import { exitCode, type ExitCode } from "./outcome";

/** Who stops an attack. */
export type Refuser =
  | "RBAC"
  | "admission policy"
  | "Pod Security"
  | "Tekton's webhook"
  | "Tekton"
  | "API server"
  | "registry"
  | "Fulcio"
  | "Workload API"
  | "stage"
  | "jail"
  | "kernel"
  | "factory verify";

/** What came of one try. */
export type Answer =
  | { is: "refused"; by: Refuser; message: string }
  | { is: "accepted"; detail: string }
  /** Refused, but nothing shows that it would succeed elsewhere: it proves nothing. */
  | { is: "unproven"; detail: string };

/** The refusal that makes an attack a failed one; any other refusal means that something else was tried than was meant. */
export interface Expectation {
  by: readonly Refuser[];
  message: RegExp;
}

/** One try of an attack, or of its good twin. A broken promise means that it could not be made at all. */
export interface Attempt {
  /** What is tried, in a few words. */
  name: string;
  run: () => Promise<Answer>;
  /** @default the attack's own */
  expected?: Expectation;
}

/** Tells how to undo what is about to be done; undone in reverse order, whatever happens. */
export type Defer = (what: string, undo: () => Promise<unknown>) => void;

/** Something that must not work, and beside it what must. `S` is what it is given to work with. */
export interface Attack<S> {
  /** Lower-case words joined by `-`; the file has the same name. */
  name: string;
  /** What it is about, as one sentence. */
  covers: string;
  /** What it tries, as one sentence. */
  tries: string;
  /** Who must refuse it, and in which words. */
  refusal: Expectation;
  /** Its good twin, as one sentence. */
  control: string;
  /** It takes minutes, so it runs only when it is named. @default false */
  onlyByName?: boolean;
  /** Its attempts would disturb each other, so each waits for the one before. @default false */
  inTurn?: boolean;
  /** Directories that it builds by the session; begun before the first attack, since a build takes minutes. @default none */
  builds?: readonly string[];
  /** Why this factory cannot be attacked so; nothing when it can. @default every factory can */
  inapplicable?: (session: S) => string | undefined;
  /** Sets up what is needed; what it makes it hands to the session's `defer` first. */
  prepare: (session: S) => Promise<{ attempts: Attempt[]; controls: Attempt[] }>;
}

/** How an attempt ended, in the words of the report. */
export interface AttemptResult {
  attempt: string;
  /** `held`: refused by whom it should; `got through`; `unexpected`: refused by something else; `unproven`; `error`: not tried. */
  verdict: "held" | "got through" | "unexpected" | "unproven" | "error";
  by?: Refuser;
  detail: string;
}

/** How a good twin ended. */
export interface ControlResult {
  control: string;
  verdict: "passed" | "failed" | "error";
  detail: string;
}

/** How an attack ended. */
export interface AttackResult {
  attack: string;
  verdict: "held" | "did not hold" | "not checked" | "not run";
  /** Why it was not run or not checked, or what was left behind. */
  reason?: string;
  attempts: AttemptResult[];
  controls: ControlResult[];
}

const words = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const judge = async (attempt: Attempt, expected: Expectation): Promise<AttemptResult> => {
  const { name } = attempt;
  try {
    const answer = await attempt.run();
    if (answer.is === "accepted") return { attempt: name, verdict: "got through", detail: answer.detail };
    if (answer.is === "unproven") return { attempt: name, verdict: "unproven", detail: answer.detail };
    const { by, message } = answer;
    const { by: refusers, message: pattern } = attempt.expected ?? expected;
    const asExpected = refusers.includes(by) && pattern.test(message);
    return { attempt: name, verdict: asExpected ? "held" : "unexpected", by, detail: message };
  } catch (error) {
    return { attempt: name, verdict: "error", detail: words(error) };
  }
};

const judgeControl = async ({ name, run }: Attempt): Promise<ControlResult> => {
  try {
    const answer = await run();
    return answer.is === "accepted"
      ? { control: name, verdict: "passed", detail: answer.detail }
      : { control: name, verdict: "failed", detail: answer.is === "refused" ? answer.message : answer.detail };
  } catch (error) {
    return { control: name, verdict: "error", detail: words(error) };
  }
};

const atOnce = 4;

/** Does the work for all items, a few at a time, in their order; starts no more of them once the signal is given. */
const each = async <T, R>(
  items: readonly T[],
  work: (item: T) => Promise<R>,
  signal: AbortSignal,
  parallel = atOnce,
): Promise<R[]> => {
  const results: R[] = [];
  const queue = [...items.entries()];
  const worker = async () => {
    for (let next = queue.shift(); next !== undefined && !signal.aborted; next = queue.shift())
      results[next[0]] = await work(next[1]);
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  return results;
};

const verdictOf = (attempts: readonly AttemptResult[], controls: readonly ControlResult[]): AttackResult["verdict"] => {
  const none = attempts.length === 0 || controls.length === 0;
  const seen = new Set([...attempts, ...controls].map(({ verdict }) => verdict));
  if (seen.has("got through") || seen.has("failed")) return "did not hold";
  const nothingShown = !seen.has("held");
  return none || nothingShown || seen.has("error") || seen.has("unexpected") ? "not checked" : "held";
};

const interrupted = "interrupted";

const untilAborted = <T>(work: Promise<T>, signal: AbortSignal): Promise<T> =>
  new Promise((resolve, reject) => {
    const abort = () => reject(new Error(interrupted));
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });

/** Undoes everything, the last first, and goes on where one fails. @returns what could not be undone */
const undoAll = async (undos: { what: string; undo: () => Promise<unknown> }[]): Promise<string[]> => {
  const failures: string[] = [];
  for (let next = undos.pop(); next !== undefined; next = undos.pop())
    try {
      await next.undo();
    } catch (error) {
      failures.push(`${next.what}: ${words(error)}`);
    }
  return failures;
};

/** Runs one attack: its attempts, then its controls, then whatever undoes what they left, also after an interrupt. */
export const runAttack = async <S>(
  attack: Attack<S>,
  open: (defer: Defer) => S,
  signal: AbortSignal,
): Promise<AttackResult> => {
  const undos: { what: string; undo: () => Promise<unknown> }[] = [];
  const session = open((what, undo) => undos.push({ what, undo }));
  const result: AttackResult = { attack: attack.name, verdict: "not checked", attempts: [], controls: [] };
  try {
    const inapplicable = attack.inapplicable?.(session);
    if (inapplicable !== undefined) return { ...result, verdict: "not run", reason: inapplicable };
    const work = async () => {
      const { attempts, controls } = await attack.prepare(session);
      const attempt = (one: Attempt) => judge(one, attack.refusal);
      result.attempts = await each(attempts, attempt, signal, attack.inTurn === true ? 1 : atOnce);
      result.controls = await each(controls, judgeControl, signal);
    };
    await untilAborted(work(), signal);
    result.verdict = verdictOf(result.attempts, result.controls);
  } catch (error) {
    result.reason = words(error);
  } finally {
    const left = await undoAll(undos);
    if (left.length > 0) {
      result.reason = [result.reason, `left behind: ${left.join("; ")}`].filter(Boolean).join("; ");
      if (result.verdict === "held") result.verdict = "not checked";
    }
  }
  return result;
};

/** The attacks of these names, or all that run without being named. */
export const chosen = <A extends { name: string; onlyByName?: boolean }>(
  all: readonly A[],
  names: readonly string[],
) => {
  const missing = names.filter((name) => !all.some((attack) => attack.name === name));
  const run = all.filter(({ name, onlyByName }) => (names.length === 0 ? onlyByName !== true : names.includes(name)));
  return { missing, run, left: all.filter(({ onlyByName }) => names.length === 0 && onlyByName === true) };
};

/** Exit code of all of them: one that did not hold weighs more than one that could not be checked. */
export const codeOf = (results: readonly AttackResult[]): ExitCode => {
  const verdicts = results.map(({ verdict }) => verdict);
  if (verdicts.includes("did not hold")) return exitCode.didNotHold;
  return verdicts.includes("not checked") || !verdicts.includes("held") ? exitCode.notChecked : exitCode.held;
};

const count = <T extends { verdict: string }>(list: readonly T[], verdict: T["verdict"]) =>
  list.filter((one) => one.verdict === verdict).length;

const controlText = ({ controls, verdict }: AttackResult): string => {
  if (verdict === "not run") return "-";
  const passed = count(controls, "passed");
  if (controls.length > 0 && passed === controls.length) return "passed";
  return count(controls, "failed") > 0 ? `FAILED (${passed}/${controls.length})` : "not checked";
};

const row = (result: AttackResult): string[] => {
  const { attack, attempts, verdict } = result;
  const unproven = count(attempts, "unproven");
  const held = attempts.filter((one) => one.verdict === "held");
  const refusers = [...new Set(held.map(({ by }) => by))].join(", ");
  return [
    attack,
    verdict === "not run" ? "not run" : `${held.length}/${attempts.length - unproven}`,
    verdict === "held" ? refusers : verdict === "not run" ? "-" : verdict.toUpperCase(),
    controlText(result),
  ];
};

const oneLine = (text: string): string => text.replaceAll(/\s+/g, " ").slice(0, 300);

const remarks = ({ attack, attempts, controls, reason }: AttackResult): string[] => [
  ...(reason === undefined ? [] : [`${attack}: ${oneLine(reason)}`]),
  ...attempts
    .filter(({ verdict }) => verdict !== "held")
    .map((one) => `${attack}, ${one.attempt}: ${one.verdict}: ${oneLine(one.detail)}`),
  ...controls
    .filter(({ verdict }) => verdict !== "passed")
    .map((one) => `${attack}, control "${one.control}": ${one.verdict}: ${oneLine(one.detail)}`),
];

/** What a person reads: a row an attack, and below it a line for everything that was not simply held. */
export const table = (results: readonly AttackResult[]): string => {
  const lines = columns([["attack", "tried", "refused by", "control"], ...results.map(row)]);
  return [...lines, ...results.flatMap(remarks).map((line) => `- ${line}`)].join("\n");
};

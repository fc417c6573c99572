import { FactoryError } from "../../components/lib/errors";
import { allHeld, type Check } from "../cli/provenance";
import { type ImageReference, parseImage } from "../cli/registry";

/** Whether an image may run, and if not, what was missing and what would satisfy the gate. */
export type Verdict = { admitted: true } | { admitted: false; message: string };

/** Settings of {@link Verdicts}. */
export interface VerdictSettings {
  /** Checks one image; fails when registry or log do not answer, or the signal is given first. */
  check: (image: ImageReference, signal: AbortSignal) => Promise<Check[]>;
  /**
   * Version of what is trusted, which a check that begins now uses at the earliest: what held under another one is checked
   * anew. While it fails, nothing is admitted.
   */
  trustVersion: () => Promise<string>;
  /** How long a caller waits for a verdict; what is not known by then is refused. */
  deadlineMilliseconds: number;
  /** How long what held is believed without being checked anew. */
  keepMilliseconds: number;
  /** How many images are remembered. @default 1000 */
  capacity?: number;
  /** Told of what nobody foresaw; callers are only told that it happened. @default nothing is done */
  onFault?: (error: unknown) => void;
  /** The time, in milliseconds. @default that of the machine */
  now?: () => number;
}

const rule = "A workload runs images of this factory, with provenance that holds.";
const lengthLimit = 1500;

/** One line without control characters, since parts of it come from whoever made the image. */
const line = (text: string): string => {
  const clean = text.replace(/\s+/g, " ").replace(/\p{C}/gu, "?");
  return clean.length <= lengthLimit ? clean : `${clean.slice(0, lengthLimit)}...`;
};

const refusal = (code: string, image: string, found: string, fix: string): Verdict => ({
  admitted: false,
  message: `${code} ${line(image)}: ${line(found)}; rule: ${rule} fix: ${fix}`,
});

const verdictOn = (image: string, checks: readonly Check[]): Verdict => {
  if (allHeld(checks)) return { admitted: true };
  const failed = checks.filter(({ held }) => !held);
  const found = failed.map(({ code, title, detail }) => `not ${title}: ${detail} (${code})`).join("; ");
  return refusal(
    "SSF-GATE-002",
    image,
    found === "" ? "nothing was checked" : found,
    `Start a digest that ./factory build printed; ./factory verify ${line(image)} shows every check.`,
  );
};

const tryAgain = "Look at ./factory status, then try again.";

/** What could not be checked is not admitted, and says so, lest it be taken for a verdict on the image. */
const unchecked = (image: string, reason: string, fix = tryAgain): Verdict =>
  refusal("SSF-GATE-003", image, `could not be checked: ${reason}`, fix);

const uncheckedFor = (image: string, error: unknown): Verdict => {
  if (!(error instanceof FactoryError)) return unchecked(image, "the verifier failed");
  const reasons = error.problems.map(({ code, path, given }) => `${code} ${path}: ${given}`);
  return unchecked(image, reasons.join("; "), error.problems[0]?.fix);
};

/**
 * Gives verdicts on images by digest, within a deadline. What held is kept, by digest, for as long as the same is trusted; a
 * refusal never is, so that an image is admitted as soon as it has what it lacked. Several callers share one check of the
 * same image, and a check that comes too late for its callers still serves the next one; at twice the deadline it is given up.
 */
export class Verdicts {
  private readonly held = new Map<string, { until: number; version: string }>();
  private readonly running = new Map<string, Promise<Verdict>>();

  constructor(private readonly settings: VerdictSettings) {}

  /** The verdict on an image, given as text; never fails, and never later than the deadline. */
  async on(text: string): Promise<Verdict> {
    let image: ImageReference;
    try {
      image = parseImage(text);
    } catch {
      return refusal("SSF-GATE-001", text, "no image by digest", "Write <repository>@sha256:<64 hexadecimal digits>.");
    }
    const key = `${image.host}/${image.path}@${image.digest}`;
    const { deadlineMilliseconds } = this.settings;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<Verdict>((resolve) => {
      timer = setTimeout(() => {
        resolve(unchecked(key, `no verdict within ${deadlineMilliseconds / 1000} s`));
      }, deadlineMilliseconds);
    });
    try {
      return await Promise.race([this.judge(key, image), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  private async judge(key: string, image: ImageReference): Promise<Verdict> {
    try {
      const version = await this.settings.trustVersion();
      const { now = Date.now } = this.settings;
      const last = this.held.get(key);
      if (last !== undefined && last.version === version && last.until > now()) return { admitted: true };
      return await this.check(key, version, image);
    } catch (error) {
      if (!(error instanceof FactoryError)) this.settings.onFault?.(error);
      return uncheckedFor(key, error);
    }
  }

  private check(key: string, version: string, image: ImageReference): Promise<Verdict> {
    const question = `${key} ${version}`;
    const running = this.running.get(question);
    if (running !== undefined) return running;
    const started = this.settings
      .check(image, AbortSignal.timeout(2 * this.settings.deadlineMilliseconds))
      .then((checks) => verdictOn(key, checks))
      .then((verdict) => {
        if (verdict.admitted) this.keep(key, version);
        return verdict;
      })
      .finally(() => this.running.delete(question));
    this.running.set(question, started);
    return started;
  }

  private keep(key: string, version: string): void {
    const { now = Date.now, keepMilliseconds, capacity = 1000 } = this.settings;
    this.held.delete(key);
    const [oldest] = this.held.keys();
    if (this.held.size >= capacity && oldest !== undefined) this.held.delete(oldest);
    this.held.set(key, { until: now() + keepMilliseconds, version });
  }
}

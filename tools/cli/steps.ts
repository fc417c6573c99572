import { Listr } from "listr2";

/** What a step tells while it runs. */
export interface Report {
  /** What goes on now; replaces what was said before. */
  status: (text: string) => void;
  /** Something that stays to be read. */
  note: (text: string) => void;
}

/** One step of a verb, in the order in which they run; the first that fails ends the verb. */
export interface Step {
  title: string;
  /** @returns how it ended, in a few words */
  run: (report: Report) => Promise<string>;
}

/** Where progress is shown. */
export interface Display {
  /** A terminal that a person watches: one line a step, redrawn. Otherwise a line for each start, end and half minute. */
  interactive: boolean;
  write: (line: string) => void;
}

/** The display of a verb: on standard output, or on standard error where that is left to the result as JSON. */
export const displayFor = (json: boolean): Display => {
  const stream = json ? process.stderr : process.stdout;
  return {
    interactive: !json && stream.isTTY && stream.columns >= 40 && process.env.CI === undefined,
    write: (line) => void stream.write(`${line}\n`),
  };
};

/** A length of time as a person reads it: `4 s`, `3 min 07 s`, `1 h 02 min`. */
export const duration = (milliseconds: number): string => {
  const seconds = Math.round(milliseconds / 1000);
  const two = (value: number) => String(value).padStart(2, "0");
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${two(Math.floor((seconds % 3600) / 60))} min`;
};

const heartbeat = 30_000;

const runPlainly = async (steps: readonly Step[], write: (line: string) => void): Promise<void> => {
  for (const [index, step] of steps.entries()) {
    const started = Date.now();
    const elapsed = () => duration(Date.now() - started);
    const say = (text: string) => write(`[${index + 1}/${steps.length}] ${step.title}: ${text}`);
    let status = "at work";
    say("started");
    const beat = setInterval(() => say(`${status} (${elapsed()})`), heartbeat);
    try {
      const result = await step.run({ status: (text) => (status = text), note: say });
      say(`${result} (${elapsed()})`);
    } catch (error) {
      say(`failed (${elapsed()})`);
      throw error;
    } finally {
      clearInterval(beat);
    }
  }
};

const runInteractively = async (steps: readonly Step[]): Promise<void> => {
  const list = new Listr(
    steps.map(({ title, run }) => ({
      title,
      task: async (_context, task): Promise<void> => {
        const started = Date.now();
        const notes: string[] = [];
        let status = "";
        const draw = () => {
          task.output = [...notes.slice(-3), `${status} (${duration(Date.now() - started)})`.trimStart()].join("\n");
        };
        const clock = setInterval(draw, 1000);
        try {
          const result = await run({
            status: (text) => {
              status = text;
              draw();
            },
            note: (text) => notes.push(text),
          });
          task.title = `${title}: ${result} (${duration(Date.now() - started)})`;
        } finally {
          clearInterval(clock);
        }
      },
      rendererOptions: { outputBar: 4 },
    })),
    {
      registerSignalListeners: false,
      rendererOptions: { showErrorMessage: false, collapseErrors: false, removeEmptyLines: true },
    },
  );
  await list.run();
};

/** Runs the steps one after the other. */
export const runSteps = (steps: readonly Step[], display: Display): Promise<void> =>
  display.interactive ? runInteractively(steps) : runPlainly(steps, display.write);

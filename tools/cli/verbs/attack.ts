import { FactoryError } from "../../../components/lib/errors";
import { attacks } from "../../../test/attacks";
import { openStand } from "../attack-session";
import { type AttackResult, chosen, codeOf, runAttack, table } from "../attacks";
import { exitCode, type ExitCode } from "../outcome";
import { displayFor } from "../steps";
import { openWorkspace, type WorkspaceOptions } from "../workspace";

/** Options of {@link attack}. */
export interface AttackOptions extends WorkspaceOptions {
  json: boolean;
  list?: boolean;
  team?: string;
}

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

const described = ({ name, covers, tries, control, onlyByName = false }: (typeof attacks)[number]): string =>
  `${name}${onlyByName ? " (only by name)" : ""}\n  ${covers}\n  tries: ${tries}\n  control: ${control}`;

const list = (json: boolean): ExitCode => {
  if (json) {
    const shown = attacks.map(({ name, covers, tries, control, onlyByName = false }) => ({
      ...{ name, covers, tries, control, onlyByName },
    }));
    console.log(JSON.stringify(shown, undefined, 2));
  } else console.log(attacks.map(described).join("\n"));
  return exitCode.held;
};

/** The options of this command that every other one understands as well. */
const passedOn = ({ stacks, config = [] }: AttackOptions): string[] => [
  ...(stacks === undefined ? [] : ["--stacks", stacks]),
  ...config.flatMap((entry) => ["--config", entry]),
];

/** Attacks the user's own factory, and holds when every attack is refused by what should refuse it. */
export const attack = async (names: readonly string[], options: AttackOptions): Promise<ExitCode> => {
  if (options.list === true) return list(options.json);
  const { missing, run, left } = chosen(attacks, names);
  if (missing.length > 0)
    throw new FactoryError({
      code: "SSF-ATTACK-001",
      path: "attack",
      given: missing.join(", "),
      rule: "An attack is named as ./factory attack --list shows it.",
      fix: `Give some of ${attacks.map(({ name }) => name).join(", ")}.`,
    });
  const display = displayFor(options.json);
  const controller = new AbortController();
  const stop = () => {
    if (!controller.signal.aborted) display.write("interrupted: cleaning up");
    controller.abort(new Error("interrupted"));
  };
  for (const signal of signals) process.on(signal, stop);
  const results: AttackResult[] = [];
  try {
    const stand = await openStand(openWorkspace(options), options.team, passedOn(options), controller.signal);
    try {
      stand.begin(run.flatMap(({ builds = [] }) => builds));
      for (const one of run) {
        if (controller.signal.aborted) break;
        display.write(`${one.name}: ${one.tries}`);
        results.push(await runAttack(one, stand.open, controller.signal));
      }
    } finally {
      await stand.close();
    }
  } finally {
    for (const signal of signals) process.off(signal, stop);
  }
  for (const { name } of left)
    results.push({
      ...{ attack: name, verdict: "not run", reason: `takes minutes; run ./factory attack ${name}` },
      ...{ attempts: [], controls: [] },
    });
  const code = controller.signal.aborted ? exitCode.notChecked : codeOf(results);
  if (options.json) console.log(JSON.stringify({ held: code === exitCode.held, attacks: results }, undefined, 2));
  else console.log(table(results));
  return code;
};

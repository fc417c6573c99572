import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { FactoryError } from "../../components/lib/errors";

/** Variable that holds the passphrase of the trust repository's keys where nobody can be asked. */
export const passphraseVariable = "SSF_TRUST_PASSPHRASE";

const refused = (given: string): FactoryError =>
  new FactoryError({
    code: "SSF-TRUST-002",
    path: "passphrase",
    given,
    rule: "The keys of the trust repository are encrypted with a passphrase.",
    fix: `Run the command in a terminal, or set ${passphraseVariable}.`,
  });

const ask = (question: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
    const prompt = createInterface({ input: process.stdin, output: nowhere, terminal: true });
    process.stderr.write(question);
    prompt.on("close", () => {
      process.stderr.write("\n");
      reject(refused("nothing was entered"));
    });
    prompt.question("", (answer) => {
      resolve(answer);
      prompt.close();
    });
  });

/**
 * The passphrase of keys: that of the environment, or what a person enters, which is not shown.
 *
 * @param what whose passphrase it is, for the question
 * @param options.isNew whether it is chosen now, and so entered twice
 * @throws FactoryError `SSF-TRUST-002` when nobody can be asked, or the two entries differ
 */
export const readPassphrase = async (what: string, { isNew = false } = {}): Promise<string> => {
  const given = process.env[passphraseVariable];
  if (given !== undefined) return given;
  if (!process.stdin.isTTY) throw refused("none, and no terminal to ask on");
  const first = await ask(`Passphrase of ${what}: `);
  if (isNew && (await ask("The same again: ")) !== first) throw refused("two entries that differ");
  return first;
};

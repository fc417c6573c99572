import { readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Shell text that writes one of the files of directory `programs` to `$TMPDIR`, under the same name. So the program
 * stands in the definition and is covered by its signature.
 */
export const writeProgram = (name: string): string => {
  const text = readFileSync(join(__dirname, "programs", name), "utf8");
  return `cat >"$TMPDIR/${name}" <<'END_OF_PROGRAM'\n${text}END_OF_PROGRAM\n`;
};

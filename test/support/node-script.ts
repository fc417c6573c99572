import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Runs a script of a node with programs in place of those that it calls, each given as a script for bash.
 *
 * @param directory where they lie
 */
export const runNodeScript = (
  directory: string,
  script: string,
  programs: Readonly<Record<string, string>>,
): { status: number | null; stderr: string } => {
  for (const [name, text] of Object.entries({ ...programs, script: script.replace(/^#!.*\n/, "") }))
    writeFileSync(join(directory, name), `#!/bin/bash\n${text}`, { mode: 0o755 });
  const env = { ...process.env, PATH: `${directory}:${process.env.PATH}` };
  const { status, stderr } = spawnSync(join(directory, "script"), { env, encoding: "utf8" });
  return { status, stderr };
};

import { readToolchain } from "../../../stacks/toolchain";
import { exitCode, type ExitCode } from "../outcome";
import { openWorkspace, prepareState, pulumiVariables, type WorkspaceOptions } from "../workspace";

/** A value as one word of a POSIX shell. */
export const shellWord = (value: string): string => `'${value.replaceAll("'", `'\\''`)}'`;

/** Prints what a shell needs so that a plain `pulumi` works on the factory's stacks. */
export const env = async (options: WorkspaceOptions & { json: boolean }): Promise<ExitCode> => {
  const workspace = openWorkspace(options);
  const toolchain = readToolchain();
  await prepareState(workspace, toolchain);
  const variables = pulumiVariables(workspace.state, toolchain);
  if (options.json) console.log(JSON.stringify(variables, undefined, 2));
  else for (const [name, value] of Object.entries(variables)) console.log(`export ${name}=${shellWord(value)}`);
  return exitCode.held;
};

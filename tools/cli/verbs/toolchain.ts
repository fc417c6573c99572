import { readToolchain } from "../../../stacks/toolchain";
import { exitCode, type ExitCode } from "../outcome";
import { displayFor, runSteps } from "../steps";
import { toolchainStep } from "../toolchain-step";

/** Builds programs and images; with `json` the lock file's content follows on standard output. */
export const toolchain = async ({ json }: { json: boolean }): Promise<ExitCode> => {
  await runSteps([toolchainStep({ extras: true, hasCluster: false })], displayFor(json));
  if (json) console.log(JSON.stringify(readToolchain(), undefined, 2));
  return exitCode.held;
};

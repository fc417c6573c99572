import { main, type Provider } from "@pulumi/pulumi/provider";

/**
 * Serves a provider to the engine that has started this program, and ends with that engine: one that is killed says nothing,
 * but lets go of this program's input.
 */
export const serve = (provider: Provider): void => {
  process.stdin.resume().on("close", () => process.exit(1));
  void main(provider, process.argv.slice(2));
};

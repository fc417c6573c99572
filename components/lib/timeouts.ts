import type * as pulumi from "@pulumi/pulumi";

const minutes = (create: number): pulumi.CustomTimeouts => ({
  create: `${create}m`,
  update: `${create}m`,
  delete: "5m",
});

/**
 * How long the engine waits for an object, by what the object has to do until it is ready.
 * Longer than any healthy start on a small, busy machine, and short enough that a person still watches.
 */
export const timeouts = {
  /** Ready as soon as the API server has it. */
  plain: minutes(2),
  /** Ready when its pods run. */
  workload: minutes(8),
  /** Ready when a controller has acted on it, such as a certificate that must be issued. */
  reconciled: minutes(5),
} as const;

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Answer, Attempt } from "../../../tools/cli/attacks";

/** File of the prober; one program without dependencies, so that it can run in any pod that has Python. */
export const proberFile = join(__dirname, "prober.py");

/** Something that the prober shall try to reach beside what it always tries. */
export interface Target {
  name: string;
  kind: "tcp" | "udp" | "dns" | "ping" | "sctp" | "name";
  host: string;
  port?: number;
}

/** Settings of the prober; see its own text. */
export interface ProberSettings {
  targets?: readonly Target[];
  fixed?: boolean;
  sockets?: readonly string[];
  listen?: number;
  stay?: boolean;
}

/** A container's command that runs the prober. */
export const proberCommand = (settings: ProberSettings): string[] => [
  ...["python3", "-I", "-c", readFileSync(proberFile, "utf8")],
  JSON.stringify(settings),
];

const probeSchema = z.object({
  attempt: z.string(),
  outcome: z.enum(["reached", "blocked", "unsupported"]),
  detail: z.string(),
  packets: z.number(),
});
const device = z.object({ packets: z.number(), bytes: z.number() });
const countersSchema = z.object({ before: z.record(z.string(), device), after: z.record(z.string(), device) });

/** What came of one attempt. */
export type Probe = z.infer<typeof probeSchema>;

/** All that one prober has printed. */
export interface Probes {
  probes: Probe[];
  /** Packets that have left the pod since it was made; unknown until the prober is done. */
  packets?: number;
}

/** Reads the prober's lines out of a log that may hold other lines as well. */
export const parseProbes = (log: string): Probes => {
  const found: Probes = { probes: [] };
  for (const line of log.split("\n")) {
    const start = line.indexOf("{");
    if (start < 0) continue;
    let value: unknown;
    try {
      value = JSON.parse(line.slice(start));
    } catch {
      continue;
    }
    const probe = probeSchema.safeParse(value);
    const counters = countersSchema.safeParse(value);
    if (probe.success) found.probes.push(probe.data);
    if (counters.success)
      found.packets = Object.values(counters.data.after).reduce((sum, { packets }) => sum + packets, 0);
  }
  return found;
};

/** What the same prober did elsewhere; its success is what makes a failure in the jail mean something. */
export interface Twins {
  /** The same pod, only not jailed. */
  unjailed: Probes;
  /** Not jailed, and with every right that a container can have. */
  privileged: Probes;
}

const find = ({ probes }: Probes, name: string): Probe | undefined => probes.find(({ attempt }) => attempt === name);

/**
 * Whether an attempt of a jailed pod failed, and because of what.
 *
 * @param countsPackets whether a packet that leaves the pod has left the jail, as with a device that nobody reads
 */
export const judgeProbe = (jailed: Probe, { unjailed, privileged }: Twins, countsPackets: boolean): Answer => {
  const got = (probe: Probe | undefined) =>
    probe !== undefined && (probe.outcome === "reached" || (countsPackets && probe.packets > 0));
  if (got(jailed)) return { is: "accepted", detail: `${jailed.detail}; ${jailed.packets} packets left` };
  if (got(find(unjailed, jailed.attempt))) return { is: "refused", by: "jail", message: `jailed: ${jailed.detail}` };
  if (got(find(privileged, jailed.attempt)))
    return { is: "refused", by: "kernel", message: `denied: ${jailed.detail}` };
  return { is: "unproven", detail: `no control: fails outside the jail, too (${jailed.detail})` };
};

/** One attempt for everything that a prober tried in the jail, and one for what left the pod meanwhile. */
export const probeAttempts = (where: string, jailed: Probes, twins: Twins, countsPackets: boolean): Attempt[] => [
  ...jailed.probes.map((probe) => ({
    name: `${where}: ${probe.attempt}`,
    run: () => Promise.resolve(judgeProbe(probe, twins, countsPackets)),
  })),
  {
    name: `${where}: packets that left`,
    run: () =>
      jailed.packets === undefined
        ? Promise.reject(new Error("the prober did not finish"))
        : Promise.resolve(judgePackets(jailed.packets, twins.unjailed.packets ?? 0, countsPackets)),
  },
];

const judgePackets = (packets: number, outside: number, countsPackets: boolean): Answer => {
  if (!countsPackets)
    return { is: "unproven", detail: "the jail is a network policy, which drops packets behind the pod" };
  if (packets > 0) return { is: "accepted", detail: `${packets} packets left the pod` };
  if (outside === 0) return { is: "unproven", detail: "no packet left the pod outside the jail either" };
  return { is: "refused", by: "jail", message: `jailed: 0 packets left, ${outside} outside the jail` };
};

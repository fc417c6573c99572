import { z } from "zod";
import { FactoryError } from "../../components/lib/errors";
import { FALCO_NAME, FALCO_NAMESPACE } from "../../components/falco";
import { teamNamespace } from "../../components/lib/names";
import { ORIGIN } from "../../policies/runtime";
import type { Kubectl } from "./kubectl";

/** The parts of a line of Falco's that are read here. */
const lineSchema = z.object({
  time: z.string().min(1),
  rule: z.string().min(1),
  priority: z.string().min(1),
  hostname: z.string().default(""),
  output: z.string().default(""),
  output_fields: z.record(z.string(), z.unknown()).default({}),
});

/** One line of Falco's. */
type AlertLine = z.infer<typeof lineSchema>;

/** What Falco reported, once or several times alike. */
export interface Alert {
  /** When it was reported first, in ISO 8601. */
  time: string;
  /** When it was reported last. */
  last: string;
  times: number;
  rule: string;
  priority: string;
  /** Empty where an alert is about no pod, but about Falco itself. */
  team: string;
  pod: string;
  stage: string;
  /** Command line of the process; of an alert about Falco itself, what it says. */
  what: string;
  node: string;
}

/** A command line is the attacker's choice, and must not speak to a terminal. */
const printable = (text: string): string => text.replace(/\p{C}/gu, "?");

const alertOf = ({ time, rule, priority, hostname, output, output_fields }: AlertLine): Alert => {
  const field = (name: string): string => {
    const value = output_fields[name];
    return typeof value === "string" ? printable(value) : "";
  };
  const [namespace, prefix] = [field(ORIGIN.namespace), teamNamespace("")];
  return {
    time,
    last: time,
    times: 1,
    rule: printable(rule),
    priority: printable(priority),
    team: namespace.startsWith(prefix) ? namespace.slice(prefix.length) : namespace,
    pod: field(ORIGIN.pod),
    stage: field(ORIGIN.stage),
    what: field(ORIGIN.command) === "" ? printable(output) : field(ORIGIN.command),
    node: hostname,
  };
};

/** The alerts in the text of a log, the newest last; other lines of Falco's are left out. */
export const parseAlerts = (text: string): Alert[] => {
  const lines = text.split("\n").flatMap((line) => {
    try {
      return [lineSchema.parse(JSON.parse(line))];
    } catch {
      return [];
    }
  });
  const alerts = new Map<string, Alert>();
  for (const line of lines.sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0))) {
    const alert = alertOf(line);
    const { rule, priority, team, pod, stage, what, node } = alert;
    const key = JSON.stringify([rule, priority, team, pod, stage, what, node]);
    const before = alerts.get(key);
    if (before === undefined) alerts.set(key, alert);
    else Object.assign(before, { last: alert.time, times: before.times + 1 });
  }
  return [...alerts.values()];
};

/** What Falco reported, and how much of the cluster it sees. */
export interface AlertReport {
  alerts: Alert[];
  /** Nodes on which Falco should run, and those on which it does. */
  nodes: { all: number; watched: number };
}

const daemonSets = z.object({
  items: z.array(
    z.object({
      metadata: z.object({ name: z.string() }),
      status: z.object({ desiredNumberScheduled: z.int().default(0), numberReady: z.int().default(0) }),
    }),
  ),
});

const pods = z.object({
  items: z.array(
    z.object({
      metadata: z.object({ name: z.string() }),
      status: z.object({
        containerStatuses: z
          .array(z.object({ restartCount: z.int().default(0), started: z.boolean().default(false) }))
          .default([]),
      }),
    }),
  ),
});

/** What Falco reported within the time `since`, such as `1h`, on all nodes. */
export const readAlerts = async (kubectl: Kubectl, since: string): Promise<AlertReport> => {
  const within = `--namespace=${FALCO_NAMESPACE}`;
  const { items } = daemonSets.parse(await kubectl.json(["get", "daemonsets", within]));
  const daemonSet = items.find(({ metadata }) => metadata.name === FALCO_NAME);
  if (daemonSet === undefined)
    throw new FactoryError({
      code: "SSF-ALERTS-001",
      path: `DaemonSet ${FALCO_NAMESPACE}/${FALCO_NAME}`,
      given: "not there",
      rule: "Falco must be installed, or nobody looks at what stages do.",
      fix: "Run pulumi config set falcoImage <repository>@sha256:<64 hex digits> on the factory's stack, then ./factory up.",
    });
  const running = pods.parse(
    await kubectl.json(["get", "pods", within, `--selector=app.kubernetes.io/name=${FALCO_NAME}`]),
  );
  const logs = running.items.flatMap(({ metadata, status }) => {
    const { started = false, restartCount = 0 } = status.containerStatuses[0] ?? {};
    const log = (...more: string[]) =>
      kubectl.text(["logs", metadata.name, within, `--container=${FALCO_NAME}`, `--since=${since}`, ...more]);
    return [...(started ? [log()] : []), ...(restartCount > 0 ? [log("--previous")] : [])];
  });
  const { desiredNumberScheduled: all, numberReady: watched } = daemonSet.status;
  return { alerts: parseAlerts((await Promise.all(logs)).join("\n")), nodes: { all, watched } };
};

/** An alert as a line for a person. */
export const describeAlert = ({ time, times, rule, priority, team, pod, what, node }: Alert): string => {
  const where = pod === "" ? `node ${node}` : `team ${team}, pod ${pod}`;
  return `${time} ${priority.toUpperCase()} ${rule}: ${where}: ${what}${times > 1 ? ` (${times} times)` : ""}`;
};

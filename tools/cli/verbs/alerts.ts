import { FactoryError } from "../../../components/lib/errors";
import { type AlertReport, describeAlert, readAlerts } from "../alerts";
import { openKubectl } from "../kubectl";
import { exitCode, type ExitCode } from "../outcome";
import { factoryStack, readOutputs } from "../outputs";
import { openWorkspace, type WorkspaceOptions } from "../workspace";

/** Options of {@link alerts}. */
export interface AlertsOptions extends WorkspaceOptions {
  json: boolean;
  since: string;
}

/** A span of time as kubectl takes it. */
export const requireSpan = (value: string): string => {
  if (/^[1-9][0-9]{0,4}[smh]$/.test(value)) return value;
  throw new FactoryError({
    code: "SSF-ALERTS-002",
    path: "--since",
    given: `"${value}"`,
    rule: "It must be a whole number of seconds, minutes or hours.",
    fix: "Write for instance --since 30m.",
  });
};

/** Any alert is an answer; none is one only where every node is watched. */
export const alertsOutcome = ({ alerts, nodes }: AlertReport): ExitCode => {
  if (alerts.length > 0) return exitCode.didNotHold;
  return nodes.all > 0 && nodes.watched === nodes.all ? exitCode.held : exitCode.notChecked;
};

/** Shows what Falco reported; holds when it reported nothing and sees every node. */
export const alerts = async (options: AlertsOptions): Promise<ExitCode> => {
  const workspace = openWorkspace(options);
  const { kubeconfig } = await readOutputs(workspace, "factory", factoryStack(workspace));
  const report = await readAlerts(openKubectl(kubeconfig), options.since);
  const outcome = alertsOutcome(report);
  if (options.json) console.log(JSON.stringify({ held: outcome === exitCode.held, ...report }, undefined, 2));
  else {
    for (const alert of report.alerts) console.log(describeAlert(alert));
    const { all, watched } = report.nodes;
    const count = report.alerts.length === 0 ? "no alerts" : `alerts: ${report.alerts.length}`;
    console.log(`${count} in the last ${options.since}; Falco sees ${watched} of ${all} nodes`);
  }
  return outcome;
};

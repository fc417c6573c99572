import { approveServingCertificates } from "./serving-certificates";
import { removeStaleEndpoints } from "./stale-endpoints";

/** What a node of the control plane does every few seconds, as kubelets may ask, and nodes start again, at any time. */
interface NodeTask {
  /** Name of its units. */
  name: string;
  description: string;
  /** Its program's text. */
  script: string;
  /** Second of the minute, and of each third of it, at which it runs. */
  second: number;
}

export const nodeTasks: readonly NodeTask[] = [
  {
    name: "serving-certificates",
    description: "Approval of kubelets' serving certificates",
    script: approveServingCertificates,
    second: 0,
  },
  {
    name: "stale-endpoints",
    description: "Removal of Cilium's records under addresses that no node has",
    script: removeStaleEndpoints,
    second: 10,
  },
];

/** Where the task's program lies in a node. */
export const taskProgram = ({ name }: NodeTask): string => `/usr/local/bin/${name}`;

/**
 * The service that runs it once; only nodes of the control plane have what it signs in with. Its journal has what it did and
 * what it left alone, and nothing about the runs in between.
 */
export const taskService = (task: NodeTask): string => `[Unit]
Description=${task.description}
ConditionPathExists=/etc/kubernetes/admin.conf

[Service]
Type=oneshot
SyslogLevel=notice
LogLevelMax=notice
ExecStart=${taskProgram(task)}
`;

export const taskTimer = ({ second }: NodeTask): string => `[Timer]
OnCalendar=*:*:${second}/20
AccuracySec=1s
`;

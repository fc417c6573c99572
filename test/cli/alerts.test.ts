import { readFileSync } from "node:fs";
import { join } from "node:path";

import { describeAlert, parseAlerts, readAlerts } from "../../tools/cli/alerts";
import type { Kubectl } from "../../tools/cli/kubectl";
import { alertsOutcome, requireSpan } from "../../tools/cli/verbs/alerts";

/** Lines as version 0.42.1 writes them, among others of its log. */
const log = readFileSync(join(__dirname, "testdata/falco.log"), "utf8");

const shell = {
  time: "2026-11-24T10:14:00.000000000Z",
  last: "2026-11-24T10:14:00.000000000Z",
  times: 1,
  rule: "Shell that no step started",
  priority: "Error",
  team: "b",
  pod: "go-x7-build-pod",
  stage: "build",
  what: "sh -c ?[2Jid",
  node: "ssf-control-plane",
};

test("alerts are told by time, the same one once, and nothing speaks to the terminal", () => {
  expect(parseAlerts(log)).toEqual([
    shell,
    {
      ...shell,
      time: "2026-11-24T10:15:00.000000001Z",
      last: "2026-11-24T10:15:02.000000000Z",
      times: 2,
      rule: "Connection attempt from a jail",
      priority: "Critical",
      team: "a",
      what: "node install.js",
    },
    {
      ...shell,
      time: "2026-11-24T10:16:00.000000000Z",
      last: "2026-11-24T10:16:00.000000000Z",
      rule: "Falco internal: syscall event drop",
      priority: "Debug",
      team: "",
      pod: "",
      stage: "",
      what: "Falco internal: syscall event drop. 12 system calls dropped in last second.",
    },
  ]);
  expect(parseAlerts("")).toEqual([]);
});

test("an alert is a line with time, priority, rule, team and pod", () => {
  expect(parseAlerts(log).map(describeAlert)).toEqual([
    "2026-11-24T10:14:00.000000000Z ERROR Shell that no step started: team b, pod go-x7-build-pod: sh -c ?[2Jid",
    "2026-11-24T10:15:00.000000001Z CRITICAL Connection attempt from a jail: team a, pod go-x7-build-pod: node install.js (2 times)",
    "2026-11-24T10:16:00.000000000Z DEBUG Falco internal: syscall event drop: node ssf-control-plane: Falco internal: syscall event drop. 12 system calls dropped in last second.",
  ]);
});

/** A cluster with these objects of Falco's, which answers every question for a log alike. */
const cluster = ({ daemonSets = [] as object[], pods = [] as object[], text = "" }) => {
  const asked: string[] = [];
  const kubectl: Pick<Kubectl, "text" | "json"> = {
    json: (args) => Promise.resolve({ items: args[1] === "daemonsets" ? daemonSets : pods }),
    text: (args) => {
      asked.push(args.join(" "));
      return Promise.resolve(text);
    },
  };
  return { kubectl: kubectl as Kubectl, asked };
};

const daemonSet = (desired: number, ready: number) => ({
  metadata: { name: "falco" },
  status: { desiredNumberScheduled: desired, numberReady: ready },
});
const pod = (name: string, containerStatuses?: object[]) => ({ metadata: { name }, status: { containerStatuses } });

describe("the alerts of a cluster", () => {
  test("come from every pod of Falco's that runs, and from those that ran before", async () => {
    const { kubectl, asked } = cluster({
      daemonSets: [daemonSet(3, 2)],
      pods: [
        pod("falco-a", [{ started: true, restartCount: 0 }]),
        pod("falco-b", [{ started: true, restartCount: 1 }]),
        pod("falco-c", [{ started: false, restartCount: 0 }]),
        pod("falco-d"),
      ],
      text: log,
    });
    const { alerts, nodes } = await readAlerts(kubectl, "30m");
    expect(asked).toEqual([
      "logs falco-a --namespace=ssf-falco --container=falco --since=30m",
      "logs falco-b --namespace=ssf-falco --container=falco --since=30m",
      "logs falco-b --namespace=ssf-falco --container=falco --since=30m --previous",
    ]);
    expect([alerts.length, nodes]).toEqual([3, { all: 3, watched: 2 }]);
  });

  test("cannot be told without Falco, and can with it", async () => {
    await expect(readAlerts(cluster({}).kubectl, "1h")).rejects.toThrow(
      /^SSF-ALERTS-001 DaemonSet ssf-falco\/falco: not there/,
    );
    await expect(readAlerts(cluster({ daemonSets: [daemonSet(1, 1)] }).kubectl, "1h")).resolves.toEqual({
      alerts: [],
      nodes: { all: 1, watched: 1 },
    });
  });

  test.each<[string, number, number, string, number]>([
    ["none, and every node is watched", 2, 2, "", 0],
    ["none, and a node is not watched", 2, 1, "", 2],
    ["none, and there is no node", 0, 0, "", 2],
    ["some, and every node is watched", 2, 2, log, 1],
    ["some, and a node is not watched", 2, 1, log, 1],
  ])("%s", (_, all, watched, text, expected) => {
    expect(alertsOutcome({ alerts: parseAlerts(text), nodes: { all, watched } })).toBe(expected);
  });
});

test.each(["1h", "30m", "90s"])("%s is a span of time", (span) => expect(requireSpan(span)).toBe(span));

test.each(["", "0h", "1d", "h", "1h30m", "-1h", "1h --all"])("%j is none", (span) => {
  expect(() => requireSpan(span)).toThrow(/SSF-ALERTS-002 --since/);
});

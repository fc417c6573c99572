import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { FactoryError } from "../../components/lib/errors";
import { parseHosts } from "../../components/lib/hosts";
import { NetworkPolicies } from "../../components/lib/network-policies";
import { describeTraffic, parseFlows, readTraffic, type StageTraffic, trafficOf } from "../../tools/cli/flows";
import type { Kubectl } from "../../tools/cli/kubectl";
import { requireForge } from "../../tools/cli/verbs/build";
import { taskRunList } from "../../tools/cli/watch-run";
import { problemsOf } from "../pipelines/problems";

/** Lines as an agent's exporter writes them, of two stages of one run and of a pod of another team. */
const record = readFileSync(join(__dirname, "testdata/flows.jsonl"), "utf8");

const pods = [
  { stage: "ingest-source", jailed: false, pod: "go-x7-ingest-source-pod" },
  { stage: "ingest-dependencies", jailed: false, pod: "go-x7-ingest-dependencies-pod" },
  { stage: "build", jailed: true, pod: "go-x7-build-pod" },
  { stage: "publish", jailed: false, pod: "" },
];

const expected: StageTraffic[] = [
  {
    stage: "ingest-source",
    jailed: false,
    names: ["forge.ssf-forge.svc.cluster.local"],
    reached: [{ names: ["ssf-forge/forge"], address: "10.244.0.21", port: 8443, protocol: "TCP" }],
    refused: { names: [], peers: [] },
  },
  {
    stage: "ingest-dependencies",
    jailed: false,
    names: ["proxy.golang.org"],
    reached: [{ names: ["proxy.golang.org"], address: "198.51.100.7", port: 443, protocol: "TCP" }],
    refused: {
      names: ["unlisted.test"],
      peers: [
        { names: [], address: "192.0.2.55", port: 443, protocol: "TCP" },
        { names: [], address: "192.0.2.53", port: 53, protocol: "UDP" },
        { names: [], address: "192.0.2.56", port: 0, protocol: "other" },
      ],
    },
  },
  { stage: "build", jailed: true, names: [], reached: [], refused: { names: [], peers: [] } },
  { stage: "publish", jailed: false, names: [], reached: [], refused: { names: [], peers: [] } },
];

test("the record tells by stage what was looked up, reached and refused", () => {
  expect(trafficOf(parseFlows(record), "team-a", pods)).toEqual(expected);
});

test("another namespace's pod of the same name is another's", () => {
  const [, dependencies] = trafficOf(parseFlows(record), "team-b", pods);
  expect(dependencies?.reached).toEqual([
    { names: ["other.test"], address: "198.51.100.9", port: 443, protocol: "TCP" },
  ]);
});

test("a line that is cut off costs that line only", () => {
  const [first = ""] = record.split("\n");
  expect(parseFlows(`${first.slice(0, 60)}\n${record}`)).toEqual(parseFlows(record));
});

test("a name that only looks like one with the cluster's suffix is shown", () => {
  const question = (query: string) =>
    JSON.stringify({
      flow: {
        verdict: "DROPPED",
        l7: { dns: { query } },
        source: { namespace: "team-a", pod_name: "go-x7-ingest-source-pod" },
      },
    });
  const asked = ["a.test.", "a.test.team-a.svc.cluster.local.", "a.test.cluster.local.", "a.test.evil.test."];
  const [source] = trafficOf(parseFlows(asked.map(question).join("\n")), "team-a", pods);
  expect(source?.refused.names).toEqual(["a.test", "a.test.evil.test"]);
});

test("a person reads one line a stage, and one more for what was refused", () => {
  expect(describeTraffic({ recorded: true, stages: expected })).toEqual([
    "ingest-source: reached ssf-forge/forge (TCP 8443)",
    "ingest-dependencies: reached proxy.golang.org (TCP 443)",
    "ingest-dependencies: refused the name unlisted.test, 192.0.2.55 (TCP 443), 192.0.2.53 (UDP 53), 192.0.2.56 (other)",
    "build: jailed, no network",
    "publish: nothing recorded",
  ]);
  expect(describeTraffic({ recorded: false, reason: "no rights" })).toEqual([
    "what the stages reached is not known: no rights",
  ]);
});

describe("reading the record", () => {
  const calls: (readonly string[])[] = [];
  const cluster = (agents: string[], exec: () => Promise<string>): Kubectl => ({
    json: (args) => {
      calls.push(args);
      return Promise.resolve({ items: agents.map((name) => ({ metadata: { name } })) });
    },
    text: (args) => {
      calls.push(args);
      return exec();
    },
    portForward: () => Promise.reject(new Error("not asked for")),
  });
  const question = (kubectl: Kubectl, networkPolicies = NetworkPolicies.Cilium) => ({
    kubectl,
    namespace: "team-a",
    networkPolicies,
    stages: pods.map(({ stage, jailed }) => ({ name: stage, jailed })),
    taskRuns: () =>
      Promise.resolve(
        taskRunList.parse({
          items: pods
            .filter(({ pod }) => pod !== "")
            .map(({ stage, pod }) => ({
              metadata: { name: stage, labels: { "tekton.dev/pipelineTask": stage } },
              status: { podName: pod },
            })),
        }).items,
      ),
  });
  beforeEach(() => calls.splice(0));

  test("takes a node without a directory of records as one that recorded nothing, and reads the others", async () => {
    await readTraffic(question(cluster(["cilium-1"], () => Promise.resolve(record))));
    const command = calls.find(([verb]) => verb === "exec") ?? [];
    const [shell = "", flag = "", script = ""] = command.slice(command.indexOf("sh"));
    const directory = mkdtempSync(join(tmpdir(), "ssf-flows-"));
    const ask = (place: string) => execFileSync(shell, [flag, script, place, "-e", "pod-1"], { encoding: "utf8" });
    expect(ask(join(directory, "absent"))).toBe("");
    expect(ask(directory)).toBe("");
    writeFileSync(join(directory, "events.log"), "pod-1 reached\npod-2 reached\n");
    expect(ask(directory)).toBe("pod-1 reached\n");
    rmSync(directory, { recursive: true });
  });

  test("asks every agent for the lines of the run's networked pods, without a shell word of anyone's", async () => {
    const traffic = await readTraffic(question(cluster(["cilium-1", "cilium-2"], () => Promise.resolve(record))));
    expect(traffic).toEqual({ recorded: true, stages: expected });
    const executed = calls.filter(([verb]) => verb === "exec");
    expect(executed.map(([, agent]) => agent)).toEqual(["cilium-1", "cilium-2"]);
    expect(executed[0]?.slice(-5)).toEqual([
      "/var/run/cilium/hubble",
      "-e",
      "go-x7-ingest-source-pod",
      "-e",
      "go-x7-ingest-dependencies-pod",
    ]);
  });

  test("says why when it cannot be done, and goes on", async () => {
    const refused = new FactoryError({ code: "SSF-KUBE-001", path: "kubectl", given: "Forbidden", rule: "", fix: "" });
    const reasons = await Promise.all(
      [
        question(cluster(["cilium-1"], () => Promise.reject(refused))),
        question(cluster([], () => Promise.resolve(record))),
        question(
          cluster(["cilium-1"], () => Promise.resolve(record)),
          NetworkPolicies.Kubernetes,
        ),
      ].map(readTraffic),
    );
    expect(reasons).toEqual([
      { recorded: false, reason: "Forbidden" },
      { recorded: false, reason: "there is no agent of Cilium in namespace kube-system" },
      { recorded: false, reason: "this cluster's network is not Cilium, which keeps the record" },
    ]);
  });
});

describe("a repository's forge", () => {
  const forge = { url: "https://forge.ssf-forge.svc.cluster.local:8443" } as Parameters<
    typeof requireForge
  >[1]["forge"];
  const team = { team: "a", forge, egress: { forges: parseHosts("git.test"), registries: [] } };
  const check = (url: string) => () => requireForge(url, team);

  test("is refused before a run when the team does not list it, with the whole fix", () => {
    expect(problemsOf(check("https://other.test/x.git"))).toEqual(["SSF-BUILD-040 source"]);
    expect(check("https://other.test/x.git")).toThrow("pulumi config set forges git.test:443,other.test:443");
    expect(problemsOf(check("https://git.test:8443/x.git"))).toEqual(["SSF-BUILD-040 source"]);
  });

  test.each(["https://git.test/x.git", "https://forge.ssf-forge.svc.cluster.local:8443/x.git"])(
    "%s is let through",
    (url) => {
      expect(check(url)).not.toThrow();
    },
  );
});

import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { judgeProbe, parseProbes, proberCommand, proberFile, probeAttempts, type Probe, type Target } from ".";

/** A jail as the factory makes it: a device that nobody reads, an address, no route. */
const inJail = `
set -e
ip link set lo up
ip tuntap add dev eth0 mode tap
ip address add 192.0.2.7/24 dev eth0
ip link set eth0 up
`;

/** The network outside: a neighbour that takes every packet and answers on TCP and UDP port 18080. */
const outside = `
set -e
ip link set lo up
ip link add eth0 type veth peer name other
mkfifo "$PIPE"
unshare --net sh -c 'echo ready >"$PIPE"; read -r go <"$PIPE"; ip address add 192.0.2.1/24 dev other
  ip link set other up; ip link set lo up; ip route add default dev other
  exec python3 -I "$PROBER" "{\\"fixed\\": false, \\"listen\\": 18080, \\"stay\\": true}" >"$PIPE"' &
neighbour=$!
trap 'kill $neighbour; rm -f "$PIPE"' EXIT
read -r ready <"$PIPE"
ip link set other netns $neighbour
echo go >"$PIPE"
read -r listening <"$PIPE"
ip address add 192.0.2.7/24 dev eth0
ip link set eth0 up
ip route add default via 192.0.2.1
`;

const targets: Target[] = [
  { name: "TCP to the neighbour", kind: "tcp", host: "192.0.2.1", port: 18_080 },
  { name: "UDP to the neighbour", kind: "udp", host: "192.0.2.1", port: 18_080 },
  { name: "closed port of the neighbour", kind: "tcp", host: "192.0.2.1", port: 9 },
];

const withoutRights = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"];

const inNamespace = async (prepare: string, prefix: readonly string[]) => {
  const directory = mkdtempSync(join(tmpdir(), "ssf-prober-"));
  const { stdout, stderr } = await promisify(execFile)(
    "unshare",
    // It tries to mount over /tmp, and where it may, nobody else must see that.
    ["--net", "--mount", "sh", "-c", `${prepare}\n"$@"`, "sh", ...prefix, ...proberCommand({ targets })],
    { env: { ...process.env, PIPE: join(directory, "pipe"), PROBER: proberFile } },
  ).finally(() => rmSync(directory, { recursive: true }));
  const probes = parseProbes(stdout);
  if (probes.packets === undefined) throw new Error(`the prober did not finish: ${stderr}`);
  return probes;
};

const canMakeNamespaces =
  spawnSync("unshare", ["--net", "ip", "tuntap", "add", "dev", "t", "mode", "tap"]).status === 0 &&
  spawnSync("python3", ["--version"]).status === 0;
const describeWithNamespaces = canMakeNamespaces ? describe : describe.skip;

describeWithNamespaces("the prober", () => {
  jest.setTimeout(120_000);

  it("gets no packet out of a jail, and tells so from the same attempts outside", async () => {
    const [inside, unjailed, privileged] = await Promise.all([
      inNamespace(inJail, withoutRights),
      inNamespace(outside, withoutRights),
      inNamespace(outside, []),
    ]);
    const others = { unjailed, privileged };
    expect(inside.packets).toBe(0);
    expect(others.unjailed.packets).toBeGreaterThan(0);
    const attempts = probeAttempts("step", inside, others, true);
    const answers = Object.fromEntries(
      await Promise.all(attempts.map(async ({ name, run }) => [name, await run()] as const)),
    );
    const by = (name: string) => {
      const answer = answers[`step: ${name}`];
      return answer?.is === "refused" ? answer.by : answer?.is;
    };
    for (const { name } of targets) expect([name, by(name)]).toEqual([name, "jail"]);
    for (const name of [
      "DNS question to 8.8.8.8",
      "IPv4 multicast, 224.0.0.251",
      "metadata service, 169.254.169.254",
      "packets that left",
    ])
      expect([name, by(name)]).toEqual([name, "jail"]);
    for (const name of ["Ethernet frame, packet socket", "ICMP echo, raw socket", "netlink: another address", "mount"])
      expect([name, by(name)]).toEqual([name, "kernel"]);
  });
});

describe("what a prober says", () => {
  const probe = (outcome: Probe["outcome"], packets = 0): Probe => ({ attempt: "a", outcome, detail: "d", packets });
  const none = { unjailed: { probes: [] }, privileged: { probes: [] } };
  const reachedOutside = { unjailed: { probes: [probe("reached")] }, privileged: { probes: [] } };

  it("is found among other lines", () => {
    const log = `starting\nlog: ${JSON.stringify(probe("blocked"))}\n{"other": 1}\n{broken\n`;
    expect(parseProbes(log)).toEqual({ probes: [probe("blocked")] });
    const counters = { before: {}, after: { eth0: { packets: 2, bytes: 100 }, eth1: { packets: 1, bytes: 5 } } };
    expect(parseProbes(JSON.stringify(counters)).packets).toBe(3);
  });

  it.each<[string, Probe, Parameters<typeof judgeProbe>[1], boolean, string]>([
    ["an answer", probe("reached"), none, true, "accepted"],
    ["a packet into the void", probe("blocked", 1), reachedOutside, true, "accepted"],
    ["a packet that a policy drops behind the pod", probe("blocked", 1), reachedOutside, false, "refused"],
    ["nothing, where the twin reaches it", probe("blocked"), reachedOutside, true, "refused"],
    ["nothing, where the twin does not either", probe("blocked"), none, true, "unproven"],
    ["no such protocol", probe("unsupported"), none, true, "unproven"],
  ])("is judged: %s", (_, jailed, twins, countsPackets, is) => {
    expect(judgeProbe(jailed, twins, countsPackets).is).toBe(is);
  });

  it("is no proof without its last line", async () => {
    const [last] = probeAttempts("step", { probes: [] }, none, true).slice(-1);
    await expect(last?.run()).rejects.toThrow("did not finish");
  });
});

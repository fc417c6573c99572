/** As much of the answer of `factory attack --json` as the test looks at. */
interface Report {
  held: boolean;
  attacks: {
    attack: string;
    verdict: string;
    reason?: string;
    attempts: { attempt: string; verdict: string; detail: string }[];
    controls: { control: string; verdict: string; detail: string }[];
  }[];
}

/** Attempts that must be proven wherever the factory makes the cluster, so that the jail cannot hold by being untried. */
const proven = [
  "TCP to the API server's service",
  "DNS question to the cluster's DNS",
  "kubelet",
  "echo from the node",
  "IPv4 multicast, 224.0.0.251",
  "metadata service, 169.254.169.254",
  "Ethernet frame, packet socket",
  "packets that left",
];

/** All of some reports that is not as it must be; empty when every attack was refused and every control passed. */
export const notAsItMust = (stdouts: readonly string[]): string[] => {
  const attacks = stdouts.flatMap((stdout) => (JSON.parse(stdout) as Report).attacks);
  const jail = attacks.find(({ attack }) => attack === "jail");
  const unproven = ["init", "sidecar", "step", "finally"].flatMap((where) =>
    proven
      .map((name) => `${where}: ${name}`)
      .filter((name) => !jail?.attempts.some(({ attempt, verdict }) => attempt === name && verdict === "held")),
  );
  return [
    ...attacks
      .filter(({ verdict }) => verdict !== "held")
      .map(({ attack, verdict, reason = "" }) => `${attack}: ${verdict} ${reason}`.trim()),
    ...attacks.flatMap(({ attack, attempts, controls }) => [
      ...attempts
        .filter(({ verdict }) => verdict !== "held" && verdict !== "unproven")
        .map((one) => `${attack}, ${one.attempt}: ${one.verdict}: ${one.detail}`),
      ...controls
        .filter(({ verdict }) => verdict !== "passed")
        .map((one) => `${attack}, ${one.control}: ${one.detail}`),
    ]),
    ...unproven.map((name) => `jail, ${name}: not proven`),
  ];
};

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { copyCheckout } from "../support/checkout";
import { describeWithFactory, importFactory } from "../support/served-factory";

jest.setTimeout(900_000);

describeWithFactory("teams, by the real engine, on a real API server", (served) => {
  /** Where everything is that belongs to a team, in and out of its namespace. */
  const placesOf = (team: string) => [
    `/api/v1/namespaces/team-${team}`,
    `/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/ssf-runs-team-${team}`,
    `/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/ssf-runs-team-${team}`,
    ...["ingest-source", "ingest-dependencies", "publish"].map(
      (stage) => `/apis/spire.spiffe.io/v1alpha1/clusterstaticentries/team-${team}-${stage}`,
    ),
  ];
  const recordsOf = (team: string) =>
    `/api/v1/namespaces/ssf-verifier/configmaps?labelSelector=secure-software-factory.dev%2Fverified-team%3D${team}`;
  /** What of a team exists, each with its version. */
  const standing = async (team: string): Promise<string[]> => {
    type Read = { metadata: { name: string; resourceVersion: string } };
    const answers = await Promise.all(placesOf(team).map((place) => served.server.ask("GET", place)));
    const found = answers.filter(({ status }) => status === 200).map(({ body }) => body as Read);
    const records = (await served.server.ask("GET", recordsOf(team))).body as { items: Read[] };
    return [...found, ...records.items].map(({ metadata: { name, resourceVersion } }) => `${name} ${resourceVersion}`);
  };
  const up = (team: string) => `pulumi up --stack team-${team} --yes --skip-preview`;
  const make = (team: string) => `
    ./factory team new ${team}
    pulumi stack init team-${team}
    pulumi config set languages go --stack team-${team}
    ${up(team)}`;

  test("are made from their files, each with namespace, rule, identity and record", async () => {
    for (const team of ["payments", "shop"])
      expect(await served.checkout.output(make(team))).not.toContain("Undefined value");
    for (const team of ["payments", "shop"])
      expect((await standing(team)).map((one) => one.replace(/(-[0-9a-f]{12})? \d+$/, ""))).toEqual([
        `team-${team}`,
        `ssf-runs-team-${team}`,
        `ssf-runs-team-${team}`,
        ...["ingest-source", "ingest-dependencies", "publish"].map((stage) => `team-${team}-${stage}`),
        team,
      ]);
  });

  test("of one name are refused before anything is made, and with another name they are not refused for it", async () => {
    const before = await standing("payments");
    const settings = (team: string) =>
      writeFileSync(join(served.checkout.directory, "Pulumi.second.yaml"), `config:\n  kind: team\n  team: ${team}\n`);
    settings("payments");
    const second = "pulumi preview --stack second";
    const refused = await served.checkout.sh(`pulumi stack init second && ${second}`);
    expect(refused.stdout).toMatch(/SSF-TEAM-001 config team: "payments" in the stacks second and team-payments/);
    expect(refused.code).not.toBe(0);
    settings("other");
    expect(await served.checkout.output(second)).not.toContain("SSF-TEAM-001");
    expect(await standing("payments")).toEqual(before);
  });

  test("of another state are refused by the API server, which leaves the team that is there as it is", async () => {
    const stranger = copyCheckout();
    try {
      const before = await standing("payments");
      await importFactory(stranger, served.server);
      const refused = await stranger.sh(make("payments"));
      expect(refused.code).not.toBe(0);
      expect(refused.stdout).toMatch(/conflict with "pulumi-kubernetes-[^]*secure-software-factory\.dev\/owner/);
      await stranger.output("pulumi destroy --stack team-payments --yes --skip-preview");
      expect(await standing("payments")).toEqual(before);
      await served.checkout.output(`${up("payments")} --expect-no-changes`);
    } finally {
      stranger.remove();
    }
  });

  test("go with all that they have, and leave the others as they are", async () => {
    const others = await standing("shop");
    await served.checkout.output("./factory team remove payments --yes");
    await served.server.askUntil(({ status }) => status === 404, "GET", placesOf("payments")[0] ?? "");
    await served.server.askUntil(
      ({ body }) => (body as { items: object[] }).items.length === 0,
      "GET",
      recordsOf("payments"),
    );
    expect(await standing("payments")).toEqual([]);
    expect(await standing("shop")).toEqual(others);
    expect(await served.checkout.output("./factory team list")).not.toContain("payments");
    await served.checkout.output(`${up("shop")} --expect-no-changes`);
  });
});

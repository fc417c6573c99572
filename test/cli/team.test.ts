import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { parseConfig } from "../../stacks/config";
import { teamFile } from "../../tools/cli/verbs/team";
import { type Checkout, copyCheckout } from "../support/checkout";

jest.setTimeout(120_000);

const settingsIn = (text: string): Record<string, string> => {
  const { config } = parse(text) as { config: Record<string, unknown> };
  return Object.fromEntries(
    Object.entries(config)
      .filter(([key]) => key.startsWith("secure-software-factory:"))
      .map(([key, value]) => [key.split(":")[1] ?? "", String(value)]),
  );
};

describe("the settings of a new team", () => {
  const text = teamFile({ stack: "team-payments", team: "payments", factoryStack: "dev" });

  it("are what a stack takes, also with every comment that shows a key taken out", () => {
    expect(parseConfig(settingsIn(text))).toMatchObject({ kind: "team", team: "payments", factoryStack: "dev" });
    const all = settingsIn(text.replaceAll("# secure-software-factory:", "secure-software-factory:"));
    expect(parseConfig(all)).toMatchObject({ languages: "go,npm", reproduce: true, quotaCpu: "16" });
    expect(Object.keys(all).length).toBeGreaterThan(10);
  });

  it("keep a name that reads as a number a name, and say which factory it is when it is no other's", () => {
    const other = teamFile({ stack: "team-1", team: "1", factoryStack: "prod" });
    expect(parseConfig(settingsIn(other))).toMatchObject({ team: "1", factoryStack: "prod" });
    expect(text).not.toContain("factoryStack");
  });
});

describe("./factory team", () => {
  let checkout: Checkout;
  beforeAll(() => {
    checkout = copyCheckout();
  });
  afterAll(() => checkout.remove());
  const fileOf = (stack: string) => join(checkout.directory, `Pulumi.${stack}.yaml`);

  it("writes a team's settings once, lists it, and leaves those that are there", async () => {
    const made = await checkout.run("./factory team new payments --json");
    expect(JSON.parse(made.stdout)).toMatchObject({ team: "payments", stack: "team-payments", factoryStack: "dev" });
    const written = readFileSync(fileOf("team-payments"), "utf8");
    const again = await checkout.run("./factory team new payments");
    expect([again.code, again.stderr.split(" ")[0]]).toEqual([2, "SSF-TEAM-003"]);
    expect(readFileSync(fileOf("team-payments"), "utf8")).toBe(written);
    expect(JSON.parse((await checkout.run("./factory team list --json")).stdout)).toEqual([
      { stack: "team-a", team: "a", factoryStack: "dev", isUp: false },
      { stack: "team-payments", team: "payments", factoryStack: "dev", isUp: false },
    ]);
    const status = await checkout.run("./factory status --json");
    expect((JSON.parse(status.stdout) as { stacks: { stack: string }[] }).stacks.map(({ stack }) => stack)).toEqual([
      ...["cluster", "dev", "team-a", "team-payments"],
    ]);
  });

  it.each([
    ["Payments!", "SSF-CONFIG-004 <name>"],
    ["-x", "SSF-CONFIG-004 <name>"],
    ["a".repeat(41), "SSF-CONFIG-004 <name>"],
  ])("refuses the name %p", async (name, message) => {
    const { code, stderr } = await checkout.run(`./factory team new -- '${name}'`);
    expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
  });

  it("refuses the name of a team that has another file, unless the factory is another", async () => {
    await checkout.run("mv Pulumi.team-payments.yaml Pulumi.team-other.yaml");
    const { code, stderr } = await checkout.run("./factory team new payments");
    expect([code, stderr.split(" ")[0]]).toEqual([2, "SSF-TEAM-001"]);
    expect(existsSync(fileOf("team-payments"))).toBe(false);
    const elsewhere = await checkout.run("./factory team new payments --stacks cluster,prod");
    expect(elsewhere.code).toBe(0);
    expect(readFileSync(fileOf("team-payments"), "utf8")).toContain("secure-software-factory:factoryStack: prod");
  });

  it("removes settings only of a team that has some, and only when somebody says yes", async () => {
    const unknown = await checkout.run("./factory team remove nobody --yes");
    expect([unknown.code, unknown.stderr.split(" ")[0]]).toEqual([2, "SSF-TEAM-004"]);
    const silent = await checkout.run("./factory team remove a < /dev/null");
    expect([silent.code, silent.stderr.split(" ")[0]]).toEqual([2, "SSF-TEAM-005"]);
    expect(existsSync(fileOf("team-a"))).toBe(true);
    const removed = await checkout.run("./factory team remove a --yes");
    expect([removed.code, existsSync(fileOf("team-a")), existsSync(fileOf("team-other"))]).toEqual([0, false, true]);
  });
});

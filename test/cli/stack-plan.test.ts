import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defaultStacks, planStacks } from "../../tools/cli/stack-plan";

describe("the stacks of a directory", () => {
  const directory = mkdtempSync(join(tmpdir(), "ssf-stacks-"));
  afterAll(() => rmSync(directory, { recursive: true }));
  const write = (stack: string, settings: Record<string, string>) => {
    const lines = Object.entries(settings).map(([key, value]) => `  secure-software-factory:${key}: ${value}\n`);
    writeFileSync(join(directory, `Pulumi.${stack}.yaml`), `config:\n${lines.join("")}`);
  };

  it("are cluster and factory where no team has settings", () => {
    expect(defaultStacks(directory)).toBe("cluster,dev");
  });

  it("are those and every team's of that factory, by name", () => {
    write("cluster", { kind: "cluster" });
    write("team-b", { kind: "team", team: "b" });
    write("team-a", { kind: "team", team: "a", factoryStack: "dev" });
    write("team-elsewhere", { kind: "team", team: "elsewhere", factoryStack: "prod" });
    write("team-dev", { kind: "factory" });
    expect(defaultStacks(directory)).toBe("cluster,dev,team-a,team-b");
  });
});

const committed = "cluster,dev,team-a";

it("takes the committed stacks as they are", () => {
  expect(planStacks(committed, [])).toEqual([
    { name: "cluster", role: "cluster", pattern: "cluster", overrides: {} },
    { name: "dev", role: "factory", pattern: "dev", overrides: {} },
    { name: "team-a", role: "team", pattern: "team-a", overrides: {} },
  ]);
});

it("patterns other stacks on them and points each at the one that it builds on", () => {
  const stacks = planStacks("e2e-cluster, e2e,e2e-a,e2e-b", ["e2e-cluster:clusterName=second", "e2e-b:quotaPods=5"]);
  expect(stacks.map(({ name, pattern, overrides }) => [name, pattern, overrides])).toEqual([
    ["e2e-cluster", "cluster", { clusterName: "second" }],
    ["e2e", "dev", { clusterStack: "e2e-cluster" }],
    ["e2e-a", "team-a", { factoryStack: "e2e" }],
    ["e2e-b", "team-a", { factoryStack: "e2e", quotaPods: 5 }],
  ]);
});

it.each(["cluster", "a,a,b", "a,b,", "a,b,c d", ""])("refuses the stacks %p", (list) => {
  expect(() => planStacks(list, [])).toThrow("SSF-CLI-002");
  expect(planStacks("a,b", [])).toHaveLength(2);
});

it.each(["dev", "dev:key", "other:key=1", "dev:=1", "dev:1=1"])("refuses the configuration %p", (entry) => {
  expect(() => planStacks(committed, [entry])).toThrow("SSF-CLI-003");
});

import { defaultStacks, planStacks } from "../../tools/cli/stack-plan";

it("takes the committed stacks as they are", () => {
  expect(planStacks(defaultStacks, [])).toEqual([
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

it.each(["cluster,dev", "a,a,b", "a,b,", "a,b,c d", ""])("refuses the stacks %p", (list) => {
  expect(() => planStacks(list, [])).toThrow("SSF-CLI-002");
});

it.each(["dev", "dev:key", "other:key=1", "dev:=1", "dev:1=1"])("refuses the configuration %p", (entry) => {
  expect(() => planStacks(defaultStacks, [entry])).toThrow("SSF-CLI-003");
});

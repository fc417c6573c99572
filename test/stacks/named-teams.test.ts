import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FactoryError } from "../../components/lib/errors";
import { type NamedTeam, namedTeams, requireDistinctTeams, requireOwnName } from "../../stacks/named-teams";

const project = "factory";
const named = (stack: string, team: string, factoryStack = "dev"): NamedTeam => ({ stack, team, factoryStack });

describe("the teams of a directory", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "ssf-teams-"));
  });
  afterEach(() => rmSync(directory, { recursive: true }));
  const write = (name: string, text: string) => writeFileSync(join(directory, name), text);

  test("are those that stack files of kind team name, with the project's name before a key or not", () => {
    write("Pulumi.yaml", "name: factory\n");
    write("Pulumi.team-b.yaml", "config:\n  kind: team\n  team: b\n  factoryStack: prod\n");
    write("Pulumi.team-a.yaml", "config:\n  factory:kind: team\n  factory:team: a\n");
    write("Pulumi.third.yaml", "config:\n  factory:kind: team\n  factory:team: 3\n");
    write("Pulumi.dev.yaml", "config:\n  factory:kind: factory\n");
    write("Pulumi.empty.yaml", "");
    write("notes.yaml", "a: [");
    expect(namedTeams(directory, project)).toEqual([
      { stack: "team-a", team: "a", factoryStack: "dev" },
      { stack: "team-b", team: "b", factoryStack: "prod" },
      { stack: "third", team: "3", factoryStack: "dev" },
    ]);
  });

  test.each(["a: [", "config: text\n"])("are refused when a stack file holds %j", (text) => {
    write("Pulumi.team-a.yaml", text);
    expect(() => namedTeams(directory, project)).toThrow(/SSF-TEAM-002 .*Pulumi\.team-a\.yaml/);
    write("Pulumi.team-a.yaml", "config: {}\n");
    expect(namedTeams(directory, project)).toEqual([]);
  });
});

test("a stack is refused for its namesakes in the directory, and for nobody else's", () => {
  const directory = mkdtempSync(join(tmpdir(), "ssf-teams-"));
  try {
    for (const [stack, team] of [
      ["one", "a"],
      ["two", "a"],
      ["three", "b"],
    ])
      writeFileSync(join(directory, `Pulumi.${stack}.yaml`), `config:\n  kind: team\n  team: ${team}\n`);
    expect(() => requireOwnName(named("one", "a"), directory, project)).toThrow(
      /SSF-TEAM-001 .*in the stacks one and two/,
    );
    expect(() => requireOwnName(named("three", "b"), directory, project)).not.toThrow();
    expect(() => requireOwnName(named("one", "a", "prod"), directory, project)).not.toThrow();
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("two teams of one name are refused, all such pairs at once", () => {
  const teams = [named("one", "a"), named("two", "b"), named("three", "a"), named("four", "b"), named("five", "c")];
  const problems = () => {
    try {
      requireDistinctTeams(teams);
      return [];
    } catch (error) {
      return error instanceof FactoryError ? error.problems : [];
    }
  };
  expect(problems().map(({ code, given, fix }) => [code, given, fix])).toEqual([
    ["SSF-TEAM-001", '"a" in the stacks one and three', expect.stringContaining("--stack three")],
    ["SSF-TEAM-001", '"b" in the stacks two and four', expect.stringContaining("--stack four")],
  ]);
});

test("teams of different names, or of different factories, are not", () => {
  expect(() => requireDistinctTeams([named("one", "a"), named("two", "b"), named("three", "a", "prod")])).not.toThrow();
});

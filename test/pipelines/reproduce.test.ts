import {
  checkPipeline,
  go,
  npm,
  pip,
  teamModel,
  unsignedTeamPipeline,
  type Language,
  type Stage,
} from "../../pipelines";
import { reproduce } from "../../pipelines/stages/reproduce";
import { stageScript } from "../../pipelines/shell";
import { stage, teamArgs } from "./fixtures";
import { Machine } from "./run-stage";

let machine: Machine;
beforeEach(() => {
  machine = new Machine();
});
afterEach(() => machine.remove());

/** Digests of a build and of its second run, and whether both wrote to workspaces of their own. */
const twice = (script: string): (string | undefined)[] => {
  const build = stage("build", { writes: "output", script });
  return [build, reproduce(build)].map((each) => {
    const { status, results } = machine.run(each, {});
    expect(status).toBe(0);
    return results["digest"];
  });
};

describe("a second build", () => {
  test("gives the same digest when the build is reproducible", () => {
    const [first, second] = twice(
      'mkdir "$WORKSPACE_OUTPUT/tree/bin" && echo program >"$WORKSPACE_OUTPUT/tree/bin/app"',
    );
    expect(first).toMatch(/^sha256:/);
    expect(second).toBe(first);
  });

  test.each([
    ["its time", "date +%s%N"],
    ["its own path", 'echo "$WORKSPACE_OUTPUT"'],
    ["something random", "head -c 16 /dev/urandom | od -x"],
  ])("gives another digest when the output holds %s", (_, command) => {
    const [first, second] = twice(`${command} >"$WORKSPACE_OUTPUT/tree/app"`);
    expect(second).not.toBe(first);
  });
});

describe("a team's pipeline that builds twice", () => {
  const args = teamArgs({ reproduce: true });

  test("has a jailed stage more, and publish compares", () => {
    const pipeline = unsignedTeamPipeline(args);
    expect(pipeline.stages.map(({ name, jailed }) => `${name} ${jailed ? "jailed" : "networked"}`)).toEqual([
      "ingest-source networked",
      "ingest-dependencies networked",
      "build jailed",
      "reproduce jailed",
      "scan jailed",
      "publish networked",
    ]);
    const publish = pipeline.pipeline.spec.tasks.find(({ name }) => name === "publish");
    expect(publish?.params).toContainEqual({
      name: "reproduced-digest",
      value: "$(tasks.reproduce.results.digest)",
    });
    expect(pipeline.pipeline.spec.results.map(({ name }) => name)).toContain("reproduced-digest");
    expect(pipeline.runTemplate.spec.workspaces.map(({ name }) => name)).toContain("reproduced");
  });

  test("builds once when it is not asked", () => {
    expect(JSON.stringify(teamModel(teamArgs({ reproduce: false })))).not.toContain("reproduce");
  });

  test("does so in whatever language, by the stage that fills the output", () => {
    const language: Language = {
      ...go(),
      outputStage: "compile",
      stages: (context) =>
        go()
          .stages(context)
          .map((each) => (each.name === "build" ? { ...each, name: "compile" } : each)),
      results: [],
    };
    const model = teamModel({ ...args, language });
    expect(() => checkPipeline(model)).not.toThrow();
    expect(model.stages.find(({ name }) => name === "reproduce")?.description).toContain("compile");
  });
});

describe("every build takes its time, place and language from the definition", () => {
  const buildOf = (language: Language): Stage => {
    const found = language.stages({ images: {} }).find(({ name }) => name === language.outputStage);
    if (found === undefined) throw new Error(`${language.name} has no stage ${language.outputStage}`);
    return found;
  };

  test.each([go(), npm(), pip()].map((language) => [language.name, buildOf(language)] as const))("%s", (_, build) => {
    const script = stageScript(build);
    expect(script).toContain("export LC_ALL=C TZ=UTC\numask 022\n");
    expect(script).toContain('SOURCE_DATE_EPOCH="$PARAM_TIMESTAMP"');
    expect(build.params).toContainEqual(
      expect.objectContaining({ name: "timestamp", from: { stage: "ingest-source", result: "timestamp" } }),
    );
  });
});

import { unsignedTeamPipeline } from "../../pipelines";
import { configuredRun } from "../../stacks/team-trigger";
import { teamArgs } from "../pipelines/fixtures";
import { problemsOf } from "../pipelines/problems";

const repository = "https://git.test/pay.git";
const pipelines = [unsignedTeamPipeline(teamArgs())];
const good = { triggerPipeline: "go", triggerParams: "name=pay,package=./cmd/pay" };

describe("the run that a team's settings ask for", () => {
  test("builds the configured repository with the configured parameters", () => {
    expect(configuredRun(good, repository, pipelines).spec.params).toEqual(
      expect.arrayContaining([
        { name: "repository", value: repository },
        { name: "name", value: "pay" },
        { name: "package", value: "./cmd/pay" },
        { name: "directory", value: "." },
      ]),
    );
  });

  test.each([
    ["a pipeline that there is not", { triggerPipeline: "cobol" }, ["SSF-TRIGGER-004 config triggerPipeline"]],
    ["no parameters", { triggerParams: undefined }, ["SSF-PIPELINE-011 config triggerParams, params.name"]],
    [
      "another commit",
      { triggerParams: `name=pay,commit=${"0".repeat(40)}` },
      ["SSF-TRIGGER-001 config triggerParams, params.commit"],
    ],
    [
      "a parameter that the pipeline lacks",
      { triggerParams: "name=pay,image=evil" },
      ["SSF-PIPELINE-011 config triggerParams, params.image"],
    ],
    [
      "another repository",
      { triggerParams: "name=pay,repository=https://git.test/other.git" },
      ["SSF-TRIGGER-001 config triggerParams, params.repository"],
    ],
  ])("is refused with %s; its good twin is not", (_, changes, problems) => {
    expect(problemsOf(() => configuredRun({ ...good, ...changes }, repository, pipelines))).toEqual(problems);
    expect(() => configuredRun(good, repository, pipelines)).not.toThrow();
  });
});

import { EVENT_FIELDS, pipelineRun, triggeredRun, triggerParams, unsignedTeamPipeline } from "../../pipelines";
import { matchesPattern } from "../../pipelines/patterns";
import { teamArgs } from "./fixtures";
import { problemsOf } from "./problems";

const { runTemplate, params } = unsignedTeamPipeline(teamArgs());
const repository = "https://git.test/pay.git";
const fixed = { name: "pay" };

describe("parameters that say what started a run", () => {
  test("are part of every pipeline, and say by hand where a run says nothing", () => {
    const said = pipelineRun(runTemplate, { ...fixed, repository, commit: "0".repeat(40) }).spec.params;
    expect(params).toEqual(expect.arrayContaining(triggerParams));
    expect(said).toEqual(
      expect.arrayContaining([
        { name: "trigger", value: "manual" },
        { name: "event", value: "none" },
      ]),
    );
  });

  test.each([
    ["trigger", "push", "Push"],
    ["trigger", "schedule", "schedule; rm -rf /"],
    ["event", "0123456789abcdef01234567", "0123456789abcdef0123456"],
    ["event", "29384756", "$(params.commit)"],
    ["event", "none", ""],
  ])("%s: %s is taken, %s is not", (name, good, bad) => {
    const pattern = triggerParams.find((param) => param.name === name)?.pattern ?? "";
    expect(matchesPattern(good, pattern)).toBe(true);
    expect(matchesPattern(bad, pattern)).toBe(false);
  });
});

describe("what a trigger runs", () => {
  const run = triggeredRun(runTemplate, repository, fixed);
  const byHand = pipelineRun(runTemplate, { ...fixed, repository, commit: "0".repeat(40) });

  test("is a run by hand with places for what the event says", () => {
    const places = Object.fromEntries(EVENT_FIELDS.map((name) => [name, `$(tt.params.${name})`]));
    expect(run.spec).toEqual({
      ...byHand.spec,
      params: byHand.spec.params?.map(({ name, value }) => ({ name, value: places[name] ?? value })),
    });
    expect(run).toMatchObject({ apiVersion: byHand.apiVersion, kind: byHand.kind });
  });

  test("is named by the event, says what triggered it, and has the run's own labels", () => {
    expect(run.metadata).toEqual({
      name: "go-$(tt.params.trigger)-$(tt.params.event)",
      namespace: byHand.metadata.namespace,
      labels: { ...byHand.metadata.labels, "secure-software-factory.dev/trigger": "$(tt.params.trigger)" },
    });
  });

  test("has a name that Kubernetes takes, however long the pipeline's is", () => {
    const longest = { ...runTemplate, metadata: { ...runTemplate.metadata, generateName: `${"p".repeat(30)}-` } };
    const name = (trigger: string, event: string) =>
      triggeredRun(longest, repository, fixed)
        .metadata.name.replace("$(tt.params.trigger)", trigger)
        .replace("$(tt.params.event)", event);
    expect(name("push", "f".repeat(24)).length).toBeLessThanOrEqual(63);
    expect(name("schedule", "9".repeat(12)).length).toBeLessThanOrEqual(63);
  });

  test.each([
    ["a parameter of the event", { ...fixed, commit: "0".repeat(40) }, ["SSF-TRIGGER-001 params.commit"]],
    ["no name of the image", {}, ["SSF-PIPELINE-011 params.name"]],
    ["an unknown parameter", { ...fixed, image: "evil" }, ["SSF-PIPELINE-011 params.image"]],
    ["a value outside its pattern", { ...fixed, name: "a;b" }, ["SSF-PIPELINE-011 params.name"]],
  ])("is refused with %s", (_, wrong, problems) => {
    expect(problemsOf(() => triggeredRun(runTemplate, repository, wrong as unknown as Record<string, string>))).toEqual(
      problems,
    );
    expect(() => triggeredRun(runTemplate, repository, fixed)).not.toThrow();
  });
});

import {
  failedStage,
  failedStep,
  pipelineRunSchema,
  runState,
  stageStates,
  taskRunList,
} from "../../tools/cli/watch-run";

const taskRun = (stage: string, status: object) => ({
  metadata: { name: `run-${stage}`, labels: { "tekton.dev/pipelineTask": stage } },
  status,
});
const condition = (status: string, reason = "", message = "") => [{ type: "Succeeded", status, reason, message }];
const at = (seconds: number) => new Date(seconds * 1000).toISOString();
const parse = (...items: object[]) => taskRunList.parse({ items }).items;

const run = (status: object | undefined, annotations: Record<string, string> = {}) =>
  runState(pipelineRunSchema.parse({ metadata: { name: "run", annotations }, status }));

const results = [
  { name: "IMAGE_URL", value: "registry/team/app" },
  { name: "IMAGE_DIGEST", value: "sha256:abc\n" },
];
const signed = (value: string) => ({ "chains.tekton.dev/signed": value });
const logged = {
  ...signed("true"),
  "chains.tekton.dev/transparency": "https://log.example/api/v1/log/entries?logIndex=1",
};

it("tells how far each stage is, in the order of the pipeline", () => {
  const taskRuns = parse(
    taskRun("b", { startTime: at(20), conditions: condition("Unknown") }),
    taskRun("a", { startTime: at(10), completionTime: at(15), conditions: condition("True") }),
    { metadata: { name: "no-status-yet", labels: { "tekton.dev/pipelineTask": "c" } } },
  );
  expect(stageStates(["a", "b", "c", "d"], taskRuns, 26_000)).toEqual([
    { name: "a", state: "succeeded", milliseconds: 5000 },
    { name: "b", state: "running", milliseconds: 6000 },
    { name: "c", state: "waiting", milliseconds: 0 },
    { name: "d", state: "waiting", milliseconds: 0 },
  ]);
});

it("is done only when the image has its signature, and the log has that", () => {
  const done = { conditions: condition("True"), results };
  expect(run(undefined)).toEqual({ state: "running", detail: "Pending" });
  expect(run({ conditions: condition("Unknown", "Running") })).toEqual({ state: "running", detail: "Running" });
  expect(run(done)).toEqual({ state: "signing", detail: "waiting for the signature" });
  expect(run(done, logged)).toEqual({ state: "signed", image: "registry/team/app@sha256:abc" });
  const retried = { ...logged, "chains.tekton.dev/retries": "0" };
  for (const givenUp of [signed("true"), signed("failed"), { ...logged, ...signed("failed") }, retried])
    expect(run(done, givenUp)).toMatchObject({
      state: "signing",
      detail: expect.stringContaining("tried again") as string,
    });
  expect(run({ conditions: condition("False", "Failed", "why") }, logged)).toEqual({
    state: "failed",
    detail: "Failed: why",
  });
  expect(run({ conditions: condition("True") }, logged).state).toBe("failed");
});

it("finds the step that failed, or why there was none", () => {
  const steps = [
    { name: "check", container: "step-check", terminated: { exitCode: 0 } },
    { name: "main", container: "step-main", terminated: { exitCode: 2 } },
  ];
  const failed = parse(
    taskRun("a", { conditions: condition("True"), podName: "a-pod" }),
    taskRun("b", { conditions: condition("False", "Failed", "exit 2"), podName: "b-pod", steps }),
  );
  expect(failedStep(failed)).toEqual({ stage: "b", step: "main", pod: "b-pod", container: "step-main" });
  const refused = parse(
    taskRun("a", { conditions: condition("False", "ResourceVerificationFailed", "bad signature") }),
  );
  expect(failedStep(refused)).toBeUndefined();
  expect(failedStage(refused)).toBe("stage a: ResourceVerificationFailed: bad signature");
});

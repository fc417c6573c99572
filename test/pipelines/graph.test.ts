import * as fc from "fast-check";
import { checkPipeline, networkOfStage, type PipelineModel, type Stage } from "../../pipelines";
import { isPortablePattern } from "../../pipelines/patterns";
import { stagesBefore } from "../../pipelines/graph";
import { model, someDigest, stage } from "./fixtures";
import { problemsOf } from "./problems";

/** The small model with its second stage changed. */
const second = (changes: Partial<Stage>): PipelineModel => {
  const base = model();
  const [make, use] = base.stages;
  if (make === undefined || use === undefined) throw new Error("the model has two stages");
  return { ...base, stages: [make, { ...use, ...changes }] };
};

const workspace = (name: string, storage = "1Gi") => ({ name, description: "Things.", storage });

/** Each refusal beside a twin that differs in the one thing that matters and passes. */
const refusals: [string, PipelineModel, string[], PipelineModel][] = [
  ["a name with capital letters", model({ name: "Small" }), ["SSF-PIPELINE-001 name"], model({ name: "small-one" })],
  [
    "a stage with a name that is too long",
    second({ name: "a".repeat(31) }),
    [`SSF-PIPELINE-001 stages.${"a".repeat(31)}`],
    second({ name: "a".repeat(30) }),
  ],
  ["two stages of one name", second({ name: "make" }), ["SSF-PIPELINE-002 stages"], second({ name: "make-more" })],
  [
    "two results that share a variable",
    second({
      results: [
        { name: "a-b", description: "" },
        { name: "a_b", description: "" },
      ],
    }),
    ["SSF-PIPELINE-002 stages.use.results"],
    second({
      results: [
        { name: "a-b", description: "" },
        { name: "a-c", description: "" },
      ],
    }),
  ],
  [
    "a parameter that takes the name of a workspace's digest",
    second({ params: [{ name: "things-digest", description: "", pattern: "[a-z]+", from: { run: "word" } }] }),
    ["SSF-PIPELINE-002 stages.use.params"],
    second({ params: [{ name: "things-count", description: "", pattern: "[a-z]+", from: { run: "word" } }] }),
  ],
  [
    "a workspace with two writers",
    second({ reads: [], writes: "things" }),
    ["SSF-PIPELINE-003 workspaces.things", "SSF-PIPELINE-040 stages.use"],
    { ...second({ writes: "others" }), workspaces: [workspace("things"), workspace("others")] },
  ],
  [
    "two stages that write without reading, whose volumes could lie on two nodes",
    { ...second({ reads: [], writes: "others" }), workspaces: [workspace("things"), workspace("others")] },
    ["SSF-PIPELINE-040 stages.use"],
    { ...second({ writes: "others" }), workspaces: [workspace("things"), workspace("others")] },
  ],
  [
    "a workspace that nobody writes",
    model({ workspaces: [workspace("things"), workspace("others")] }),
    ["SSF-PIPELINE-003 workspaces.others"],
    model(),
  ],
  [
    "a workspace that nobody declared",
    second({ reads: ["things", "others"] }),
    ["SSF-PIPELINE-004 stages.use"],
    second({ reads: ["things"] }),
  ],
  [
    "a stage that reads what it writes",
    {
      ...second({ reads: ["things", "others"], writes: "others" }),
      workspaces: [workspace("things"), workspace("others")],
    },
    ["SSF-PIPELINE-004 stages.use", "SSF-PIPELINE-006 stages.use"],
    { ...second({ reads: ["things"], writes: "others" }), workspaces: [workspace("things"), workspace("others")] },
  ],
  [
    "a result that no stage declares",
    second({ params: [{ name: "count", description: "", pattern: "[0-9]+", from: { stage: "make", result: "sum" } }] }),
    ["SSF-PIPELINE-005 stages.use.params.count"],
    second({
      params: [{ name: "count", description: "", pattern: "[0-9]+", from: { stage: "make", result: "count" } }],
    }),
  ],
  [
    "a parameter that the run does not have",
    second({ params: [{ name: "word", description: "", pattern: "[a-z]+", from: { run: "wort" } }] }),
    ["SSF-PIPELINE-005 stages.use.params.word"],
    second({ params: [{ name: "word", description: "", pattern: "[a-z]+", from: { run: "word" } }] }),
  ],
  [
    "a result of the run from a stage that is not there",
    model({ results: [{ name: "count", description: "", from: { stage: "mike", result: "count" } }] }),
    ["SSF-PIPELINE-005 results.count"],
    model({ results: [{ name: "count", description: "", from: { stage: "make", result: "digest" } }] }),
  ],
  [
    "two stages that wait for each other",
    model({
      stages: [
        stage("make", {
          writes: "things",
          results: [{ name: "count", description: "" }],
          params: [{ name: "sum", description: "", pattern: "[0-9]+", from: { stage: "use", result: "sum" } }],
        }),
        stage("use", { reads: ["things"], results: [{ name: "sum", description: "" }] }),
      ],
    }),
    ["SSF-PIPELINE-006 stages.make"],
    model(),
  ],
  ...(["forge", "dependencies", "registry"] as const).map((network): (typeof refusals)[number] => [
    `a stage that may reach the ${network} without being the stage for it`,
    second({ network }),
    ["SSF-PIPELINE-007 stages.use.network"],
    second({ network, name: Object.keys(networkOfStage).find((name) => networkOfStage[name] === network) ?? "" }),
  ]),
  [
    "an ingest stage with the network of another",
    second({ name: "ingest-source", network: "registry" }),
    ["SSF-PIPELINE-007 stages.ingest-source.network"],
    second({ name: "ingest-source", network: "none" }),
  ],
  [
    "an identity in the jail",
    second({ identity: true }),
    ["SSF-PIPELINE-018 stages.use.identity"],
    second({ identity: true, name: "publish", network: "registry" }),
  ],
  [
    "an image by tag",
    second({ image: "images.test/tool:1.0" }),
    ["SSF-PIPELINE-008 stages.use.image"],
    second({ image: `images.test/tool@${someDigest}` }),
  ],
  ["no image", second({ image: "" }), ["SSF-PIPELINE-008 stages.use.image"], model()],
  [
    "a parameter spliced into a script",
    second({ script: "echo $(params.count)" }),
    ["SSF-PIPELINE-009 stages.use.script"],
    second({ script: 'echo "$PARAM_COUNT"' }),
  ],
  [
    "a parameter spliced into a script in brackets",
    second({ script: "echo $(params['count'])" }),
    ["SSF-PIPELINE-009 stages.use.script"],
    second({ script: "echo $(printf %s params)" }),
  ],
  [
    "a script with a first line of its own",
    second({ script: "#!/bin/bash\ntrue" }),
    ["SSF-PIPELINE-009 stages.use.script"],
    second({ script: "# use it\ntrue" }),
  ],
  [
    "a pattern that grep reads otherwise",
    model({ params: [{ name: "word", description: "", pattern: "\\w+" }] }),
    ["SSF-PIPELINE-010 params.word.pattern"],
    model({ params: [{ name: "word", description: "", pattern: "[A-Za-z0-9_]+" }] }),
  ],
  [
    "a default that its pattern refuses",
    model({ params: [{ name: "word", description: "", pattern: "[a-z]+", default: "A" }] }),
    ["SSF-PIPELINE-010 params.word.default"],
    model({ params: [{ name: "word", description: "", pattern: "[a-z]+", default: "a" }] }),
  ],
  [
    "a size that Kubernetes would rewrite",
    second({ resources: { cpu: "1", memory: "2048Mi", scratch: "1Gi" } }),
    ["SSF-PIPELINE-013 stages.use.resources.memory"],
    second({ resources: { cpu: "1", memory: "2Gi", scratch: "1Gi" } }),
  ],
  [
    "an empty workspace",
    model({ workspaces: [workspace("things", "0")] }),
    ["SSF-PIPELINE-013 workspaces.things.storage"],
    model({ workspaces: [workspace("things", "1Mi")] }),
  ],
  [
    "a fixed variable that would replace a parameter",
    second({ env: { PARAM_COUNT: "1" } }),
    ["SSF-PIPELINE-015 stages.use.env.PARAM_COUNT"],
    second({ env: { COUNT: "1" } }),
  ],
  [
    "a fixed variable that switches Tekton's own jail off",
    second({ env: { TEKTON_RESOURCE_NAME: "x" } }),
    ["SSF-PIPELINE-015 stages.use.env.TEKTON_RESOURCE_NAME"],
    second({ env: { RESOURCE_NAME: "x" } }),
  ],
  [
    "a fixed variable that Kubernetes would expand",
    second({ env: { PLACE: "$(HOME)" } }),
    ["SSF-PIPELINE-015 stages.use.env.PLACE"],
    second({ env: { PLACE: "$HOME" } }),
  ],
];

describe("a pipeline is refused for", () => {
  test.each(refusals)("%s, and not its twin", (_, bad, problems, good) => {
    expect(problemsOf(() => checkPipeline(bad))).toEqual(problems);
    expect(() => checkPipeline(good)).not.toThrow();
  });

  test("all its problems at once", () => {
    const problems = problemsOf(() => checkPipeline({ ...second({ image: "", network: "forge" }), name: "" }));
    expect(problems).toEqual([
      "SSF-PIPELINE-001 name",
      "SSF-PIPELINE-007 stages.use.network",
      "SSF-PIPELINE-008 stages.use.image",
    ]);
  });
});

describe("whatever stages there are", () => {
  const names = ["a", "b", "c"];
  // Half of them fit their workspaces; by chance alone hardly any pipeline would be let through.
  const writers = fc.oneof(
    fc.shuffledSubarray([...names, undefined], { minLength: 4 }),
    fc.array(fc.option(fc.constantFrom(...names), { nil: undefined }), { minLength: 4, maxLength: 4 }),
  );
  const readers = fc.array(fc.subarray(names), { minLength: 4, maxLength: 4 });
  const anyModel = fc.tuple(writers, readers).map(([written, read]) => {
    const stages = read.map((reads, index) => {
      const writes = written[index];
      return stage(`stage-${index}`, { reads, ...(writes === undefined ? {} : { writes }) });
    });
    return model({ params: [], results: [], workspaces: names.map((name) => workspace(name)), stages });
  });

  test("a pipeline is let through just when workspaces have one writer, one stage starts, and the order can be kept", () => {
    const passes = (candidate: PipelineModel): boolean => {
      try {
        checkPipeline(candidate);
        return true;
      } catch {
        return false;
      }
    };
    const canBeKept = (candidate: PipelineModel): boolean => {
      const done = new Set<string>();
      let before: number;
      do {
        before = done.size;
        for (const each of candidate.stages) {
          if (stagesBefore(candidate, each).every((name) => done.has(name))) done.add(each.name);
        }
      } while (done.size > before);
      return done.size === candidate.stages.length;
    };
    let letThrough = 0;
    fc.assert(
      fc.property(anyModel, (candidate) => {
        const oneWriter = names.every((name) => candidate.stages.filter((each) => each.writes === name).length === 1);
        const starts = candidate.stages.filter(({ reads, writes }) => writes !== undefined && reads.length === 0);
        const passed = passes(candidate);
        if (passed) letThrough++;
        expect(passed).toBe(oneWriter && starts.length < 2 && canBeKept(candidate));
      }),
      { numRuns: 3000 },
    );
    expect(letThrough).toBeGreaterThan(10);
  });
});

describe("patterns", () => {
  test.each(["[a-z]+", "a|b", "(a/)*b", "[.]?x", "[0-9]{1,5}"])("may be %s", (pattern) => {
    expect(isPortablePattern(pattern)).toBe(true);
  });

  test.each(["\\d", "(?:a)", "a+?", "[[:alpha:]]", "it's", "^a", "a$", "(", "ä"])("may not be %s", (pattern) => {
    expect(isPortablePattern(pattern)).toBe(false);
  });
});

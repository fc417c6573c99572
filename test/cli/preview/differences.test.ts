import type { EngineEvent } from "@pulumi/pulumi/automation/events";
import { changesBetween, changesToState, differences } from "../../../tools/cli/preview/differences";
import { addEvent, type Planned, startOfPlan } from "../../../tools/cli/preview/planned";

type Inputs = Record<string, unknown>;

const urnOf = (name: string) => `urn:pulumi:dev::p::test:index:Part$kubernetes:core/v1:ConfigMap::${name}`;

/** An event of a step; a component where `custom` is false. */
const step = (op: string, name: string, before: Inputs | undefined, after: Inputs | undefined, custom = true) => {
  const state = (inputs: Inputs | undefined) =>
    inputs && { type: "kubernetes:core/v1:ConfigMap", urn: urnOf(name), custom, id: "", parent: "", inputs };
  return {
    sequence: 1,
    timestamp: 1,
    resourcePreEvent: {
      metadata: {
        op,
        urn: urnOf(name),
        type: "kubernetes:core/v1:ConfigMap",
        old: state(before),
        new: state(after),
        provider: "",
      },
    },
  } as unknown as EngineEvent;
};

const planOf = (...events: EngineEvent[]): Planned => {
  const plan = startOfPlan();
  for (const event of events) addEvent(plan, event);
  return plan;
};

describe("what differs between two values", () => {
  it.each<[string, unknown, unknown, string[]]>([
    ["nothing", { a: 1 }, { a: 1 }, []],
    ["a value", { a: { b: 1 } }, { a: { b: 2 } }, ["- a.b: 1", "+ a.b: 2"]],
    ["what comes and goes", { a: 1 }, { b: [1] }, ["- a: 1", "+ b: [1]"]],
    ["an element", { a: [{ b: 1 }, 2] }, { a: [{ b: 3 }, 2] }, ["- a.0.b: 1", "+ a.0.b: 3"]],
    ["lines of a text", { a: "x\ny\nz\n" }, { a: "x\nw\nz\n" }, ["  a:", "-   y", "+   w"]],
    [
      "a secret and what is not known",
      { a: "plain" },
      {
        a: { "4dabf18193072939515e22adb298388d": "x", ciphertext: "[secret]" },
        b: "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
      },
      ['- a: "plain"', "+ a: (secret)", "+ b: (known after up)"],
    ],
    [
      "a signature, without saying it",
      { metadata: { annotations: { "x.tekton.dev/signature": "one" } } },
      { metadata: { annotations: { "x.tekton.dev/signature": "two" } } },
      ["  metadata.annotations.x.tekton.dev/signature: signed anew"],
    ],
  ])("%s", (_, before, after, expected) => expect(differences(before, after)).toEqual(expected));
});

describe("changes of a stack", () => {
  it("puts what is lost first, once, and leaves out components and what stays", () => {
    const plan = planOf(
      step("create", "new", undefined, { data: 1 }),
      step("same", "same", { data: 1 }, { data: 1 }),
      step("update", "updated", { data: 1 }, { data: 2 }),
      step("update", "component", { data: 1 }, { data: 2 }, false),
      step("create-replacement", "replaced", { data: 1 }, { data: 2 }),
      step("replace", "replaced", { data: 1 }, { data: 2 }),
      step("delete-replaced", "replaced", { data: 1 }, undefined),
      step("delete", "gone", { data: 1 }, undefined),
    );
    expect(changesToState(plan).map(({ operation, name, lines }) => [operation, name, lines])).toEqual([
      ["delete", "gone", []],
      ["replace", "replaced", ["- data: 1", "+ data: 2"]],
      ["update", "updated", ["- data: 1", "+ data: 2"]],
      ["create", "new", ["+ data: 1"]],
    ]);
  });

  it("compares two programs by what they ask for", () => {
    const base = planOf(
      step("create", "same", undefined, { data: 1 }),
      step("create", "updated", undefined, { data: 1 }),
      step("create", "gone", undefined, { data: 1 }),
    );
    const head = planOf(
      step("create", "same", undefined, { data: 1 }),
      step("create", "updated", undefined, { data: 2 }),
      step("create", "new", undefined, {}),
    );
    expect(changesBetween(base, head).map(({ operation, name }) => [operation, name])).toEqual([
      ["delete", "gone"],
      ["update", "updated"],
      ["create", "new"],
    ]);
    expect(changesBetween(head, head)).toEqual([]);
  });

  it("shortens a change that is too long to read", () => {
    const many = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`key${index}`, index]));
    const [one] = changesToState(planOf(step("create", "long", undefined, many)));
    expect(one?.lines).toHaveLength(25);
    expect(one?.lines.at(-1)).toBe("  ... and 16 more lines");
  });
});

describe("what a preview says against a change", () => {
  it("takes code, level and resource from the engine's events, and colours for nothing", () => {
    const policy = (message: string, enforcementLevel: string, resourceUrn?: string) =>
      ({
        sequence: 1,
        timestamp: 1,
        policyEvent: { message, enforcementLevel, resourceUrn, policyName: "a-policy", color: "", policyPackName: "" },
      }) as unknown as EngineEvent;
    const plan = planOf(
      policy("<{%fg 1%}>Why.\nSSF-ADMISSION-010 spec: x<{%reset%}>", "mandatory", urnOf("one")),
      policy("Said without a code.", "advisory"),
    );
    expect(plan.findings).toEqual([
      {
        code: "SSF-ADMISSION-010",
        level: "mandatory",
        resource: "kubernetes:core/v1:ConfigMap one",
        urn: urnOf("one"),
        message: "Why.\nSSF-ADMISSION-010 spec: x",
      },
      { code: "a-policy", level: "advisory", resource: "the stack", urn: undefined, message: "Said without a code." },
    ]);
  });
});

import { parse } from "yaml";

import { teamNamespace } from "../../../components/lib/names";
import { go, unsignedTeamPipeline } from "../../../pipelines";
import { COMMON_FIELDS, FALCO, PRIORITIES, rulesFile, runtimePolicy } from "../../../policies/runtime";
import { ATTACKS, LEGITIMATE } from "./events";
import { type Event, FIELDS, Filters } from "./filter";

const policy = runtimePolicy({
  namespacePrefix: teamNamespace(""),
  networkedStages: ["ingest-source", "ingest-dependencies", "publish"],
});
const filters = new Filters(policy);
const matching = (event: Event): string[] =>
  policy.rules.filter(({ condition }) => filters.matches(condition, event)).map(({ name }) => name);

describe("the language of conditions", () => {
  const sample = new Filters({
    lists: [{ name: "two_shells", items: ["sh", "bash"] }],
    macros: [
      { name: "is_shell", condition: "proc.name in (two_shells)" },
      { name: "is_itself", condition: "is_itself" },
    ],
  });

  test.each<[string, string, RegExp]>([
    ["a misspelt field", "proc.nam = sh", /unknown field proc\.nam/],
    ["a field without its argument", "k8s.pod.label = x", /unknown field/],
    ["an unknown macro", "is_shel", /unknown macro is_shel/],
    ["an unknown list", "proc.name in (three_shells)", /unknown list three_shells/],
    ["one word for a list", "proc.name in (shels)", /unknown list shels/],
    ["an unknown event", "evt.type = execv", /unknown event execv/],
    ["a parenthesis that stays open", "(is_shell and proc.vpid = 1", /expected \)/],
    ["a parenthesis too many", "is_shell)", /expected the end/],
    ["a condition without an end", "is_shell and", /expected a field/],
    ["an operator that there is not", "proc.name like sh", /expected an operator/],
    ["an operator of strings for a number", "proc.vpid contains 1", /needs a string/],
    ["an operator of numbers for a string", "proc.name > 1", /needs a number/],
    ["a word for a number", "proc.vpid = one", /proc\.vpid is no one/],
    ["a word for a boolean", "evt.failed = no", /evt\.failed is no no/],
    ["a list without parentheses", "proc.name in two_shells", /expected \(/],
    ["a macro that uses itself", "is_itself", /uses itself/],
  ])("%s is refused", (_, condition, message) => {
    expect(() => sample.check(condition)).toThrow(message);
  });

  test.each<[string, Event, boolean]>([
    ["is_shell and not proc.vpid = 1", { "proc.name": "sh", "proc.vpid": 2 }, true],
    ["is_shell and not proc.vpid = 1", { "proc.name": "sh", "proc.vpid": 1 }, false],
    ["proc.vpid = 1 or is_shell and evt.failed = true", { "proc.vpid": 1, "proc.name": "x" }, true],
    ["basename(proc.exepath) in (two_shells)", { "proc.exepath": "/bin/bash" }, true],
    ["fd.name pmatch (/tmp, /etc)", { "fd.name": "/tmpfile" }, false],
    ["fd.name pmatch (/tmp, /etc)", { "fd.name": "/etc/x/y" }, true],
    ["proc.aexepath = /bin/sh", { "proc.aexepath": ["/bin/x", "/bin/sh"] }, true],
    ["k8s.pod.label[a.b/c] = x", { "k8s.pod.label[a.b/c]": "x" }, true],
    ["not k8s.pod.label[a.b/c] = x", {}, true],
    ['proc.args regex "a (b|c)+"', { "proc.args": "a bcb" }, true],
    ['proc.args regex "a (b|c)+"', { "proc.args": "a bcb " }, false],
  ])("%s", (condition, event, expected) => {
    sample.check(condition);
    expect(sample.matches(condition, event)).toBe(expected);
  });
});

describe("the rules", () => {
  test.each([...policy.macros, ...policy.rules].map(({ name, condition }) => [name, condition]))(
    "%s is a condition that Falco's language has",
    (_, condition) => {
      filters.check(condition);
    },
  );

  test("every list, every macro and every field is used", () => {
    const conditions = [...policy.macros, ...policy.rules].map(({ condition }) => condition).join("\n");
    for (const { name } of policy.lists) expect(conditions).toContain(`(${name})`);
    for (const { name } of policy.macros) expect(conditions).toMatch(new RegExp(`\\b${name}\\b`));
    const shown = [...COMMON_FIELDS, ...policy.rules.flatMap(({ fields }) => fields)].join("\n");
    for (const field of Object.keys(FIELDS)) expect(`${conditions}\n${shown}`).toContain(field.replace("[]", "["));
  });

  test("every field of an alert is one that there is", () => {
    for (const field of [...COMMON_FIELDS, ...policy.rules.flatMap(({ fields }) => fields)])
      expect(Object.keys(FIELDS)).toContain(field.replace(/\[.*\]$/, "[]"));
  });

  test("every rule says what it misses, and has attacks that it must see", () => {
    expect(policy.rules.map(({ name }) => name)).toEqual(Object.keys(ATTACKS));
    for (const { misses } of policy.rules) expect(misses.length).toBeGreaterThan(0);
  });

  const attacks = Object.entries(ATTACKS).flatMap(([rule, events]) =>
    Object.entries(events).map(([what, event]): [string, string, Event] => [rule, what, event]),
  );
  test.each(attacks)("%s: %s", (rule, _, event) => {
    expect(matching(event)).toContain(rule);
    expect(matching({ ...event, "k8s.ns.name": "ssf-registry" })).toEqual([]);
  });

  test.each(Object.entries(LEGITIMATE))("nothing is reported when %s", (_, event) => {
    expect(matching(event)).toEqual([]);
  });
});

describe("what the rules say of our stages", () => {
  const items = (name: string): readonly string[] => policy.lists.find((list) => list.name === name)?.items ?? [];
  const images = Object.fromEntries(
    ["git", "go", "scan", "publish"].map((stage) => [`stage-${stage}`, `images.example@sha256:${"0".repeat(64)}`]),
  );
  const placement = { team: "a", namespace: "team-a" };
  const { tasks, stages } = unsignedTeamPipeline({
    ...placement,
    images,
    language: go(),
    registry: { repository: "registry.example/team-a" },
    runtimeClasses: { jailed: "jailed", networked: "networked" },
  });

  test("whatever a stage may write is a directory of stages, and not the other way round", () => {
    for (const { spec } of tasks) {
      const mounts = [...spec.workspaces, ...spec.steps.flatMap(({ volumeMounts }) => volumeMounts)];
      for (const { mountPath } of mounts.filter(({ readOnly }) => readOnly !== true))
        expect(items("stage_directories").some((path) => `${mountPath}/`.startsWith(`${path}/`))).toBe(true);
    }
  });

  test("the stages with a network are those that are not jailed", () => {
    const networked = stages.filter(({ jailed }) => !jailed).map(({ name }) => name);
    expect(items("networked_stages")).toEqual(networked);
  });

  test("every stage is a script for /bin/sh that Tekton starts", () => {
    for (const { spec } of tasks) for (const { script } of spec.steps) expect(script).toMatch(/^#!\/bin\/sh\n/);
  });
});

describe("the rules file", () => {
  const entries = parse(rulesFile(policy)) as Record<string, unknown>[];

  test("demands the versions that it was written for", () => {
    expect(entries[0]).toEqual({ required_engine_version: FALCO.engine });
    expect(entries[1]).toEqual({ required_plugin_versions: [{ name: "container", version: FALCO.containerPlugin }] });
  });

  test("holds lists before the macros that use them, and both before the rules", () => {
    const kinds = entries.slice(2).map((entry) => ("list" in entry ? 0 : "macro" in entry ? 1 : 2));
    expect(kinds).toEqual([...kinds].sort());
    expect(kinds.filter((kind) => kind === 2)).toHaveLength(policy.rules.length);
  });

  test("a rule has what Falco asks for and nothing else", () => {
    for (const entry of entries.filter((one) => "rule" in one)) {
      expect(Object.keys(entry)).toEqual(["rule", "desc", "condition", "output", "priority", "source", "tags"]);
      expect(PRIORITIES).toContain(entry.priority);
      expect(entry.output).toMatch(/^[A-Za-z ]+ \| ([a-z0-9_.[\]/-]+=%[a-z0-9_.[\]/-]+ ?)+$/i);
    }
  });

  test("a macro uses only macros before it", () => {
    const names = policy.macros.map(({ name }) => name);
    for (const [index, { condition }] of policy.macros.entries())
      for (const later of names.slice(index)) expect(condition).not.toMatch(new RegExp(`\\b${later}\\b`));
  });

  test("the same input gives the same bytes", () => {
    expect(rulesFile(policy)).toBe(rulesFile(policy));
  });
});

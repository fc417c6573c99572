import type { ResourceChange } from "../../../tools/cli/preview/differences";
import { previewPicture, type PicturedStack } from "../../../tools/cli/preview/picture";
import type { PlannedResource } from "../../../tools/cli/preview/planned";
import { commentMark, type PreviewReport, reportComment, reportText } from "../../../tools/cli/preview/report";

const stackUrn = "urn:pulumi:dev::p::pulumi:pulumi:Stack::p-dev";
const urnOf = (type: string, name: string) => `urn:pulumi:dev::p::${type}::${name}`;

const resource = (urn: string, parent: string): [string, PlannedResource] => [
  urn,
  { urn, type: "t", custom: true, parent, inputs: {} },
];

const change = (operation: ResourceChange["operation"], urn: string, lines: string[] = []): ResourceChange => ({
  operation,
  urn,
  type: "core/v1:ConfigMap",
  name: urn.split("::").at(-1) ?? "",
  lines,
});

const [a, b, c] = ["a", "b", "c"].map((name) => urnOf("test:index:Part", name)) as [string, string, string];
const [inA, inB, inC] = [a, b, c].map((part) => `${part}-child`) as [string, string, string];

const pictured = (changes: ResourceChange[]): PicturedStack => ({
  stack: "dev",
  changes,
  resources: new Map([
    ...[a, b, c].map((urn) => resource(urn, stackUrn)),
    ...[[inA, a] as const, [inB, b] as const, [inC, c] as const].map(([urn, parent]) => resource(urn, parent)),
  ]),
  dependencies: new Map([
    [b, [inA]],
    [inB, [a]],
    [inC, [inB, inA]],
  ]),
});

describe("the picture of a change", () => {
  it("marks the components that change, and joins those next to them by the shortest ways", () => {
    const picture = previewPicture([
      pictured([change("update", inC), change("delete", `${c}-gone`), change("create", inC)]),
    ]);
    expect(picture).toBe(
      [
        "flowchart LR",
        '  subgraph s0 ["stack dev"]',
        '    s0n0["b"]:::same',
        '    s0n1["c<br/>~1 +1"]:::changed',
        '    s0n2["c-gone<br/>-1"]:::lost',
        "    s0n0 --> s0n1",
        "  end",
        "  classDef added stroke:#17683a,stroke-width:3px",
        "  classDef changed stroke:#8a5a00,stroke-width:3px",
        "  classDef lost stroke:#b3261e,stroke-width:4px",
        "  classDef same stroke-dasharray:5 4",
        "",
      ].join("\n"),
    );
  });

  it("is not there when nothing changes", () => expect(previewPicture([pictured([])])).toBeUndefined());
});

const report: PreviewReport = {
  outcome: "did not hold",
  basis: ["Without a cluster: none is there.", "Compared with commit 123."],
  warnings: ["the change touches what judges it: policies/a.ts."],
  stacks: [
    {
      stack: "dev",
      changes: [change("replace", inA, ["- data: 1", "+ data: 2"]), change("create", inB)],
      findings: [
        {
          code: "SSF-X-001",
          level: "mandatory",
          resource: "core/v1:ConfigMap a",
          urn: inA,
          message: "SSF-X-001 no\n```@all",
        },
        { code: "SSF-X-009", level: "advisory", resource: "one", urn: inA, message: "not checked here" },
        { code: "SSF-X-009", level: "advisory", resource: "other", urn: inB, message: "not checked here" },
      ],
    },
    { stack: "team-a", changes: [], findings: [], unchecked: "the engine is away" },
  ],
  picture: "flowchart LR\n",
};

describe("the report", () => {
  it("says first that no cluster answers, then what changes, then what breaks a rule", () => {
    const text = reportText(report);
    expect(text.split("\n")[0]).toBe("Without a cluster: none is there.");
    expect(text).toContain("stack dev: 1 replaced, 1 created");
    expect(text).toContain("  ! replace core/v1:ConfigMap a-child\n  -     data: 1");
    expect(text).toContain("stack team-a: could not be checked\n    the engine is away");
    expect(text).toContain("Violations\n  SSF-X-001 core/v1:ConfigMap a (stack dev)");
    expect(text).toContain("SSF-X-009 one (stack dev) and 1 more");
    expect(text).toMatch(/The change did not hold\.$/);
  });

  it("is a comment that a line finds again, in which no message ends its block", () => {
    const comment = reportComment(report);
    expect(comment.split("\n")[0]).toBe(commentMark);
    expect(comment).toContain("````text\nSSF-X-001 core/v1:ConfigMap a (stack dev)\nSSF-X-001 no\n```@all\n````");
    expect(comment).toContain("```mermaid\nflowchart LR");
    expect(comment.indexOf("Without a cluster")).toBeLessThan(comment.indexOf("SSF-X-001"));
  });

  it("stays below what GitHub takes", () => {
    const changes = Array.from({ length: 3000 }, (_, index) => change("create", `${inA}-${index}`, ["+ data: 1"]));
    const findings = Array.from({ length: 500 }, (_, index) => ({
      code: "SSF-X-001",
      level: "mandatory" as const,
      resource: `${index}`,
      urn: undefined,
      message: `${index} ${"x".repeat(500)}`,
    }));
    const long = reportComment({ ...report, stacks: [{ stack: "dev", changes, findings }] });
    expect(long.length).toBeLessThan(65_536);
    expect(long).toContain("more lines: run make preview");
  });
});

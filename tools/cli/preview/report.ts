import type { ResourceChange } from "./differences";
import type { Finding } from "./planned";

/** What came of the preview of one stack. */
export interface StackReport {
  stack: string;
  /** What changes; what is deleted or replaced comes first. */
  changes: ResourceChange[];
  /** Why nothing can be said about changes, where that is so. */
  unknownChanges?: string;
  findings: Finding[];
  /** Why the stack could not be checked, where that is so. */
  unchecked?: string;
}

/** What came of a preview. */
export interface PreviewReport {
  outcome: "held" | "did not hold" | "could not be checked";
  /** What the change is compared with, and whether a cluster answered; said before everything else. */
  basis: string[];
  /** What the reader must look at without help. */
  warnings: string[];
  stacks: StackReport[];
  /** {@link previewPicture}. */
  picture?: string;
}

const words = { delete: "deleted", replace: "replaced", update: "updated", create: "created" } as const;

const countsOf = (changes: readonly ResourceChange[]): string => {
  const counts = Object.entries(words).flatMap(([operation, word]) => {
    const count = changes.filter((one) => one.operation === operation).length;
    return count === 0 ? [] : [`${count} ${word}`];
  });
  return counts.length === 0 ? "no changes" : counts.join(", ");
};

const titleOf = ({ stack, changes, unchecked, unknownChanges }: StackReport): string => {
  if (unchecked !== undefined) return `stack ${stack}: could not be checked`;
  return `stack ${stack}: ${unknownChanges === undefined ? countsOf(changes) : "changes not known"}`;
};

const mark = { delete: "-", replace: "!", update: "!", create: "+" } as const;

/** Changes as lines of a diff: the ones that begin with `!` say what is updated or replaced. */
const diffOf = (changes: readonly ResourceChange[]): string[] =>
  changes.flatMap(({ operation, type, name, lines }) => [
    `${mark[operation]} ${operation} ${type} ${name}`,
    ...lines.map((line) => `${line.slice(0, 2)}    ${line.slice(2)}`),
  ]);

/** Findings of that level with the stack that each is about; what is said of many resources is said once. */
const findingsOf = ({ stacks }: PreviewReport, level: Finding["level"]): { title: string; message: string }[] => {
  const said = new Map<string, { code: string; message: string; resources: string[] }>();
  for (const { stack, findings } of stacks)
    for (const { code, resource, message } of findings.filter((finding) => finding.level === level)) {
      const key = `${code} ${message}`;
      const one = said.get(key) ?? { code, message, resources: [] };
      one.resources.push(`${resource} (stack ${stack})`);
      said.set(key, one);
    }
  return [...said.values()].map(({ code, message, resources }) => ({
    title: `${code} ${resources[0] ?? ""}${resources.length < 2 ? "" : ` and ${resources.length - 1} more`}`,
    message,
  }));
};

const indented = (text: string): string[] => text.split("\n").map((line) => `    ${line}`);

/** The report as a person reads it on a terminal. */
export const reportText = (report: PreviewReport): string => {
  const section = (title: string, findings: { title: string; message: string }[]) =>
    findings.length === 0
      ? []
      : ["", title, ...findings.flatMap(({ title: what, message }) => [`  ${what}`, ...indented(message)])];
  return [
    ...report.basis,
    ...report.warnings.map((warning) => `Look: ${warning}`),
    ...report.stacks.flatMap((stack) => [
      "",
      titleOf(stack),
      ...[stack.unchecked, stack.unknownChanges].flatMap((why) => (why === undefined ? [] : indented(why))),
      ...diffOf(stack.changes).map((line) => `  ${line}`),
    ]),
    ...section("Violations", findingsOf(report, "mandatory")),
    ...section("Not checked here, or worth a look", findingsOf(report, "advisory")),
    "",
    `The change ${report.outcome}.`,
  ].join("\n");
};

/** By this line a comment is found again and replaced. */
export const commentMark = "<!-- secure-software-factory preview -->";

/** GitHub takes comments of at most 65536 characters. */
const longestComment = 60_000;
const longestMessage = 1000;
const longestPicture = 12_000;
const mostFindings = 15;

/** A block that nothing in the text can end. */
const fenced = (language: string, text: string): string[] => {
  const ticks = text.match(/`+/g) ?? [];
  const fence = "`".repeat(Math.max(3, ...ticks.map(({ length }) => length + 1)));
  return [fence + language, text, fence];
};

const folded = (title: string, body: readonly string[], open = false): string[] => [
  `<details${open ? " open" : ""}><summary>${title}</summary>`,
  "",
  ...body,
  "",
  "</details>",
  "",
];

/** As many of the lines as there is room for. */
const within = (lines: readonly string[], room: number): string[] => {
  const kept: string[] = [];
  let left = room;
  for (const line of lines) {
    left -= line.length + 1;
    if (left < 0) return [...kept, `... and ${lines.length - kept.length} more lines: run make preview`];
    kept.push(line);
  }
  return kept;
};

/** The report as Markdown for a pull request. Nothing in it is taken for markup that is not the report's own. */
export const reportComment = (report: PreviewReport): string => {
  const violations = findingsOf(report, "mandatory");
  const notes = findingsOf(report, "advisory");
  const blocks = (findings: { title: string; message: string }[]) => [
    ...findings
      .slice(0, mostFindings)
      .flatMap(({ title, message }) => [...fenced("text", `${title}\n${message.slice(0, longestMessage)}`), ""]),
    ...(findings.length <= mostFindings
      ? []
      : [`And ${findings.length - mostFindings} more: run \`make preview\`.`, ""]),
  ];
  const hasPicture = report.picture !== undefined && report.picture.length <= longestPicture;
  const head = [
    commentMark,
    `## Preview: the change ${report.outcome}`,
    "",
    ...report.basis.flatMap((line) => [line, ""]),
    ...report.warnings.map((warning) => `> **Look:** ${warning}`),
    ...(violations.length === 0 ? [] : ["", `### Violations: ${violations.length}`, "", ...blocks(violations)]),
    ...(hasPicture ? ["", "### What changes", "", ...fenced("mermaid", report.picture ?? ""), ""] : []),
  ].join("\n");
  const tail = notes.length === 0 ? [] : folded(`Not checked here, or worth a look: ${notes.length}`, blocks(notes));
  const room = Math.max(0, longestComment - head.length - tail.join("\n").length) / Math.max(1, report.stacks.length);
  const stacks = report.stacks.flatMap((stack) => {
    const why = [stack.unchecked, stack.unknownChanges].flatMap((text) =>
      text === undefined ? [] : fenced("text", text),
    );
    const diff = within(diffOf(stack.changes), room - 200);
    const body = [...why, ...(diff.length === 0 ? [] : fenced("diff", diff.join("\n")))];
    return body.length === 0 ? [titleOf(stack), ""] : folded(titleOf(stack), body, stack.unchecked !== undefined);
  });
  return `${[head, "", ...stacks, ...tail].join("\n").trimEnd()}\n`;
};

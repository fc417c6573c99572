import type { Network } from "./model";

/** As much of a pipeline as its picture shows; every `PipelineModel` has it. */
export interface PicturedPipeline {
  name: string;
  description: string;
  /** In the order in which they are read. */
  stages: readonly PicturedStage[];
}

/** A stage, as its picture shows it. */
export interface PicturedStage {
  name: string;
  /** What it may reach. */
  network: string;
  /** Workspaces that it sees, read-only. */
  reads: readonly string[];
  /** The workspace that it alone fills. @default none */
  writes?: string;
}

/** What a network leads to, in the words of the picture. */
const destinations: Readonly<Record<Exclude<Network, "none">, string>> = {
  forge: "forges",
  dependencies: "package registries",
  registry: "the factory's registry",
};

const isJailed = ({ network }: PicturedStage): boolean => network === "none";

const destination = ({ network }: PicturedStage): string =>
  (destinations as Readonly<Record<string, string | undefined>>)[network] ?? network;

/** Workspaces in the order in which the stages write them; what is only read comes last. */
const workspacesOf = ({ stages }: PicturedPipeline): string[] => [
  ...new Set([
    ...stages.flatMap(({ writes }) => (writes === undefined ? [] : [writes])),
    ...stages.flatMap((s) => s.reads),
  ]),
];

const listed = (names: readonly string[]): string =>
  names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1) ?? ""}`;

/** The picture in words, for whoever does not see it. */
export const describePipeline = (pipeline: PicturedPipeline): string => {
  const sentences = pipeline.stages.map((stage) => {
    const reads = stage.reads.length === 0 ? "reads no workspace" : `reads ${listed(stage.reads)}`;
    const writes = stage.writes === undefined ? "writes none" : `writes ${stage.writes}`;
    return `${stage.name} ${isJailed(stage) ? "is jailed" : `reaches ${destination(stage)}`}, ${reads} and ${writes}.`;
  });
  return [pipeline.description, ...sentences].join(" ");
};

/** A text for a label of Mermaid, which takes entities in place of what would end it or be read as markup. */
export const mermaidText = (text: string): string =>
  text.replaceAll(/[#"<>&`\\]|[^\x20-\u{10ffff}]/gu, (character) => `#${character.codePointAt(0) ?? 32};`);

/** The pipeline as a Mermaid flowchart; equal pipelines give equal text. */
export const mermaidPicture = (pipeline: PicturedPipeline): string => {
  const workspaces = workspacesOf(pipeline);
  const storage = (name: string) => `workspace${workspaces.indexOf(name)}`;
  const oneLine = (text: string) => mermaidText(text.replaceAll(/\s+/g, " "));
  const { stages } = pipeline;
  return [
    "flowchart LR",
    `  accTitle: Pipeline ${oneLine(pipeline.name)}`,
    `  accDescr: ${oneLine(describePipeline(pipeline))}`,
    ...stages.map((stage, index) => {
      const label = `${mermaidText(stage.name)}<br/>${isJailed(stage) ? "jailed" : "networked"}`;
      return `  stage${index}["${label}"]:::${isJailed(stage) ? "jailed" : "networked"}`;
    }),
    ...workspaces.map((name) => `  ${storage(name)}[("${mermaidText(name)}")]`),
    ...stages.flatMap((stage, index) =>
      isJailed(stage) ? [] : [`  network${index}(["${mermaidText(destination(stage))}"]) <--> stage${index}`],
    ),
    ...stages.flatMap(({ writes, reads }, index) => [
      ...reads.map((name) => `  ${storage(name)} -. reads .-> stage${index}`),
      ...(writes === undefined ? [] : [`  stage${index} == writes ==> ${storage(writes)}`]),
    ]),
    "  classDef jailed stroke-width:4px",
    "  classDef networked stroke-dasharray:6 4",
    "",
  ].join("\n");
};

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&apos;",
};

const xmlText = (text: string): string =>
  text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? "").replaceAll(/[^\x20-\ud7ff\ue000-\ufffd]/g, " ");

/** Measures of the drawing, in its own units. */
const size = {
  margin: 24,
  box: 64,
  gap: 28,
  letter: 8.4,
  pill: 30,
  lane: 46,
  bar: 26,
  title: 40,
  legend: 34,
} as const;

const style = `
    .paper { fill: #ffffff }
    .ink { fill: #1b1f24 }
    .soft { fill: #57606a }
    .line { stroke: #57606a; fill: none }
    .stage { fill: #f3f5f7; stroke: #57606a; stroke-width: 1.5 }
    .jailed { fill: #e2f1e6; stroke: #17683a; stroke-width: 3 }
    .network { fill: #fdeecf; stroke: #8a5a00 }
    .workspace { fill: #dcebfb; stroke: #1f5f9e }
    .write { stroke: #1f5f9e; stroke-width: 3; fill: none }
    .read { stroke: #1f5f9e; stroke-width: 1.5; stroke-dasharray: 4 3; fill: none }
    .head { fill: #1f5f9e }
    text { font-family: ui-sans-serif, "DejaVu Sans", "Helvetica Neue", Arial, sans-serif; font-size: 14px }
    .name { font-weight: 600 }
    .small { font-size: 12px }
    @media (prefers-color-scheme: dark) {
      .paper { fill: #0d1117 }
      .ink { fill: #e6edf3 }
      .soft { fill: #9da7b1 }
      .line { stroke: #9da7b1 }
      .stage { fill: #1c2128; stroke: #9da7b1 }
      .jailed { fill: #12301d; stroke: #4fc27a }
      .network { fill: #3a2a06; stroke: #e0a72e }
      .workspace { fill: #10294a; stroke: #6cb0f5 }
      .write, .read { stroke: #6cb0f5 }
      .head { fill: #6cb0f5 }
    }
  `;

const number = (value: number): string => String(Math.round(value * 10) / 10);

const rectangle = (className: string, x: number, y: number, width: number, height: number, radius: number): string =>
  `<rect class="${className}" x="${number(x)}" y="${number(y)}" width="${number(width)}" height="${number(height)}" rx="${radius}"/>`;

const words = (className: string, x: number, y: number, text: string, anchor = "middle"): string =>
  `<text class="${className}" x="${number(x)}" y="${number(y)}" text-anchor="${anchor}">${xmlText(text)}</text>`;

const vertical = (className: string, x: number, from: number, to: number): string =>
  `<path class="${className}" d="M${number(x)} ${number(from)}V${number(to)}"/>`;

/** The head of an arrow whose tip is at that point. */
const head = (x: number, y: number, direction: "up" | "down"): string => {
  const back = direction === "down" ? -9 : 9;
  return `<path class="head" d="M${number(x)} ${number(y)}l-5 ${back}h10z"/>`;
};

/**
 * The pipeline as SVG: a column a stage with what it may reach above it, a lane a workspace below. A bold arrow leads
 * from the one stage that writes a workspace into its lane, dashed ones from there to its readers.
 *
 * Equal pipelines give equal text. Light or dark follows the reader's setting.
 */
export const svgPicture = (pipeline: PicturedPipeline): string => {
  const { stages } = pipeline;
  const workspaces = workspacesOf(pipeline);
  const labels = stages.flatMap((stage) => [stage.name, ...(isJailed(stage) ? [] : [destination(stage)])]);
  const boxWidth = Math.max(140, ...labels.map((label) => label.length * size.letter + 28));
  const column = boxWidth + size.gap;
  const legendWidth = 660;
  const width = Math.ceil(Math.max(2 * size.margin + stages.length * column - size.gap, legendWidth + 2 * size.margin));
  const left = (index: number) => size.margin + index * column;
  const middle = (index: number) => left(index) + boxWidth / 2;
  const networkTop = size.margin + size.title;
  const stageTop = networkTop + size.pill + size.gap;
  const stageBottom = stageTop + size.box;
  const laneTop = (lane: number) => stageBottom + size.gap + 16 + lane * size.lane;
  const legendTop = laneTop(workspaces.length) + 6;
  const height = Math.ceil(legendTop + size.legend + size.margin - 8);

  /** Where the arrows of a stage stand: one for what it writes, and one for each workspace that it reads. */
  const slot = (index: number, name: string): number => {
    const { reads = [], writes } = stages[index] ?? {};
    const used = workspaces.filter((workspace) => workspace === writes || reads.includes(workspace));
    return left(index) + (boxWidth * (used.indexOf(name) + 1)) / (used.length + 1);
  };

  const networks = stages.flatMap((stage, index) =>
    isJailed(stage)
      ? []
      : [
          rectangle("network", left(index) + 6, networkTop, boxWidth - 12, size.pill, 15),
          words("ink small", middle(index), networkTop + 20, destination(stage)),
          vertical("line", middle(index), networkTop + size.pill, stageTop),
        ],
  );
  const boxes = stages.flatMap((stage, index) => [
    rectangle(isJailed(stage) ? "jailed" : "stage", left(index), stageTop, boxWidth, size.box, 8),
    words("ink name", middle(index), stageTop + 28, stage.name),
    words("soft small", middle(index), stageTop + 48, isJailed(stage) ? "jailed: no network" : "networked"),
  ]);
  const lanes = workspaces.flatMap((name, lane) => {
    const users = stages.flatMap(({ reads, writes }, index) =>
      writes === name || reads.includes(name) ? [index] : [],
    );
    const [from, to] = [Math.min(...users), Math.max(...users)];
    const end = Math.max(slot(to, name) + 24, left(from) + name.length * size.letter + 40);
    return [
      rectangle("workspace", left(from), laneTop(lane), end - left(from), size.bar, 6),
      words("ink small", left(from) + 12, laneTop(lane) + 18, name, "start"),
    ];
  });
  const arrows = stages.flatMap(({ reads, writes }, index) => [
    ...(writes === undefined
      ? []
      : [
          vertical("write", slot(index, writes), stageBottom + 2, laneTop(workspaces.indexOf(writes)) - 8),
          head(slot(index, writes), laneTop(workspaces.indexOf(writes)), "down"),
        ]),
    ...reads.flatMap((name) => [
      vertical("read", slot(index, name), laneTop(workspaces.indexOf(name)), stageBottom + 11),
      head(slot(index, name), stageBottom + 3, "up"),
    ]),
  ]);
  const y = legendTop + 16;
  const legend = [
    rectangle("jailed", size.margin, legendTop + 4, 22, 16, 4),
    words("soft small", size.margin + 30, y, "jailed", "start"),
    rectangle("stage", size.margin + 96, legendTop + 4, 22, 16, 4),
    words("soft small", size.margin + 126, y, "reaches what is above it", "start"),
    rectangle("workspace", size.margin + 300, legendTop + 4, 22, 16, 4),
    words("soft small", size.margin + 330, y, "workspace", "start"),
    `<path class="write" d="M${size.margin + 414} ${number(y - 4)}h22"/>`,
    words("soft small", size.margin + 444, y, "writes, alone", "start"),
    `<path class="read" d="M${size.margin + 544} ${number(y - 4)}h22"/>`,
    words("soft small", size.margin + 574, y, "reads", "start"),
  ];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${number(width)} ${number(height)}" width="${number(width)}" height="${number(height)}" role="img" aria-labelledby="title description">`,
    `  <title id="title">${xmlText(`Pipeline ${pipeline.name}`)}</title>`,
    `  <desc id="description">${xmlText(describePipeline(pipeline))}</desc>`,
    `  <style>${style}</style>`,
    ...[
      `<rect class="paper" width="100%" height="100%"/>`,
      words("ink name", size.margin, size.margin + 14, `Pipeline ${pipeline.name}`, "start"),
      ...[...networks, ...lanes, ...arrows, ...boxes, ...legend],
    ].map((line) => `  ${line}`),
    "</svg>",
    "",
  ].join("\n");
};

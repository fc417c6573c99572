import { spawnSync } from "node:child_process";
import {
  defaultPipeline,
  describePipeline,
  go,
  mermaidPicture,
  svgPicture,
  type PicturedPipeline,
} from "../../pipelines";

const goPipeline = defaultPipeline(go());

/** Names that no graph check would let through, so that nothing but the drawing itself keeps them harmless. */
const hostile: PicturedPipeline = {
  name: `x"]; click a "javascript:alert(1)`,
  description: `<script>alert('1')</script> & \u0000 --> `,
  stages: [{ name: "a<b>\n  end", network: `"]&--`, reads: ["w]"], writes: `<w/>"'` }],
};

/** Shapes of one class, with their places. */
const shapes = (svg: string, className: string) =>
  [...svg.matchAll(new RegExp(`<rect class="${className}" x="([\\d.]+)" y="([\\d.]+)" width="([\\d.]+)"`, "g"))].map(
    ([, x, y, width]) => ({ x: Number(x), y: Number(y), end: Number(x) + Number(width) }),
  );

/** XML parsers of the machine's own Python; they refuse whatever is not well-formed. */
const isWellFormed = (xml: string): boolean =>
  spawnSync("python3", ["-c", "import sys, xml.dom.minidom as m; m.parse(sys.stdin.buffer)"], { input: xml }).status ===
  0;

describe("the picture of a pipeline", () => {
  it("says in words who writes, who reads, and who is jailed", () => {
    const text = describePipeline(goPipeline);
    expect(text).toContain("ingest-source reaches forges, reads no workspace and writes source.");
    expect(text).toContain("build is jailed, reads source and dependencies and writes output.");
    for (const picture of [svgPicture(goPipeline), mermaidPicture(goPipeline)])
      expect(picture).toContain("build is jailed");
  });

  it("is the same each time", () => {
    expect(svgPicture(defaultPipeline(go()))).toBe(svgPicture(goPipeline));
    expect(mermaidPicture(defaultPipeline(go()))).toBe(mermaidPicture(goPipeline));
  });

  it("has in Mermaid one bold edge for each writer, one dotted edge for each reader, and no network for a jailed stage", () => {
    const lines = mermaidPicture(goPipeline).split("\n");
    const count = (pattern: RegExp) => lines.filter((line) => pattern.test(line)).length;
    expect([count(/== writes ==>/), count(/-\. reads \.->/), count(/<-->/), count(/:::jailed/)]).toEqual([4, 8, 3, 2]);
    expect(lines).toContain('  stage2["build<br/>jailed"]:::jailed');
    expect(lines.filter((line) => line.includes("<-->") && line.includes("stage2"))).toEqual([]);
  });

  it("has in SVG a lane for each workspace, from its writer to its last reader, and lanes apart from each other", () => {
    const svg = svgPicture(goPipeline);
    const [source, dependencies, output] = shapes(svg, "workspace");
    const [build] = shapes(svg, "jailed");
    const stages = shapes(svg, "stage");
    if (!source || !dependencies || !output || !build || !stages[0] || !stages[2])
      throw new Error("a shape is missing");
    expect(source.x).toBe(stages[0].x);
    expect(source.end).toBeGreaterThan(build.x);
    expect(output).toMatchObject({ x: build.x });
    expect(output.end).toBeGreaterThan(stages[2].x);
    expect(new Set([source.y, dependencies.y, output.y]).size).toBe(3);
  });

  it("is well-formed, and no name in it becomes markup", () => {
    expect(isWellFormed("<svg>&</svg>")).toBe(false);
    expect(isWellFormed(svgPicture(goPipeline))).toBe(true);
    const svg = svgPicture(hostile);
    expect(isWellFormed(svg)).toBe(true);
    expect(svg).not.toMatch(/<script|<w\/|<b>/);
    const mermaid = mermaidPicture(hostile);
    expect(mermaid).not.toMatch(/<script|<w\/|<b>|^ {2}end/m);
    for (const line of mermaid.split("\n").slice(3)) expect((line.match(/"/g) ?? []).length % 2).toBe(0);
  });
});

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { parseDocument } from "yaml";

import {
  defaultPipeline,
  describePipeline,
  go,
  mermaidPicture,
  type PicturedPipeline,
  svgPicture,
  unsignedTeamPipeline,
} from "../pipelines";
import { admissionGuide } from "../policies/admission/guide";
import { runtimeGuide } from "../policies/runtime/guide";
import { type ConfigKey, configKeys, STACK_KINDS, toPulumiConfigBlock } from "./config";

const root = join(__dirname, "..");

/** Files that are derived from the program, with the content that they must have. */
export const generatedFiles = (): Record<string, string> => ({
  "Pulumi.yaml": projectFile(readFileSync(join(root, "Pulumi.yaml"), "utf8")),
  "docs/reference/config.md": referencePage(),
  "docs/reference/pipeline.md": pipelinePage(defaultPipeline(go())),
  "docs/reference/pipeline.svg": svgPicture(defaultPipeline(go())),
  "docs/guides/admission.md": admissionGuide(samplePipeline()),
  "docs/guides/runtime-detection.md": runtimeGuide(),
});

/** A pipeline of no team, whose run stands for every team's in the guide to admission. */
const samplePipeline = () => {
  const image = `images.example@sha256:${"0".repeat(64)}`;
  return unsignedTeamPipeline({
    team: "example",
    namespace: "team-example",
    images: Object.fromEntries(["git", "go", "scan", "publish"].map((stage) => [`stage-${stage}`, image])),
    language: go(),
    registry: { repository: "registry.example/team-example" },
    runtimeClasses: { jailed: "jailed", networked: "networked" },
  });
};

const projectFile = (current: string): string => {
  const document = parseDocument(current);
  document.set("config", document.createNode(toPulumiConfigBlock()));
  return document.toString({ lineWidth: 0 });
};

const referencePage = (): string => {
  const section = (title: string, keys: ConfigKey[]): string =>
    [
      `## ${title}`,
      "",
      ...keys.flatMap((key) => [
        `### \`${key.name}\``,
        "",
        `${key.description} ${key.rule}`,
        "",
        `Default: ${key.default === "" ? (key.optional ? "none" : "none; it must be set") : `\`${key.default}\``}. Example: \`pulumi config set ${key.name} ${key.example}\``,
        "",
      ]),
    ].join("\n");
  const keys = configKeys();
  return [
    "# Configuration",
    "",
    "Generated from `stacks/config.ts` by `npm run generate`. A stack's keys stand in `Pulumi.<stack>.yaml`; a key of another kind of stack is refused.",
    "",
    section(
      "Every stack",
      keys.filter((key) => key.kinds.length > 1),
    ),
    ...STACK_KINDS.map((kind) =>
      section(
        `Kind ${kind}`,
        keys.filter((key) => key.kinds.length === 1 && key.kinds.includes(kind)),
      ),
    ),
  ].join("\n");
};

const pipelinePage = (pipeline: PicturedPipeline): string =>
  [
    `# The pipeline for ${pipeline.name}`,
    "",
    "Generated from `pipelines/` by `npm run generate`. `./factory graph` draws the pipelines of your own teams.",
    "",
    `![${describePipeline(pipeline)}](pipeline.svg)`,
    "",
    "The same as Mermaid:",
    "",
    "```mermaid",
    mermaidPicture(pipeline).trimEnd(),
    "```",
    "",
  ].join("\n");

if (require.main === module) {
  for (const [file, content] of Object.entries(generatedFiles())) writeFileSync(join(root, file), content);
}

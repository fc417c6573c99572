import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { parseDocument } from "yaml";

import {
  defaultPipeline,
  describePipeline,
  go,
  mermaidPicture,
  type PicturedPipeline,
  type PipelineModel,
  svgPicture,
} from "../pipelines";
import { runTemplateOf } from "../pipelines/tekton";
import type { RunnablePipeline } from "../policies/admission";
import { admissionGuide } from "../policies/admission/guide";
import { type ConfigKey, configKeys, STACK_KINDS, toPulumiConfigBlock } from "./config";

const root = join(__dirname, "..");

/** Files that are derived from the program, with the content that they must have. */
export const generatedFiles = (): Record<string, string> => ({
  "Pulumi.yaml": projectFile(readFileSync(join(root, "Pulumi.yaml"), "utf8")),
  "docs/reference/config.md": referencePage(),
  "docs/reference/pipeline.md": pipelinePage(defaultPipeline(go())),
  "docs/reference/pipeline.svg": svgPicture(defaultPipeline(go())),
  "docs/guides/admission.md": admissionGuide(runnable(defaultPipeline(go()))),
});

const runnable = (model: PipelineModel): RunnablePipeline => ({
  name: model.name,
  params: model.params,
  runTemplate: runTemplateOf(model, { team: "team", namespace: "team" }, { runtimeClasses: null, timeout: "1h0m0s" }),
});

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

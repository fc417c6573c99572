import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { parse } from "yaml";

/** The line that the workflow of pull requests previews with. */
export const previewScript = (): string => {
  const file = resolve(__dirname, "../../../.github/workflows/preview.yml");
  const { jobs } = parse(readFileSync(file, "utf8")) as {
    jobs: { preview: { steps: { name?: string; run?: string }[] } };
  };
  return jobs.preview.steps.find(({ name }) => name === "preview")?.run ?? "";
};

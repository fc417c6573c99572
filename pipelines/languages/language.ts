import type { Language, RunParam } from "../model";
import { authorities } from "../stages/certificates";
import { directory, timestamp } from "../stages/params";

/** What a language says of each of its two stages. */
interface StageParts {
  /** One sentence. */
  description: string;
  /** See `Stage.script`. */
  script: string;
  /** Fixed environment of the script. */
  env: Readonly<Record<string, string>>;
}

/** What one language has and another has not. */
export interface LanguageParts {
  /** Lower-case words joined by `-`; names the pipeline too. */
  name: string;
  /** Name of the image of both stages. */
  image: string;
  /** What a directory of it holds, in one word. */
  unit: string;
  /** What a run is given to build that unit by; stage *build* is told it. */
  param: RunParam;
  ingest: StageParts & {
    /** Variable that names the files with the authorities to trust. */
    authorities: string;
    /** Space for temporary files. */
    scratch: string;
  };
  build: StageParts & {
    /** What the parameter is, in a few words. */
    param: string;
    /** What its result `environment` holds, as one sentence. */
    environment: string;
  };
  /** What the image runs: absolute paths within `output`. */
  entrypoint: readonly string[];
}

/** A language with the two stages that every language has: one downloads, one builds in the jail. */
export const language = ({ name, image, unit, param, ingest, build, entrypoint }: LanguageParts): Language => ({
  name,
  params: [param],
  stages: ({ images, caBundleConfigMap }) => {
    const trusted = authorities(caBundleConfigMap);
    const stageImage = images[image] ?? "";
    return [
      {
        name: "ingest-dependencies",
        description: ingest.description,
        image: stageImage,
        script: ingest.script,
        params: [directory(`of the ${unit}`)],
        results: [],
        reads: ["source"],
        writes: "dependencies",
        network: "dependencies",
        env: { ...ingest.env, [ingest.authorities]: trusted.files.join() },
        mounts: trusted.mounts,
        resources: { cpu: "1", memory: "1Gi", scratch: ingest.scratch },
      },
      {
        name: "build",
        description: build.description,
        image: stageImage,
        script: build.script,
        params: [
          directory(`of the ${unit}`),
          { name: param.name, description: build.param, pattern: param.pattern, from: { run: param.name } },
          timestamp("the build takes for now"),
        ],
        results: [
          { name: "environment", description: build.environment },
          { name: "platform", description: "Platform that the program runs on." },
        ],
        reads: ["source", "dependencies"],
        writes: "output",
        network: "none",
        env: build.env,
        mounts: [],
        resources: { cpu: "2", memory: "3Gi", scratch: "8Gi" },
      },
    ];
  },
  outputStage: "build",
  entrypoint,
  results: [
    {
      name: "build-environment",
      description: build.environment,
      from: { stage: "build", result: "environment" },
    },
  ],
});

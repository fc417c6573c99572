import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { FactoryError } from "../../../components/lib/errors";
import { defaultPipeline, mermaidPicture, type PicturedPipeline, svgPicture } from "../../../pipelines";
import { languages } from "../languages";
import { exitCode, type ExitCode } from "../outcome";
import { readTeam, readTeams } from "../outputs";
import { openWorkspace, type WorkspaceOptions } from "../workspace";

/** How a picture is written, by the name of its format. */
export const formats = { svg: svgPicture, mermaid: mermaidPicture } as const;

/** Options of {@link graph}. */
export interface GraphOptions extends WorkspaceOptions {
  json: boolean;
  team?: string;
  pipeline?: string;
  format: keyof typeof formats;
  output?: string;
}

const pipelines = async (options: GraphOptions): Promise<PicturedPipeline[]> => {
  const workspace = openWorkspace(options);
  const [team] = options.team === undefined ? await readTeams(workspace) : [await readTeam(workspace, options.team)];
  if (team === undefined) {
    console.error("no team is up here: drawn as a team gets it by default");
    return languages.map((language) => defaultPipeline(language));
  }
  return Object.values(team.pipelines).map(({ name, stages }) => ({
    name: `${name} of ${team.team}`,
    description: `How ${team.team} builds programs in ${name}.`,
    stages,
  }));
};

/** Draws a pipeline: on standard output, or into a file. */
export const graph = async (options: GraphOptions): Promise<ExitCode> => {
  const all = await pipelines(options);
  const names = all.map(({ name }) => name.split(" ")[0] ?? "");
  const chosen = all[options.pipeline === undefined ? 0 : names.indexOf(options.pipeline)];
  if (chosen === undefined)
    throw new FactoryError({
      code: "SSF-CLI-008",
      path: "--pipeline",
      given: `"${options.pipeline ?? ""}"`,
      rule: "The pipeline must be one of the team's.",
      fix: `Give one of ${names.join(", ")}.`,
    });
  const picture = formats[options.format](chosen);
  if (options.output !== undefined)
    writeFileSync(resolve(process.env.SSF_CALLER_DIRECTORY ?? ".", options.output), picture);
  if (options.json)
    console.log(
      JSON.stringify({ pipeline: chosen.name, format: options.format, stages: chosen.stages, picture }, undefined, 2),
    );
  else if (options.output === undefined) process.stdout.write(picture);
  return exitCode.held;
};

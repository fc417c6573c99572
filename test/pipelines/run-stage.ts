import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestParamName, variableName, type Stage } from "../../pipelines/model";
import { stageScript } from "../../pipelines/shell";

/** What a stage's script did when it ran on this machine. */
export interface StageRun {
  status: number | null;
  output: string;
  results: Record<string, string>;
}

/** Directories that stages share, as a run's volumes would be. */
export class Machine {
  readonly root = realpathSync(mkdtempSync(join(tmpdir(), "ssf-stage-")));

  /** The directory of a workspace. */
  workspace(name: string): string {
    const directory = join(this.root, "workspaces", name);
    mkdirSync(directory, { recursive: true });
    return directory;
  }

  /** Runs the script that a stage's Task holds, with these parameters. */
  run(stage: Stage, params: Record<string, string>, env: Record<string, string> = {}): StageRun {
    const scratch = mkdtempSync(join(this.root, "scratch-"));
    const resultsDirectory = mkdtempSync(join(this.root, "results-"));
    const results = [...stage.results.map((result) => result.name), ...(stage.writes === undefined ? [] : ["digest"])];
    const workspaces = [...stage.reads, ...(stage.writes === undefined ? [] : [stage.writes])];
    // As in a pod, what the script left running, such as Go's telemetry, ends with it.
    const alone = ["--pid", "--fork", "--kill-child"];
    const { status, stdout, stderr } = spawnSync("unshare", [...alone, "sh", "-c", stageScript(stage)], {
      encoding: "utf8",
      cwd: scratch,
      env: {
        PATH: process.env["PATH"],
        HOME: join(scratch, "home"),
        TMPDIR: scratch,
        ...Object.fromEntries(workspaces.map((name) => [variableName("WORKSPACE", name), this.workspace(name)])),
        ...Object.fromEntries(Object.entries(params).map(([name, value]) => [variableName("PARAM", name), value])),
        ...Object.fromEntries(results.map((name) => [variableName("RESULT", name), join(resultsDirectory, name)])),
        ...stage.env,
        ...env,
      },
    });
    const written = results.filter((name) => existsSync(join(resultsDirectory, name)));
    return {
      status,
      output: `${stdout}${stderr}`,
      results: Object.fromEntries(written.map((name) => [name, readFileSync(join(resultsDirectory, name), "utf8")])),
    };
  }

  /** The parameters that tell a reader the digests of its workspaces. */
  static digests(digests: Record<string, string | undefined>): Record<string, string> {
    return Object.fromEntries(
      Object.entries(digests).map(([workspace, digest]) => [digestParamName(workspace), digest ?? ""]),
    );
  }

  /** Removes every directory. */
  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { promisify } from "node:util";

const root = resolve(__dirname, "../../..");

/** Directory with the Pulumi CLI and its Node language host: the built toolchain's, or `SSF_TEST_BIN`. */
export const engineBin = (): string | undefined => {
  const lock = join(root, "toolchain.lock.json");
  const candidates = [
    process.env.SSF_TEST_BIN,
    existsSync(lock) ? (JSON.parse(readFileSync(lock, "utf8")) as { bin: string }).bin : undefined,
  ];
  return candidates.find((bin) => bin !== undefined && existsSync(join(bin, "pulumi")));
};

/** `describe` where the Pulumi CLI is on the machine, `describe.skip` elsewhere. */
export const describeWithEngine = engineBin() === undefined ? describe.skip : describe;

/** A project of its own on a file backend of its own. */
export interface Project {
  directory: string;
  env: NodeJS.ProcessEnv;
  /** Runs the Pulumi CLI in the project and returns its standard output. */
  pulumi: (...args: string[]) => Promise<string>;
  remove: () => Promise<void>;
}

/** A project with that program (JavaScript, CommonJS) and stack `test`. */
export const createProject = async (program: string, ...path: string[]): Promise<Project> => {
  const directory = await mkdtemp(join(tmpdir(), "ssf-engine-"));
  await mkdir(join(directory, "state"));
  await symlink(join(root, "node_modules"), join(directory, "node_modules"));
  await writeFile(
    join(directory, "Pulumi.yaml"),
    "name: engine-test\nruntime: { name: nodejs, options: { typescript: false } }\nmain: program.js\n",
  );
  await writeFile(join(directory, "package.json"), '{ "dependencies": { "@pulumi/pulumi": "*" } }');
  await writeFile(join(directory, "program.js"), program);
  const env = {
    ...process.env,
    PATH: [...path, engineBin() ?? "", process.env.PATH ?? ""].join(delimiter),
    PULUMI_HOME: join(directory, "home"),
    PULUMI_BACKEND_URL: `file://${join(directory, "state")}`,
    PULUMI_CONFIG_PASSPHRASE: "test",
    PULUMI_SKIP_UPDATE_CHECK: "true",
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
  };
  const pulumi = async (...args: string[]) =>
    (await promisify(execFile)("pulumi", ["--non-interactive", ...args], { cwd: directory, env })).stdout;
  await pulumi("stack", "init", "test");
  return { directory, env, pulumi, remove: () => rm(directory, { recursive: true, force: true }) };
};

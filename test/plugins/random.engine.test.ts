import { readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { createProject, describeWithEngine, type Project } from "../cli/support/engine";

const program = (length: number) => `
const random = require("@pulumi/random");
const password = new random.RandomPassword("password", { length: ${length}, special: false });
const bytes = new random.RandomBytes("bytes", { length: 32 });
exports.result = password.result;
exports.hash = password.bcryptHash;
exports.base64 = bytes.base64;
`;

interface Outputs {
  result: string;
  hash: string;
  base64: string;
}

describeWithEngine("the random provider under the real engine", () => {
  let project: Project;
  const outputs = async () =>
    JSON.parse(await project.pulumi("stack", "output", "--json", "--show-secrets")) as Outputs;

  beforeAll(async () => {
    project = await createProject(program(24), resolve(__dirname, "../../tools/plugins/random"));
  }, 60_000);
  afterAll(() => project.remove());

  it("creates, keeps, encrypts, replaces and deletes", async () => {
    await project.pulumi("up", "--yes", "--skip-preview");
    const first = await outputs();
    expect(first.result).toMatch(/^[a-zA-Z0-9]{24}$/);
    expect(Buffer.from(first.base64, "base64")).toHaveLength(32);

    await project.pulumi("up", "--yes", "--expect-no-changes");
    await project.pulumi("refresh", "--yes", "--expect-no-changes");
    expect(await outputs()).toEqual(first);

    const state = await readFile(join(project.directory, "state/.pulumi/stacks/engine-test/test.json"), "utf8");
    for (const value of Object.values(first)) expect(state).not.toContain(value);

    await writeFile(join(project.directory, "program.js"), program(25));
    await project.pulumi("up", "--yes", "--skip-preview");
    const second = await outputs();
    expect(second.result).toHaveLength(25);
    expect(second.base64).toBe(first.base64);

    await writeFile(join(project.directory, "program.js"), program(0));
    await expect(project.pulumi("preview")).rejects.toMatchObject({
      stdout: expect.stringContaining("must be a whole number of at least 1, got 0") as string,
    });
    await project.pulumi("destroy", "--yes", "--skip-preview");
  }, 180_000);
});

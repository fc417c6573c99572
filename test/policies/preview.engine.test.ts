import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { createProject, describeWithEngine, type Project } from "../cli/support/engine";

const program = (length: number) => `
const random = require("@pulumi/random");
new random.RandomPassword("password", { length: ${length}, special: false });
`;

const pack = `
const policy = require("@pulumi/policy");
new policy.PolicyPack("lengths", {
  policies: [{
    name: "long-passwords",
    description: "A password has 20 characters or more.",
    enforcementLevel: "mandatory",
    validateResource: (args, report) => {
      if (args.type === "random:index/randomPassword:RandomPassword" && args.props.length < 20)
        report("it has " + args.props.length + " characters");
    },
  }],
});
`;

describeWithEngine("a policy pack under the real engine", () => {
  let project: Project;
  const preview = async (length: number): Promise<string> => {
    await writeFile(join(project.directory, "program.js"), program(length));
    return project.pulumi("preview", "--policy-pack", join(project.directory, "pack"));
  };

  beforeAll(async () => {
    project = await createProject(program(20), resolve(__dirname, "../../tools/plugins/random"));
    const directory = join(project.directory, "pack");
    await mkdir(directory);
    await symlink(join(project.directory, "node_modules"), join(directory, "node_modules"));
    await writeFile(join(directory, "PulumiPolicy.yaml"), "runtime: nodejs\nmain: index.js\n");
    await writeFile(
      join(directory, "package.json"),
      '{ "version": "1.0.0", "dependencies": { "@pulumi/policy": "*" } }',
    );
    await writeFile(join(directory, "index.js"), pack);
  }, 60_000);
  afterAll(() => project.remove());

  it("refuses a preview that breaks a mandatory rule, and lets its good twin through", async () => {
    await expect(preview(19)).rejects.toMatchObject({
      stdout: expect.stringContaining("it has 19 characters") as string,
    });
    expect(await preview(20)).toContain("2 to create");
  }, 180_000);
});

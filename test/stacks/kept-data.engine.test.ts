import { resolve } from "node:path";
import { createProject, describeWithEngine, type Project } from "../cli/support/engine";

const root = resolve(__dirname, "../..");

const program = (isKept: boolean) => `
require("@swc-node/register");
const pulumi = require("@pulumi/pulumi");
const random = require("@pulumi/random");
const { protectData } = require(${JSON.stringify(resolve(root, "stacks/kept-data.ts"))});
if (${isKept}) protectData();
class Part extends pulumi.ComponentResource {
  constructor(name) {
    super("test:index:Part", name);
    new random.RandomBytes(name + "-seed", { length: 8 }, { parent: this });
    new random.RandomPassword(name + "-password", { length: 8 }, { parent: this });
  }
}
new Part("part");
`;

describeWithEngine("what holds data, under the real engine", () => {
  let project: Project;
  afterEach(() => project.remove());
  const brought = async (isKept: boolean): Promise<Project> => {
    project = await createProject(program(isKept), resolve(root, "tools/plugins/random"));
    await project.pulumi("up", "--yes", "--skip-preview");
    return project;
  };

  it("is not removed from a factory that is to last; from another it is", async () => {
    const kept = await brought(true);
    await expect(kept.pulumi("destroy", "--yes", "--skip-preview")).rejects.toMatchObject({
      stdout: expect.stringMatching(/part-(seed|password).*protect/s) as string,
    });
    await kept.remove();
    await (await brought(false)).pulumi("destroy", "--yes", "--skip-preview");
  }, 300_000);
});

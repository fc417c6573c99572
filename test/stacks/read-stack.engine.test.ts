import { resolve } from "node:path";
import { NetworkPolicies } from "../../components/lib/network-policies";
import { SCHEMA, type StackOutputs } from "../../stacks/outputs";
import { createProject, describeWithEngine, type Project } from "../cli/support/engine";

const root = resolve(__dirname, "../..");

const cluster: StackOutputs["cluster"] = {
  schema: SCHEMA,
  kubeconfig: "kubeconfig",
  clusterIdentifier: "one",
  runtimeClasses: null,
  networkPolicies: NetworkPolicies.Cilium,
  clusterCidrs: ["10.0.0.0/8"],
  ruleDigests: [],
  apiServer: "https://localhost:6443",
};

/** Stack cluster has the outputs of one, the others read them; a refusal is printed as the program prints it. */
const program = `
require("@swc-node/register");
const pulumi = require("@pulumi/pulumi");
const { readStack } = require(${JSON.stringify(resolve(root, "stacks/read-stack.ts"))});
module.exports = async () => {
  if (pulumi.getStack() === "cluster") return ${JSON.stringify(cluster)};
  const { clusterIdentifier } = await readStack("cluster", "cluster").catch(({ message }) => {
    throw Object.assign(new pulumi.RunError(message), { stack: message });
  });
  new pulumi.ComponentResource("test:index:Part", "part");
  return { clusterIdentifier };
};
`;

describeWithEngine("a stack that builds on another, under the real engine", () => {
  let project: Project;
  beforeAll(async () => {
    project = await createProject(program);
    await project.pulumi("stack", "init", "dev");
  }, 120_000);
  afterAll(() => project.remove());

  const up = (stack: string) => project.pulumi("up", "--yes", "--skip-preview", "--stack", stack);
  const refused = async (given: string): Promise<void> => {
    await expect(up("dev")).rejects.toMatchObject({
      stdout: expect.stringMatching(
        new RegExp(`SSF-STACK-001 stack cluster: ${given}[^]*fix: +Run pulumi up --stack cluster, or make up`),
      ) as string,
    });
    expect(await project.pulumi("stack", "export", "--stack", "dev")).not.toContain("test:index:Part");
  };

  it("is refused, and nothing is made, until that one is up", async () => {
    await refused("there is no such stack");
    await project.pulumi("stack", "init", "cluster");
    await refused("it has no outputs");
    await up("cluster");
    await up("dev");
    expect(await project.pulumi("stack", "output", "clusterIdentifier", "--stack", "dev")).toBe("one\n");
    expect(await project.pulumi("stack", "export", "--stack", "dev")).toContain("test:index:Part");
  }, 300_000);
});

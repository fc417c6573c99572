import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import * as pulumi from "@pulumi/pulumi";

import { NetworkPolicies } from "../../components/lib/network-policies";
import { ed25519KeyPair } from "../../pipelines";
import { type FactoryConfig, parseConfig, type TeamConfig } from "../../stacks/config";
import { factoryStack, stageImages } from "../../stacks/factory";
import { parseOutputs, SCHEMA } from "../../stacks/outputs";
import { teamStack } from "../../stacks/team";
import { image, readToolchain, source } from "../../stacks/toolchain";
import { inputAt, render, testImage, valueOf } from "../support/render";

jest.setTimeout(60_000);

const clusterOutputs = {
  schema: SCHEMA,
  kubeconfig: "kubeconfig",
  clusterIdentifier: "ssf",
  runtimeClasses: { jailed: "jailed", networked: "networked" },
  networkPolicies: NetworkPolicies.Cilium,
  apiServer: "https://127.0.0.1:6443",
};

const keys = ed25519KeyPair(Buffer.alloc(32, 1).toString("base64"));

const factoryOutputs = {
  schema: SCHEMA,
  kubeconfig: "kubeconfig",
  clusterIdentifier: "ssf",
  runtimeClasses: clusterOutputs.runtimeClasses,
  networkPolicies: NetworkPolicies.Cilium,
  registry: { host: "registry.example:5000", namespace: "ssf-registry", service: "registry", caPem: "CA" },
  registryCredentials: {
    publisher: { username: "publisher", password: "p" },
    reader: { username: "reader", password: "r" },
    chains: { username: "chains", password: "c" },
  },
  provenance: { builderId: "https://b.example", publicKeyPem: "PUBLIC" },
  definitions: { ...keys, formerPublicKeysPem: [] },
  forge: {
    url: "https://forge.example",
    namespace: "ssf-forge",
    service: "forge",
    username: "developer",
    password: "f",
    caPem: "CA",
  },
  stageImages: {
    "stage-git": testImage("stage-git"),
    "stage-go": testImage("stage-go"),
    "stage-publish": testImage("stage-publish"),
  },
};

const referenceTo = (outputs: Record<string, unknown>) => (type: string) =>
  type === "pulumi:pulumi:StackReference" ? { outputs, secretOutputNames: [] } : {};

describe("outputs of a stack", () => {
  test("of the right form are taken", () => {
    expect(parseOutputs("cluster", "cluster", clusterOutputs)).toEqual(clusterOutputs);
    expect(parseOutputs("factory", "dev", factoryOutputs)).toEqual(factoryOutputs);
  });

  test("of a stack that is not up name the stack and the command", () => {
    expect(() => parseOutputs("cluster", "cluster", { schema: undefined })).toThrow(
      /SSF-STACK-001 stack cluster[^]*Run pulumi up --stack cluster/,
    );
  });

  test.each([
    ["one is missing", { ...clusterOutputs, kubeconfig: undefined }, /SSF-STACK-002 stack cluster, output kubeconfig/],
    [
      "they name no known policies",
      { ...clusterOutputs, networkPolicies: "none" },
      /SSF-STACK-002 stack cluster, output networkPolicies/,
    ],
    ["they have another version", { ...clusterOutputs, schema: 2 }, /SSF-STACK-002 stack cluster, output schema/],
  ])("are refused when %s", (_, outputs, message) => {
    expect(() => parseOutputs("cluster", "cluster", outputs)).toThrow(message);
  });
});

describe("the toolchain's lock file", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "toolchain-"));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const lock = {
    platform: "linux/amd64",
    images: { shell: { reference: testImage("shell"), version: "1" } },
    sources: { tekton: "/sources/tekton" },
    bin: "/bin",
    plugins: "/plugins",
    imageArchive: "/images.tar",
    node: { reference: "node", archive: "/node.tar" },
  };
  const read = (content: unknown) => {
    const file = join(directory, "lock.json");
    writeFileSync(file, JSON.stringify(content));
    return readToolchain(file);
  };

  test("gives images and sources by name", () => {
    const toolchain = read(lock);
    expect(image(toolchain, "shell")).toBe(testImage("shell"));
    expect(source(toolchain, "tekton")).toBe("/sources/tekton");
    expect(() => image(toolchain, "gone")).toThrow(/SSF-TOOLCHAIN-003 .*images\.gone/);
  });

  test("that is not there names the fix", () => {
    expect(() => readToolchain(join(directory, "gone"))).toThrow(/SSF-TOOLCHAIN-001[^]*Run make toolchain/);
  });

  test("with an image by tag is refused", () => {
    expect(() => read({ ...lock, images: { shell: { reference: "ssf.local/shell:v1", version: "1" } } })).toThrow(
      /SSF-TOOLCHAIN-002 .*images\.shell\.reference/,
    );
  });
});

describe("stack of kind factory", () => {
  const config = parseConfig({ kind: "factory" }) as FactoryConfig;

  test("makes one provider, and every service by it", async () => {
    let outputs: pulumi.Inputs = {};
    const rendering = await render(
      async () => {
        outputs = await factoryStack(config);
      },
      { extra: referenceTo(clusterOutputs) },
    );
    const top = rendering.resources.filter(({ parent }) => parent === "").map(({ type }) => type);
    expect(top.filter((type) => !type.startsWith("pulumi:pulumi:Stack")).sort()).toEqual([
      "pulumi:providers:kubernetes",
      "random:index/randomBytes:RandomBytes",
      "random:index/randomBytes:RandomBytes",
      "secure-software-factory:index:Admission",
      "secure-software-factory:index:CertManager",
      "secure-software-factory:index:Chains",
      "secure-software-factory:index:Forge",
      "secure-software-factory:index:NodeTrust",
      "secure-software-factory:index:Registry",
      "secure-software-factory:index:Storage",
      "secure-software-factory:index:Tekton",
    ]);
    expect(rendering.get("cluster")).toMatchObject({
      secrets: ["kubeconfig"],
      inputs: { clusterIdentifier: "ssf" },
    });
    const all = pulumi.output(outputs);
    expect(parseOutputs("factory", "dev", await valueOf(pulumi.unsecret(all)))).toMatchObject({
      registry: { host: "registry.ssf-registry.svc.cluster.local:5000", caPem: "CA" },
      forge: { username: "developer" },
      networkPolicies: "cilium",
    });
    expect(rendering.childrenOf("registry")).toContain("cilium.io/v2:CiliumNetworkPolicy registry-nodes");
    for (const secret of ["kubeconfig", "registryCredentials"]) {
      await expect(pulumi.isSecret(pulumi.output(outputs[secret]))).resolves.toBe(true);
    }
  });

  test("has no jail rule where network policies are the jail", async () => {
    const rendering = await render(() => factoryStack(config), {
      extra: referenceTo({ ...clusterOutputs, runtimeClasses: null }),
    });
    const policies = rendering.childrenOf("admission").filter((child) => child.endsWith("-policy"));
    expect(policies.filter((child) => /jail|runtime-classes/.test(child))).toEqual([]);
    expect(policies.length).toBeGreaterThan(10);
    expect(inputAt(rendering.get("admission-pod-form-policy"), "spec.validations.1.expression")).toBe(
      "!has(object.spec.runtimeClassName) || object.spec.runtimeClassName in []",
    );
  });

  test("before the cluster is up it makes nothing", async () => {
    const rendering = await render(() => expect(factoryStack(config)).rejects.toThrow(/SSF-STACK-001 stack cluster/), {
      extra: referenceTo({}),
    });
    expect(rendering.resources.filter(({ type }) => !type.startsWith("pulumi:pulumi:"))).toEqual([]);
  });
});

describe("stack of kind team", () => {
  const config = parseConfig({ kind: "team", team: "a" }) as TeamConfig;

  test("makes the tenant with its signed definitions, the same each time", async () => {
    const run = () => render(() => teamStack(config), { extra: referenceTo(factoryOutputs) });
    const rendering = await run();
    const definitions = rendering.childrenOf("team").filter((child) => child.startsWith("tekton.dev/"));
    expect(definitions).toEqual([
      "tekton.dev/v1:Pipeline team-pipeline-go",
      "tekton.dev/v1:Task team-task-go-build",
      "tekton.dev/v1:Task team-task-go-ingest-dependencies",
      "tekton.dev/v1:Task team-task-go-ingest-source",
      "tekton.dev/v1:Task team-task-go-publish",
      expect.stringMatching(/^tekton\.dev\/v1alpha1:VerificationPolicy /),
    ]);
    expect((await run()).resources).toEqual(rendering.resources);
  });

  test("gives its namespace and pipelines", async () => {
    let outputs: pulumi.Inputs = {};
    await render(
      async () => {
        outputs = await teamStack(config);
      },
      { extra: referenceTo(factoryOutputs) },
    );
    const plain = await valueOf(pulumi.unsecret(pulumi.output(outputs)));
    expect(parseOutputs("team", "team-a", plain)).toMatchObject({
      namespace: "team-a",
      registryRepository: "registry.example:5000/team-a",
      pipelines: {
        go: { stages: [{ name: "ingest-source", jailed: false }, {}, { name: "build", jailed: true }, {}] },
      },
    });
  });

  test("says by name what its stages reach, in the network's policies and in the signed definition", async () => {
    let outputs: pulumi.Inputs = {};
    const rendering = await render(
      async () => {
        outputs = await teamStack({ ...config, forges: "git.test", goProxy: "https://mirror.test:8081" });
      },
      { extra: referenceTo(factoryOutputs) },
    );
    const egress = (stage: string) => inputAt(rendering.get(`team-egress-${stage}`), "spec.egress");
    expect(egress("ingest-source")).toMatchObject([{}, {}, { toFQDNs: [{ matchName: "git.test" }] }]);
    expect(egress("ingest-dependencies")).toMatchObject([
      {},
      { toFQDNs: [{ matchName: "sum.golang.org" }], toPorts: [{ ports: [{ port: "443" }] }] },
      { toFQDNs: [{ matchName: "mirror.test" }], toPorts: [{ ports: [{ port: "8081" }] }] },
    ]);
    expect(inputAt(rendering.get("team-task-go-ingest-source"), "spec.steps.0.env")).toContainEqual({
      name: "FORGES",
      value: "forge.example:443 git.test:443",
    });
    const plain = await valueOf(pulumi.unsecret(pulumi.output(outputs)));
    expect(parseOutputs("team", "team-a", plain)).toMatchObject({
      networkPolicies: "cilium",
      egress: { forges: [{ name: "git.test", port: 443 }] },
    });
  });

  test("a company bundle that cannot be read is refused", async () => {
    await render(
      () =>
        expect(teamStack({ ...config, caBundleFile: "/gone.pem" })).rejects.toThrow(
          /SSF-CONFIG-005 config caBundleFile/,
        ),
      { extra: referenceTo(factoryOutputs) },
    );
  });
});

test("stage images are those of the lock file whose names say so", () => {
  expect(Object.keys(stageImages(readToolchain()))).toEqual(["stage-git", "stage-go", "stage-publish"]);
});

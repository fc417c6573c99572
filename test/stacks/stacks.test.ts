import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { isDeepStrictEqual } from "node:util";

import * as pulumi from "@pulumi/pulumi";

import { falcoFiles } from "../../components/falco";
import { COMPONENTS } from "../../components/workloads";
import { NetworkPolicies } from "../../components/lib/network-policies";
import { type Task, type TektonObject, verifyDefinition } from "../../pipelines";
import { type FactoryConfig, parseConfig, type TeamConfig } from "../../stacks/config";
import { FACTORY_NAMESPACES } from "../../policies/admission";
import { factoryStack } from "../../stacks/factory";
import { parseOutputs, SCHEMA } from "../../stacks/outputs";
import { teamStack } from "../../stacks/team";
import { factoryImages } from "../../stacks/factory-images";
import { image, readToolchain, source, stageImages } from "../../stacks/toolchain";
import { images } from "../../tools/toolchain/images";
import { writeFiles } from "../../trust";
import { ceremony } from "../trust/support/world";
import { kmsPrograms, serviceKey } from "../support/kms";
import { clusterOutputs, factoryOutputs, referenceTo } from "../support/outputs";
import { describeWith } from "../support/programs";
import { inputAt, render, type Rendering, testCertificates, testImage, valueOf } from "../support/render";

jest.setTimeout(60_000);

const seedOf = (name: string): string => createHash("sha256").update(name).digest("base64");

describe("outputs of a stack", () => {
  test("of the right form are taken", () => {
    expect(parseOutputs("cluster", "cluster", clusterOutputs)).toEqual(clusterOutputs);
    expect(parseOutputs("factory", "dev", factoryOutputs)).toEqual(factoryOutputs);
  });

  test("of a factory of another version are refused, with the stack and the command that mends it", () => {
    const older = { ...factoryOutputs, schema: SCHEMA - 1 };
    expect(() => parseOutputs("factory", "dev", older)).toThrow(
      /SSF-STACK-002 stack dev, output schema: [^]*Run pulumi up --stack dev/,
    );
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
    [
      "they have another version",
      { ...clusterOutputs, schema: SCHEMA + 1 },
      /SSF-STACK-002 stack cluster, output schema/,
    ],
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
  const trustDirectory = mkdtempSync(join(tmpdir(), "trust-"));
  const config = parseConfig({ kind: "factory", trustDirectory }) as FactoryConfig;
  writeFiles(trustDirectory, ceremony().files);
  afterAll(() => rmSync(trustDirectory, { recursive: true }));

  let outputs: pulumi.Inputs = {};
  let rendering: Rendering;
  beforeAll(async () => {
    const program = async () => {
      outputs = await factoryStack(config);
    };
    rendering = await render(program, { extra: referenceTo(clusterOutputs) });
  }, 60_000);

  test("makes one provider, and every service by it", async () => {
    const top = rendering.resources.filter(({ parent }) => parent === "").map(({ type }) => type);
    expect(top.filter((type) => !type.startsWith("pulumi:pulumi:Stack")).sort()).toEqual([
      "pulumi:providers:kubernetes",
      "random:index/randomBytes:RandomBytes",
      "secure-software-factory:index:Admission",
      "secure-software-factory:index:CertManager",
      "secure-software-factory:index:Chains",
      "secure-software-factory:index:Forge",
      "secure-software-factory:index:Fulcio",
      "secure-software-factory:index:Gate",
      "secure-software-factory:index:Gatekeeper",
      "secure-software-factory:index:NodeTrust",
      "secure-software-factory:index:Registry",
      "secure-software-factory:index:Rekor",
      "secure-software-factory:index:SigningHealer",
      "secure-software-factory:index:Spire",
      "secure-software-factory:index:Storage",
      "secure-software-factory:index:Tekton",
      "secure-software-factory:index:Triggers",
      "secure-software-factory:index:TufRepository",
      "secure-software-factory:index:Verifier",
    ]);
    expect(rendering.get("cluster")).toMatchObject({
      secrets: ["kubeconfig"],
      inputs: { clusterIdentifier: "ssf" },
    });
    const all = pulumi.output(outputs);
    expect(parseOutputs("factory", "dev", await valueOf(pulumi.unsecret(all)))).toMatchObject({
      registry: {
        host: "registry.ssf-registry.svc.cluster.local:5000",
        caPem: testCertificates("INTERMEDIATE", "ROOT"),
      },
      provenance: {
        signer: {
          identity: "spiffe://factory.internal/ns/tekton-chains/sa/tekton-chains-controller",
          issuer: "https://spire-server.ssf-spire.svc.cluster.local:8443",
        },
        log: { host: "rekor.ssf-rekor.svc.cluster.local", port: 8443 },
      },
      forge: { username: "developer" },
      networkPolicies: "cilium",
      trust: {
        policy: expect.arrayContaining(
          [
            "ValidatingAdmissionPolicy/ssf-pod-form",
            "ValidatingAdmissionPolicyBinding/ssf-pod-form",
            "ConstraintTemplate/imageprovenance",
            "ImageProvenance/ssf-image-provenance",
            "Provider/image-provenance",
          ].map((path) => ({ path, sha256: expect.any(String) as string })),
        ) as object[],
      },
    });
    expect(rendering.childrenOf("registry")).toContain("cilium.io/v2:CiliumNetworkPolicy registry-nodes");
    for (const secret of ["kubeconfig", "registryReadersKey"]) {
      await expect(pulumi.isSecret(pulumi.output(outputs[secret]))).resolves.toBe(true);
    }
  });

  test("admits every image that it runs in every namespace that it makes, and makes Gatekeeper last", () => {
    const ofKinds = (pattern: RegExp) => rendering.resources.filter(({ type }) => pattern.test(type));
    const made = ofKinds(/:Namespace$/).map((resource) => inputAt(resource, "metadata.name"));
    const { components } = factoryImages(readToolchain());
    const workloads = ofKinds(/:(Deployment|DaemonSet|StatefulSet|Job)$/);
    expect(workloads.length).toBeGreaterThan(15);
    for (const workload of workloads) {
      expect(FACTORY_NAMESPACES).toContain(inputAt(workload, "metadata.namespace"));
      const { containers, initContainers = [] } = inputAt(workload, "spec.template.spec") as {
        containers: { image: string }[];
        initContainers?: { image: string }[];
      };
      for (const container of [...containers, ...initContainers]) expect(components).toContain(container.image);
    }
    expect(made.filter((name) => !FACTORY_NAMESPACES.some((known) => known === name))).toEqual(["ssf-gate"]);

    const before = new Set(rendering.get("gatekeeper").dependsOn);
    const late = workloads.filter(({ name, parent }) => !before.has(name) && parent !== "gatekeeper");
    expect(late.map(({ name }) => name)).toEqual([]);
  });

  test("registers the account of every pod that reaches anybody, once, and takes the images of those that use it", () => {
    const pods = rendering.resources
      .filter(({ type }) => /:(Deployment|DaemonSet|StatefulSet|Job)$/.test(type))
      .map((workload) => ({
        namespace: String(inputAt(workload, "metadata.namespace")),
        ...(inputAt(workload, "spec.template.spec") as {
          serviceAccountName?: string;
          containers: { image: string; command?: string[] }[];
          initContainers?: { image: string; command?: string[] }[];
          volumes?: { csi?: { driver: string } }[];
        }),
      }));
    const place = ({ namespace, serviceAccount = "default" }: { namespace: string; serviceAccount?: string }) =>
      `${namespace}/${serviceAccount}`;
    const placeOf = (pod: (typeof pods)[number]) => place({ ...pod, serviceAccount: pod.serviceAccountName });
    const chart = COMPONENTS.filter(({ namespace }) => namespace === "ssf-cert-manager").map(place);
    const withoutIdentity = ["ssf-node-trust/default", "ssf-spire-agent/spire-agent", "ssf-spire/spire-server"];
    expect([...new Set([...pods.map(placeOf), ...chart])].sort()).toEqual(
      [...COMPONENTS.map(place), ...withoutIdentity].sort(),
    );

    const { identityUsers } = factoryImages(readToolchain());
    const listening = pods.filter(({ volumes = [] }) => volumes.some(({ csi }) => csi?.driver === "csi.spiffe.io"));
    expect(listening.map(placeOf).sort()).toEqual(identityUsers.map(place).sort());
    for (const pod of listening) {
      const containers = [...pod.containers, ...(pod.initContainers ?? [])];
      const own = identityUsers.find((user) => place(user) === placeOf(pod))?.images ?? [];
      expect([...new Set(containers.map(({ image: runs }) => runs))].sort()).toEqual([...own].sort());
      expect(containers.map(({ command }) => command)).toEqual(containers.map(() => undefined));
    }
  });

  test("gives no object an empty list of labels or annotations, which every update would add again", () => {
    const empty = rendering.resources.filter((resource) =>
      ["labels", "annotations"].some((field) => {
        const map = inputAt(resource, `metadata.${field}`);
        return map !== undefined && Object.keys(map as object).length === 0;
      }),
    );
    expect(empty.map(({ name }) => name)).toEqual([]);
  });

  test("has no jail rule where network policies are the jail", async () => {
    const unjailed = await render(() => factoryStack(config), {
      extra: referenceTo({ ...clusterOutputs, runtimeClasses: null }),
    });
    const policies = unjailed.childrenOf("admission").filter((child) => child.endsWith("-policy"));
    expect(policies.filter((child) => /jail|runtime-classes/.test(child))).toEqual([]);
    expect(policies.length).toBeGreaterThan(10);
    expect(inputAt(unjailed.get("admission-pod-form-policy"), "spec.validations.1.expression")).toBe(
      "!has(object.spec.runtimeClassName) || object.spec.runtimeClassName in []",
    );
  });

  test.each([
    ["without an image of Falco there is none", undefined],
    ["with one, Falco knows the stages that have a network", `images.example/falco@sha256:${"1".repeat(64)}`],
  ])("%s", async (_, falcoImage) => {
    const rendering = await render(() => factoryStack({ ...config, falcoImage }), {
      extra: referenceTo(clusterOutputs),
    });
    const made = rendering.resources.filter(({ type }) => type === "secure-software-factory:index:Falco");
    expect(made).toHaveLength(falcoImage === undefined ? 0 : 1);
    if (falcoImage === undefined) return;
    expect(inputAt(rendering.get("falco-daemon-set"), "spec.template.spec.containers.0.image")).toBe(falcoImage);
    expect(inputAt(rendering.get("falco-config"), "data")).toEqual(
      falcoFiles(["ingest-source", "ingest-dependencies", "publish"], "/run/containerd/containerd.sock"),
    );
  });

  test.each([
    ["logKeyEpoch" as const, ["rekor-key"], ["rekor-key-2"]],
    [
      "authorityKeyEpoch" as const,
      ["fulcio-authority", "fulcio-issuer", "fulcio-proof"],
      ["fulcio-2-proof", "fulcio-authority-2", "fulcio-issuer-2"],
    ],
  ])("another %s makes another key, and no other", async (setting, gone, made) => {
    const keys = (type: string, name: string) => ({
      ...referenceTo(clusterOutputs)(type),
      ...(type === "random:index/randomBytes:RandomBytes" ? { base64: seedOf(name) } : {}),
    });
    const [first, second] = [
      await render(() => factoryStack(config), { extra: keys }),
      await render(() => factoryStack({ ...config, [setting]: 2 }), { extra: keys }),
    ];
    const names = ({ resources }: Rendering) => resources.map(({ name }) => name);
    expect(names(first).filter((name) => !names(second).includes(name))).toEqual(gone);
    expect(names(second).filter((name) => !names(first).includes(name))).toEqual(made);
    const changed = second.resources
      .filter(({ type, name }) => type.startsWith("kubernetes:") && !made.includes(name))
      .map(({ name }) => name)
      .filter((name) => !isDeepStrictEqual(first.get(name).inputs, second.get(name).inputs));
    expect(changed.sort()).toEqual(
      setting === "logKeyEpoch"
        ? ["chains-authority", "chains-deployment-tekton-chains-controller", "rekor-deployment", "rekor-signing-key"]
        : ["fulcio-deployment"],
    );
  });

  test("without a trust repository it makes nothing", async () => {
    const plain = { ...config, trustDirectory: undefined };
    process.env.SSF_STATE = join(trustDirectory, "none");
    try {
      await render(() => expect(factoryStack(plain)).rejects.toThrow(/SSF-TRUST-006/), {
        extra: referenceTo(clusterOutputs),
      });
    } finally {
      delete process.env.SSF_STATE;
    }
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
    const languages = ["go", "npm", "pip"];
    expect(definitions).toEqual([
      ...languages.map((language) => `tekton.dev/v1:Pipeline team-pipeline-${language}`),
      ...languages.flatMap((language) =>
        ["build", "ingest-dependencies", "ingest-source", "publish", "scan"].map(
          (stage) => `tekton.dev/v1:Task team-task-${language}-${stage}`,
        ),
      ),
      expect.stringMatching(/^tekton\.dev\/v1alpha1:VerificationPolicy /),
    ]);
    expect((await run()).resources).toEqual(rendering.resources);
  });

  test("signs with a key of its own, which only its own outputs have, as a secret", async () => {
    const outputsOf = async (team: string, seed: string) => {
      let outputs: pulumi.Inputs = {};
      const rendering = await render(
        async () => {
          outputs = await teamStack({ ...config, team, languages: "go" });
        },
        {
          extra: (type) =>
            type === "random:index/randomBytes:RandomBytes"
              ? { base64: Buffer.alloc(32, seed).toString("base64") }
              : referenceTo(factoryOutputs)(type),
        },
      );
      await expect(pulumi.isSecret(pulumi.output(outputs.definitions))).resolves.toBe(true);
      await expect(pulumi.isSecret(pulumi.output(outputs.definitionsPublicKeyPem))).resolves.toBe(false);
      const plain = parseOutputs("team", `team-${team}`, await valueOf(pulumi.unsecret(pulumi.output(outputs))));
      return { ...plain, task: rendering.get("team-task-go-build") };
    };
    const [a, b] = [await outputsOf("a", "A"), await outputsOf("b", "B")];
    for (const [own, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const task = own.task.inputs as unknown as TektonObject;
      expect(own.task.secrets).toEqual([]);
      expect(verifyDefinition(task, own.definitionsPublicKeyPem)).toBe(true);
      expect(verifyDefinition(task, other.definitionsPublicKeyPem)).toBe(false);
      expect(own.definitions).toMatchObject({ publicKeyPem: own.definitionsPublicKeyPem });
    }
    expect(JSON.stringify(a.task)).not.toContain("PRIVATE KEY");
  });

  describeWith("cosign")("with a key of a service", () => {
    const environment = process.env;
    const directory = mkdtempSync(join(tmpdir(), "ssf-keys-"));
    beforeEach(() => {
      process.env = { ...environment, PATH: [kmsPrograms, environment.PATH].join(delimiter) };
    });
    afterEach(() => {
      process.env = environment;
    });
    afterAll(() => rmSync(directory, { recursive: true }));

    test("leaves the signing to that service, one signature a definition", async () => {
      const { reference, publicKeyPem } = serviceKey(directory, "prime256v1");
      const rendering = await render(
        () => teamStack({ ...config, languages: "go", definitionsKeyReference: reference }),
        {
          extra: (type, name) =>
            type === "kms:index:Signature" ? { signature: `signature of ${name}` } : referenceTo(factoryOutputs)(type),
        },
      );
      const signatures = rendering.resources.filter(({ type }) => type === "kms:index:Signature");
      const stages = ["build", "ingest-dependencies", "ingest-source", "publish", "scan"];
      expect(signatures.map(({ name }) => name)).toEqual([
        "signature-pipeline-go",
        ...stages.map((stage) => `signature-task-go-${stage}`),
      ]);
      expect(signatures.map(({ inputs }) => inputs)).toEqual(
        signatures.map(() => ({
          checksum: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
          keyReference: reference,
          publicKeyPem,
        })),
      );
      expect(inputAt(rendering.get("team-task-go-build"), "metadata.annotations")).toEqual({
        "tekton.dev/signature": "signature of signature-task-go-build",
      });
    });
  });

  test("makes pipelines for its own languages only, with its own registries, and each account once", async () => {
    const settings = { languages: "pip,npm", npmRegistry: "https://npm.test/", pipIndex: "https://pypi.test/simple" };
    const own = parseConfig({ kind: "team", team: "a", ...settings }) as TeamConfig;
    const rendering = await render(() => teamStack(own), { extra: referenceTo(factoryOutputs) });
    const children = rendering.childrenOf("team");
    expect(children.filter((child) => child.startsWith("tekton.dev/v1:Pipeline "))).toEqual([
      "tekton.dev/v1:Pipeline team-pipeline-npm",
      "tekton.dev/v1:Pipeline team-pipeline-pip",
    ]);
    expect(children.filter((child) => child.includes("ServiceAccount ")).map((child) => child.split(" ")[1])).toEqual(
      ["build", "ingest-dependencies", "ingest-source", "publish", "scan"].map((stage) => `team-account-${stage}`),
    );
    const task = (language: string) => JSON.stringify(rendering.get(`team-task-${language}-ingest-dependencies`));
    expect(task("npm")).toContain('{"name":"NPM_REGISTRY","value":"https://npm.test/"}');
    expect(task("pip")).toContain('{"name":"PIP_INDEX_URL","value":"https://pypi.test/simple"}');
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
        go: { stages: [{ name: "ingest-source", jailed: false }, {}, { name: "build", jailed: true }, {}, {}] },
        npm: { params: expect.arrayContaining([expect.objectContaining({ name: "main", default: "." })]) as unknown },
        pip: { params: expect.arrayContaining([expect.objectContaining({ name: "module" })]) as unknown },
      },
    });
  });

  test("says by name what its stages reach, in the network's policies and in the signed definition", async () => {
    let outputs: pulumi.Inputs = {};
    const rendering = await render(
      async () => {
        outputs = await teamStack({
          ...config,
          forges: "git.test",
          goProxy: "https://mirror.test:8081",
          languages: "go",
        });
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

  test("keeps its stages and its schedule from the ranges that the cluster's stack gives", async () => {
    const settings = { forges: "git.test", triggerRepository: "https://git.test/pay.git", triggerParams: "name=pay" };
    const rendering = await render(() => teamStack({ ...config, ...settings, languages: "go", schedule: "@daily" }), {
      extra: referenceTo({ ...factoryOutputs, networkPolicies: NetworkPolicies.Kubernetes }),
    });
    const outside = rendering.resources
      .filter(({ type }) => type === "kubernetes:networking.k8s.io/v1:NetworkPolicy")
      .flatMap((policy) => (inputAt(policy, "spec.egress") ?? []) as { to?: { ipBlock?: object }[] }[])
      .flatMap(({ to = [] }) => to.flatMap(({ ipBlock }) => ipBlock ?? []));
    const except = [...factoryOutputs.clusterCidrs, "169.254.0.0/16"];
    expect(outside).toEqual(Array(3).fill({ cidr: "0.0.0.0/0", except }));
  });

  test("has no trigger unless one is configured, and then its address and its secret", async () => {
    const outputsOf = async (settings: TeamConfig) => {
      let outputs: pulumi.Inputs = {};
      const rendering = await render(
        async () => {
          outputs = await teamStack(settings);
        },
        { extra: referenceTo(factoryOutputs) },
      );
      const made = rendering.resources.map(({ type }) => type);
      const isMade = made.includes("secure-software-factory:index:TeamTrigger");
      return { isMade, isSecret: await pulumi.isSecret(pulumi.output(outputs.trigger)), outputs };
    };
    expect(await outputsOf(config)).toMatchObject({ isMade: false, outputs: { trigger: undefined } });
    const triggerRepository = "https://git.test/pay.git";
    const triggered = await outputsOf({ ...config, triggerRepository, triggerParams: "name=pay" });
    expect(triggered).toMatchObject({ isMade: true, isSecret: true });
    const plain = await valueOf(pulumi.unsecret(pulumi.output(triggered.outputs)));
    expect(parseOutputs("team", "team-a", plain).trigger).toEqual({
      url: "https://webhook-a.ssf-triggers.svc.cluster.local:8443/",
      repository: triggerRepository,
      branch: "main",
      secret: "password-of-trigger-forge-key",
    });
  });

  test.each(["caBundleFile", "allowedSignersFile"])("a file %s that cannot be read is refused", async (key) => {
    await render(
      () =>
        expect(teamStack({ ...config, [key]: "/gone.pem" })).rejects.toThrow(
          new RegExp(`SSF-CONFIG-005 config ${key}`),
        ),
      { extra: referenceTo(factoryOutputs) },
    );
  });

  test("what the team asks of its supply chain is in the signed definitions", async () => {
    const directory = mkdtempSync(join(tmpdir(), "signers-"));
    const file = join(directory, "allowed_signers");
    writeFileSync(file, "# ours\nalice@example.com ssh-ed25519 AAAA\n");
    try {
      const strict = parseConfig({
        kind: "team",
        team: "a",
        allowedSignersFile: file,
        artefact: "file",
        deniedLicenses: "AGPL-*,SSPL-1.0",
        deniedPackages: "pkg:npm/one,pkg:npm/two@2",
        reproduce: "true",
      }) as TeamConfig;
      const rendering = await render(() => teamStack(strict), { extra: referenceTo(factoryOutputs) });
      const environment = rendering.resources
        .filter(({ type }) => type === "kubernetes:tekton.dev/v1:Task")
        .flatMap(({ inputs }) => (inputs as { spec: Task["spec"] }).spec.steps[0]?.env ?? []);
      expect(environment).toEqual(
        expect.arrayContaining([
          { name: "ALLOWED_SIGNERS", value: "alice@example.com ssh-ed25519 AAAA" },
          { name: "DENIED_LICENSES", value: '["AGPL-*","SSPL-1.0"]' },
          { name: "DENIED_PACKAGES", value: '["pkg:npm/one","pkg:npm/two@2"]' },
          { name: "WORKSPACE_REPRODUCED", value: "/workspace/reproduced" },
        ]),
      );
      expect(JSON.stringify(rendering.resources)).toContain("application/vnd.secure-software-factory.files.v1");
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

test("stage images are those of the lock file whose names say so", () => {
  const expected = Object.keys(images).filter((name) => name.startsWith("stage-"));
  expect(Object.keys(stageImages(readToolchain())).sort()).toEqual(expected.sort());
});

import { cpSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describeWith } from "../../support/programs";
import { createJudgedProject, previewWithPack } from "./engines";
import type { Project } from "../../cli/support/engine";

jest.setTimeout(300_000);

const root = resolve(__dirname, "../../..");

/** A program in whose preview each kind of verdict is said once, beside what nobody has anything against. */
const program = `
const k8s = require("@pulumi/kubernetes");
const pulumi = require("@pulumi/pulumi");
const random = require("@pulumi/random");
const provider = new k8s.Provider("cluster", { renderYamlToDirectory: require("node:path").join(__dirname, "rendered") });
const parent = new pulumi.ComponentResource("test:index:Component", "parent");
const opts = { parent, provider };
const password = new random.RandomPassword("password", { length: 20 });
const space = (name, labels) => new k8s.core.v1.Namespace(name, { metadata: { name, labels } }, opts);
space("gated", { "secure-software-factory.dev/gate": "" });
space("open", {});
const pod = (name, image, more) =>
  new k8s.core.v1.Pod(name, {
    metadata: { name, namespace: "gated" },
    spec: {
      automountServiceAccountToken: false,
      containers: [{
        name: "main", image, resources: { limits: { memory: "64Mi" } },
        securityContext: { readOnlyRootFilesystem: true },
      }],
    },
  }, opts);
pod("good", "app@sha256:${"0".repeat(64)}");
pod("by-tag", "app:1");
pod("late", pulumi.interpolate\`app@sha256:\${password.id}\`);
new k8s.core.v1.Secret("secret", { metadata: { name: "secret", namespace: "open" }, stringData: { password: password.result } }, opts);
const known = pulumi.secret("correct horse battery staple");
new k8s.core.v1.ConfigMap("marked", { metadata: { name: "marked", namespace: "open" }, data: { value: known } }, opts);
new k8s.core.v1.ConfigMap("leak", { metadata: { name: "leak", namespace: "open" }, data: { value: pulumi.unsecret(known) } }, opts);
new k8s.core.v1.ConfigMap("orphan", { metadata: { name: "orphan", namespace: "open" } }, { provider });
new k8s.core.v1.ConfigMap("anywhere", { metadata: { name: "anywhere", namespace: "open" } }, { parent });
`;

const code = (message: string): string => /SSF-[A-Z]+-\d{3}/.exec(message)?.[0] ?? message;

describeWith("pulumi", "gator")("the pack in a preview", () => {
  let project: Project;
  beforeAll(async () => {
    project = await createJudgedProject(program);
  }, 60_000);
  afterAll(() => project.remove());

  const config = (levels: object): string[] => {
    const file = join(project.directory, "levels.json");
    writeFileSync(file, JSON.stringify(levels));
    return ["--policy-pack-config", file];
  };

  test("names each resource that breaks a rule, passes its good twins, and says what it could not check", async () => {
    const { succeeds, said, output } = await previewWithPack(project);
    expect(succeeds).toBe(false);
    expect(said.map(({ resource, policy, level, message }) => [resource, policy, level, code(message)]).sort()).toEqual(
      [
        ["anywhere", "providers", "mandatory", "SSF-PREVIEW-020"],
        ["by-tag", "gate", "mandatory", "SSF-GATE-001"],
        ["by-tag", "not-checked", "advisory", "SSF-PREVIEW-009"],
        ["good", "not-checked", "advisory", "SSF-PREVIEW-009"],
        ["late", "not-checked", "advisory", "SSF-PREVIEW-009"],
        ["late", "not-checked", "advisory", "SSF-PREVIEW-009"],
        ["late", "not-checked", "advisory", "SSF-PREVIEW-009"],
        ["leak", "secrets", "mandatory", "SSF-PREVIEW-012"],
        ["orphan", "parents", "mandatory", "SSF-PREVIEW-030"],
      ].sort(),
    );
    expect(output).toMatch(/rule: A workload names its images by digest\.\s+fix: {2}Write <repository>@sha256:/);
    expect(
      said
        .filter(({ resource }) => resource === "late")
        .map(({ message }) => message)
        .join(),
    ).toContain("spec.containers[0].image: not known at preview");
    expect(output).not.toContain("correct horse");
  });

  test("keeps to the levels of its configuration", async () => {
    const levels = { all: "advisory", resources: "remediate", gate: { enforcementLevel: "disabled" } };
    const advised = await previewWithPack(project, config(levels));
    expect(advised.succeeds).toBe(true);
    expect(new Set(advised.said.map(({ level }) => level))).toEqual(new Set(["advisory"]));
    expect(advised.said.map(({ policy }) => policy)).not.toContain("gate");

    const blind = await previewWithPack(project, config({ all: "mandatory" }));
    expect(blind.succeeds).toBe(false);
    expect(new Set(blind.said.map(({ message }) => code(message)))).toEqual(new Set(["SSF-PREVIEW-005"]));
  });

  describe("in another checkout", () => {
    const checkout = (): string => join(project.directory, "checkout");
    const preview = () => previewWithPack(project, [], checkout());
    const change = (file: string, from: string | RegExp, to: string): void => {
      const path = join(checkout(), file);
      writeFileSync(path, readFileSync(path, "utf8").replace(from, to));
    };

    beforeEach(() => {
      rmSync(checkout(), { recursive: true, force: true });
      for (const part of [
        "components",
        "pipelines",
        "policies",
        "stacks",
        "trust",
        "package.json",
        "toolchain.lock.json",
      ])
        cpSync(join(root, part), join(checkout(), part), { recursive: true });
      symlinkSync(join(root, "node_modules"), join(checkout(), "node_modules"));
    });

    test("a policy that is no TypeScript is named with file and line", async () => {
      change("policies/preview/rules/parents.ts", /^/, "const x = {;\n");
      const { succeeds, output } = await preview();
      expect(succeeds).toBe(false);
      expect(output).not.toContain("backtrace");
      expect(output).toMatch(
        /SSF-PREVIEW-002[^]*policies\/preview\/rules\/parents\.ts:1:1\][^]*1 \| const x = \{;\n.*: {12}\^/,
      );
    });

    test("a rule of the gate that is no CEL is named with file and line, though nothing meets it", async () => {
      change("policies/admission/network-jail.ts", "object.spec.?runtimeClassName.orValue('')", "object.spec.(");
      const { succeeds, output } = await preview();
      expect(succeeds).toBe(false);
      expect(output).toMatch(
        /SSF-PREVIEW-003 policies\/admission\/network-jail\.ts:\d+: .*Syntax error.*object\.spec\.\(/,
      );
    });

    test("without gator it says how to get it", async () => {
      change("toolchain.lock.json", /"bin": "[^"]*"/, '"bin": "/nowhere"');
      const { succeeds, output } = await preview();
      expect(succeeds).toBe(false);
      expect(output).toMatch(/SSF-PREVIEW-001 \/nowhere\/gator: not there[^]*Run make toolchain\./);
    });

    test("without a toolchain as well", async () => {
      rmSync(join(checkout(), "toolchain.lock.json"));
      expect((await preview()).output).toMatch(/SSF-TOOLCHAIN-001[^]*Run make toolchain\./);
    });
  });
});

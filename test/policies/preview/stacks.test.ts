import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gatorPath } from "../../../policies/preview/gator";
import type { PreviewedResource } from "../../../policies/preview/resource";
import { rules } from "../../../policies/preview/rules";
import type { Settings } from "../../../policies/preview/settings";
import { clusterStack } from "../../../stacks/cluster";
import { type ClusterConfig, type FactoryConfig, parseConfig, type TeamConfig } from "../../../stacks/config";
import { factoryStack } from "../../../stacks/factory";
import { teamStack } from "../../../stacks/team";
import { factoryImages } from "../../../stacks/factory-images";
import { readToolchain, stageImages } from "../../../stacks/toolchain";
import { writeFiles } from "../../../trust";
import { clusterOutputs, factoryOutputs, referenceTo } from "../../support/outputs";
import { describeWith } from "../../support/programs";
import { render, type Rendering } from "../../support/render";
import { ceremony } from "../../trust/support/world";

jest.setTimeout(120_000);

const kubeconfig = JSON.stringify({
  clusters: [{ name: "ssf", cluster: { server: "https://127.0.0.1:6443", "certificate-authority-data": "Q0E=" } }],
});

const urnOf = (type: string, name: string): string => `urn:pulumi:test::secure-software-factory::${type}::${name}`;

/** What a stack registered, as the engine would show it to the pack. */
const previewed = ({ resources }: Rendering): PreviewedResource[] => {
  const urns = new Map(resources.map(({ type, name }) => [name, urnOf(type, name)]));
  return resources.map(({ type, name, inputs, secrets, parent, provider, protect }) => ({
    urn: urnOf(type, name),
    type,
    // Mocks mark no output secret, so what a component is handed cannot be told from what leaks.
    inputs: type.startsWith("secure-software-factory:") ? {} : inputs,
    secrets: secrets.map((path) => path.split(".")),
    unknown: [],
    parent: urns.get(parent) ?? urnOf("pulumi:pulumi:Stack", "test"),
    provider: provider === "" ? undefined : provider,
    protect,
  }));
};

describeWith("gator")("the repository's own stacks", () => {
  const trustDirectory = mkdtempSync(join(tmpdir(), "trust-"));
  const toolchain = readToolchain();
  const settings: Settings = {
    gator: gatorPath(toolchain),
    images: factoryImages(toolchain),
    runtimeClasses: { jailed: "jailed", networked: "networked" },
    protectData: false,
  };
  beforeAll(() => writeFiles(trustDirectory, ceremony().files));
  afterAll(() => rmSync(trustDirectory, { recursive: true }));

  const factory = (): Promise<Rendering> =>
    render(() => factoryStack(parseConfig({ kind: "factory", trustDirectory }) as FactoryConfig), {
      extra: referenceTo(clusterOutputs),
    });
  const outputs = { ...factoryOutputs, stageImages: stageImages(toolchain) };
  const team = (more: object): Promise<Rendering> =>
    render(() => teamStack(parseConfig({ kind: "team", team: "a", ...more }) as TeamConfig), {
      extra: referenceTo(outputs),
    });
  const judge = (rendering: Rendering, changes: Partial<Settings> = {}) => {
    const verdicts = rules.map((rule) => rule.judge(previewed(rendering), { ...settings, ...changes }));
    return {
      violations: verdicts.flatMap(({ violations }) =>
        violations.map(({ urn, problem }) => `${urn} ${problem.code} ${problem.path}: ${problem.given}`),
      ),
      unchecked: verdicts.flatMap(({ unchecked }) => unchecked),
    };
  };

  test.each<[string, () => Promise<Rendering>]>([
    [
      "cluster",
      () =>
        render(() => clusterStack(parseConfig({ kind: "cluster" }) as ClusterConfig), {
          extra: () => ({ kubeconfig }),
        }),
    ],
    ["factory", () => factory()],
    ["team", () => team({})],
    [
      "team, built by push and by schedule",
      () =>
        team({
          triggerRepository: "https://forge.example/service.git",
          triggerBranch: "main",
          triggerParams: "name=service",
          schedule: "@daily",
        }),
    ],
  ])("of kind %s break no rule", async (_, stack) => {
    const rendering = await stack();
    expect(rendering.resources.length).toBeGreaterThan(10);
    expect(judge(rendering).violations).toEqual([]);
  });

  test("are refused without protection once they are to last", async () => {
    const unprotected = judge(await factory(), { protectData: true }).violations;
    expect(unprotected.length).toBeGreaterThan(5);
    expect(unprotected.every((line) => line.includes("SSF-PREVIEW-060 protect"))).toBe(true);
  });
});

import { readFileSync } from "node:fs";
import { join } from "node:path";

import * as fc from "fast-check";

import { FactoryError } from "../../components/lib/errors";
import { configKeys, parseConfig, toPulumiConfigBlock } from "../../stacks/config";
import { generatedFiles } from "../../stacks/generate";

const problemsOf = (raw: Record<string, string>): string[] => {
  try {
    parseConfig(raw);
    return [];
  } catch (error) {
    if (!(error instanceof FactoryError)) throw error;
    return error.problems.map(({ code, path }) => `${code} ${path}`);
  }
};

const team = { kind: "team", team: "team-a" };
const existing = { kind: "cluster", kubeconfig: "k", clusterCidrs: "10.0.0.0/8" };
const trigger = { ...team, triggerRepository: "https://git.test/pay.git" };

describe("a stack's settings", () => {
  test("defaults fill what is left out", () => {
    expect(parseConfig({ kind: "cluster" })).toEqual({
      kind: "cluster",
      clusterName: "ssf",
      workers: 0,
      jail: "runtime",
      protectData: false,
    });
    expect(parseConfig({ kind: "factory" })).toMatchObject({
      clusterStack: "cluster",
      registryClusterIp: "10.96.0.50",
    });
    expect(parseConfig(team)).toMatchObject({ team: "team-a", factoryStack: "dev", quotaPods: 60 });
  });

  test("numbers come as numbers", () => {
    expect(parseConfig({ kind: "cluster", workers: "2" })).toMatchObject({ workers: 2 });
  });

  const cluster = { kind: "cluster" };
  const factory = { kind: "factory" };
  test.each<[string, Record<string, string>, string, Record<string, string>]>([
    ["no kind", {}, "SSF-CONFIG-001 config kind", cluster],
    ["an unknown kind", { kind: "klaster" }, "SSF-CONFIG-001 config kind", cluster],
    ["an unknown key", { ...cluster, wrokers: "1" }, "SSF-CONFIG-002 config wrokers", { ...cluster, workers: "1" }],
    [
      "a key of another kind",
      { ...factory, workers: "1" },
      "SSF-CONFIG-003 config workers",
      { ...factory, workers: "0" },
    ],
    [
      "a word for a number",
      { ...cluster, workers: "two" },
      "SSF-CONFIG-004 config workers",
      { ...cluster, workers: "2" },
    ],
    ["a fraction", { ...cluster, workers: "1.5" }, "SSF-CONFIG-004 config workers", { ...cluster, workers: "1" }],
    ["a negative number", { ...cluster, workers: "-1" }, "SSF-CONFIG-004 config workers", { ...cluster, workers: "0" }],
    [
      "a wrong choice",
      { ...cluster, jail: "none" },
      "SSF-CONFIG-004 config jail",
      { ...cluster, jail: "network-policy" },
    ],
    ["workers for a cluster that exists", { ...existing, workers: "1" }, "SSF-CONFIG-004 config workers", existing],
    [
      "a cluster that exists without its ranges",
      { ...cluster, kubeconfig: "k" },
      "SSF-CONFIG-004 config clusterCidrs",
      existing,
    ],
    [
      "ranges of a cluster that is made",
      { ...cluster, clusterCidrs: "10.0.0.0/8" },
      "SSF-CONFIG-004 config clusterCidrs",
      cluster,
    ],
    [
      "an address in place of a range",
      { ...existing, clusterCidrs: "10.0.0.0/8,10.1.2.3" },
      "SSF-CONFIG-004 config clusterCidrs",
      { ...existing, clusterCidrs: "10.0.0.0/8,192.0.2.0/24" },
    ],
    [
      "a range that leaves nothing outside",
      { ...existing, clusterCidrs: "0.0.0.0/0" },
      "SSF-CONFIG-004 config clusterCidrs",
      { ...existing, clusterCidrs: "10.0.0.0/8" },
    ],
    ["no team", { kind: "team" }, "SSF-CONFIG-004 config team", team],
    ["a team with a capital", { ...team, team: "Team" }, "SSF-CONFIG-004 config team", { ...team, team: "t" }],
    [
      "a team that is too long",
      { ...team, team: "a".repeat(41) },
      "SSF-CONFIG-004 config team",
      { ...team, team: "a".repeat(40) },
    ],
    [
      "an address outside the range",
      { ...factory, registryClusterIp: "10.97.0.50" },
      "SSF-CONFIG-004 config registryClusterIp",
      { ...factory, registryClusterIp: "10.97.0.50", serviceCidr: "10.97.0.0/16" },
    ],
    [
      "a builder that is no https address",
      { ...factory, builderId: "http://x.example" },
      "SSF-CONFIG-004 config builderId",
      { ...factory, builderId: "https://x.example" },
    ],
    [
      "an unknown engine",
      { ...factory, certManagerEngine: "helm" },
      "SSF-CONFIG-004 config certManagerEngine",
      { ...factory, certManagerEngine: "component" },
    ],
    [
      "a trust domain with a path",
      { ...factory, trustDomain: "factory.test/team" },
      "SSF-CONFIG-004 config trustDomain",
      { ...factory, trustDomain: "factory.test" },
    ],
    [
      "an image of Falco by tag",
      { ...factory, falcoImage: "images.test/falco:0.42.1" },
      "SSF-CONFIG-004 config falcoImage",
      { ...factory, falcoImage: `images.test/falco@sha256:${"0".repeat(64)}` },
    ],
    ["a wrong quantity", { ...team, quotaCpu: "lots" }, "SSF-CONFIG-004 config quotaCpu", { ...team, quotaCpu: "8" }],
    [
      "a plain proxy",
      { ...team, goProxy: "http://p" },
      "SSF-CONFIG-004 config goProxy",
      { ...team, goProxy: "https://p,direct" },
    ],
    [
      "a forge that is an address",
      { ...team, forges: "git.test,192.0.2.1" },
      "SSF-CONFIG-004 config forges",
      { ...team, forges: "git.test,code.test:8443" },
    ],
    [
      "a registry that is a wildcard",
      { ...team, registries: "*.test" },
      "SSF-CONFIG-004 config registries",
      { ...team, registries: "proxy.test" },
    ],
    [
      "a language that nobody builds",
      { ...team, languages: "go,cobol" },
      "SSF-CONFIG-004 config languages",
      { ...team, languages: "pip,go" },
    ],
    [
      "a language twice",
      { ...team, languages: "go,go" },
      "SSF-CONFIG-004 config languages",
      { ...team, languages: "go" },
    ],
    [
      "a registry with a password",
      { ...team, npmRegistry: "https://user:word@npm.test/" },
      "SSF-CONFIG-004 config npmRegistry",
      { ...team, npmRegistry: "https://npm.test:8443/all/" },
    ],
    [
      "a plain index",
      { ...team, pipIndex: "http://pypi.test/simple" },
      "SSF-CONFIG-004 config pipIndex",
      { ...team, pipIndex: "https://pypi.test/simple" },
    ],
    [
      "a repository that is no https address",
      { ...team, triggerRepository: "git@git.test:pay.git" },
      "SSF-CONFIG-004 config triggerRepository",
      trigger,
    ],
    [
      "a repository with a login",
      { ...team, triggerRepository: "https://me:secret@git.test/pay.git" },
      "SSF-CONFIG-004 config triggerRepository",
      trigger,
    ],
    [
      "a branch that leads elsewhere",
      { ...trigger, triggerBranch: "main/../other" },
      "SSF-CONFIG-004 config triggerBranch",
      { ...trigger, triggerBranch: "release/1.x" },
    ],
    [
      "parameters without values",
      { ...trigger, triggerParams: "name" },
      "SSF-CONFIG-004 config triggerParams",
      { ...trigger, triggerParams: "name=pay,directory=services/pay" },
    ],
    [
      "a schedule of four fields",
      { ...trigger, schedule: "30 3 * *" },
      "SSF-CONFIG-004 config schedule",
      { ...trigger, schedule: "30 3 * * 1-5" },
    ],
    [
      "a schedule of nothing",
      { ...team, schedule: "@daily" },
      "SSF-CONFIG-004 config schedule",
      { ...trigger, schedule: "@daily" },
    ],
    [
      "a denied package that is no package URL",
      { ...team, deniedPackages: "event-stream" },
      "SSF-CONFIG-004 config deniedPackages",
      { ...team, deniedPackages: "pkg:npm/event-stream@3.3.6,pkg:npm/%40scope/*" },
    ],
    [
      "denied licences with spaces",
      { ...team, deniedLicenses: "MIT, GPL" },
      "SSF-CONFIG-004 config deniedLicenses",
      { ...team, deniedLicenses: "AGPL-*,SSPL-1.0" },
    ],
    ["a maybe", { ...team, reproduce: "maybe" }, "SSF-CONFIG-004 config reproduce", { ...team, reproduce: "true" }],
    [
      "an unknown artefact",
      { ...team, artefact: "chart" },
      "SSF-CONFIG-004 config artefact",
      { ...team, artefact: "file" },
    ],
  ])("%s is refused; its good twin is not", (_, bad, problem, good) => {
    expect(problemsOf(bad)).toEqual([problem]);
    expect(problemsOf(good)).toEqual([]);
  });

  test("all problems come at once, each with path, value, rule and fix", () => {
    expect(problemsOf({ kind: "team", team: "A!", quotaPods: "0", teem: "x" })).toEqual([
      "SSF-CONFIG-002 config teem",
      "SSF-CONFIG-004 config team",
      "SSF-CONFIG-004 config quotaPods",
    ]);
    expect(() => parseConfig({ ...team, teem: "x" })).toThrow(
      /SSF-CONFIG-002 config teem: "x"\n {2}rule: .*\n {2}fix: {2}Did you mean team\? Run pulumi config rm teem\./,
    );
  });

  test("the engine's defaults for keys of other kinds, and empty values, are no settings", () => {
    const defaults = Object.fromEntries(configKeys().map((key) => [key.name, String(key.default)]));
    expect(parseConfig({ ...defaults, kind: "cluster" })).toEqual(parseConfig({ kind: "cluster" }));
    expect(parseConfig({ ...defaults, ...team })).toEqual(parseConfig(team));
  });

  test("whatever is set, the answer is settings or a refusal that a person can read", () => {
    const keys = configKeys().map(({ name }) => name);
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...keys, "stray"), fc.string()), (raw) => {
        try {
          parseConfig(raw);
        } catch (error) {
          expect(error).toBeInstanceOf(FactoryError);
        }
      }),
    );
  });

  test("every example holds its own rule", () => {
    for (const key of configKeys()) {
      for (const kind of key.kinds) {
        const ofExisting = ["kubeconfig", "clusterCidrs"].includes(key.name);
        const required = kind === "team" ? trigger : ofExisting ? existing : {};
        expect(problemsOf({ ...required, kind, ...(key.name === "kind" ? {} : { [key.name]: key.example }) })).toEqual(
          [],
        );
      }
    }
  });
});

describe("what is generated from the schemas", () => {
  test.each(Object.entries(generatedFiles()))("%s is as npm run generate writes it", (file, content) => {
    expect(readFileSync(join(__dirname, "../..", file), "utf8")).toBe(content);
  });

  test("every key has a default, which the engine demands", () => {
    for (const key of Object.values(toPulumiConfigBlock())) expect(key.default).toBeDefined();
  });
});

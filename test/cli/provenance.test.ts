import { allHeld, bestOf, type Check, checkLog, checkProvenance, type Expectations } from "../../tools/cli/provenance";
import { parseAttestation } from "../../tools/cli/signature";
import {
  byproduct,
  expectations,
  minutesAgo,
  parsed,
  pipeline,
  services,
  signEnvelope,
  signer,
  signStatement,
  statement,
} from "./support/provenance";

type Statement = ReturnType<typeof statement>;

const checksOf = (change: (statement: Statement) => void, expect: Partial<Expectations> = {}): Check[] => {
  const changed = statement();
  change(changed);
  return checkProvenance(signStatement(JSON.stringify(changed)), { ...expectations(), ...expect });
};

const failed = (checks: Check[]) => checks.filter(({ held }) => !held).map(({ title }) => title);

const title = {
  signature: "signed by this factory",
  subject: "about this image",
  predicate: "SLSA v1 provenance of a run",
  builder: "made by this builder",
  time: "entered in the log after its run",
  source: "from this source and commit",
  pipeline: "by our generated pipeline",
  stages: "every stage by our generated definition, and no other",
  images: "every step in an image of the factory",
  run: "the run changed no stage",
  jail: "build stage jailed",
  sbom: "bill of materials attached and attested",
};
const reproduced = "built twice with the same result";

const runSpecOf = (s: Statement) => s.predicate.buildDefinition.externalParameters.runSpec;
const dependenciesOf = (s: Statement) => s.predicate.buildDefinition.resolvedDependencies;
const at = <T>(list: readonly T[], index: number): T => {
  const found = list[index];
  if (found === undefined) throw new Error(`nothing at ${index}`);
  return found;
};
const metadataOf = (s: Statement) => s.predicate.runDetails.metadata;
const paramOf = (s: Statement, index: number) => at(runSpecOf(s).params, index);
const dependencyOf = (s: Statement, index: number) => at(dependenciesOf(s), index);
const specOf = (s: Statement, name: string) => {
  const spec = runSpecOf(s).taskRunSpecs.find(({ pipelineTaskName }) => pipelineTaskName === name);
  if (!spec) throw new Error(name);
  return spec;
};

it("holds for what Chains signs, and says who signed and when", () => {
  const checks = checksOf(() => undefined);
  expect(failed(checks)).toEqual([]);
  expect(checks.map(({ title }) => title)).toEqual(Object.values(title));
  expect(new Set(checks.map(({ code }) => code)).size).toBe(checks.length);
  expect(allHeld(checks)).toBe(true);
  expect(at(checks, 0).detail).toMatch(`${signer.identity}, known to ${signer.issuer}, 20`);
});

describe("a statement that the factory signed, but that says something else", () => {
  it.each<[string, (s: Statement) => void, string[]]>([
    ["another image's digest", (s) => (at(s.subject, 0).digest.sha256 = "0".repeat(64)), [title.subject]],
    ["another repository", (s) => (at(s.subject, 0).name = "registry.example/other"), [title.subject]],
    ["no subject", (s) => (s.subject = []), [title.subject, title.sbom]],
    ["another predicate", (s) => (s.predicateType = "https://slsa.dev/provenance/v0.2"), [title.predicate]],
    ["another build type", (s) => (s.predicate.buildDefinition.buildType = "https://example.com/x"), [title.predicate]],
    ["another builder", (s) => (s.predicate.runDetails.builder.id += "x"), [title.builder]],
    ["a run that ended after the log took it", (s) => (metadataOf(s).finishedOn = minutesAgo(-2)), [title.time]],
    ["a run that ended before it began", (s) => (metadataOf(s).startedOn = minutesAgo(1)), [title.time]],
    ["a run that never ended", (s) => delete metadataOf(s).finishedOn, [title.time]],
    ["a run that never began", (s) => delete metadataOf(s).startedOn, [title.time]],
    ["a run that ended at no time", (s) => (metadataOf(s).finishedOn = "soon"), [title.time]],
    ["a commit that was not checked out", (s) => (paramOf(s, 1).value = "d".repeat(40)), [title.source]],
    ["a source that was not checked out", (s) => (paramOf(s, 0).value = "https://evil.example/x"), [title.source]],
    ["nothing that was checked out", (s) => void dependenciesOf(s).pop(), [title.source]],
    ["no commit at all", (s) => (runSpecOf(s).params = []), [title.source]],
    [
      "a second source",
      (s) =>
        dependenciesOf(s).push({ name: "inputs/result", uri: "git+https://evil.example/x.git", digest: { sha1: "0" } }),
      [title.source],
    ],
    ["a changed pipeline", (s) => (dependencyOf(s, 0).digest = { sha256: "0".repeat(64) }), [title.pipeline]],
    [
      "a pipeline of another namespace",
      (s) => (dependencyOf(s, 0).uri = dependencyOf(s, 0).uri.replace("team-a", "team-b")),
      [title.pipeline, title.stages, title.run, title.jail],
    ],
    ["no pipeline", (s) => void dependenciesOf(s).shift(), [title.pipeline, title.stages, title.run, title.jail]],
    ["a changed task", (s) => (dependencyOf(s, 1).digest = { sha256: "0".repeat(64) }), [title.stages]],
    ["a missing stage", (s) => void dependenciesOf(s).splice(5, 1), [title.stages]],
    [
      "an extra task",
      (s) =>
        dependenciesOf(s).push({
          name: "pipelineTask",
          uri: "/apis/tekton.dev/v1/namespaces/team-a/task/evil@0b0e5f1e-4f4c-4a6e-9c0d-2f6f3a1f7f10",
          digest: { sha256: "0".repeat(64) },
        }),
      [title.stages],
    ],
    [
      "a task whose name only starts like ours",
      (s) => (dependencyOf(s, 1).uri = dependencyOf(s, 1).uri.replace("@", "@evil/task/x@")),
      [title.stages],
    ],
    [
      "a foreign image",
      (s) => dependenciesOf(s).push({ uri: "oci://images.test/evil", digest: { sha256: "0".repeat(64) } }),
      [title.images],
    ],
    ["an inline pipeline", (s) => (runSpecOf(s).pipelineSpec = { tasks: [] }), [title.run]],
    ["another resolver", (s) => (runSpecOf(s).pipelineRef.resolver = "git"), [title.run]],
    ["a changed pod of all stages", (s) => (runSpecOf(s).taskRunTemplate.podTemplate.hostNetwork = true), [title.run]],
    ["a stage in another pod", (s) => (specOf(s, "publish").podTemplate = { hostNetwork: true }), [title.run]],
    ["a stage with other steps", (s) => (specOf(s, "build").stepSpecs = [{ name: "x" }]), [title.run]],
    ["a stage without its specification", (s) => void runSpecOf(s).taskRunSpecs.pop(), [title.run]],
    [
      "an unjailed build",
      (s) => (specOf(s, "build").podTemplate = { ...(specOf(s, "publish").podTemplate as object) }),
      [title.run, title.jail],
    ],
    ["a build as another account", (s) => (specOf(s, "build").serviceAccountName = "publish"), [title.run, title.jail]],
  ])("is refused for %s", (_name, change, expected) => {
    expect(failed(checksOf(change))).toEqual(expected);
    expect(failed(checksOf(() => undefined))).toEqual([]);
  });

  it("is refused when source or commit are not the ones asked for, and held when they are", () => {
    const repository = "https://forge.ssf-forge.svc.cluster.local:8443/service";
    const held = checksOf(() => undefined, { source: repository, commit: "c".repeat(40) });
    expect(failed(held)).toEqual([]);
    for (const wrong of [{ source: `${repository}2` }, { commit: "d".repeat(40) }])
      expect(failed(checksOf(() => undefined, wrong))).toEqual([title.source]);
  });

  it("holds when the run ended a moment later by its clock than the log took it by the log's", () => {
    expect(failed(checksOf((s) => (metadataOf(s).finishedOn = minutesAgo(-0.8))))).toEqual([]);
  });

  it("ignores what the API server adds without meaning", () => {
    const noise = (s: Statement) => {
      runSpecOf(s).taskRunSpecs.reverse();
      Object.assign(specOf(s, "build"), { computeResources: {}, metadata: {} });
      runSpecOf(s).pipelineSpec = null;
    };
    expect(failed(checksOf(noise))).toEqual([]);
  });
});

describe("the bill of materials", () => {
  const sbom = { digest: `sha256:${"e".repeat(64)}`, packages: 3 };

  it("is shown with its size when it is attached and a subject of the statement", () => {
    const found = checksOf(() => undefined, { sboms: [sbom, { ...sbom, digest: `sha256:${"0".repeat(64)}` }] });
    expect(found.find((one) => one.title === title.sbom)).toMatchObject({
      held: true,
      detail: `3 packages, ${sbom.digest}`,
    });
  });

  it.each<[string, Partial<Expectations>, (s: Statement) => void]>([
    ["is not attached", { sboms: [] }, () => undefined],
    ["is not a subject", {}, (s) => void s.subject.pop()],
    ["is a subject under another name", {}, (s) => (at(s.subject, 1).name = "registry.example/other")],
    ["is another one than the attested", { sboms: [{ ...sbom, digest: `sha256:${"0".repeat(64)}` }] }, () => undefined],
  ])("fails the check when it %s", (_, expect_, change) => {
    expect(failed(checksOf(change, expect_))).toEqual([title.sbom]);
    expect(failed(checksOf(() => undefined))).toEqual([]);
  });
});

describe("a pipeline that builds twice", () => {
  const again = { name: "reproduce", task: "go-reproduce", serviceAccount: "reproduce", jailed: true };
  const twice = { ...pipeline, stages: [...pipeline.stages, again] };
  const checks = (change: (s: Statement) => void) =>
    checksOf(change, { pipelines: [twice] }).filter((one) => one.title === reproduced);
  const byproductsOf = (s: Statement) => s.predicate.runDetails.byproducts;

  it("shows that both builds made the same, and says so of no other pipeline", () => {
    expect(checks(() => undefined)).toEqual([
      { code: "SSF-PROVENANCE-012", title: reproduced, held: true, detail: `sha256:${"d".repeat(64)}` },
    ]);
    expect(checksOf(() => undefined).map((one) => one.title)).not.toContain(reproduced);
  });

  it.each<[string, (s: Statement) => void]>([
    ["differ", (s) => (at(byproductsOf(s), 1).content = byproduct("x", `sha256:${"0".repeat(64)}`).content)],
    ["are not recorded", (s) => (s.predicate.runDetails.byproducts = [])],
    ["are one only", (s) => void byproductsOf(s).pop()],
    ["are said twice", (s) => void byproductsOf(s).push(at(byproductsOf(s), 1))],
    ["are no JSON", (s) => (at(byproductsOf(s), 1).content = "x")],
  ])("fails the check when the two %s", (_, change) => {
    expect(checks(change)).toMatchObject([{ held: false }]);
  });
});

describe("where network policies alone are the jail", () => {
  it("holds without a runtime class and says so", () => {
    const checks = checksOf(() => undefined, { jailedRuntimeClass: null });
    expect(checks.find((one) => one.title === title.jail)).toMatchObject({
      held: true,
      detail: expect.stringContaining("policies alone") as string,
    });
  });
});

describe("a signature", () => {
  const text = JSON.stringify(statement());

  it("that does not hold is refused and nothing further is read", () => {
    const good = signStatement(text);
    const { envelope } = good;
    const forged = [
      { ...envelope, payload: Buffer.from(text.replace("team-a", "team-b")).toString("base64") },
      { ...envelope, payloadType: "text/plain" },
      { ...envelope, signatures: [{ sig: "" }] },
    ];
    for (const one of forged) {
      const checks = checkProvenance({ ...good, envelope: one }, expectations());
      expect(checks).toHaveLength(1);
      expect(checks[0]).toMatchObject({ code: "SSF-PROVENANCE-001", held: false });
    }
    expect(allHeld(checkProvenance(good, expectations()))).toBe(true);
  });

  it("over something that is no statement is refused", () => {
    for (const payload of ["{}", "no JSON", JSON.stringify({ ...statement(), predicate: {} })]) {
      const checks = checkProvenance(signStatement(payload), expectations());
      expect(failed(checks)).toEqual([title.predicate]);
      expect(allHeld(checks)).toBe(false);
    }
    const other = signStatement(text, services, "text/plain");
    expect(failed(checkProvenance(other, expectations()))).toEqual([title.predicate]);
  });

  it("is one a statement: an envelope with none or two is none of ours", () => {
    const content = signEnvelope(text, services.leaf);
    const good = JSON.parse(content.toString()) as { signatures: object[] };
    const parse = (envelope: unknown) =>
      parseAttestation({ content: Buffer.from(JSON.stringify(envelope)), annotations: {} });
    expect(parsed({ content, annotations: {} })).toMatchObject({ envelope: good, bytes: content });
    expect(parse({ ...good, signatures: [] })).toBeUndefined();
    expect(parse({ ...good, signatures: [...good.signatures, ...good.signatures] })).toBeUndefined();
    expect(parseAttestation({ content: Buffer.from("garbage"), annotations: {} })).toBeUndefined();
  });
});

it("is not older than the factory takes, where it takes nothing older", () => {
  const checks = (notBefore?: Date) => checksOf(() => undefined, { notBefore });
  const day = 24 * 60 * 60 * 1000;
  const recent = checks(new Date(Date.now() - day));
  expect([allHeld(recent), recent.at(-1)?.code]).toEqual([true, "SSF-PROVENANCE-016"]);
  expect(failed(checks(new Date(Date.now() + day)))).toEqual(["signed recently enough"]);
  expect(checks().map(({ code }) => code)).not.toContain("SSF-PROVENANCE-016");
});

it("shows what the log answered", () => {
  const good = { found: "yes" };
  expect(checkLog({ inclusion: good, growth: { fault: "a fork", found: "" } })).toEqual([
    { code: "SSF-PROVENANCE-013", title: "in the log", held: true, detail: "yes" },
    { code: "SSF-PROVENANCE-014", title: "the log only grew", held: false, detail: "a fork" },
  ]);
});

it("finds the good statement beside others, and proves nothing from none", () => {
  const good = checksOf(() => undefined);
  const bad = checksOf((s) => (s.subject = []));
  const foreign = [{ ...at(good, 0), held: false }];
  expect(bestOf([foreign, bad, good])).toBe(good);
  expect(bestOf([foreign, bad])).toBe(bad);
  expect(bestOf([])).toEqual([]);
  expect(allHeld([])).toBe(false);
});

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { celSource } from "../../../policies/admission/gate/template";
import { gate } from "../../../policies/preview/gate";
import { codeOf, questions } from "../../../policies/preview/questions";
import { gatorPath } from "../../../policies/preview/gator";
import { isWithin, type Path, type PreviewedResource } from "../../../policies/preview/resource";
import type { Settings } from "../../../policies/preview/settings";
import { readToolchain } from "../../../stacks/toolchain";
import { describeWith } from "../../support/programs";
import {
  type AbsentFixture,
  absentFixtures,
  allowedToStacks,
  type Fixture,
  fixtures,
  lockedImages,
  namespaces,
  NOTHING_ABSENT,
  type TestObject,
  UNBREAKABLE,
} from "./fixtures";

const settings = (gator = gatorPath(readToolchain())): Settings => ({
  gator,
  images: lockedImages,
  runtimeClasses: { jailed: "jailed", networked: "networked" },
  protectData: false,
});

const resource = (name: string, inputs: object, ...unknown: Path[]): PreviewedResource => ({
  urn: `urn:pulumi:test::test::kubernetes:x::${name}`,
  type: "kubernetes:x",
  inputs: inputs as Record<string, unknown>,
  secrets: [],
  unknown,
  parent: undefined,
  provider: undefined,
  protect: false,
});

const made = namespaces.map((object) => resource(object.metadata.name, object));

/** The object with something at that path, so that an unknown value stands somewhere. */
const withValueAt = (object: TestObject, path: Path): TestObject => {
  const copy = structuredClone(object);
  path.reduce<Record<string, unknown>>((value, name, index) => {
    if (index === path.length - 1) value[name] = "unknown-until-made";
    else value[name] ??= /^\d+$/.test(path[index + 1] ?? "") ? [] : {};
    return value[name] as Record<string, unknown>;
  }, copy);
  return copy;
};

/** Codes of what the gate refuses, and what it could not look at, of each resource by its name. */
const verdictsOf = (resources: readonly PreviewedResource[]) => {
  const { violations, unchecked } = gate.judge([...made, ...resources], settings());
  return (name: string) => {
    const { urn } = resource(name, {});
    return {
      refused: violations.filter((one) => one.urn === urn).map(({ problem }) => problem.code),
      unchecked: unchecked.filter((one) => one.urn === urn),
    };
  };
};

const verdictOf = (object: TestObject, ...unknown: Path[]) =>
  verdictsOf([resource("sample", object, ...unknown)])("sample");

const named = fixtures.map((fixture): [string, Fixture] => [`${fixture.code} ${fixture.attempt}`, fixture]);

describeWith("gator")("what the gate would say of a preview", () => {
  let verdicts: ReturnType<typeof verdictsOf>;
  beforeAll(() => {
    verdicts = verdictsOf(
      named.flatMap(([name, { bad, good, looksAt }]) => {
        const path = looksAt.split(".");
        return [
          resource(`bad ${name}`, bad),
          resource(`good ${name}`, good),
          resource(`unknown ${name}`, withValueAt(good, path), path),
        ];
      }),
    );
  }, 60_000);

  test.each(named)("%s: refused, and its good twin is not", (name, { code, also = [] }) => {
    expect(verdicts(`bad ${name}`).refused).toEqual([...also, code]);
    expect(verdicts(`good ${name}`).refused).toEqual([]);
  });

  test.each(named)("%s: not passed when it is unknown", (name, { code, looksAt }) => {
    const { refused, unchecked } = verdicts(`unknown ${name}`);
    expect(refused).toEqual([]);
    expect(unchecked.map(({ what }) => what)).toContain(
      looksAt === "metadata.namespace" ? "every rule that holds in namespaces" : code,
    );
    expect(unchecked.every(({ by }) => by === "the gate")).toBe(true);
  });

  test("every condition that a preview can break has a fixture, and every other one a reason", () => {
    const codes = questions(settings()).flatMap(({ template }) =>
      template === undefined ? [] : (celSource(template)?.validations ?? []).map(codeOf),
    );
    const tried = new Set(fixtures.map(({ code }) => code));
    expect(codes.filter((code) => !tried.has(code)).sort()).toEqual(Object.keys(UNBREAKABLE).sort());
  });

  test("every such condition is decided on purpose where what it reads is absent, or reads nothing that may be", () => {
    const nameOf = ({ code, field }: AbsentFixture) => `${code} without ${field}`;
    const verdicts = verdictsOf(absentFixtures.map((one) => resource(nameOf(one), one.object)));
    const decided = absentFixtures.map((one) => [nameOf(one), verdicts(nameOf(one)).refused.sort()]);
    expect(decided).toEqual(absentFixtures.map((one) => [nameOf(one), one.codes]));
    const asked = new Set(absentFixtures.map(({ code }) => code));
    const unasked = fixtures.map(({ code }) => code).filter((code) => !asked.has(code));
    expect([...new Set(unasked)].sort()).toEqual(Object.keys(NOTHING_ABSENT).sort());
  });

  test("who brings the stacks up may make what only they may make", () => {
    expect(allowedToStacks.flatMap((object) => verdictOf(object).refused)).toEqual([]);
  });

  test("an unknown value beside what a rule looks at does not keep it from refusing", () => {
    const bad = fixtures.find(({ code }) => code === "SSF-GATE-001")?.bad as TestObject;
    const path = ["spec", "template", "spec", "containers", "0", "env", "0", "value"];
    expect(verdictOf(withValueAt(bad, path), path).refused).toEqual(["SSF-GATE-001"]);
  });

  test("what lies in a namespace that the program does not make is not passed", () => {
    const bad = fixtures.find(({ code }) => code === "SSF-GATE-001")?.bad as TestObject;
    const { refused, unchecked } = verdictOf({ ...bad, metadata: { ...bad.metadata, namespace: "unheard-of" } });
    expect(refused).toEqual([]);
    expect(unchecked.map(({ what }) => what)).toEqual([
      "ssf-images-by-digest",
      "ssf-workload-bounds",
      "ssf-image-provenance",
    ]);
  });

  test("nor is what lies in one whose labels are not known", () => {
    const space = resource("gated", { apiVersion: "v1", kind: "Namespace", metadata: { name: "late" } }, [
      "metadata",
      "labels",
    ]);
    const bad = fixtures.find(({ code }) => code === "SSF-GATE-001")?.bad as TestObject;
    const one = resource("sample", { ...bad, metadata: { ...bad.metadata, namespace: "late" } });
    const { violations, unchecked } = gate.judge([space, one], settings());
    expect(violations).toEqual([]);
    expect(new Set(unchecked.map(({ urn }) => urn))).toEqual(new Set([space.urn, one.urn]));
  });

  test("provenance is asked by the gate alone", () => {
    const good = fixtures.find(({ code }) => code === "SSF-GATE-001")?.good as TestObject;
    expect(verdictOf(good).unchecked.map(({ what }) => what)).toEqual(["what ssf-image-provenance asks the verifier"]);
  });

  test("neither a patch nor a Helm release is passed", () => {
    const patch = { ...resource("patch", fixtures[0]?.good ?? {}), type: "kubernetes:core/v1:PodPatch" };
    const release = { ...resource("release", { chart: "x" }), type: "kubernetes:helm.sh/v3:Release" };
    const { unchecked } = gate.judge([...made, patch, release], settings());
    const what = (urn: string) => unchecked.filter((one) => one.urn === urn).map((one) => one.what);
    expect(what(patch.urn)).toContain("SSF-ADMISSION-001");
    expect(what(release.urn)).toEqual(["what a Helm release installs"]);
  });

  test("what an engine cannot evaluate is refused under the code of its condition", () => {
    const { kind, apiVersion, metadata } = fixtures.find(({ code }) => code === "SSF-GATE-001")?.bad as TestObject;
    expect(verdictOf({ apiVersion, kind, metadata, spec: {} }).refused.sort()).toEqual([
      "SSF-GATE-001",
      "SSF-GATE-007",
      "SSF-GATE-008",
      "SSF-GATE-009",
    ]);
  });
});

test("a refusal in words that nobody here knows is one all the same", () => {
  const directory = mkdtempSync(join(tmpdir(), "ssf-gator-"));
  const sample = resource("sample", fixtures.find(({ code }) => code === "SSF-GATE-001")?.good ?? {});
  const said = (constraint: string, msg: string) => ({
    msg,
    constraint: { metadata: { name: constraint } },
    violatingObject: { pulumiUrn: sample.urn },
  });
  const judgedBy = (...results: object[]) => {
    const gator = join(directory, "gator");
    writeFileSync(`${gator}.json`, JSON.stringify(results));
    writeFileSync(gator, '#!/bin/sh\ncat >/dev/null\ncat "$0.json"\n', { mode: 0o755 });
    return gate.judge([sample], settings(gator)).violations.map(({ problem }) => problem);
  };
  try {
    const asked = said("match-ssf-images-by-digest", "asked");
    expect(judgedBy(asked)).toEqual([]);
    expect(judgedBy(asked, said("ssf-images-by-digest", "another engine's words"))).toMatchObject([
      { code: "SSF-PREVIEW-006", given: "another engine's words" },
    ]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("a path lies within what stands above it", () => {
  expect([isWithin(["a", "b"], ["a"]), isWithin(["a"], ["a", "b"]), isWithin(["ab"], ["a"])]).toEqual([
    true,
    false,
    false,
  ]);
});

import { specialSecretSig, specialSigKey } from "@pulumi/pulumi/runtime/rpc";
import { compareSync } from "bcryptjs";
import * as fc from "fast-check";
import { defaultSpecial, generatePassword } from "../../tools/plugins/random/password";
import { type Properties, randomProvider, unknownValue } from "../../tools/plugins/random/provider";

const provider = randomProvider("4.21.2");
const passwordUrn = "urn:pulumi:dev::p::my:Parent$random:index/randomPassword:RandomPassword::n";
const bytesUrn = "urn:pulumi:dev::p::random:index/randomBytes:RandomBytes::n";
const secret = (value: string) => ({ [specialSigKey]: specialSecretSig, value });
const valueOf = (property: unknown): string => (property as { value: string }).value;

const outputsOf = async (urn: string, inputs: Properties): Promise<Properties> =>
  (await provider.create(urn, inputs)).outs as Properties;

describe("generatePassword", () => {
  const count = (text: string, pattern: RegExp) => text.match(pattern)?.length ?? 0;

  it("keeps length, minimums and classes for any rules that the check lets through", () => {
    const minimum = fc.integer({ min: 0, max: 8 });
    fc.assert(
      fc.property(
        fc.integer({ min: 32, max: 120 }),
        minimum,
        minimum,
        minimum,
        minimum,
        fc.subarray(["lower", "upper", "numeric", "special"], { minLength: 1 }),
        (length, minLower, minUpper, minNumeric, minSpecial, wanted) => {
          const made = generatePassword({
            length,
            minLower,
            minUpper,
            minNumeric,
            minSpecial,
            lower: wanted.includes("lower"),
            upper: wanted.includes("upper"),
            numeric: wanted.includes("numeric"),
            special: wanted.includes("special"),
            overrideSpecial: "",
          });
          const counts = [/[a-z]/g, /[A-Z]/g, /[0-9]/g, /[^a-zA-Z0-9]/g].map((pattern) => count(made, pattern));
          expect(made).toHaveLength(length);
          [minLower, minUpper, minNumeric, minSpecial].forEach((least, index) => {
            expect(counts[index]).toBeGreaterThanOrEqual(least);
          });
          ["lower", "upper", "numeric", "special"].forEach((name, index) => {
            const least = [minLower, minUpper, minNumeric, minSpecial][index] ?? 0;
            if (!wanted.includes(name)) expect(counts[index]).toBe(least);
          });
          for (const character of made.replace(/[a-zA-Z0-9]/g, "")) expect(defaultSpecial).toContain(character);
        },
      ),
      { numRuns: 50 },
    );
  });

  it("takes special characters from the given list alone", async () => {
    const { result } = await outputsOf(passwordUrn, {
      length: 40,
      lower: false,
      upper: false,
      numeric: false,
      overrideSpecial: "_-",
    });
    expect(valueOf(result)).toMatch(/^[_-]{40}$/);
  });
});

describe("RandomPassword", () => {
  it("has the official outputs, the password and its hash as secrets, and nothing of them in the identifier", async () => {
    const created = await provider.create(passwordUrn, { length: 24, special: false });
    const outs = created.outs as Properties;
    expect(created.id).toBe("none");
    expect(outs).toEqual({
      length: 24,
      lower: true,
      upper: true,
      numeric: true,
      number: true,
      special: false,
      minLower: 0,
      minUpper: 0,
      minNumeric: 0,
      minSpecial: 0,
      result: secret(valueOf(outs.result)),
      bcryptHash: secret(valueOf(outs.bcryptHash)),
    });
    expect(valueOf(outs.result)).toMatch(/^[a-zA-Z0-9]{24}$/);
    expect(compareSync(valueOf(outs.result), valueOf(outs.bcryptHash))).toBe(true);
  });

  it.each<[string, Properties, string]>([
    ["no length", {}, "length"],
    ["length zero", { length: 0 }, "length"],
    ["a fraction", { length: 1.5 }, "length"],
    ["text as length", { length: "8" }, "length"],
    ["minimums above the length", { length: 3, minLower: 2, minUpper: 2 }, "length"],
    ["a negative minimum", { length: 8, minLower: -1 }, "minLower"],
    ["no class at all", { length: 8, lower: false, upper: false, numeric: false, special: false }, "lower"],
    ["no class by the old name", { length: 8, lower: false, upper: false, number: false, special: false }, "lower"],
    ["text as flag", { length: 8, upper: "yes" }, "upper"],
  ])("refuses %s", async (_name, inputs, property) => {
    const { failures } = await provider.check(passwordUrn, {}, inputs);
    expect(failures?.map((failure) => failure.property)).toEqual([property]);
  });

  it.each<[string, Properties]>([
    ["the smallest inputs", { length: 1 }],
    ["a length that is not known yet", { length: unknownValue }],
    ["secret inputs", { length: 8, keepers: secret("x") }],
  ])("lets %s through unchanged", async (_name, inputs) => {
    expect(await provider.check(passwordUrn, {}, inputs)).toEqual({ inputs, failures: [] });
  });

  it("is replaced exactly when an input counts differently", async () => {
    const olds = await outputsOf(passwordUrn, { length: 16, keepers: { a: "1" } });
    const replaces = async (news: Properties) => (await provider.diff("none", passwordUrn, olds, news)).replaces;
    expect(await replaces({ length: 16, keepers: { a: "1" } })).toEqual([]);
    expect(await replaces({ length: 16, keepers: secret("x") })).toEqual(["keepers"]);
    expect(await replaces({ length: 16, keepers: { a: "1" }, special: true, number: true })).toEqual([]);
    expect(await replaces({ length: 17, keepers: { a: "2" }, number: false })).toEqual([
      "length",
      "keepers",
      "numeric",
    ]);
    expect(await replaces({ length: unknownValue, keepers: { a: "1" } })).toEqual(["length"]);
  });

  it("is read back as it stands in the state, or imported from the password", async () => {
    const olds = await outputsOf(passwordUrn, { length: 16 });
    expect(await provider.read("none", passwordUrn, olds)).toEqual({ id: "none", props: olds, inputs: undefined });
    const imported = await provider.read("hunter2", passwordUrn, {});
    const props = imported.props as Properties;
    expect([imported.id, props.length, props.result]).toEqual(["none", 7, secret("hunter2")]);
    expect((await provider.diff("none", passwordUrn, props, imported.inputs as Properties)).changes).toBe(false);
  });
});

describe("RandomBytes", () => {
  it("gives the same secret bytes in base64 and hexadecimal", async () => {
    const outs = await outputsOf(bytesUrn, { length: 32 });
    const bytes = Buffer.from(valueOf(outs.base64), "base64");
    expect(outs).toEqual({ length: 32, base64: secret(bytes.toString("base64")), hex: secret(bytes.toString("hex")) });
    expect(bytes).toHaveLength(32);
  });

  it("is new each time, replaced by a new length, imported from base64", async () => {
    const [one, other] = [await outputsOf(bytesUrn, { length: 8 }), await outputsOf(bytesUrn, { length: 8 })];
    expect(one.hex).not.toEqual(other.hex);
    expect((await provider.diff("none", bytesUrn, one, { length: 8 })).changes).toBe(false);
    expect((await provider.diff("none", bytesUrn, one, { length: 9 })).replaces).toEqual(["length"]);
    expect((await provider.check(bytesUrn, {}, { length: 0 })).failures).toHaveLength(1);
    const imported = (await provider.read("AQI=", bytesUrn, {})).props as Properties;
    expect(imported).toEqual({ length: 2, base64: secret("AQI="), hex: secret("0102") });
  });
});

it("names the types it serves when asked for another", () => {
  expect(() => provider.create("urn:pulumi:dev::p::random:index/randomPet:RandomPet::n", {})).toThrow(
    "no resource type random:index/randomPet:RandomPet: this provider serves random:index/randomPassword:RandomPassword and random:index/randomBytes:RandomBytes",
  );
});

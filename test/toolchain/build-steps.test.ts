import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type BuildStep, buildSteps, type ToolchainEvent } from "../../tools/toolchain/build-steps";

jest.setTimeout(120_000);

const root = resolve(__dirname, "../..");

/** A step whose end the test decides. */
const controlled = (name: string, after?: string[]) => {
  let succeed: () => void = () => undefined;
  let fail: (reason: string) => void = () => undefined;
  const end = new Promise<string>((resume, refuse) => {
    succeed = () => resume(`/store/${name}`);
    fail = (reason) => refuse(new Error(reason));
  });
  const step: BuildStep = { kind: "module", name, isCached: false, after, make: () => end };
  return { step, succeed, fail };
};

/** Lets everything happen that needs no further end of a step. */
const settle = () => new Promise((resume) => setImmediate(resume));

const build = (steps: BuildStep[], width: number) => {
  const events: ToolchainEvent[] = [];
  const { make, outputs } = buildSteps(steps.length, (event) => events.push(event));
  let ended = "no";
  make(steps, width).then(
    () => (ended = "done"),
    (error: unknown) => (ended = String(error)),
  );
  return {
    outputs,
    said: () => events.map(({ name, state, index }) => `${index} ${name} ${state}`),
    ended: () => ended,
  };
};

test("steps run in their order, no more than are wanted at the same time, and leave their outputs", async () => {
  const [one, two, three] = [controlled("one"), controlled("two"), controlled("three")];
  const going = build([one.step, two.step, three.step], 2);
  await settle();
  expect(going.said()).toEqual(["1 one building", "2 two building"]);
  two.succeed();
  await settle();
  expect(going.said().slice(2)).toEqual(["2 two built", "3 three building"]);
  one.succeed();
  three.succeed();
  await settle();
  expect(going.ended()).toBe("done");
  expect(going.outputs).toEqual({ one: "/store/one", two: "/store/two", three: "/store/three" });
});

test("a step waits for what it needs, and others take its turn", async () => {
  const [base, needy, other] = [controlled("base"), controlled("needy", ["base"]), controlled("other")];
  const going = build([base.step, needy.step, other.step], 2);
  await settle();
  expect(going.said()).toEqual(["1 base building", "2 other building"]);
  base.succeed();
  await settle();
  expect(going.said().slice(2)).toEqual(["1 base built", "3 needy building"]);
});

test("after a failure no step begins, those at work end and are kept, and then its own error is thrown", async () => {
  const [bad, good, needy, later] = ["bad", "good", "needy", "later"].map((name) =>
    controlled(name, name === "needy" ? ["bad"] : undefined),
  ) as [
    ReturnType<typeof controlled>,
    ReturnType<typeof controlled>,
    ReturnType<typeof controlled>,
    ReturnType<typeof controlled>,
  ];
  const going = build([bad.step, good.step, needy.step, later.step], 2);
  await settle();
  bad.fail("undefined: Frobnicate");
  await settle();
  expect(going.ended()).toBe("no");
  expect(going.said()).toEqual(["1 bad building", "2 good building", "1 bad failed"]);
  good.succeed();
  await settle();
  expect(going.said().slice(3)).toEqual(["2 good built"]);
  expect(going.ended()).toBe("Error: undefined: Frobnicate");
  expect(going.outputs).toEqual({ good: "/store/good" });
});

test("of several failures the first is thrown", async () => {
  const [one, two] = [controlled("one"), controlled("two")];
  const going = build([one.step, two.step], 2);
  await settle();
  two.fail("first");
  await settle();
  one.fail("second");
  await settle();
  expect(going.ended()).toBe("Error: first");
});

test("steps that wait for each other end the build", async () => {
  const going = build([controlled("hen", ["egg"]).step, controlled("egg", ["hen"]).step], 2);
  await settle();
  expect(going.ended()).toBe("Error: steps wait for each other: hen, egg");
});

const asRoot = process.getuid?.() === 0 ? describe : describe.skip;

asRoot("on a disk that gets full in the middle of a build", () => {
  const home = mkdtempSync(join(tmpdir(), "ssf-full-"));
  afterAll(() => rmSync(home, { recursive: true }));

  /** Builds twice on a disk of 4 MB, the second time with room for all; the first fails by what `fill` does. */
  const buildTwice = (fill: string): Record<string, unknown> => {
    const disk = join(home, "disk");
    const program = join(home, "program.ts");
    const from = (file: string) => JSON.stringify(join(root, "tools/toolchain", file));
    writeFileSync(
      program,
      `import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
       import { join } from "node:path";
       import { run } from ${JSON.stringify(join(root, "tools/process"))};
       import { buildInCache, buildSteps } from ${from("build-steps")};
       import { cache, store } from ${from("paths")};
       import { stored } from ${from("store")};
       const key = "0123456789abcdef";
       const step = (name: string, make: (file: string) => unknown) => ({ kind: "module" as const, name, isCached: false,
         make: () => stored(name, key, async (directory) => { await make(join(directory, "file")); }) });
       let largeEnded = () => {};
       const afterLarge = new Promise<void>((resume) => (largeEnded = resume));
       const steps = [
         step("slow", async (file) => { writeFileSync(file, "slow"); await afterLarge; }),
         step("small", (file) => writeFileSync(file, Buffer.alloc(100_000))),
         step("large", async (file) => { try { ${fill} } finally { largeEnded(); } }),
         step("never", (file) => writeFileSync(file, "never")),
       ];
       const build = () => buildInCache(() => buildSteps(4, () => undefined).make(steps, 2));
       const sizes = () => Object.fromEntries(readdirSync(store).sort().map((name) => [name, statSync(join(store, name, "file")).size]));
       void (async () => {
         mkdirSync(cache, { recursive: true });
         writeFileSync(join(cache, "ballast"), Buffer.alloc(3_000_000));
         const refusal = await build().then(() => "", (error: Error) => error.message);
         const [kept, locked] = [sizes(), readdirSync(cache).includes("building")];
         rmSync(join(cache, "ballast"));
         await build();
         console.log(JSON.stringify({ refusal, kept, locked, after: sizes(), cache: readdirSync(cache).sort() }));
       })();`,
    );
    const mounted = `mkdir -p ${disk} && mount -t tmpfs -o size=4m tmpfs ${disk} && exec "$@"`;
    const { stdout, stderr } = spawnSync(
      "unshare",
      ["--mount", "sh", "-c", mounted, "sh", process.execPath, "--require", "@swc-node/register", program],
      { cwd: root, encoding: "utf8", env: { ...process.env, XDG_CACHE_HOME: disk } },
    );
    expect(stderr).toBe("");
    return JSON.parse(stdout) as Record<string, unknown>;
  };

  test.each([
    ["by the factory itself", "writeFileSync(file, Buffer.alloc(2_000_000));"],
    ["by a program that it runs", 'await run("dd", ["if=/dev/zero", `of=${file}`, "bs=2000000", "count=1"]);'],
  ])("%s, the build says so, and the cache is sound", (_name, fill) => {
    const { refusal, kept, locked, after, cache } = buildTwice(fill);
    expect(refusal).toMatch(/^SSF-HOST-011 \S*\/disk\/secure-software-factory: .*(ENOSPC|No space left on device)/s);
    expect(refusal).toMatch(/ 45 GB .* 12 GB\.\n {2}fix: {2}Free some space/);
    const whole = { "small-0123456789abcdef": 100_000, "slow-0123456789abcdef": 4 };
    expect({ kept, locked }).toEqual({ kept: whole, locked: false });
    expect(after).toEqual({ ...whole, "large-0123456789abcdef": 2_000_000, "never-0123456789abcdef": 5 });
    expect(cache).toEqual(["store", "work"]);
  });
});

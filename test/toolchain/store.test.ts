import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

jest.setTimeout(120_000);

const root = resolve(__dirname, "../..");
const runner = [process.execPath, "--require", join(root, "node_modules/@swc-node/register")] as const;

let home: string;
let cache: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "ssf-store-"));
  cache = join(home, "secure-software-factory");
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

/** A program that works on the store below {@link home}. */
const program = (body: string): string => {
  const file = join(home, "program.ts");
  writeFileSync(
    file,
    `import { mkdirSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
     import { join } from "node:path";
     import { discard, lockCache, removeReplaced, stored } from ${JSON.stringify(join(root, "tools/toolchain/store"))};
     import { cache, store, work } from ${JSON.stringify(join(root, "tools/toolchain/paths"))};
     void (async () => { mkdirSync(cache, { recursive: true }); ${body} })();`,
  );
  return file;
};

const env = () => ({ ...process.env, XDG_CACHE_HOME: home });

const run = (body: string): string => {
  const { stdout, stderr, status } = spawnSync(runner[0], [...runner.slice(1), program(body)], {
    encoding: "utf8",
    env: env(),
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return stdout;
};

const output = 'await stored("thing", "0123456789abcdef", async (d) => writeFileSync(join(d, "file"), "whole"));';

test("an output is made once", () => {
  run(output);
  run(output.replace("whole", "again"));
  expect(readFileSync(join(cache, "store/thing-0123456789abcdef/file"), "utf8")).toBe("whole");
});

test("a build that fails leaves no output, and the next one makes it", () => {
  const failed = `await stored("thing", "0123456789abcdef", async (d) => {
    writeFileSync(join(d, "file"), "half"); throw new Error("broken"); }).catch((e) => console.log(e.message));`;
  expect(run(failed)).toBe("broken\n");
  expect(readdirSync(join(cache, "store"))).toEqual([]);
  run(output);
  expect(readFileSync(join(cache, "store/thing-0123456789abcdef/file"), "utf8")).toBe("whole");
});

test("a build that is killed leaves no output and no lock", async () => {
  const half = `await lockCache(); await stored("thing", "0123456789abcdef", async (d) => {
    writeFileSync(join(d, "file"), "half"); console.log("half"); await new Promise((r) => setTimeout(r, 600_000)); });`;
  const child = spawn(process.execPath, [...runner.slice(1), program(half)], { cwd: root, env: env() });
  const ended = new Promise((done) => child.on("close", done));
  await new Promise((done) => child.stdout.once("data", done));
  expect(existsSync(join(cache, "building"))).toBe(true);
  child.kill("SIGKILL");
  await ended;
  expect(readdirSync(join(cache, "store"))).toEqual([]);
  run(`const free = await lockCache(); ${output} await free();`);
  expect(readdirSync(join(cache, "store"))).toEqual(["thing-0123456789abcdef"]);
  expect(readdirSync(cache).sort()).toEqual(["store", "work"]);
});

const asRoot = process.getuid?.() === 0 ? test : test.skip;

asRoot("a full disk leaves no output and no lock, and room makes the build go on", () => {
  const full = `
    writeFileSync(join(cache, "ballast"), Buffer.alloc(1_500_000));
    const free = await lockCache();
    const big = (size: number) => stored("thing", "0123456789abcdef", async (d) => writeFileSync(join(d, "f"), Buffer.alloc(size)));
    await big(1_000_000).catch((e) => console.log(e.code));
    await free();
    console.log(readdirSync(store).join());
    rmSync(join(cache, "ballast")); rmSync(work, { recursive: true });
    const again = await lockCache();
    await big(1_000_000);
    await again();
    console.log(readdirSync(store).join());`;
  const disk = `${home}/disk`;
  const small = ["--mount", "sh", "-c", `mkdir ${disk} && mount -t tmpfs -o size=2m tmpfs ${disk} && exec "$@"`, "sh"];
  const { stdout, stderr } = spawnSync("unshare", [...small, ...runner, program(full)], {
    encoding: "utf8",
    env: { ...env(), XDG_CACHE_HOME: disk },
  });
  expect([stdout, stderr]).toEqual(["ENOSPC\n\nthing-0123456789abcdef\n", ""]);
});

describe("what another output has taken the place of", () => {
  const hours = 3_600_000;
  /** Ages of outputs in hours; each takes 100 kB. The first of a name is the one that stays. */
  const ages = { "bin-0": 0, "bin-1": 48, "bin-2": 2, "images-0": 0, "images-1": 23, "kind-0": 200 };
  const left = (limit: string): string[] => {
    const body = `
      for (const [name, age] of Object.entries(${JSON.stringify(ages)})) {
        const output = await stored(name.slice(0, -2), name.slice(-1).repeat(16), async (d) =>
          writeFileSync(join(d, "file"), Buffer.alloc(100_000)));
        const then = new Date(Date.now() - age * ${hours});
        utimesSync(output, then, then);
      }
      const at = (name: string) => join(store, name + "-" + "0".repeat(16));
      await removeReplaced({ bin: at("bin"), images: at("images") }${limit});
      console.log(JSON.stringify(readdirSync(store).sort().map((name) => name.slice(0, -15))));`;
    return JSON.parse(run(body)) as string[];
  };

  test("stays for a day, since another checkout may use it", () => {
    expect(left("")).toEqual(["bin-0", "bin-2", "images-0", "images-1", "kind-0"]);
  });

  test("goes before, the longest unused first, where the store is too large", () => {
    expect(left(", 460_000")).toEqual(["bin-0", "bin-2", "images-0", "kind-0"]);
    expect(left(", 1")).toEqual(["bin-0", "images-0", "kind-0"]);
  });
});

it("discards a directory at once, and what an earlier process did not remove goes with it", async () => {
  const made =
    'mkdirSync(join(cache, "large/deep"), { recursive: true }); writeFileSync(join(cache, "large/deep/x"), "");';
  const left = 'mkdirSync(join(cache, "discarded/left"), { recursive: true });';
  expect(
    run(`${made}${left} await discard(join(cache, "large")); console.log(readdirSync(cache).includes("large"));`),
  ).toBe("false\n");
  for (let tries = 0; tries < 100 && existsSync(join(cache, "discarded")); tries++)
    await new Promise((resume) => setTimeout(resume, 100));
  expect(existsSync(join(cache, "discarded"))).toBe(false);
  run('await discard(join(cache, "nothing"));');
});

import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

jest.setTimeout(120_000);

const home = mkdtempSync(join(tmpdir(), "ssf-plugins-"));
const cache = join(home, "secure-software-factory");

// The cache's place is read when the program is loaded.
process.env.XDG_CACHE_HOME = home;
let plugins: typeof import("../../tools/toolchain/plugins");
beforeAll(() => {
  plugins = jest.requireActual("../../tools/toolchain/plugins");
});
const download = (one = plugin) => plugins.downloadPlugin(pulumi, one);

const plugin = { name: "random", version: "4.21.2" };
const pulumi = join(home, "pulumi");
const asked = join(home, "asked");

/** Puts a command line in place that notes each call. */
const install = (script: string): void => {
  writeFileSync(pulumi, `#!/bin/sh\necho "$@" >> ${asked}\n${script}\n`);
  chmodSync(pulumi, 0o755);
};
const calls = () => (existsSync(asked) ? readFileSync(asked, "utf8").trim().split("\n") : []);

const succeeds = `directory="$PULUMI_HOME/plugins/$3-$4-$5"
mkdir -p "$directory" && touch "$directory/pulumi-$3-$4" "$directory.lock"`;
/** As the command line, whose log of what failed lies among temporary files. */
const failsWith = (text: string) => `echo '${text}' | tee "\${TMPDIR:-/tmp}/pulumi.INFO" >&2; exit 255`;
const server = "https://get.pulumi.com/releases/plugins/pulumi-resource-random-v4.21.2-linux-amd64.tar.gz";

afterEach(() => {
  for (const path of [cache, asked]) rmSync(path, { recursive: true, force: true });
});
afterAll(() => rmSync(home, { recursive: true }));

test("a plugin is downloaded once, and nothing but it is kept", async () => {
  install(succeeds);
  const output = await download();
  expect(output).toBe(plugins.downloadedPlugin(plugin));
  expect(readdirSync(output ?? "")).toEqual(["resource-random-v4.21.2"]);
  expect(readdirSync(join(output ?? "", "resource-random-v4.21.2"))).toEqual(["pulumi-resource-random"]);
  install(failsWith("offline"));
  expect(await download()).toBe(output);
  expect(calls()).toEqual(["plugin install resource random v4.21.2"]);
  expect(readdirSync(join(cache, "work"))).toEqual([]);
});

test.each([
  ["no network", `Get "${server}": dial tcp: lookup get.pulumi.com: no such host`],
  ["a server in trouble", `503 HTTP error fetching plugin from ${server}`],
  ["too many questions", `429 HTTP error fetching plugin from ${server}`],
  ["GitHub's limit", "403 HTTP error fetching plugin from https://api.github.com/repos/pulumi/pulumi-random/releases"],
  ["a full disk", `write /plugins/x: no space left on device`],
])("after %s the next build asks again", async (_name, text) => {
  install(failsWith(text));
  expect(await download()).toBeUndefined();
  expect(existsSync(join(tmpdir(), "pulumi.INFO"))).toBe(false);
  expect(plugins.downloadedPlugin(plugin)).toBeUndefined();
  install(succeeds);
  expect(await download()).toBe(plugins.downloadedPlugin(plugin));
});

describe.each([403, 404, 410])("after the server's answer %d", (status) => {
  beforeEach(async () => {
    install(failsWith(`error: failed to download plugin: ${status} HTTP error fetching plugin from ${server}`));
    expect(await download()).toBeUndefined();
    install(succeeds);
  });
  afterEach(() => jest.restoreAllMocks());

  test("the next build does not ask again for this version, but for others", async () => {
    expect(await download()).toBeUndefined();
    expect(calls()).toHaveLength(1);
    expect(await download({ ...plugin, version: "4.21.3" })).toBeDefined();
    expect(calls()).toHaveLength(2);
  });

  test("a build on the day after asks again", async () => {
    const tomorrow = Date.now() + 24 * 3_600_000 + 1000;
    jest.spyOn(Date, "now").mockReturnValue(tomorrow);
    expect(await download()).toBe(plugins.downloadedPlugin(plugin));
    expect(calls()).toHaveLength(2);
  });
});

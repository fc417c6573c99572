import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileStandardLibrary } from "../../tools/toolchain/go-standard-library";
import { filesBelow } from "../../tools/toolchain/store";

jest.setTimeout(120_000);

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "ssf-go-"));
});
afterEach(() => {
  jest.restoreAllMocks();
  rmSync(home, { recursive: true });
});

/** Names and contents of one compiled package, where the Go release has a path of that name. */
const compiledBy = async (name: string): Promise<Record<string, string>> => {
  const [release, output] = [join(home, name), join(home, `${name}-output`)];
  const env = { ...process.env, GOTOOLCHAIN: "local" };
  symlinkSync(execFileSync("go", ["env", "GOROOT"], { encoding: "utf8", env }).trim(), release);
  mkdirSync(output);
  await compileStandardLibrary(release, output, "unicode/utf8");
  const files = await filesBelow(output);
  return Object.fromEntries(files.map((file) => [file, readFileSync(join(output, file), "base64")]));
};

test("the compiled standard library depends neither on places nor on times", async () => {
  const first = await compiledBy("one");
  expect(Object.keys(first).filter((file) => !/^[0-9a-f]{2}\/[0-9a-f]{64}-[ad]$/.test(file))).toEqual([]);
  expect(await compiledBy("another")).toEqual(first);
});

test("a variable of this machine does not decide what is compiled", async () => {
  const first = await compiledBy("one");
  jest.replaceProperty(process, "env", { ...process.env, GOOS: "plan9" });
  expect(await compiledBy("another")).toEqual(first);
});

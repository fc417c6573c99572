import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { isDebians } from "../../tools/toolchain/debian";
import { findInstalled, findOnPath } from "../../tools/toolchain/installed";
import { modules } from "../../tools/toolchain/modules";

jest.setTimeout(120_000);

let first: string;
let second: string;
beforeEach(() => {
  [first, second] = [mkdtempSync(join(tmpdir(), "ssf-path-")), mkdtempSync(join(tmpdir(), "ssf-path-"))] as const;
});
afterEach(() => {
  for (const directory of [first, second]) rmSync(directory, { recursive: true });
});

const install = (directory: string, name: string, prints: string, mode = 0o755): void => {
  writeFileSync(join(directory, name), `#!/bin/sh\necho '${prints}'\n`);
  chmodSync(join(directory, name), mode);
};

const pulumi = modules.pulumi?.installed ?? { program: "", version: /$^/ };
const find = (programs: string[]) => findInstalled(pulumi, programs, [first, second].join(delimiter));

test("a program that works is found where PATH finds it", async () => {
  install(second, "pulumi", "v3.215.0");
  expect(await find(["pulumi"])).toEqual({ directory: second, version: "v3.215.0" });
});

test.each(["v3.199.0", "v2.200.0", "v4.0.0", "3.215.0", "pulumi v3.215.0"])(
  "version %s is not taken",
  async (prints) => {
    install(first, "pulumi", prints);
    expect(await find(["pulumi"])).toBeUndefined();
  },
);

test("a program without the others beside it is not taken", async () => {
  install(first, "pulumi", "v3.215.0");
  install(second, "pulumi-language-nodejs", "");
  expect(await find(["pulumi-language-nodejs"])).toBeUndefined();
  install(first, "pulumi-language-nodejs", "");
  expect(await find(["pulumi-language-nodejs"])).toMatchObject({ directory: first });
});

test("what cannot be executed is passed over", async () => {
  install(first, "pulumi", "v3.215.0", 0o644);
  expect(await find(["pulumi"])).toBeUndefined();
  install(second, "pulumi", "v3.215.0");
  expect(await find(["pulumi"])).toMatchObject({ directory: second });
});

test("the versions of kind that make our nodes are known", () => {
  const kind = modules.kind?.installed?.version;
  expect("kind v0.33.0 go1.26.8 linux/amd64").toMatch(kind ?? /$^/);
  expect("kind v0.29.0 go1.26.8 linux/amd64").not.toMatch(kind ?? /^/);
});

test("a program that its owner put there is found, and no package of Debian's brought it", async () => {
  install(second, "podman", "podman version 5.4.0");
  const podman = await findOnPath("podman", [first, second].join(delimiter));
  expect(podman).toBe(join(second, "podman"));
  expect(await isDebians(podman ?? "")).toBe(false);
  expect(await isDebians((await findOnPath("dpkg-query")) ?? "")).toBe(true);
  expect(await findOnPath("podman", first)).toBeUndefined();
});

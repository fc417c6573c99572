import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";

jest.setTimeout(120_000);

const programs = mkdtempSync(join(tmpdir(), "ssf-ci-"));
afterAll(() => rmSync(programs, { recursive: true }));

/** What continuous integration prints and ends with, where `make` does that. */
const ci = (make: string) => {
  writeFileSync(join(programs, "make"), `#!/bin/sh\n${make}\n`, { mode: 0o755 });
  const path = [programs, process.env.PATH ?? ""].join(delimiter);
  const { status, stdout } = spawnSync(resolve(__dirname, "../.ci/run"), { encoding: "utf8", env: { PATH: path } });
  return { status, lines: stdout.trimEnd().split("\n") };
};

test("the toolchain is built, then the tests run, and their end is its end", () => {
  expect(ci('echo "make $*"')).toEqual({ status: 0, lines: ["make toolchain", "make test"] });
  expect(ci('echo "make $*"; [ "$1" = toolchain ] || { echo "5 passed, 2 failed"; exit 2; }')).toEqual({
    status: 2,
    lines: ["make toolchain", "make test", "5 passed, 2 failed"],
  });
});

test("a toolchain that cannot be built is one failure, and no test runs", () => {
  expect(ci('echo "make $*"; exit 2')).toEqual({ status: 1, lines: ["make toolchain", "0 passed, 1 failed"] });
});

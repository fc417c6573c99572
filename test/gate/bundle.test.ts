import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundle } from "../../tools/toolchain/bundle";
import { bundles } from "../../tools/toolchain/images";

test("the verifier needs no other file to start, and says which of its settings is missing", async () => {
  const directory = mkdtempSync(join(tmpdir(), "ssf-bundle-"));
  try {
    const file = join(directory, "verifier.js");
    writeFileSync(file, await bundle(bundles.verifier ?? ""));
    const start = () => execFileSync(process.execPath, [file], { cwd: directory, stdio: "pipe", env: {} });
    expect(start).toThrow(/ENOENT: no such file or directory, open '\/etc\/verifier\/settings\.json'/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("it uses nothing that the Node of its image lacks, which is older than this one", async () => {
  const since20 = /\.(toSorted|toReversed|toSpliced|findLastIndex|isWellFormed|withResolvers|groupBy)\(/g;
  expect((await bundle(bundles.verifier ?? "")).match(since20)).toBeNull();
});

test("the same program gives the same file", async () => {
  const [one, other] = [await bundle(bundles.verifier ?? ""), await bundle(bundles.verifier ?? "")];
  expect(one).toBe(other);
  expect(one).not.toContain(process.cwd());
});

import { spawnSync } from "node:child_process";
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ImageConfig, Layout, reproducibleTar } from "../../tools/toolchain/oci";

jest.setTimeout(120_000);

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "ssf-image-"));
});
afterEach(() => rmSync(home, { recursive: true }));

/** Makes a program's files in that order, with a time of their own. */
const layOut = (place: string, order: readonly string[], text = "program", mode = 0o755): string => {
  const root = join(home, place);
  mkdirSync(join(root, "bin"), { recursive: true });
  for (const name of order) writeFileSync(join(root, "bin", name), `${text} ${name}`);
  chmodSync(join(root, "bin/tool"), mode);
  linkSync(join(root, "bin/tool"), join(root, "bin/twin"));
  symlinkSync("tool", join(root, "bin/alias"));
  const then = new Date(Date.now() - order.length * 1000 - place.length * 60_000);
  utimesSync(join(root, "bin/tool"), then, then);
  return root;
};

const tarOf = async (root: string): Promise<string> => {
  await reproducibleTar(root, `${root}.tar`);
  return `${root}.tar`;
};

const digestOfImage = async (root: string, compression: "zstd" | "none", config: ImageConfig): Promise<string> => {
  const layout = join(home, `${compression}-${Math.random()}`);
  mkdirSync(layout);
  return (await new Layout(layout, compression).addImage([await tarOf(root)], config)).manifest.digest;
};

test("an archive depends on names, modes and contents, and on nothing else", async () => {
  const first = readFileSync(await tarOf(layOut("first", ["tool", "helper"])));
  const again = readFileSync(await tarOf(layOut("second", ["helper", "tool"])));
  expect(again.equals(first)).toBe(true);
  const others = [
    layOut("text", ["tool", "helper"], "other"),
    layOut("mode", ["tool", "helper"], "program", 0o700),
    layOut("more", ["tool", "helper", "third"]),
  ];
  for (const other of others) expect(readFileSync(await tarOf(other)).equals(first)).toBe(false);
});

const compressions = spawnSync("zstd", ["--version"]).status === 0 ? (["zstd", "none"] as const) : (["none"] as const);

test.each(compressions)("equal files give equal images (%s), others another", async (compression) => {
  const config = { Entrypoint: ["/bin/tool"], User: "65532" };
  const [one, same, other] = [
    layOut("one", ["tool", "helper"]),
    layOut("same", ["helper", "tool"]),
    layOut("other", ["tool", "helper"], "changed"),
  ];
  const first = await digestOfImage(one, compression, config);
  expect(first).toMatch(/^sha256:[0-9a-f]{64}$/);
  expect(await digestOfImage(same, compression, config)).toBe(first);
  expect(await digestOfImage(other, compression, config)).not.toBe(first);
  expect(await digestOfImage(one, compression, { ...config, User: "0" })).not.toBe(first);
});

test("a packed layout of equal images is equal, whatever was laid out before it", async () => {
  const pack = async (place: string): Promise<Buffer> => {
    const layout = join(home, place);
    mkdirSync(layout);
    const writer = new Layout(layout, "none");
    const image = await writer.addImage([await tarOf(layOut(`${place}-root`, ["tool"]))], {});
    await writer.pack(`${layout}.tar`, [{ names: [`images.test/tool@${image.manifest.digest}`], image }]);
    return readFileSync(`${layout}.tar`);
  };
  expect((await pack("left")).equals(await pack("right-hand"))).toBe(true);
});

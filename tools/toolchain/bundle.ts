import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";
import { digestOf, stored } from "./store";

const repository = join(__dirname, "../..");

/** One file for the Node of the images' distribution, with everything that the program imports. */
export const bundle = async (entry: string): Promise<string> => {
  const { outputFiles } = await build({
    absWorkingDir: repository,
    entryPoints: [entry],
    bundle: true,
    platform: "node",
    target: "node18",
    format: "cjs",
    legalComments: "eof",
    write: false,
  });
  return outputFiles.map(({ text }) => text).join("");
};

/** What the program of a bundle is kept by: its own text. */
export const bundleKey = async (entry: string): Promise<string> => digestOf(await bundle(entry));

/** Bundles a program of our own into `<name>.js`. */
export const buildBundle = async (name: string, entry: string): Promise<string> => {
  const text = await bundle(entry);
  return stored(name, digestOf(text), (output) => writeFile(join(output, `${name}.js`), text));
};

import { readFileSync } from "node:fs";
import { join } from "node:path";

import { z } from "zod";

import { FactoryError, type Problem } from "../components/lib/errors";

/** File that the toolchain's builder writes, at the root of the checkout. */
const LOCK_FILE = join(__dirname, "..", "toolchain.lock.json");

const toolchainSchema = z.object({
  platform: z.string(),
  images: z.record(
    z.string(),
    z.object({
      reference: z
        .string()
        .regex(/^[a-z0-9./-]+@sha256:[0-9a-f]{64}$/, "must be <name>@sha256:<64 hex digits>, without a tag"),
      version: z.string(),
    }),
  ),
  sources: z.record(z.string(), z.string()),
  bin: z.string(),
  plugins: z.string(),
  imageArchive: z.string(),
  node: z.object({ reference: z.string(), archive: z.string() }),
});

/** What the toolchain's builder made: images by digest, upstream's manifests, programs and plugins. */
export type Toolchain = z.infer<typeof toolchainSchema>;

const REBUILD = "Run make toolchain.";

/** Reads the lock file that the toolchain's builder wrote. */
export const readToolchain = (file: string = LOCK_FILE): Toolchain => {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new FactoryError({
      code: "SSF-TOOLCHAIN-001",
      path: file,
      given: error instanceof Error ? error.message : String(error),
      rule: "The toolchain must have been built on this machine.",
      fix: REBUILD,
    });
  }
  const parsed = toolchainSchema.safeParse(content);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue): Problem => ({
    code: "SSF-TOOLCHAIN-002",
    path: `${file}: ${issue.path.join(".")}`,
    given: issue.message,
    rule: "The lock file must have the form that this version of the program writes.",
    fix: REBUILD,
  }));
  throw new FactoryError(...(problems as [Problem, ...Problem[]]));
};

/** Reference by digest of one of the toolchain's images. */
export const image = (toolchain: Toolchain, name: string): string => entry("images", toolchain.images, name).reference;

/** Directory with the upstream files of one of the toolchain's modules. */
export const source = (toolchain: Toolchain, name: string): string => entry("sources", toolchain.sources, name);

const entry = <T>(table: string, entries: Readonly<Record<string, T>>, name: string): T => {
  const found = entries[name];
  if (found !== undefined) return found;
  throw new FactoryError({
    code: "SSF-TOOLCHAIN-003",
    path: `toolchain.lock.json: ${table}.${name}`,
    given: "not there",
    rule: "Everything that the stacks install must be in the lock file.",
    fix: REBUILD,
  });
};

/** Images of the stages, by name. */
export const stageImages = (toolchain: Toolchain): Record<string, string> =>
  Object.fromEntries(
    Object.entries(toolchain.images)
      .filter(([name]) => name.startsWith("stage-"))
      .map(([name, { reference }]) => [name, reference]),
  );

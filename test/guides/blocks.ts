import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";

const directory = resolve(__dirname, "../../docs/guides");

/**
 * Where the commands of a block run: on any machine, where they succeed or are `refused`; only where a factory is up; or only
 * where there is what no test has, such as a cloud's service.
 */
export type Place = "here" | "refused" | "live" | "foreign";

/** A block of commands in a guide. */
export interface Block {
  guide: string;
  /** Line of the guide on which it begins. */
  line: number;
  /** Undefined when the guide does not say. */
  place: Place | undefined;
  /** What a shell runs. */
  script: string;
}

const places: Readonly<Record<string, Place>> = {
  sh: "here",
  "sh refused": "refused",
  "sh live": "live",
  "sh foreign": "foreign",
};

/** Languages of blocks that a person would paste into a shell. */
const isShell = (info: string): boolean => /^(sh|bash|zsh|shell|console|shell-session)\b/.test(info);

/** The blocks of commands in a guide's text, in their order. */
export const blocksIn = (guide: string, text: string): Block[] => {
  const blocks: Block[] = [];
  let open: { info: string; line: number; script: string[] } | undefined;
  text.split("\n").forEach((line, index) => {
    const [, info] = /^```(.*)$/.exec(line) ?? [];
    if (info === undefined) open?.script.push(line);
    else if (open === undefined) open = { info: info.trim(), line: index + 1, script: [] };
    else {
      if (isShell(open.info))
        blocks.push({ guide, line: open.line, place: places[open.info], script: open.script.join("\n") });
      open = undefined;
    }
  });
  return blocks;
};

/** The guide `docs/guides/<guide>.md`. */
export const guideText = (guide: string): string => readFileSync(join(directory, `${guide}.md`), "utf8");

/** The blocks of commands in a guide. */
export const blocksOf = (guide: string): Block[] => blocksIn(guide, guideText(guide));

/** The guides whose every block says where it runs. */
export const guides = [
  "add-a-team",
  "definition-keys",
  "existing-cluster",
  "preview",
  "pull-requests",
  "trust",
  "write-a-pipeline",
] as const;

/** The scripts of a guide that need a factory that is up, in their order. */
export const liveCommands = (guide: (typeof guides)[number]): string[] =>
  blocksOf(guide)
    .filter(({ place }) => place === "live")
    .map(({ script }) => script);

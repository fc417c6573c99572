import { digestParamName, digestPattern, variableName, type Param, type Stage } from "./model";

/** One shell word that stands for exactly this text. */
const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/**
 * What every script starts with. `tree_archive` writes the one archive that a directory's names, contents, links and
 * executable bits give, whoever owns the files and whenever they were written; `tree_digest` is its SHA-256.
 */
export const prologue = `#!/bin/sh
set -eu
export LC_ALL=C TZ=UTC
umask 022
mkdir -p "$HOME"

refuse() {
  printf 'refused: %s\\n' "$1" >&2
  exit 1
}

require() {
  printf '%s\\0' "$2" | grep -Ezqx -e "$3" || refuse "parameter $1 does not match $3"
}

tree_archive() {
  tar --create --file=- --directory="$1" --format=gnu --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner \\
    --mode=u=rwX,go=rX --hard-dereference .
}

tree_digest() {
  rm -f "$TMPDIR/unreadable-tree"
  printf 'sha256:%s' "$({ tree_archive "$1" || : >"$TMPDIR/unreadable-tree"; } | sha256sum | cut -d ' ' -f 1)"
  [ ! -e "$TMPDIR/unreadable-tree" ] || return 1
}

same_tree() {
  [ "$(tree_digest "$2")" = "$3" ] || refuse "workspace $1 does not hold what its writing stage left there"
}
`;

/** A stage's own parameters and the digests of the workspaces that it reads, in the order of its definition. */
export const stageParams = (stage: Stage): Omit<Param, "from">[] => [
  ...stage.params,
  ...stage.reads.map((workspace) => ({
    name: digestParamName(workspace),
    description: `Digest of workspace ${workspace}, as its writing stage left it.`,
    pattern: digestPattern,
  })),
];

/** The whole script of a stage: prologue, checks, the stage's own part, checks again, digest of what it wrote. */
export const stageScript = (stage: Stage): string => {
  const checks = stageParams(stage).map(
    ({ name, pattern }) => `require ${name} "$${variableName("PARAM", name)}" ${quote(pattern)}`,
  );
  const sameTrees = stage.reads.map((name) => {
    const directory = `"$${variableName("WORKSPACE", name)}/tree"`;
    return `same_tree ${name} ${directory} "$${variableName("PARAM", digestParamName(name))}"`;
  });
  const tree = stage.writes === undefined ? undefined : `"$${variableName("WORKSPACE", stage.writes)}/tree"`;
  const before = tree === undefined ? [] : [`rm -rf ${tree}`, `mkdir ${tree}`];
  const after = tree === undefined ? [] : [`digest=$(tree_digest ${tree})`, `printf '%s' "$digest" >"$RESULT_DIGEST"`];
  const parts = [[...checks, ...sameTrees, ...before], [stage.script.trim()], [...sameTrees, ...after]];
  return `${[prologue.trim(), ...parts.filter((lines) => lines.length > 0).map((lines) => lines.join("\n"))].join("\n\n")}\n`;
};

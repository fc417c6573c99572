import type { Stage } from "../model";
import { patterns } from "../patterns";
import { authorities, withAuthority } from "./certificates";

/** What {@link ingestSource} needs. */
export interface IngestSourceArgs {
  /** Image with git. */
  image: string;
  /** ConfigMap whose key `ca.crt` holds the certificate authorities to trust outside. @default the image's own */
  caBundleConfigMap?: string;
  /** ConfigMap whose key `ca.crt` holds the authority of the factory's own forge, trusted as well. @default none */
  forgeCaConfigMap?: string;
  /** Forges that it takes sources from, each as `<name>:<port>`. @default any */
  forges?: readonly string[];
}

/** Refuses a forge that the team does not list, before anything is asked of it. */
const forgeCheck = `
forge=\${PARAM_REPOSITORY#https://}
forge=$(printf '%s' "\${forge%%/*}" | tr '[:upper:]' '[:lower:]')
case "$forge" in
  *:*) ;;
  *) forge="$forge:443" ;;
esac
case " $FORGES " in
  *" $forge "*) ;;
  *) refuse "this team takes sources from $FORGES and not from $forge; its stack's setting forges lists them" ;;
esac
`;

const script = `
case \${#PARAM_COMMIT} in
  64) format=sha256 ;;
  *) format=sha1 ;;
esac
# Split on purpose: a list of paths without spaces.
cat $AUTHORITIES >"$TMPDIR/authorities.crt"
export GIT_SSL_CAINFO="$TMPDIR/authorities.crt"
export GIT_DIR="$TMPDIR/repository" GIT_WORK_TREE="$WORKSPACE_SOURCE/tree"
git init --quiet --object-format="$format"
cd "$GIT_WORK_TREE"

if ! git fetch --quiet --no-tags --no-recurse-submodules --depth=1 -- "$PARAM_REPOSITORY" "$PARAM_COMMIT"; then
  echo 'the forge did not give this one commit; asking for all branches and tags'
  git fetch --quiet --no-tags --no-recurse-submodules -- "$PARAM_REPOSITORY" \\
    '+refs/heads/*:refs/remotes/origin/*' '+refs/tags/*:refs/tags/*'
fi
git cat-file -e "$PARAM_COMMIT^{commit}" || refuse "the repository has no commit $PARAM_COMMIT"
git checkout --quiet --force --detach "$PARAM_COMMIT"
[ "$(git rev-parse --verify HEAD)" = "$PARAM_COMMIT" ] || refuse "$PARAM_COMMIT is no commit, but names one"
if git ls-files --stage | grep -q '^160000 '; then
  echo 'submodules are left out: a run has one source'
fi

[ -d "$PARAM_DIRECTORY" ] || refuse "the commit has no directory $PARAM_DIRECTORY"
top=$(pwd -P)
case "$(cd "$PARAM_DIRECTORY" && pwd -P)/" in
  "$top"/*) ;;
  *) refuse "directory $PARAM_DIRECTORY leads out of the repository" ;;
esac

printf '%s' "$PARAM_REPOSITORY" >"$RESULT_URL"
printf '%s' "$PARAM_REPOSITORY" >"$RESULT_CHAINS_GIT_URL"
git rev-parse --verify HEAD | tr -d '\\n' | tee "$RESULT_CHAINS_GIT_COMMIT" >"$RESULT_COMMIT"
git show --no-patch --format=%ct HEAD | tr -d '\\n' >"$RESULT_TIMESTAMP"
`;

/** The stage that takes one commit of a git repository and leaves its tree, without the history. */
export const ingestSource = ({ image, caBundleConfigMap, forgeCaConfigMap, forges }: IngestSourceArgs): Stage => {
  const trusted = withAuthority(authorities(caBundleConfigMap), "forge-authority", forgeCaConfigMap);
  return {
    name: "ingest-source",
    description: "Checks out one commit of a git repository.",
    image,
    script: forges === undefined ? script : `${forgeCheck}${script}`,
    params: [
      {
        name: "repository",
        description: "Address of the repository.",
        pattern: patterns.repository,
        from: { run: "repository" },
      },
      { name: "commit", description: "Full id of the commit.", pattern: patterns.commit, from: { run: "commit" } },
      {
        name: "directory",
        description: "Directory that is built.",
        pattern: patterns.directory,
        from: { run: "directory" },
      },
    ],
    results: [
      { name: "commit", description: "Full id of the commit that was checked out." },
      { name: "url", description: "Address that it came from." },
      { name: "timestamp", description: "When it was committed, in seconds since 1970." },
      { name: "CHAINS-GIT_URL", description: "The address again, under the name that Chains looks for." },
      { name: "CHAINS-GIT_COMMIT", description: "The commit again, under the name that Chains looks for." },
    ],
    reads: [],
    writes: "source",
    network: "forge",
    env: {
      AUTHORITIES: trusted.files.join(" "),
      ...(forges === undefined ? {} : { FORGES: forges.join(" ") }),
      GIT_ALLOW_PROTOCOL: "https",
      GIT_CONFIG_COUNT: "2",
      GIT_CONFIG_KEY_0: "transfer.fsckObjects",
      GIT_CONFIG_VALUE_0: "true",
      GIT_CONFIG_KEY_1: "core.autocrlf",
      GIT_CONFIG_VALUE_1: "false",
      GIT_CONFIG_NOSYSTEM: "1",
      GIT_TERMINAL_PROMPT: "0",
    },
    mounts: trusted.mounts,
    resources: { cpu: "1", memory: "512Mi", scratch: "2Gi" },
  };
};

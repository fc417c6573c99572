import type { RunResult, Stage } from "../model";
import { patterns } from "../patterns";
import { authorities, withAuthority } from "./certificates";
import { directory } from "./params";

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
  /**
   * Who may sign commits, in the format of OpenSSH's `allowed_signers`. It becomes part of the signed definition.
   * @default a commit needs no signature
   */
  allowedSigners?: string;
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

/**
 * The committer must be the signer: `git verify-commit` would take the signature of any signer on the list, in whoever's
 * name the commit is. A key counts as long as it is valid now, since the date of a commit is the committer's choice.
 */
const checkSignature = String.raw`
git cat-file commit "$PARAM_COMMIT" >"$TMPDIR/commit"
: >"$TMPDIR/commit.sig"
awk -v signature="$TMPDIR/commit.sig" '
  message { print; next }
  /^$/ { message = 1 }
  /^gpgsig(-sha256)? / { signed = 1; sub(/^[^ ]* /, ""); print >signature; next }
  signed && /^ / { sub(/^ /, ""); print >signature; next }
  { signed = 0; print }
' "$TMPDIR/commit" >"$TMPDIR/commit.signed"
case $(head -n 1 "$TMPDIR/commit.sig") in
  '-----BEGIN SSH SIGNATURE-----') ;;
  '') refuse "commit $PARAM_COMMIT has no signature, and this team builds signed commits only" ;;
  *) refuse "the signature of commit $PARAM_COMMIT is not by an SSH key; no other kind is checked" ;;
esac
committer=$(git show --no-patch --format=%ce "$PARAM_COMMIT")
printf '%s
' "$ALLOWED_SIGNERS" >"$TMPDIR/allowed-signers"
ssh-keygen -Y verify -f "$TMPDIR/allowed-signers" -I "$committer" -n git -s "$TMPDIR/commit.sig"   <"$TMPDIR/commit.signed" >"$TMPDIR/signer" 2>&1 ||
  refuse "commit $PARAM_COMMIT has no good signature of an allowed signer for its committer $committer: $(cat "$TMPDIR/signer")"
sed -n 's/^Good "git" signature for //p' "$TMPDIR/signer" | tr -d '
' >"$RESULT_SIGNER"
`;

const fetchCommit = `
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
`;

const checkTree = `
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
export const ingestSource = (args: IngestSourceArgs): Stage => {
  const { image, caBundleConfigMap, forgeCaConfigMap, forges, allowedSigners } = args;
  const parts = [
    ...(forges === undefined ? [] : [forgeCheck]),
    fetchCommit,
    ...(allowedSigners === undefined ? [] : [checkSignature]),
    checkTree,
  ];
  const trusted = withAuthority(authorities(caBundleConfigMap), "forge-authority", forgeCaConfigMap);
  return {
    name: "ingest-source",
    description: "Checks out one commit of a git repository.",
    image,
    script: parts.map((part) => part.trim()).join("\n\n"),
    params: [
      {
        name: "repository",
        description: "Address of the repository.",
        pattern: patterns.repository,
        from: { run: "repository" },
      },
      { name: "commit", description: "Full id of the commit.", pattern: patterns.commit, from: { run: "commit" } },
      directory(),
    ],
    results: [
      { name: "commit", description: "Full id of the commit that was checked out." },
      { name: "url", description: "Address that it came from." },
      { name: "timestamp", description: "When it was committed, in seconds since 1970." },
      { name: "CHAINS-GIT_URL", description: "The address again, under the name that Chains looks for." },
      { name: "CHAINS-GIT_COMMIT", description: "The commit again, under the name that Chains looks for." },
      ...(allowedSigners === undefined
        ? []
        : [{ name: "signer", description: "Who signed the commit, with which key." }]),
    ],
    reads: [],
    writes: "source",
    network: "forge",
    env: {
      ...(allowedSigners === undefined ? {} : { ALLOWED_SIGNERS: allowedSigners }),
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

/** What {@link ingestSource} leaves for whoever verifies a run, where commits must be signed. */
export const signerResults: RunResult[] = [
  {
    name: "commit-signer",
    description: "Who signed the commit, with which key.",
    from: { stage: "ingest-source", result: "signer" },
  },
];

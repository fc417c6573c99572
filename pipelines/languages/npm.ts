import type { Language } from "../model";
import { patterns } from "../patterns";
import { language } from "./language";
import { writeProgram } from "./program";

/** Settings of a team's npm pipeline; each becomes part of the signed definitions. */
export interface NpmOptions {
  /** The https address of the registry, or of a mirror of it. @default npm's own */
  registry?: string;
}

const ingestScript = `
cd "$WORKSPACE_SOURCE/tree/$PARAM_DIRECTORY"
[ -f package-lock.json ] ||
  refuse "there is no package-lock.json in directory $PARAM_DIRECTORY; it fixes every dependency, so commit it"
[ ! -e npm-shrinkwrap.json ] ||
  refuse "npm takes npm-shrinkwrap.json before package-lock.json; rename it to package-lock.json"
${writeProgram("npm-download.js")}
node "$TMPDIR/npm-download.js" package-lock.json "$WORKSPACE_DEPENDENCIES/tree"
`;

const buildScript = `
source="$WORKSPACE_SOURCE/tree/$PARAM_DIRECTORY"
export NPM_CONFIG_CACHE="$TMPDIR/npm" SOURCE_DATE_EPOCH="$PARAM_TIMESTAMP"
mkdir "$TMPDIR/app"
cp -R "$source/." "$TMPDIR/app"
chmod -R u+w "$TMPDIR/app"
cd "$TMPDIR/app"
${writeProgram("npm-offline-lock.js")}
node "$TMPDIR/npm-offline-lock.js" package-lock.json "$WORKSPACE_DEPENDENCIES/tree"
npm ci
npm run build --if-present
npm prune --omit=dev --ignore-scripts
cp "$source/package-lock.json" package-lock.json
rm -rf node_modules/.package-lock.json node_modules/.cache

if [ "$PARAM_MAIN" = . ]; then
  main=$(node -p 'require.resolve(process.cwd())') || refuse 'package.json names no main that is there; give parameter main'
else
  main=$PARAM_MAIN
fi
main=$(realpath --relative-to=. "$main")
case $main in
  ../*) refuse "main $main leads out of the directory" ;;
esac
[ -f "$main" ] || refuse "after the build there is no file $main; give parameter main"

cp -R "$RUNTIME/." "$WORKSPACE_OUTPUT/tree"
cp -R . "$WORKSPACE_OUTPUT/tree/app"
ln -s "app/$main" "$WORKSPACE_OUTPUT/tree/main"

printf '{"node":"%s","npm":"%s"}' "$(node --version)" "$(npm --version)" >"$RESULT_ENVIRONMENT"
printf 'linux/%s' "$(node -p '({ x64: "amd64" })[process.arch] ?? process.arch')" >"$RESULT_PLATFORM"
`;

/**
 * Programs for Node.js: a package with `package-lock.json`. The image holds Node and, in `/app`, the package as it is
 * after its `build` script, with the dependencies that it needs when it runs.
 */
export const npm = ({ registry = "https://registry.npmjs.org/" }: NpmOptions = {}): Language =>
  language({
    name: "npm",
    image: "stage-node",
    unit: "package",
    param: {
      name: "main",
      description:
        "the file that the image runs, as a path from the package's directory; . is what package.json names.",
      pattern: patterns.directory,
      default: ".",
    },
    ingest: {
      description: "Downloads every package and checks it against package-lock.json; runs no code of them.",
      script: ingestScript,
      env: { NODE_OPTIONS: "--use-openssl-ca", NPM_REGISTRY: registry },
      authorities: "SSL_CERT_FILE",
      scratch: "1Gi",
    },
    build: {
      description: "Installs and builds one package from source and dependencies alone.",
      script: buildScript,
      env: {
        NPM_CONFIG_AUDIT: "false",
        NPM_CONFIG_FOREGROUND_SCRIPTS: "true",
        NPM_CONFIG_FUND: "false",
        NPM_CONFIG_LOGS_MAX: "0",
        NPM_CONFIG_OFFLINE: "true",
        NPM_CONFIG_UPDATE_NOTIFIER: "false",
        RUNTIME: "/opt/runtime",
      },
      param: "File that the image runs.",
      environment: "Versions of Node and npm, as JSON.",
    },
    // A link to the file, which Node follows before it looks for the file's package.
    entrypoint: ["/usr/bin/node", "/main"],
  });

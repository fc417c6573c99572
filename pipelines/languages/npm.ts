import type { Language, LanguageContext, Stage, StageResources } from "../model";
import { patterns } from "../patterns";
import { authorities } from "../stages/certificates";
import { writeProgram } from "./program";

/** Settings of a team's npm pipeline; each becomes part of the signed definitions. */
export interface NpmOptions {
  /** The https address of the registry, or of a mirror of it. @default npm's own */
  registry?: string;
  /** What stage build may use. @default 2 CPUs, 3Gi of memory, 8Gi of scratch space */
  buildResources?: Partial<StageResources>;
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

const directory = {
  name: "directory",
  description: "Directory of the package.",
  pattern: patterns.directory,
  from: { run: "directory" },
};

const stages = (options: NpmOptions, context: LanguageContext): Stage[] => {
  const image = context.images["stage-node"] ?? "";
  const trusted = authorities(context.caBundleConfigMap);
  return [
    {
      name: "ingest-dependencies",
      description: "Downloads every package and checks it against package-lock.json; runs no code of them.",
      image,
      script: ingestScript,
      params: [directory],
      results: [],
      reads: ["source"],
      writes: "dependencies",
      network: "dependencies",
      env: {
        NODE_OPTIONS: "--use-openssl-ca",
        NPM_REGISTRY: options.registry ?? "https://registry.npmjs.org/",
        SSL_CERT_FILE: trusted.files.join(),
      },
      mounts: trusted.mounts,
      resources: { cpu: "1", memory: "1Gi", scratch: "1Gi" },
    },
    {
      name: "build",
      description: "Installs and builds one package from source and dependencies alone.",
      image,
      script: buildScript,
      params: [
        directory,
        { name: "main", description: "File that the image runs.", pattern: patterns.directory, from: { run: "main" } },
        {
          name: "timestamp",
          description: "Time that the build takes for now, in seconds since 1970.",
          pattern: patterns.timestamp,
          from: { stage: "ingest-source", result: "timestamp" },
        },
      ],
      results: [
        { name: "environment", description: "Versions of Node and npm, as JSON." },
        { name: "platform", description: "Platform that the program runs on." },
      ],
      reads: ["source", "dependencies"],
      writes: "output",
      network: "none",
      env: {
        NPM_CONFIG_AUDIT: "false",
        NPM_CONFIG_FOREGROUND_SCRIPTS: "true",
        NPM_CONFIG_FUND: "false",
        NPM_CONFIG_LOGS_MAX: "0",
        NPM_CONFIG_OFFLINE: "true",
        NPM_CONFIG_UPDATE_NOTIFIER: "false",
        RUNTIME: "/opt/runtime",
      },
      mounts: [],
      resources: { cpu: "2", memory: "3Gi", scratch: "8Gi", ...options.buildResources },
    },
  ];
};

/**
 * Programs for Node.js: a package with `package-lock.json`. The image holds Node and, in `/app`, the package as it is
 * after its `build` script, with the dependencies that it needs when it runs.
 */
export const npm = (options: NpmOptions = {}): Language => ({
  name: "npm",
  params: [
    {
      name: "main",
      description:
        "the file that the image runs, as a path from the package's directory; . is what package.json names.",
      pattern: patterns.directory,
      default: ".",
    },
  ],
  stages: (context) => stages(options, context),
  outputStage: "build",
  // A link to the file, which Node follows before it looks for the file's package.
  entrypoint: ["/usr/bin/node", "/main"],
  results: [
    {
      name: "build-environment",
      description: "Versions of Node and npm, as JSON.",
      from: { stage: "build", result: "environment" },
    },
  ],
});

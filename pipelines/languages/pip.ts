import type { Language } from "../model";
import { language } from "./language";
import { writeProgram } from "./program";

/** Settings of a team's pip pipeline; each becomes part of the signed definitions. */
export interface PipOptions {
  /** The https address of the package index, or of a mirror of it. @default pip's own */
  index?: string;
}

/** The name of a module or package, as after `import`. */
const modulePattern = "[A-Za-z_][A-Za-z0-9_]*([.][A-Za-z_][A-Za-z0-9_]*)*";

/** The same for both stages: nothing outside the definition and the source decides how pip behaves. */
const settings = {
  PIP_CONFIG_FILE: "/dev/null",
  PIP_DISABLE_PIP_VERSION_CHECK: "1",
  PIP_NO_CACHE_DIR: "1",
  PIP_NO_INPUT: "1",
  PIP_ROOT_USER_ACTION: "ignore",
  PYTHONDONTWRITEBYTECODE: "1",
  PYTHONHASHSEED: "0",
};

const ingestScript = `
[ -f "$WORKSPACE_SOURCE/tree/$PARAM_DIRECTORY/requirements.txt" ] ||
  refuse "there is no requirements.txt in directory $PARAM_DIRECTORY; it fixes every dependency, so commit it"
${writeProgram("pip-requirements.py")}
# Python never looks for modules in the source here: no code of it runs in a stage with a network.
cd "$WORKSPACE_SOURCE/tree/$PARAM_DIRECTORY"
python3 -I "$TMPDIR/pip-requirements.py" requirements.txt "$TMPDIR/requirements.txt"
cd "$TMPDIR"
python3 -I -m pip download --quiet --require-hashes --only-binary :all: \\
  --dest "$WORKSPACE_DEPENDENCIES/tree" --requirement requirements.txt
cp requirements.txt "$WORKSPACE_DEPENDENCIES/tree"
`;

const buildScript = `
export SOURCE_DATE_EPOCH="$PARAM_TIMESTAMP"
packages="$WORKSPACE_OUTPUT/tree/usr/local/lib/python$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')/dist-packages"
cp -R "$RUNTIME/." "$WORKSPACE_OUTPUT/tree"
mkdir -p "$packages"
install_packages() {
  python3 -I -m pip install --no-index --no-compile --no-warn-script-location "$@"
}
install_packages --require-hashes --find-links "$WORKSPACE_DEPENDENCIES/tree" --target "$packages" \\
  --requirement "$WORKSPACE_DEPENDENCIES/tree/requirements.txt"

mkdir "$TMPDIR/app"
cp -R "$WORKSPACE_SOURCE/tree/$PARAM_DIRECTORY/." "$TMPDIR/app"
chmod -R u+w "$TMPDIR/app"
app="$WORKSPACE_OUTPUT/tree/app"
if [ -f "$TMPDIR/app/pyproject.toml" ] || [ -f "$TMPDIR/app/setup.py" ]; then
  cd "$TMPDIR"
  PYTHONPATH="$packages" python3 -m pip wheel --no-index --no-deps --no-build-isolation --wheel-dir wheels ./app
  set -- wheels/*.whl
  wheel=\${1#wheels/}
  # By name, because pip notes the path of a file that it is given.
  install_packages --no-deps --find-links wheels --target "$app" "\${wheel%%-*}"
else
  cp -R "$TMPDIR/app" "$app"
fi

PYTHONPATH="$app:$packages" python3 -c '
import importlib.util, sys
name = sys.argv[1]
found = importlib.util.find_spec(name)
if found is not None and found.submodule_search_locations is not None:
    found = importlib.util.find_spec(name + ".__main__")
sys.exit(found is None)' "$PARAM_MODULE" ||
  refuse "there is no module $PARAM_MODULE that python3 -m could run; give parameter module"
${writeProgram("pip-main.py")}
sed "s/@MODULE@/$PARAM_MODULE/" "$TMPDIR/pip-main.py" >"$WORKSPACE_OUTPUT/tree/main.py"

# Byte code that does not depend on the files' times, which an image's layer does not keep.
find "$app" "$packages" -name __pycache__ -type d -prune -exec rm -rf {} +
python3 -m compileall -q --invalidation-mode unchecked-hash -s "$WORKSPACE_OUTPUT/tree" -p / "$app" "$packages" ||
  echo 'what could not be compiled stays as it is'

python3 -c '
import json, platform, sys
from importlib.metadata import version
print(json.dumps({"python": platform.python_version(), "pip": version("pip")}), end="")' >"$RESULT_ENVIRONMENT"
python3 -c '
import platform
machine = platform.machine()
print("linux/" + {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine), end="")' >"$RESULT_PLATFORM"
`;

/**
 * Programs in Python: a directory with `requirements.txt`, every entry with version and hashes. The image holds Python,
 * the dependencies and, in `/app`, the program: installed where it has a `pyproject.toml` or `setup.py`, else as it is.
 */
export const pip = ({ index }: PipOptions = {}): Language =>
  language({
    name: "pip",
    image: "stage-python",
    unit: "program",
    param: {
      name: "module",
      description: "the module that the image runs, as python3 -m would.",
      pattern: modulePattern,
      default: "app",
    },
    ingest: {
      description: "Downloads every wheel and checks it against requirements.txt; runs no code of them.",
      script: ingestScript,
      env: { ...settings, ...(index === undefined ? {} : { PIP_INDEX_URL: index }) },
      authorities: "PIP_CERT",
      scratch: "4Gi",
    },
    build: {
      description: "Installs one program from source and dependencies alone.",
      script: buildScript,
      env: { ...settings, RUNTIME: "/opt/runtime" },
      param: "Module that the image runs.",
      environment: "Versions of Python and pip, as JSON.",
    },
    entrypoint: ["/usr/bin/python3", "-P", "/main.py"],
  });

import type { Event } from "./filter";

const STAGE = "k8s.pod.label[tekton.dev/pipelineTask]";

const NODE = "/usr/bin/node";
const SCRIPT = "/tekton/scripts/script-0-x7k2p";

/** A process of the stage's own container. */
const inStage = (stage: string, more: Event): Event => ({
  "k8s.ns.name": "team-a",
  "k8s.pod.name": `run-${stage}-pod`,
  [STAGE]: stage,
  "container.name": `step-${stage}`,
  "proc.vpid": 20,
  "proc.pvpid": 1,
  "user.uid": 65532,
  "evt.failed": false,
  ...more,
});

/** A program that was started, by its path, with its arguments and its ancestors, the nearest first. */
const started = (stage: string, path: string, args: string, ancestors: readonly string[], more: Event = {}): Event =>
  inStage(stage, {
    "evt.type": "execve",
    "proc.exepath": path,
    "proc.name": path.slice(path.lastIndexOf("/") + 1).slice(0, 15),
    "proc.args": args,
    "proc.pexepath": ancestors[0] ?? "",
    "proc.aexepath": ancestors,
    "proc.pvpid": ancestors.length === 1 ? 1 : 19,
    "proc.is_exe_upper_layer": false,
    "proc.is_exe_from_memfd": false,
    ...more,
  });

const ENTRYPOINT = "/tekton/bin/entrypoint";
/** What the step's script starts has these ancestors. */
const below = ["/usr/bin/dash", ENTRYPOINT];

const opened = (stage: string, name: string, writes: boolean, more: Event = {}): Event =>
  inStage(stage, {
    "evt.type": "openat",
    "evt.is_open_write": writes,
    "fd.name": name,
    "fd.typechar": "f",
    "proc.exepath": "/usr/bin/dash",
    "proc.name": "script-0-x7k2p",
    ...more,
  });

const connected = (stage: string, more: Event): Event =>
  inStage(stage, { "evt.type": "connect", "fd.typechar": "4", "proc.exepath": "/usr/bin/python3.11", ...more });

const namedAfterScript = { "proc.name": "script-0-x7k2p" };
const upper = { "proc.is_exe_upper_layer": true };
const inMemory = { "proc.is_exe_from_memfd": true };

/** The container in which Tekton lays down the script, before any step. */
const placement: Event = {
  "container.name": "place-scripts",
  "proc.vpid": 1,
  "proc.pexepath": "/usr/local/bin/containerd-shim-runc-v2",
};

const runtimeSetup: Event = { "proc.name": "runc:[2:INIT]", "proc.vpid": 1, "proc.exepath": "/usr/local/sbin/runc" };

/** What happens in a run that is as it should be: no rule may match any of it. */
export const LEGITIMATE: Readonly<Record<string, Event>> = {
  "Tekton starts the step's script": started("build", "/usr/bin/dash", SCRIPT, [ENTRYPOINT], namedAfterScript),
  "Tekton starts the script of a stage with a network": started(
    "publish",
    "/usr/bin/dash",
    SCRIPT,
    [ENTRYPOINT],
    namedAfterScript,
  ),
  "Tekton's shell lays down the script": started(
    "build",
    "/usr/bin/dash",
    '-c scriptfile="/tekton/scripts/script-0-x7k2p"',
    [],
    placement,
  ),
  "Tekton's shell writes the script": opened("build", SCRIPT, true, placement),
  "Tekton's entrypoint starts": started("build", ENTRYPOINT, "-wait_file /tekton/downward/ready", [], {
    "proc.vpid": 1,
  }),
  "Tekton's entrypoint says that the step is over": opened("build", "/tekton/run/0/out", true, {
    "proc.exepath": ENTRYPOINT,
    "proc.vpid": 1,
  }),
  "Tekton's entrypoint copies itself": opened("build", ENTRYPOINT, true, {
    "container.name": "prepare",
    "proc.exepath": "/ko-app/entrypoint",
    "proc.vpid": 1,
  }),
  "the runtime prepares the container": opened("build", "/proc/thread-self/attr/exec", true, runtimeSetup),
  "the runtime starts as a copy in memory": started("build", "memfd:runc_cloned:/proc/self/exe", "init", [], {
    ...inMemory,
    "user.uid": 0,
  }),
  "the script starts a tool": started("build", "/usr/bin/sha256sum", "", below),
  "go starts its compiler": started("build", "/usr/local/go/pkg/tool/linux_amd64/compile", "-o x", [
    "/usr/local/go/bin/go",
    ...below,
  ]),
  "go builds": started("build", "/usr/local/go/bin/go", "build -o /workspace/output/tree/app .", below),
  "go downloads, where it may": started("ingest-dependencies", "/usr/local/go/bin/go", "mod download", below),
  "npm installs what is there": started("build", NODE, "/usr/bin/npm ci", below),
  "npm removes what only builds need": started("build", NODE, "/usr/bin/npm prune --omit=dev --ignore-scripts", below),
  "npm runs a script of the package": started("build", "/usr/bin/dash", "-c tsc --build", [NODE, ...below]),
  "a script of the package runs a shell wrapper": started(
    "build",
    "/usr/bin/dash",
    "/tmp/app/node_modules/.bin/vite build",
    ["/usr/bin/dash", NODE, ...below],
  ),
  "Node starts a native program of a package": started(
    "build",
    "/tmp/app/node_modules/@esbuild/linux-x64/bin/esbuild",
    "--service",
    [NODE, "/usr/bin/dash", NODE, ...below],
  ),
  "pip installs what is there": started(
    "build",
    "/usr/bin/python3.11",
    "-I -m pip install --no-index --no-compile --target /workspace/output/tree/app x",
    below,
  ),
  "pip builds a wheel": started("build", "/usr/bin/python3.11", "-m pip wheel --no-index --no-deps ./app", below),
  "pip downloads, where it may": started("ingest-dependencies", "/usr/bin/python3.11", "-m pip download x", below),
  "pip looks whether there is IPv6": inStage("build", { "evt.type": "bind", "fd.typechar": "6" }),
  "the script writes a result": opened("build", "/tekton/results/digest", true),
  "the script writes its workspace": opened("build", "/workspace/output/tree/app", true),
  "the script writes a temporary file": opened("scan", "/tmp/licences", true),
  "the script throws something away": opened("build", "/dev/null", true),
  "the script reads the authorities": opened("ingest-source", "/etc/ssl/certs/ca-certificates.crt", false),
  "a program looks for the C library": opened("build", "/etc/ld.so.cache", false),
  "a program asks for a name service that is not there": connected("build", {
    "fd.typechar": "u",
    "fd.name": "",
    "evt.failed": true,
  }),
  "a tool talks to its own helper": connected("build", { "fd.typechar": "u", "fd.name": "0->0 /tmp/pymp-1/listener" }),
  "git reaches the forge": connected("ingest-source", { "fd.name": "10.244.0.9:40000->10.96.3.4:8443" }),
};

/** Attacks, by the rule that must see them. */
export const ATTACKS: Readonly<Record<string, Readonly<Record<string, Event>>>> = {
  "Shell that no step started": {
    "code of a Python package": started("build", "/usr/bin/dash", "-c id", ["/usr/bin/python3.11", ...below]),
    "a shell by another name": started("build", "/usr/bin/bash", "-i", ["/usr/bin/python3.11", ...below], {
      "proc.name": "kworker",
    }),
    "a program that calls itself a shell": started("build", "/usr/bin/python3.11", "", below, { "proc.name": "bash" }),
    "a person who got in": started("build", "/usr/bin/dash", "-i", [], {
      "proc.pexepath": "/usr/local/bin/containerd-shim-runc-v2",
    }),
    "a second entrypoint that starts a shell": started(
      "build",
      "/usr/bin/dash",
      SCRIPT,
      [ENTRYPOINT, "/usr/bin/python3.11", ...below],
      namedAfterScript,
    ),
    "the entrypoint, made to start something else": started("build", "/usr/bin/dash", "-c id", [ENTRYPOINT]),
    "a shell in a stage with a network": started("ingest-source", "/usr/bin/dash", "-c id", ["/usr/bin/git", ...below]),
  },
  "Package manager in a jail": {
    apt: started("build", "/usr/bin/apt-get", "install curl", below),
    "pip from an index": started("build", "/usr/bin/python3.11", "-m pip install requests", below),
    "pip's own program": started("scan", "/usr/bin/python3.11", "/usr/bin/pip3 download requests", below),
    "npm, one package more": started("build", NODE, "/usr/bin/npm --silent install left-pad", below),
    "npm's own file": started("build", NODE, "/usr/share/nodejs/npm/bin/npm-cli.js exec cowsay", below),
    "go, one module more": started("build", "/usr/local/go/bin/go", "get example.com/x", below),
  },
  "Write outside of workspaces": {
    "a file of the image": opened("build", "/usr/bin/git", true),
    "a file of the image, refused": opened("build", "/etc/passwd", true, { "evt.failed": true, "evt.res": "EROFS" }),
    "shared memory": opened("build", "/dev/shm/x", true),
    "the step's script": opened("build", SCRIPT, true),
    "a mark of Tekton's": opened("build", "/tekton/run/1/out", true),
    "a directory that only starts like a workspace": opened("build", "/workspace-2/x", true),
    "by creat": opened("build", "/var/x", false, { "evt.type": "creat" }),
    "a process that calls itself the runtime": opened("build", "/etc/cron.d/x", true, { "proc.name": "runc:[2:INIT]" }),
    "a second entrypoint": opened("build", "/tekton/run/0/out", true, { "proc.exepath": ENTRYPOINT }),
  },
  "Sensitive file opened": {
    "passwords of the image": opened("build", "/etc/shadow", false),
    "a token": opened("ingest-dependencies", "/var/run/secrets/kubernetes.io/serviceaccount/token", false),
    "another process's environment": opened("publish", "/proc/1/environ", false),
    "another process's memory": opened("build", "/proc/1/mem", true),
    "the file system of another process": opened("build", "/proc/1/root/etc/hostname", false),
  },
  "Program that was not in the image": {
    "a dropped program": started("build", "/tmp/x", "", ["/usr/bin/python3.11", ...below]),
    "a copied shell": started("scan", "/workspace/sbom/tree/ls", "-c id", below),
    "a program in shared memory": started("build", "/dev/shm/x", "", below),
    "a program in the container's own layer": started("build", "/usr/bin/x", "", below, upper),
    "a native program that Node did not start": started("build", "/tmp/app/node_modules/x/x", "", below),
    "a dropped program below Node": started("build", "/tmp/x", "", [NODE, ...below]),
  },
  "Program in memory": {
    "a program without a file": started("build", "memfd:x", "", ["/usr/bin/python3.11", ...below], inMemory),
    "one that calls itself the runtime": started("build", "memfd:runc_cloned:x", "init", below, inMemory),
  },
  "Connection attempt from a jail": {
    "to an address": connected("build", { "fd.name": "10.0.0.2:40000->198.51.100.7:443" }),
    "to an address, refused": connected("scan", { "evt.failed": true, "evt.res": "ENETUNREACH" }),
    "by IPv6": connected("build", { "fd.typechar": "6" }),
    "to itself": connected("build", { "fd.name": "127.0.0.1:40000->127.0.0.1:8080" }),
    "by an address family without a name": connected("build", { "fd.typechar": "o" }),
    "from a pod without a stage": Object.fromEntries(
      Object.entries(connected("build", {})).filter(([field]) => field !== STAGE),
    ),
    "to a socket of the node": connected("build", { "fd.typechar": "u", "fd.name": "0->0 /run/spire/agent.sock" }),
    "to a socket without a file": connected("build", { "fd.typechar": "u", "fd.name": "0->0 @x" }),
  },
  "Process that looks into another": {
    ptrace: inStage("build", { "evt.type": "ptrace" }),
    "reading memory": inStage("publish", { "evt.type": "process_vm_readv" }),
  },
  "Work queued past system calls": {
    io_uring: inStage("build", { "evt.type": "io_uring_setup" }),
    "io_uring, refused": inStage("build", { "evt.type": "io_uring_setup", "evt.failed": true, "evt.res": "EPERM" }),
  },
};

import { STAGE_LABEL } from "../../components/lib/labels";
import { podLabel, type FalcoList, type FalcoMacro, type RuntimePolicy, type RuntimeRule } from "./rule";

/** What the rules depend on. */
export interface RuntimeSettings {
  /** What the names of all teams' namespaces start with. */
  namespacePrefix: string;
  /** Stages that have a network; every other pod of a team is jailed. */
  networkedStages: readonly string[];
}

const lists = ({ networkedStages }: RuntimeSettings): FalcoList[] => [
  { name: "networked_stages", items: networkedStages },
  { name: "shells", items: ["ash", "bash", "busybox", "csh", "dash", "fish", "ksh", "mksh", "sh", "tcsh", "zsh"] },
  {
    name: "system_package_managers",
    items: ["apk", "apt", "apt-get", "aptitude", "dnf", "dpkg", "microdnf", "pacman", "rpm", "yum", "zypper"],
  },
  { name: "node_programs", items: ["/usr/bin/node", "/usr/bin/nodejs"] },
  { name: "stage_directories", items: ["/workspace", "/tmp", "/tekton/results"] },
  {
    name: "harmless_devices",
    items: ["/dev/full", "/dev/null", "/dev/stderr", "/dev/stdout", "/dev/tty", "/dev/zero"],
  },
  { name: "tekton_programs", items: ["/tekton/bin/entrypoint", "/ko-app/entrypoint", "/ko-app/workingdirinit"] },
  { name: "written_directories", items: ["/workspace", "/tmp", "/dev/shm", "/tekton/results", "/tekton/scripts"] },
  {
    name: "sensitive_files",
    items: [
      ...["/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/root"],
      ...["/var/run/secrets", "/run/secrets", "/proc/kcore", "/proc/keys", "/sys/kernel/security"],
    ],
  },
];

const macros = ({ namespacePrefix }: RuntimeSettings): FalcoMacro[] => [
  { name: "in_team", condition: `k8s.ns.name startswith ${namespacePrefix}` },
  { name: "jailed", condition: `in_team and not ${podLabel(STAGE_LABEL)} in (networked_stages)` },
  { name: "started_program", condition: "evt.type in (execve, execveat) and evt.failed = false" },
  { name: "opened_file", condition: "evt.type in (open, openat, openat2, open_by_handle_at) and fd.typechar = f" },
  {
    name: "opened_for_writing",
    condition: "(opened_file and evt.is_open_write = true) or (evt.type = creat and fd.typechar = f)",
  },
  // Tekton's entrypoint is the first process of a step's container, and starts exactly one program: the step's script.
  {
    name: "step_script",
    condition:
      "proc.pexepath = /tekton/bin/entrypoint and proc.pvpid = 1 and proc.args startswith /tekton/scripts/script-",
  },
  { name: "script_placement", condition: "container.name = place-scripts" },
  { name: "below_node", condition: "proc.aexepath in (node_programs)" },
  {
    name: "written_by_tekton",
    condition:
      "fd.name pmatch (/tekton) and (script_placement or (proc.vpid = 1 and proc.exepath in (tekton_programs)))",
  },
  // What the container runtime does in the container before its first program starts.
  { name: "container_setup", condition: 'proc.name startswith "runc:[" and proc.vpid = 1' },
  // Root of the node: no process of a stage has this user, in whatever user namespace.
  { name: "runtime_in_memory", condition: 'proc.exepath startswith "memfd:runc_cloned" and user.uid = 0' },
];

const shell: RuntimeRule = {
  name: "Shell that no step started",
  why: "Of a stage's shells, all but the step's own script are somebody else's.",
  detects: "Code of a build, or a person who got into its pod, starts a shell.",
  misses: [
    "Shells below Node are left out, since npm runs every script of a package by one: those of a bad package too.",
    "A script that a shell reads without starting a second one, with `.` or `eval`.",
    "A shell under another name that is not a copy of one of the known ones, such as an interpreter of Python.",
  ],
  condition:
    "in_team and started_program and (basename(proc.exepath) in (shells) or proc.name in (shells)) and not step_script and not script_placement and not below_node",
  fields: ["proc.pexepath", "proc.tty"],
  priority: "ERROR",
  tags: ["mitre_execution", "T1059.004"],
};

const packageManager: RuntimeRule = {
  name: "Package manager in a jail",
  why: "Dependencies come from the stage that ingests them, where lock files hold, and from nowhere else.",
  detects: "A build installs packages of the system, or asks pip, npm or go for packages that it was not given.",
  misses: [
    "A package manager that is not on the list, or that a program brings as a library.",
    "`npm ci`, and pip with `--no-index`: so the stages themselves install what they were given.",
  ],
  condition: [
    "jailed and started_program and (basename(proc.exepath) in (system_package_managers)",
    '(proc.args regex "(.* |.*/)?pip[0-9.]* (-[^ ]+ )*(install|download)( .*)?" and not proc.args contains --no-index)',
    '(proc.exepath in (node_programs) and proc.args regex "(.* |.*/)?(npm|npm-cli[.]js|pnpm|yarn) (-[^ ]+ )*(install|i|add|update|exec)( .*)?")',
    '(basename(proc.exepath) = go and proc.args regex "(get|install|mod download|mod tidy)( .*)?"))',
  ].join(" or "),
  fields: ["proc.pexepath"],
  priority: "WARNING",
  tags: ["mitre_command_and_control", "T1105"],
};

const writeOutside: RuntimeRule = {
  name: "Write outside of workspaces",
  why: "A stage leaves something behind in its workspace, its results and its temporary files only.",
  detects: "A process of a stage opens a file elsewhere for writing; `evt.res` says whether it got it.",
  misses: [
    "Links, renames, removals and changes of mode: only opening is looked at. The root file system is read-only.",
    "A path through a symbolic link counts as it was written, not as where it leads.",
    "What io_uring opens; its set-up is reported instead.",
  ],
  condition:
    "in_team and opened_for_writing and not fd.name pmatch (stage_directories) and not fd.name in (harmless_devices) and not written_by_tekton and not container_setup",
  fields: ["fd.name", "evt.res"],
  priority: "ERROR",
  tags: ["mitre_persistence", "T1554"],
};

const sensitiveFile: RuntimeRule = {
  name: "Sensitive file opened",
  why: "Credentials, other processes' memory and the kernel's are nothing that a stage needs.",
  detects: "A process of a stage opens one of them.",
  misses: [
    "A path through a symbolic link counts as it was written.",
    "The identity of the stage that publishes: it is asked for at a socket, and no file.",
    "A process's own environment, which it has in memory.",
  ],
  condition: [
    "in_team and opened_file and (fd.name pmatch (sensitive_files)",
    "fd.name glob /proc/*/environ or fd.name glob /proc/*/mem or fd.name glob /proc/*/root/*) and not container_setup",
  ].join(" or "),
  fields: ["fd.name", "evt.res"],
  priority: "CRITICAL",
  tags: ["mitre_credential_access", "T1552.001"],
};

const newProgram: RuntimeRule = {
  name: "Program that was not in the image",
  why: "What a stage runs comes with its image, which the definition names by digest.",
  detects: "A stage starts a program that was written after its container started: dropped, copied or renamed.",
  misses: [
    "Native programs within packages of npm, run below Node: esbuild and its like are made this way, and so are bad ones.",
    "Code that a program of the image interprets or loads: a script of Python, a module, a shared library.",
    "A program started by the dynamic loader (`ld.so <file>`), which counts as the loader.",
  ],
  condition: [
    "in_team and started_program and (proc.exepath pmatch (written_directories) or proc.is_exe_upper_layer = true)",
    "not (proc.exepath startswith /tmp/app/ and proc.exepath contains /node_modules/ and below_node)",
  ].join(" and "),
  fields: ["proc.pexepath", "proc.is_exe_upper_layer"],
  priority: "CRITICAL",
  tags: ["mitre_defense_evasion", "T1036.005"],
};

const programInMemory: RuntimeRule = {
  name: "Program in memory",
  why: "A program that is no file cannot be looked at afterwards.",
  detects: "A stage starts a program from memory (`memfd_create`).",
  misses: ["Code that a process loads into itself and never starts as a program."],
  condition: "in_team and started_program and proc.is_exe_from_memfd = true and not runtime_in_memory",
  fields: ["proc.pexepath"],
  priority: "CRITICAL",
  tags: ["mitre_defense_evasion", "T1620"],
};

const connection: RuntimeRule = {
  name: "Connection attempt from a jail",
  why: "A build has no network, so whoever tries to reach one is not building.",
  detects: "A process of a jailed stage connects to any address, or to a socket of somebody else's.",
  misses: [
    "Packets that are sent without `connect`, since Falco leaves out the system calls that send unless told otherwise.",
    "Sockets below `/tmp`, by which tools talk to their own helpers.",
    "Sockets of files that do not answer; name services are looked for that way.",
    "Network stages: the network's own policies and record are about them.",
  ],
  condition:
    "jailed and evt.type = connect and (not fd.typechar = u or (evt.failed = false and not fd.name contains /tmp/))",
  fields: ["fd.name", "evt.args", "evt.res"],
  priority: "CRITICAL",
  tags: ["mitre_exfiltration", "T1041"],
};

const otherProcess: RuntimeRule = {
  name: "Process that looks into another",
  why: "Nothing in a build debugs another process.",
  detects: "A stage traces a process or reads or writes its memory, for instance that of Tekton's entrypoint.",
  misses: ["The files of a process in `/proc`, which the rule about sensitive files sees."],
  condition: "in_team and evt.type in (ptrace, process_vm_readv, process_vm_writev)",
  fields: ["evt.args", "evt.res"],
  priority: "ERROR",
  tags: ["mitre_credential_access", "T1055.008"],
};

const ioUring: RuntimeRule = {
  name: "Work queued past system calls",
  why: "What a process queues by io_uring makes no system call, so no rule sees it.",
  detects: "A stage sets up io_uring; `evt.res` says whether it was let.",
  misses: ["What is done through it."],
  condition: "in_team and evt.type = io_uring_setup",
  fields: ["evt.res"],
  priority: "WARNING",
  tags: ["mitre_defense_evasion", "T1562.001"],
};

/** The rules for the pods of all teams, and what they are made of. */
export const runtimePolicy = (settings: RuntimeSettings): RuntimePolicy => ({
  lists: lists(settings),
  macros: macros(settings),
  rules: [
    shell,
    packageManager,
    writeOutside,
    sensitiveFile,
    newProgram,
    programInMemory,
    connection,
    otherProcess,
    ioUring,
  ],
});

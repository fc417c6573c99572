import { FALCO } from "./rules-file";
import type { RuntimeRule } from "./rule";
import { runtimePolicy } from "./rules";

/** Names that stand for what differs from factory to factory. */
const SAMPLE = { namespacePrefix: "team-", networkedStages: ["ingest-source", "ingest-dependencies", "publish"] };

const section = ({ name, why, detects, misses, condition, priority, tags }: RuntimeRule): string =>
  [
    `## ${name}`,
    "",
    `${why} ${detects} Priority \`${priority}\`; ${tags.map((tag) => `\`${tag}\``).join(", ")}.`,
    "",
    "```text",
    condition,
    "```",
    "",
    "It misses:",
    "",
    ...misses.map((miss) => `- ${miss}`),
    "",
  ].join("\n");

const code = (text: string): string => `\`${text}\``;

/** The guide to detection at run time, as Markdown: how to use it, each rule, and what nobody sees. */
export const runtimeGuide = (): string => {
  const { lists, macros, rules } = runtimePolicy(SAMPLE);
  return [
    "# Detection at run time",
    "",
    "Generated from `policies/runtime` by `npm run generate`.",
    "",
    `**Falco's part was not run here.** Falco ${FALCO.version} could not be had on the machines on which this was made, so no`,
    "kernel ever sent these rules an event. What was done instead: every condition is read by a parser of Falco's filter",
    "language, with the fields and operators of that version, and evaluated over made-up events, of attacks and of what our",
    "stages do; `falco.yaml` and the rules were held once against the JSON schemas in Falco's repository, and hold. Before you",
    "rely on it, let it run beside your builds and look at what it reports.",
    "",
    "Falco detects and prevents nothing: what stages cannot do is a matter of the jail, of admission and of Pod Security.",
    "",
    "## Using it",
    "",
    "```sh",
    "pulumi config set falcoImage <repository>@sha256:<64 hex digits> --stack dev",
    "./factory up",
    "./factory alerts                # the last hour; --since 30m, --json",
    "```",
    "",
    `The image must hold Falco ${FALCO.version}, or a newer one with the same fields, and its container plugin. The nodes must be`,
    "able to pull it, and need a kernel with BTF and the BPF ring buffer (5.8 or newer).",
    "",
    "Exit code of `alerts`: 0 no alerts and every node is watched, 1 alerts, 2 not known. Alerts are lines of Falco's log, so",
    "they last as long as the node keeps that: collect the logs of namespace `ssf-falco` if you need them longer. Whoever may",
    "delete Falco's pods removes its alerts with them.",
    "",
    "Falco is not privileged: it has the capabilities BPF, PERFMON, SYS_RESOURCE and SYS_PTRACE, a read-only root file",
    "system, the node's `/proc` and the socket of the container runtime. That socket gives whoever holds it the node, whether",
    "its file is mounted read-only or not, so Falco's image is as trusted as the node itself.",
    "",
    "## What no rule sees",
    "",
    "- **Arguments that change.** A second thread can change a path or an address between the kernel's use and Falco's",
    "  reading (CVE-2021-33505). Falco's answer needs tracepoints by `perf_event_open`, which some kernels deny to whoever",
    "  lacks SYS_ADMIN, and then Falco would not start; so tracefs is not mounted, and Falco does without that answer.",
    "- **io_uring.** What is queued by it makes no system call. Its set-up is reported.",
    "- **The first moments.** Falco learns from the container runtime whose container it is. What a container does before",
    "  that answer is in no team's namespace to a rule.",
    "- **Floods.** The kernel drops events that Falco is too slow to read. That is reported, as rule",
    "  `Falco internal: syscall event drop`, without saying what was dropped.",
    "- **Other names.** A path counts as it was written: what a symbolic link, a hard link or a mount leads to is not followed.",
    "- **Code in a known program.** A script of Python, a module that Node loads, a library: rules see programs, files and",
    "  connections, not what a program is about.",
    "- **The kernel.** Whoever controls the node's kernel controls what Falco sees.",
    "- **kind.** The nodes of a kind cluster share one kernel, and `/proc` there is that of the node's own container. Falco",
    "  therefore knows processes that started after itself, and knows the teams of containers of its own node only.",
    "",
    "## How a stage's shell is told from another",
    "",
    "All our stages are shell scripts. Tekton's entrypoint is the first process of a step's container and starts one program,",
    "the script in `/tekton/scripts`; parts of a script run in the same program, without a new one. A shell that is started",
    "elsewhere is reported, but below Node: npm runs each script of a package by a shell, as it should.",
    "",
    ...rules.map(section),
    "## Lists and macros",
    "",
    ...lists.map(({ name, items }) => `- ${code(name)}: ${items.map(code).join(", ")}`),
    ...macros.map(({ name, condition }) => `- ${code(name)}: ${code(condition)}`),
    "",
  ].join("\n");
};

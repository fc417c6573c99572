import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { stringify } from "yaml";

import { rulesFile, runtimePolicy } from "../policies/runtime";
import { configHash } from "./lib/hash";
import { imageParts } from "./lib/images";
import { selectorLabels, standardLabels } from "./lib/labels";
import { openNamespace } from "./lib/namespace";
import { resources, rootContainer } from "./lib/pods";
import { timeouts } from "./lib/timeouts";
import { teamNamespace } from "./lib/names";

/** Arguments of {@link Falco}. */
export interface FalcoArgs {
  /** Image of Falco with its container plugin, by digest. */
  image: string;
  /** Stages that have a network; every other pod of a team is jailed. */
  networkedStages: readonly string[];
  /** Socket of the container runtime on every node. @default containerd's */
  runtimeSocket?: string;
}

/** Namespace of Falco. */
export const FALCO_NAMESPACE = "ssf-falco";

/** Name of Falco's DaemonSet and of its container. */
export const FALCO_NAME = "falco";

const CONTAINERD_SOCKET = "/run/containerd/containerd.sock";
const CONFIG_DIRECTORY = "/etc/ssf-falco";
/** Where Falco looks for the files of its node; it finds the path in the variable HOST_ROOT. */
const HOST_ROOT = "/host";
const PORT = 8765;

/**
 * Loads the programs of the modern driver, reads what they say, lifts the limit of locked memory, and reads files of other
 * processes. Everything but these is dropped.
 */
const CAPABILITIES = ["BPF", "PERFMON", "SYS_RESOURCE", "SYS_PTRACE"];

/**
 * Detection at run time: Falco with the modern eBPF driver on every node, and rules for the pods of teams alone. Its alerts
 * are JSON lines on its standard output, which `./factory alerts` reads.
 *
 * It reports and never prevents. Like NodeTrust it needs directories of the node, so its namespace is privileged and holds
 * nothing else; the container itself is not privileged, and reaches nothing by network.
 *
 * @example
 * new Falco("falco", { image: "images.example.com/falco@sha256:...", networkedStages: ["ingest-source"] }, { provider });
 */
export class Falco extends pulumi.ComponentResource {
  /** Namespace of the DaemonSet. */
  public readonly namespace: pulumi.Output<string>;

  constructor(name: string, args: FalcoArgs, opts?: pulumi.ComponentResourceOptions) {
    super("secure-software-factory:index:Falco", name, args, opts);
    imageParts("image", args.image);
    const labels = standardLabels(FALCO_NAME);
    const socket = args.runtimeSocket ?? CONTAINERD_SOCKET;
    const files = falcoFiles(args.networkedStages, socket);

    const { namespace, inNamespace } = openNamespace(name, this, {
      name: FALCO_NAMESPACE,
      labels,
      level: "privileged",
    });
    new k8s.networking.v1.NetworkPolicy(
      `${name}-deny`,
      {
        metadata: { name: "deny-all", namespace: FALCO_NAMESPACE, labels },
        spec: { podSelector: {}, policyTypes: ["Ingress", "Egress"] },
      },
      inNamespace,
    );
    const config = new k8s.core.v1.ConfigMap(
      `${name}-config`,
      { metadata: { name: FALCO_NAME, namespace: FALCO_NAMESPACE, labels }, data: files },
      inNamespace,
    );
    new k8s.apps.v1.DaemonSet(
      `${name}-daemon-set`,
      {
        metadata: { name: FALCO_NAME, namespace: FALCO_NAMESPACE, labels },
        spec: {
          selector: { matchLabels: selectorLabels(FALCO_NAME) },
          template: {
            metadata: { labels, annotations: configHash(...Object.values(files)) },
            spec: {
              automountServiceAccountToken: false,
              enableServiceLinks: false,
              priorityClassName: "system-node-critical",
              tolerations: [{ operator: "Exists" }],
              containers: [
                {
                  name: FALCO_NAME,
                  image: args.image,
                  command: ["/usr/bin/falco", "-c", `${CONFIG_DIRECTORY}/falco.yaml`],
                  env: [
                    { name: "HOST_ROOT", value: HOST_ROOT },
                    { name: "FALCO_HOSTNAME", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } },
                  ],
                  ports: [{ name: "health", containerPort: PORT }],
                  readinessProbe: { httpGet: { path: "/healthz", port: PORT }, periodSeconds: 5 },
                  livenessProbe: {
                    httpGet: { path: "/healthz", port: PORT },
                    initialDelaySeconds: 60,
                    periodSeconds: 20,
                  },
                  securityContext: {
                    ...rootContainer,
                    capabilities: { drop: ["ALL"], add: CAPABILITIES },
                    // The usual profile keeps a container from the files of processes that are not its own.
                    appArmorProfile: { type: "Unconfined" },
                  },
                  resources: resources({ cpu: "50m", memory: "256Mi" }, { cpu: "1", memory: "1Gi" }),
                  volumeMounts: [
                    { name: "config", mountPath: CONFIG_DIRECTORY, readOnly: true },
                    { name: "proc", mountPath: `${HOST_ROOT}/proc`, readOnly: true },
                    { name: "runtime-socket", mountPath: `${HOST_ROOT}${socket}`, readOnly: true },
                  ],
                },
              ],
              volumes: [
                { name: "config", configMap: { name: FALCO_NAME } },
                { name: "proc", hostPath: { path: "/proc", type: "Directory" } },
                { name: "runtime-socket", hostPath: { path: socket, type: "Socket" } },
              ],
            },
          },
        },
      },
      { ...inNamespace, dependsOn: [namespace, config], customTimeouts: timeouts.workload },
    );

    this.namespace = pulumi.output(FALCO_NAMESPACE);
    this.registerOutputs({ namespace: this.namespace });
  }
}

/** Falco's settings and its rules, by file name. */
export const falcoFiles = (networkedStages: readonly string[], socket: string): Record<string, string> => ({
  "falco.yaml": stringify(falcoConfig(socket)),
  "rules.yaml": rulesFile(runtimePolicy({ namespacePrefix: teamNamespace(""), networkedStages })),
});

/**
 * Falco's settings, in the form of the version that the rules are written for: everything that it could do beside reading system calls and
 * writing alerts is off.
 */
export const falcoConfig = (socket: string) => ({
  config_files: [],
  watch_config_files: false,
  rules_files: [`${CONFIG_DIRECTORY}/rules.yaml`],
  engine: { kind: "modern_ebpf", modern_ebpf: { cpus_for_each_buffer: 2, buf_size_preset: 4 } },
  plugins: [
    {
      name: "container",
      library_path: "libcontainer.so",
      init_config: {
        // Labels of pods come with this interface of the runtime only, and before the first program of a container starts.
        hooks: ["create"],
        engines: {
          cri: { enabled: true, sockets: [socket] },
          ...Object.fromEntries(
            ["docker", "podman", "containerd", "lxc", "libvirt_lxc", "bpm"].map((engine) => [
              engine,
              { enabled: false },
            ]),
          ),
        },
      },
    },
  ],
  load_plugins: ["container"],
  rule_matching: "all",
  priority: "debug",
  json_output: true,
  json_include_output_property: true,
  json_include_output_fields_property: true,
  json_include_tags_property: true,
  buffered_outputs: false,
  stdout_output: { enabled: true },
  syslog_output: { enabled: false },
  file_output: { enabled: false },
  http_output: { enabled: false },
  grpc: { enabled: false },
  grpc_output: { enabled: false },
  log_stderr: true,
  log_syslog: false,
  log_level: "info",
  // A flood of events makes the kernel drop some, and that is an alert.
  syscall_event_drops: { threshold: 0, actions: ["alert"], rate: 0.03333, max_burst: 1 },
  webserver: { enabled: true, listen_port: PORT, listen_address: "0.0.0.0", k8s_healthz_endpoint: "/healthz" },
});

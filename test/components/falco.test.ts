import { parse } from "yaml";

import { Falco, falcoConfig, falcoFiles } from "../../components/falco";
import { inputAt, render, type Rendering, testImage, valueOf } from "../support/render";

const networkedStages = ["ingest-source", "ingest-dependencies", "publish"];

describe("Falco", () => {
  let rendering: Rendering;
  let falco: Falco | undefined;
  beforeAll(async () => {
    rendering = await render(() => {
      falco = new Falco("falco", { image: testImage("falco"), networkedStages });
    });
  });

  test("makes these objects and no others", async () => {
    expect(rendering.childrenOf("falco")).toEqual([
      "apps/v1:DaemonSet falco-daemon-set",
      "core/v1:ConfigMap falco-config",
      "core/v1:Namespace falco-ns",
      "networking.k8s.io/v1:NetworkPolicy falco-deny",
    ]);
    await expect(valueOf(falco?.namespace as never)).resolves.toBe("ssf-falco");
  });

  test("has four capabilities and is not privileged", () => {
    expect(inputAt(rendering.get("falco-daemon-set"), "spec.template.spec.containers.0.securityContext")).toEqual({
      runAsUser: 0,
      runAsGroup: 0,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"], add: ["BPF", "PERFMON", "SYS_RESOURCE", "SYS_PTRACE"] },
      seccompProfile: { type: "RuntimeDefault" },
      appArmorProfile: { type: "Unconfined" },
    });
    const pod = inputAt(rendering.get("falco-daemon-set"), "spec.template.spec") as Record<string, unknown>;
    for (const field of ["hostPID", "hostNetwork", "hostIPC"]) expect(pod).not.toHaveProperty(field);
    expect(pod.automountServiceAccountToken).toBe(false);
  });

  test("reads two things of the node, and writes nothing", () => {
    const path = "spec.template.spec";
    expect(inputAt(rendering.get("falco-daemon-set"), `${path}.volumes`)).toEqual([
      { name: "config", configMap: { name: "falco" } },
      { name: "proc", hostPath: { path: "/proc", type: "Directory" } },
      { name: "runtime-socket", hostPath: { path: "/run/containerd/containerd.sock", type: "Socket" } },
    ]);
    const mounts = inputAt(rendering.get("falco-daemon-set"), `${path}.containers.0.volumeMounts`);
    for (const mount of mounts as { readOnly?: boolean }[]) expect(mount.readOnly).toBe(true);
  });

  test("runs on every node, and is reached by nobody", () => {
    expect(inputAt(rendering.get("falco-daemon-set"), "spec.template.spec.tolerations")).toEqual([
      { operator: "Exists" },
    ]);
    expect(inputAt(rendering.get("falco-deny"), "spec")).toEqual({
      podSelector: {},
      policyTypes: ["Ingress", "Egress"],
    });
  });

  test("its pods change with its rules", async () => {
    const other = await render(() => new Falco("falco", { image: testImage("falco"), networkedStages: ["publish"] }));
    const hash = (from: Rendering) => inputAt(from.get("falco-daemon-set"), "spec.template.metadata.annotations");
    expect(hash(rendering)).not.toEqual(hash(other));
  });

  test.each([
    ["a tag", "images.example/falco:0.42.1"],
    ["a digest that is cut off", "images.example/falco@sha256:00"],
  ])("an image by %s is refused, with nothing made", async (_, image) => {
    const refused = await render(() =>
      expect(() => new Falco("falco", { image, networkedStages })).toThrow(`SSF-IMAGE-001 image: "${image}"`),
    );
    expect(refused.childrenOf("falco")).toEqual([]);
  });
});

describe("Falco's settings", () => {
  const socket = "/run/other/runtime.sock";
  const config = falcoConfig(socket);

  test("are these keys, all of which version 0.42.1 has", () => {
    expect(Object.keys(config).sort()).toEqual([
      "buffered_outputs",
      "config_files",
      "engine",
      "file_output",
      "grpc",
      "grpc_output",
      "http_output",
      "json_include_output_fields_property",
      "json_include_output_property",
      "json_include_tags_property",
      "json_output",
      "load_plugins",
      "log_level",
      "log_stderr",
      "log_syslog",
      "plugins",
      "priority",
      "rule_matching",
      "rules_files",
      "stdout_output",
      "syscall_event_drops",
      "syslog_output",
      "watch_config_files",
      "webserver",
    ]);
  });

  test("the modern driver, every rule of ours and no other, JSON on standard output and nowhere else", () => {
    expect(config).toMatchObject({
      config_files: [],
      rules_files: ["/etc/ssf-falco/rules.yaml"],
      engine: { kind: "modern_ebpf" },
      rule_matching: "all",
      json_output: true,
      stdout_output: { enabled: true },
    });
    for (const output of ["syslog_output", "file_output", "http_output", "grpc_output", "grpc"] as const)
      expect(config[output].enabled).toBe(false);
  });

  test("containers are asked for at the runtime's socket alone", () => {
    expect(config.plugins[0]?.init_config.engines).toEqual({
      cri: { enabled: true, sockets: [socket] },
      docker: { enabled: false },
      podman: { enabled: false },
      containerd: { enabled: false },
      lxc: { enabled: false },
      libvirt_lxc: { enabled: false },
      bpm: { enabled: false },
    });
  });

  test("dropped events are an alert", () => {
    // With "log" as well, the log of version 0.42.1 uses up the alert's text.
    expect(config.syscall_event_drops).toMatchObject({ threshold: 0, actions: ["alert"] });
  });

  test("are written as they are", () => {
    const files = falcoFiles(networkedStages, socket);
    expect(Object.keys(files)).toEqual(["falco.yaml", "rules.yaml"]);
    expect(parse(files["falco.yaml"] ?? "")).toEqual(config);
    expect(parse(files["rules.yaml"] ?? "")).toContainEqual({ list: "networked_stages", items: networkedStages });
  });
});

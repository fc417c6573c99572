import { cp, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { moduleVersion } from "./go";
import { run } from "../process";
import { nodeTasks, taskProgram, taskService, taskTimer } from "./node-tasks";

/** Image archive that a node imports at its first start, as a mount of the cluster. */
export const nodeImageArchive = "/kind/images/images.tar";

/** Directory of the network configuration that jailed pods get: a device that nobody reads, and no route. */
const jailConfiguration = "/etc/cni/jail.d";

const runtime = (handler: string, extra = "") => `
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.${handler}]
  runtime_type = "io.containerd.runc.v2"
  base_runtime_spec = "/etc/containerd/cri-base.json"${extra}
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.${handler}.options]
    SystemdCgroup = true
`;

/** containerd's configuration: the ordinary runtime, and the jail beside it. */
const containerdConfig = (pauseImage: string) => `version = 3

[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "${pauseImage}"
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = "/etc/containerd/certs.d"

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "runc"
${runtime("runc")}${runtime("jailed", `\n  cni_conf_dir = "${jailConfiguration}"\n  cni_max_conf_num = 1`)}`;

/**
 * The jail's network: a TAP device that no process holds open, so that what is sent to it goes nowhere. It has no peer
 * on the node, no gateway and no neighbour; the address exists because Kubernetes wants one (TEST-NET-1, RFC 5737).
 */
const jailNetwork = {
  cniVersion: "1.0.0",
  name: "jail",
  plugins: [{ type: "tap", ipam: { type: "host-local", ranges: [[{ subnet: "192.0.2.0/24" }]] } }],
};

/** Images are unpacked when a container first needs them, most of them side by side. */
const importImages = `[Unit]
Description=Import of the factory's images
After=containerd.service
Requires=containerd.service
Before=kubelet.service
ConditionPathExists=${nodeImageArchive}
ConditionPathExists=!/var/lib/containerd/factory-images-imported

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/bin/ctr --namespace=k8s.io images import --no-unpack ${nodeImageArchive}
ExecStart=/usr/bin/touch /var/lib/containerd/factory-images-imported
`;

const kubeletWaitsForImages = `[Unit]
After=factory-images.service
Requires=factory-images.service
`;

/**
 * On machines with control groups of version 1, containers are put into them by runc, not by systemd: there, a change
 * through systemd freezes the container, which fails when the processors are busy. The kubelet asks containerd which of
 * the two it is.
 */
const controlGroups = `[Service]
ExecStartPre=/bin/sh -c 'test -e /sys/fs/cgroup/cgroup.controllers || sed -i "s/SystemdCgroup = true/SystemdCgroup = false/" /etc/containerd/config.toml'
`;

/**
 * What kubeadm leaves to others: kernel settings that a kubelet with protectKernelDefaults wants to find, modes and owners
 * as the CIS benchmark asks (1.1.12, 4.1.9).
 */
const kubeletPreparation = `[Service]
ExecStartPre=/usr/sbin/sysctl --write vm.overcommit_memory=1 kernel.panic=10 kernel.panic_on_oops=1
ExecStartPre=/usr/bin/chmod 0600 /var/lib/kubelet/config.yaml
ExecStartPre=/usr/bin/install --directory --owner=etcd --group=etcd --mode=0700 /var/lib/etcd
`;

/** What kind applies as its default storage; the factory brings its own, so the file hardens the default account. */
const defaultStorage = {
  apiVersion: "v1",
  kind: "ServiceAccount",
  metadata: { name: "default", namespace: "default" },
  automountServiceAccountToken: false,
};

/**
 * Lays out what a kind node has above its root file system: kind's own files, the pinned programs, containerd with the
 * jail runtime, and the import of the factory's images before the kubelet starts.
 *
 * @param root directory that becomes the image's layer
 * @param outputs module name -> directory of its output
 * @param pauseImage reference of the pod sandbox image
 */
export const layOutNode = async (root: string, outputs: Record<string, string>, pauseImage: string): Promise<void> => {
  const output = (module: string, path: string) => join(outputs[module] ?? "", path);
  const write = async (path: string, text: string) => {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  };
  const enable = async (unit: string, target = "multi-user.target") => {
    const wants = join(root, `etc/systemd/system/${target}.wants`);
    await mkdir(wants, { recursive: true });
    await symlink(`/etc/systemd/system/${unit}`, join(wants, unit));
  };

  await cp(output("kind", "share/images/base/files"), root, { recursive: true });
  const programs: Record<string, [string, string][]> = {
    "usr/bin": [
      ["kubernetes", "kubelet"],
      ["kubernetes", "kubeadm"],
      ["kubernetes", "kubectl"],
    ],
    "usr/local/bin": [
      ["containerd", "containerd"],
      ["containerd", "containerd-shim-runc-v2"],
      ["containerd", "ctr"],
    ],
    "usr/local/sbin": [["runc", "runc"]],
    "opt/cni/bin": [
      ["cni-plugins", "loopback"],
      ["cni-plugins", "tap"],
      ["cni-plugins", "host-local"],
    ],
  };
  for (const [directory, list] of Object.entries(programs))
    for (const [module, program] of list)
      await cp(output(module, `bin/${program}`), join(root, directory, program), { recursive: true });
  await run("chmod", [
    "0755",
    ...["usr/local/bin/entrypoint", "usr/local/bin/clean-install", "kind/bin"].map((path) => join(root, path)),
  ]);
  await run("chmod", ["-R", "0755", join(root, "kind/bin")]);

  const containerdUnit = join(root, "etc/systemd/system/containerd.service");
  const unit = await readFile(containerdUnit, "utf8");
  if (!unit.includes("OOMScoreAdjust=")) throw new Error("kind's containerd.service no longer sets OOMScoreAdjust");
  await writeFile(containerdUnit, unit.replace(/^OOMScoreAdjust=.*\n/m, ""));

  const spec = JSON.parse(await run(output("containerd", "bin/ctr"), ["oci", "spec"])) as {
    hooks?: { createContainer?: { path: string }[] };
    process: { rlimits?: unknown };
  };
  spec.hooks = {
    createContainer: [...(spec.hooks?.createContainer ?? []), { path: "/kind/bin/mount-product-files.sh" }],
  };
  delete spec.process.rlimits;

  await write("etc/containerd/config.toml", containerdConfig(pauseImage));
  await write("etc/containerd/cri-base.json", JSON.stringify(spec));
  await write(`${jailConfiguration}/10-jail.conflist`, JSON.stringify(jailNetwork));
  await write("etc/systemd/system/containerd.service.d/20-control-groups.conf", controlGroups);
  await write("etc/systemd/system/factory-images.service", importImages);
  await write("etc/systemd/system/kubelet.service.d/20-images.conf", kubeletWaitsForImages);
  await write("etc/systemd/system/kubelet.service.d/30-preparation.conf", kubeletPreparation);
  for (const task of nodeTasks) {
    await write(taskProgram(task), task.script);
    await run("chmod", ["0755", join(root, taskProgram(task))]);
    await write(`etc/systemd/system/${task.name}.service`, taskService(task));
    await write(`etc/systemd/system/${task.name}.timer`, taskTimer(task));
  }
  await write("etc/systemd/journald.conf.d/container.conf", "[Journal]\nReadKMsg=no\n");
  await write("kind/manifests/default-storage.yaml", JSON.stringify(defaultStorage));
  await write("kind/version", await moduleVersion("kubernetes"));
  for (const unit of [
    ...["containerd.service", "kubelet.service", "undo-mount-hacks.service", "factory-images.service"],
    ...nodeTasks.map(({ name }) => `${name}.timer`),
  ])
    await enable(unit);
  const kubeletUnits = ["kubelet.service", "kubelet.service.d/10-kubeadm.conf"];
  await run("chmod", ["0600", ...kubeletUnits.map((path) => join(root, "etc/systemd/system", path))]);
  await symlink("/dev/null", join(root, "etc/systemd/system/systemd-binfmt.service"));
  for (const directory of ["etc/kubernetes/manifests", "etc/containerd/certs.d"])
    await mkdir(join(root, directory), { recursive: true, mode: 0o755 });
};

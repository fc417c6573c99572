import type { Toolchain } from "../../stacks/toolchain";
import { testImage } from "./render";

const parts = ["coredns", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];

/** What a cluster's nodes are made of, as a lock file would say it. */
export const clusterToolchain: Toolchain = {
  platform: "linux/amd64",
  images: Object.fromEntries(parts.map((name) => [name, { reference: testImage(name), version: `v1-${name}` }])),
  sources: {},
  bin: "/bin",
  plugins: "/plugins",
  imageArchive: "/images.tar",
  node: { reference: "ssf.local/node:1", archive: "/node.tar" },
};

import { parse } from "yaml";
import { kindConfig } from "../../../components/lib/kind-config";

const images = Object.fromEntries(
  ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "coredns"].map((name) => [
    name,
    { reference: `images.test/${name}@sha256:${"0".repeat(64)}`, version: "v1" },
  ]),
);

/** Every key of a value at any depth. */
const keysOf = (value: unknown): string[] =>
  typeof value === "object" && value !== null
    ? Object.entries(value).flatMap(([key, inner]) => [key, ...keysOf(inner)])
    : [];

/** What takes a port of the host, in kind's own configuration. */
const hostPorts = (config: string): string[] =>
  keysOf(parse(config)).filter((key) =>
    ["apiServerPort", "apiServerAddress", "extraPortMappings", "hostPort"].includes(key),
  );

test.each([0, 2])("a cluster with %d workers takes no port of the host that another may have", (workers) => {
  const { config } = kindConfig({ workers, toolchain: { images }, encryptionKey: Buffer.alloc(32).toString("base64") });
  expect(keysOf(parse(config))).toContain("networking");
  expect(hostPorts(config)).toEqual([]);
});

test("a port that is taken is found", () => {
  expect(hostPorts("networking: { apiServerPort: 6443 }\nnodes: [{ extraPortMappings: [{ hostPort: 80 }] }]")).toEqual([
    "apiServerPort",
    "extraPortMappings",
    "hostPort",
  ]);
});

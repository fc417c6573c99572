import { execFileSync } from "node:child_process";
import { homedir } from "node:os";
import { join } from "node:path";

import { FactoryError } from "../components/lib/errors";
import { inRange } from "../components/lib/ranges";
import type { Toolchain } from "./toolchain";

/** Asks a cluster with one command of kubectl, and returns what it prints. */
type Ask = (...args: string[]) => string;

/**
 * The current context of a kubeconfig, once its cluster has answered and every address that it tells lies in its ranges.
 * Other contexts are other clusters' and no part of it; files that it names are in it.
 *
 * @param clusterCidrs ranges of the addresses of its pods, services and nodes
 * @throws FactoryError `SSF-CLUSTER-001` when the file cannot be read or the cluster does not answer within 10 seconds;
 * `SSF-CLUSTER-003` when an address of the cluster lies in none of the ranges
 */
export const readExisting = (
  path: string,
  clusterCidrs: readonly string[],
  toolchain: Pick<Toolchain, "bin">,
): string => {
  const file = path.replace(/^~(?=\/)/, homedir());
  const ask: Ask = (...args) =>
    execFileSync(join(toolchain.bin, "kubectl"), ["--kubeconfig", file, "--request-timeout=10s", ...args], {
      encoding: "utf8",
      maxBuffer: 1 << 28,
      stdio: ["ignore", "pipe", "pipe"],
    });
  const [text, told] = readAnswering(file, ask);
  refuseOutside(addressesIn(told), clusterCidrs);
  return text;
};

/** Where pods, services and nodes are: of each object the addresses that Kubernetes lists of it, and a node's own range. */
const ADDRESSES =
  '{range .items[*]}{.status.podIPs[*].ip} {.spec.clusterIPs[*]} {.spec.podCIDRs[*]} {.status.addresses[?(@.type=="InternalIP")].address}{"\\n"}{end}';

const readAnswering = (file: string, ask: Ask): [kubeconfig: string, told: string] => {
  try {
    ask("get", "--raw", "/readyz");
    return [
      ask("config", "view", "--raw", "--minify", "--flatten"),
      ask("get", "nodes,services,pods", "--all-namespaces", `--output=jsonpath=${ADDRESSES}`),
    ];
  } catch (error) {
    const output = error instanceof Error && "stderr" in error ? String(error.stderr).trim() : String(error);
    throw new FactoryError({
      code: "SSF-CLUSTER-001",
      path: "kubeconfig",
      given: `${file}: ${output}`,
      rule: "The kubeconfig must be readable, and its cluster must answer within 10 seconds.",
      fix: "Start the cluster or name another kubeconfig: pulumi config set kubeconfig <path>",
    });
  }
};

/** The IPv4 addresses and first addresses of ranges in a text; stages reach no others. */
const addressesIn = (text: string): string[] => [...new Set(text.match(/(?<![\w.:])\d+(\.\d+){3}(?![\w.:])/g))];

const refuseOutside = (addresses: readonly string[], clusterCidrs: readonly string[]): void => {
  const outside = addresses.filter((address) => !clusterCidrs.some((cidr) => inRange(address, cidr))).sort();
  if (outside.length === 0) return;
  const shown = outside.slice(0, 10).join(", ");
  throw new FactoryError({
    code: "SSF-CLUSTER-003",
    path: "config clusterCidrs",
    given: `"${clusterCidrs.join(",")}", while the cluster has ${outside.length > 10 ? `${shown} and others` : shown}`,
    rule: "Every pod, service and node of the cluster must be in one of the ranges, since stages are kept from these.",
    fix: "Add the ranges that these addresses are from: pulumi config set clusterCidrs <range>,<range>",
  });
};

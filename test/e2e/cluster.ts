import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { connect, type SecureVersion } from "node:tls";
import type { StackOutputs } from "../../stacks/outputs";
import { readToolchain } from "../../stacks/toolchain";
import type { Kubectl } from "../../tools/cli/kubectl";
import { container } from "./host";

const minutes = 60_000;
const securityPage = resolve(__dirname, "../../docs/security.md");

/** What the tests below need. */
export interface ClusterContext {
  kubectl: Kubectl;
  shared: StackOutputs["factory"];
}

/** One check of the CIS benchmark, as kube-bench reports it. */
interface Check {
  test_number: string;
  status: string;
}

/** Runs kube-bench in a node. @param flags which checks; all without them */
const benchmark = async (node: string, ...flags: string[]): Promise<Check[]> => {
  const { bin, sources } = readToolchain();
  await container("cp", join(bin, "kube-bench"), `${node}:/tmp/kube-bench`);
  await container("cp", `${sources["kube-bench"] ?? ""}/cfg`, `${node}:/tmp/cfg`);
  const config = ["--config-dir", "/tmp/cfg", "--config", "/tmp/cfg/config.yaml"];
  const report = JSON.parse(
    await container("exec", node, "/tmp/kube-bench", "run", "--benchmark", "cis-1.12", ...config, "--json", ...flags),
  ) as { Controls: { tests: { results: Check[] }[] }[] };
  return report.Controls.flatMap(({ tests }) => tests.flatMap(({ results }) => results));
};

const withStatus = (checks: readonly Check[], wanted: string): string[] =>
  checks.filter(({ status }) => status === wanted).map(({ test_number }) => test_number);

/** Numbers of the checks that the table of the page answers, such as `4.1.3`; `5.1.8-5.1.10` stands for three. */
const answeredChecks = (page: string): string[] =>
  [...page.matchAll(/^\| ((?:\d+\.\d+\.\d+[-, ]*)+)/gm)].flatMap(([, numbers = ""]) =>
    [...numbers.matchAll(/(\d+\.\d+\.)(\d+)(?:-\1(\d+))?/g)].flatMap(([, section = "", first, last = first]) =>
      Array.from({ length: Number(last) - Number(first) + 1 }, (_, index) => `${section}${Number(first) + index}`),
    ),
  );

/** Tries a handshake with versions up to that; the version that came of it, or the code of the refusal. */
const handshake = (server: string, maxVersion: SecureVersion): Promise<string> =>
  new Promise((resolve) => {
    const { hostname: host, port } = new URL(server);
    // Level 0 lets this side offer what is too old for its own rules, so that the refusal is the server's.
    const ciphers = "DEFAULT@SECLEVEL=0";
    const socket = connect(
      { host, port: Number(port), minVersion: "TLSv1", maxVersion, ciphers, rejectUnauthorized: false },
      () => {
        resolve(socket.getProtocol() ?? "");
        socket.destroy();
      },
    );
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? ""));
  });

/** A pod in a namespace that says nothing of Pod Security. @param securityContext that of its container */
const pod = (securityContext: object) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "asked", namespace: "default" },
  spec: {
    automountServiceAccountToken: false,
    securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: "RuntimeDefault" } },
    containers: [{ name: "main", image: readToolchain().images.shell?.reference, securityContext }],
  },
});

/** Checks the hardening of the cluster that is made. @param cluster its name */
export const describeCluster = (cluster: string, context: () => ClusterContext): void => {
  describe("the cluster", () => {
    const node = `${cluster}-control-plane`;
    const inNode = (...command: string[]) => container("exec", node, ...command);
    const server = (): string => /server: (\S+)/.exec(context().shared.kubeconfig)?.[1] ?? "";

    test(
      "fails no check of the CIS benchmark, and every warning is answered",
      async () => {
        const checks = await benchmark(node);
        expect(checks.length).toBeGreaterThan(100);
        expect(withStatus(checks, "FAIL")).toEqual([]);
        const answered = answeredChecks(readFileSync(securityPage, "utf8"));
        const warned = withStatus(checks, "WARN");
        expect(warned.length).toBeGreaterThan(10);
        expect(warned.filter((number) => !answered.includes(number))).toEqual([]);
      },
      5 * minutes,
    );

    test(
      "encrypts Secrets at rest, and nothing that needs no encryption",
      async () => {
        const { kubectl } = context();
        const canary = (kind: string) => `canary-of-a-${kind}`;
        await kubectl.text([
          "create",
          "secret",
          "generic",
          "canary",
          "--namespace=default",
          `--from-literal=value=${canary("secret")}`,
        ]);
        await kubectl.text([
          "create",
          "configmap",
          "canary",
          "--namespace=default",
          `--from-literal=value=${canary("configmap")}`,
        ]);
        const timesInStore = (text: string) =>
          inNode("sh", "-c", `cat /var/lib/etcd/member/wal/*.wal | grep --text --count ${text} || true`);
        expect((await timesInStore(canary("configmap"))).trim()).not.toBe("0");
        expect((await timesInStore(canary("secret"))).trim()).toBe("0");
        await kubectl.text(["delete", "secret/canary", "configmap/canary", "--namespace=default"]);
      },
      minutes,
    );

    test("answers anonymous requests for its health only", () => {
      const status = (path: string) =>
        execFileSync(
          "curl",
          ["--silent", "--insecure", "--output", "/dev/null", "--write-out", "%{http_code}", `${server()}${path}`],
          { encoding: "utf8" },
        );
      expect(status("/readyz")).toBe("200");
      expect(status("/version")).toBe("401");
      expect(status("/api/v1/namespaces")).toBe("401");
    });

    test("talks TLS 1.2 and later, and nothing older", async () => {
      expect(await handshake(server(), "TLSv1.2")).toBe("TLSv1.2");
      expect(await handshake(server(), "TLSv1.3")).toBe("TLSv1.3");
      expect(await handshake(server(), "TLSv1.1")).toBe("ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION");
    });

    test("lets only restricted pods into a namespace that says nothing of Pod Security", async () => {
      const { kubectl } = context();
      const ask = (securityContext: object) =>
        kubectl.text(["create", "--dry-run=server", "--filename=-"], JSON.stringify(pod(securityContext)));
      const labels = await kubectl.text(["get", "namespace", "default", "--output=jsonpath={.metadata.labels}"]);
      expect(labels).not.toContain("pod-security");
      const restricted = { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } };
      await expect(ask(restricted)).resolves.toContain("pod/asked created");
      await expect(ask({ privileged: true })).rejects.toThrow(/violates PodSecurity "restricted:latest"/);
    });

    test("records who did what", async () => {
      const recorded = await inNode("sh", "-c", "grep --count pipelineruns /var/log/kubernetes/audit.log");
      expect(recorded.trim()).not.toBe("0");
    });
  });
};

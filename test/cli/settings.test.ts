import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import type { Server } from "node:https";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { stringify } from "yaml";
import { FactoryError } from "../../components/lib/errors";
import { kubeconfigSilence } from "../../tools/cli/kubeconfig-answer";
import { readSettings } from "../../tools/cli/settings";
import { openWorkspace } from "../../tools/cli/workspace";
import { certificateFor, listen } from "./support/tls";

jest.setTimeout(120_000);

const home = mkdtempSync(join(tmpdir(), "ssf-settings-"));
afterAll(() => rmSync(home, { recursive: true }));

const names = { SSF_STACKS: "cluster,dev,team-a" };
const refusalOf = async (made: Promise<unknown>): Promise<FactoryError> => {
  const error = await made.then(
    () => undefined,
    (one: unknown) => one,
  );
  if (!(error instanceof FactoryError)) throw new Error("not refused", { cause: error });
  return error;
};
const settings = (...lines: string[]) => readSettings(openWorkspace({}, { ...names, SSF_CONFIG: lines.join("\n") }));
const refused = async (...lines: string[]) =>
  (await refusalOf(settings(...lines))).problems.map(({ code, path, given }) => `${code} ${path}: ${given}`);

describe("the settings of all stacks", () => {
  test("are read as the committed files and the environment say them", async () => {
    expect(await settings("cluster:workers=2", "team-a:reproduce=true")).toMatchObject([
      { kind: "cluster", workers: 2 },
      { kind: "factory" },
      { kind: "team", team: "a", reproduce: true },
    ]);
  });

  test("are refused all at once, each with its stack, value, rule and fix", async () => {
    const error = await refusalOf(
      settings("cluster:workers=two", "dev:registryClusterIp=10.97.0.50", "team-a:quotaPodz=1"),
    );
    expect(error.problems.map(({ code, path, given }) => `${code} ${path}: ${given}`)).toEqual([
      'SSF-CONFIG-004 stack cluster: config workers: "two"',
      'SSF-CONFIG-004 stack dev: config registryClusterIp: "10.97.0.50"',
      'SSF-CONFIG-002 stack team-a: config quotaPodz: "1"',
    ]);
    expect(error.message).toContain("rule: It must be a whole number from 0 to 20.");
    expect(error.message).toContain("fix:  Run pulumi config set workers 2");
  });

  test.each([
    ["a list", "cluster:workers=[1]", '"[1]"'],
    ["a truth value for a number", "cluster:workers=true", '"true"'],
    ["a word for a truth value", "team-a:reproduce=maybe", '"maybe"'],
  ])("of a wrong type are refused: %s", async (_name, line, given) => {
    expect(await refused(line)).toEqual([expect.stringMatching(/^SSF-CONFIG-004 /)]);
    expect((await refused(line))[0]).toContain(given);
  });

  test("that only the engine can read are left to the program", async () => {
    await settings('team-a:team={"secure":"v1:abc"}');
    expect(await refused('team-a:team={"secured":"v1:abc"}')).toHaveLength(1);
  });
});

describe("factory up", () => {
  const root = resolve(__dirname, "../..");
  const [state, cache] = [join(home, "state"), join(home, "cache")];

  const up = (...lines: string[]) =>
    spawnSync(process.execPath, ["--require", "@swc-node/register", "tools/cli/main.ts", "up"], {
      cwd: root,
      encoding: "utf8",
      env: { ...process.env, ...names, SSF_STATE: state, XDG_CACHE_HOME: cache, SSF_CONFIG: lines.join("\n") },
    });

  test.each([
    ["settings that do not hold", ["cluster:workers=two"], 'SSF-CONFIG-004 stack cluster: config workers: "two"'],
    [
      "a kubeconfig that is not there",
      [`cluster:kubeconfig=${home}/gone`, "cluster:clusterCidrs=10.0.0.0/8"],
      `SSF-HOST-007 ${home}/gone: ENOENT`,
    ],
  ])("makes nothing for %s", (_name, lines, message) => {
    const { status, stdout, stderr } = up(...lines);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toContain(message);
    expect(existsSync(state)).toBe(false);
    // The compiler keeps its own binary there.
    expect(readdirSync(cache).filter((name) => !name.startsWith("swc-native-"))).toEqual([]);
  });
});

describe("a kubeconfig", () => {
  const certificate = certificateFor("localhost");
  let server: Server;
  let port: number;
  beforeAll(async () => {
    ({ server, port } = await listen(certificate, (_asked, answer) => answer.writeHead(401).end()));
  });
  afterAll(() => server.close());

  const kubeconfig = (cluster: object, context = "one"): string => {
    const file = join(home, "kubeconfig");
    const contexts = [{ name: "one", context: { cluster: "one", user: "one" } }];
    writeFileSync(file, stringify({ "current-context": context, contexts, clusters: [{ name: "one", cluster }] }));
    return file;
  };
  const authority = { "certificate-authority-data": Buffer.from(certificate.certificatePem).toString("base64") };

  test("reaches a server that answers, whatever it says", async () => {
    expect(await kubeconfigSilence(kubeconfig({ server: `https://localhost:${port}`, ...authority }))).toBeUndefined();
    const named = { server: `https://127.0.0.1:${port}`, "tls-server-name": "localhost", ...authority };
    expect(await kubeconfigSilence(kubeconfig(named))).toBeUndefined();
    writeFileSync(join(home, "ca.pem"), certificate.certificatePem);
    const byFile = { server: `https://localhost:${port}`, "certificate-authority": "ca.pem" };
    expect(await kubeconfigSilence(kubeconfig(byFile))).toBeUndefined();
  });

  test("does not reach one whose certificate it does not know, nor a port that nobody listens on", async () => {
    expect(await kubeconfigSilence(kubeconfig({ server: `https://localhost:${port}` }))).toMatch(/self.signed/);
    expect(await kubeconfigSilence(kubeconfig({ server: "https://localhost:1", ...authority }))).toMatch(
      /ECONNREFUSED/,
    );
  });

  test("of another form is refused", async () => {
    expect(await kubeconfigSilence(kubeconfig({ server: "localhost" }))).toBe(
      "no kubeconfig: clusters.0.cluster.server",
    );
    expect(await kubeconfigSilence(kubeconfig({ server: `https://localhost:${port}` }, "two"))).toBe(
      "context two names no cluster",
    );
    writeFileSync(join(home, "broken"), "{");
    expect(await kubeconfigSilence(join(home, "broken"))).toBeDefined();
  });

  test("behind a proxy is left to kubectl", async () => {
    const behind = { server: "https://localhost:1", "proxy-url": "http://localhost:2" };
    expect(await kubeconfigSilence(kubeconfig(behind))).toBeUndefined();
  });
});

import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { COMPONENTS } from "../../components/workloads";
import type { Network, Stage } from "../../pipelines";
import type { RunTraffic } from "../../tools/cli/flows";
import { type ApiServer, openApiServer } from "../../tools/cli/api-server";
import { openCheckpoint } from "../../tools/cli/checkpoint";
import { gitSettings, localSource, pushToForge } from "../../tools/cli/forge";
import { openKubectl, type Kubectl } from "../../tools/cli/kubectl";
import { stackOutputs } from "../../tools/cli/pulumi";
import { openWorkspace, type Workspace } from "../../tools/cli/workspace";
import { parseOutputs, type StackOutputs } from "../../stacks/outputs";
import { readToolchain } from "../../stacks/toolchain";
import { attacks } from "../attacks";
import { cachePoisoning } from "../attacks/cache-poisoning";
import { stolenLogins } from "../attacks/services";
import { expiredCertificate } from "../attacks/expired-certificate";
import { gateOutage } from "../attacks/gate-outage";
import { maliciousBuild } from "../attacks/malicious-build";
import { guides, liveCommands } from "../guides/blocks";
import { notAsItMust } from "./attack";
import { describeCluster } from "./cluster";
import { describeEgress, expectBuildTraffic } from "./egress";
import { Shop } from "./gate";
import { hostInventory, nothing } from "./host";
import { describeParity } from "./parity";
import { describePreviews } from "./previews";
import { describeRestarts } from "./restarts";
import { describeRotation } from "./rotation";
import { probe } from "./probe";
import { describeSignatures } from "./signatures";
import { beginStrictBuilds, describeSupplyChain, type Ended, type StrictBuilds, StrictTeam } from "./supply-chain";
import { describeTeams } from "./teams";
import { describeTriggers, triggerSettings } from "./triggers";

const root = resolve(__dirname, "../..");
const minutes = 60_000;

/** A second factory beside any that is up: stacks, state and cluster of its own. */
const cluster = `ssf-e2e-${process.pid}`;
const state = join(mkdtempSync(join(tmpdir(), "ssf-e2e-")), "state");
const strict = new StrictTeam("e2e-strict");
const stacks = `e2e-cluster,e2e-factory,e2e-team,${strict.stack}`;
const config = [`e2e-cluster:clusterName=${cluster}`, ...triggerSettings("e2e-team"), ...strict.settings()];
const temporary = mkdtempSync(join(tmpdir(), "ssf-e2e-"));
const env = {
  ...process.env,
  SSF_STATE: state,
  SSF_STACKS: stacks,
  SSF_CONFIG: config.join("\n"),
  TMPDIR: temporary,
  // What the commands are compiled to is kept for the next one.
  SWC_NODE_CACHE_DIR: join(tmpdir(), "ssf-e2e-compiled"),
};

/** Lines that a person would have typed for what was run here. */
const typed = new Set<string>();

/** Runs a command in the checkout as a person would, and shows its progress. */
const run = (command: string, args: readonly string[], more: Record<string, string> = {}): Promise<Ended> => {
  const line =
    command === "bash" ? (args.at(-1) ?? "") : [command, ...args.filter((arg) => arg !== "--json")].join(" ");
  line.split("\n").forEach((one) => typed.add(one));
  return new Promise((done, fail) => {
    const child = spawn(command, args, { cwd: root, env: { ...env, ...more } });
    const output = { stdout: "", stderr: "" };
    for (const stream of ["stdout", "stderr"] as const)
      child[stream].on("data", (chunk: Buffer) => {
        output[stream] += chunk.toString();
        process.stderr.write(chunk);
      });
    child.on("error", fail);
    child.on("close", (code) => done({ code: code ?? 1, ...output }));
  });
};

const factory = (...args: string[]): Promise<Ended> => run("./factory", args);

const outputsOf = async <K extends keyof StackOutputs>(workspace: Workspace, kind: K, stack: string) =>
  parseOutputs(kind, stack, (await stackOutputs(workspace, stack)) as Record<string, unknown>);

/** Builds what a forge has, by its address there; the forge is reached from here through a local port. */
const buildByUrl = async (directory: string): Promise<Ended> => {
  const { namespace, service, url: forgeUrl, caPem } = team.forge;
  const forge = await kubectl.portForward(namespace, service, Number(new URL(forgeUrl).port));
  const authority = join(temporary, "forge.pem");
  writeFileSync(authority, caPem);
  try {
    const source = await localSource(root);
    const url = await pushToForge(source, team.forge, forge.port);
    return await run("./factory", ["build", url, "--commit", source.commit, "--directory", directory, "--json"], {
      ...gitSettings({ [`url.https://127.0.0.1:${forge.port}/.insteadOf`]: `${forgeUrl}/` }),
      GIT_SSL_CAINFO: authority,
    });
  } finally {
    rmSync(authority);
    forge.close();
  }
};

let kubectl: Kubectl;
let api: ApiServer;
let team: StackOutputs["team"];
let shared: StackOutputs["factory"];
/** Begun together, since a build waits for pods more than it computes. */
let builds: Record<"go" | "npm" | "pip", Promise<Ended>>;
/** Begun after them: all at once, two processors would have forty programs that want them. */
let strictBuilds: StrictBuilds;
/** Begun before the other attacks, and looked at with them: one waits for ten minutes, the others for builds of their own. */
let tenMinuteAttack: Promise<Ended>;
let buildingAttacks: Promise<Ended>;
let image = "";
let changed = "";
/** An image that is revoked at the end. */
let withdrawn = "";

beforeAll(async () => {
  const up = await factory("up");
  expect(up.code).toBe(0);
  Object.assign(process.env, { SSF_STATE: state });
  const workspace = openWorkspace({ stacks, config }, env);
  shared = await outputsOf(workspace, "factory", "e2e-factory");
  team = await outputsOf(workspace, "team", "e2e-team");
  kubectl = openKubectl(shared.kubeconfig);
  api = await openApiServer(shared.kubeconfig);
}, 30 * minutes);

afterAll(async () => {
  const down = await factory("down");
  const left = await hostInventory(state, cluster);
  const files = readdirSync(temporary);
  expect({ code: down.code, ...left, files, state: existsSync(state) }).toEqual({
    code: 0,
    ...nothing,
    files: [],
    state: false,
  });
  strict.remove();
}, 10 * minutes);

test(
  "what the factory signs with is signed in its trust root",
  async () => {
    const shown = await factory("trust", "show", "--json");
    expect(shown.code).toBe(0);
    const { trusted } = JSON.parse(shown.stdout) as { trusted: { kind: string; name: string; end?: string }[] };
    const images = [...new Set(Object.values(readToolchain().images).map(({ reference }) => reference))];
    expect(trusted.map(({ kind, end }) => [kind, end])).toEqual(
      ["authority", "log", "signer", ...images.map(() => "image")].map((kind) => [kind, undefined]),
    );
    expect(trusted.map(({ name }) => name)).toEqual(expect.arrayContaining(images));
  },
  minutes,
);

// Before there are builds, since the benchmark looks at every pod, one by one.
describeCluster(cluster, () => ({ kubectl, shared }));

describe("while programs are built", () => {
  beforeAll(() => {
    const build = (name: string) => factory("build", `examples/${name}-service`, "--json");
    builds = { go: build("go"), npm: build("npm"), pip: buildByUrl("examples/pip-service") };
    tenMinuteAttack = factory("attack", expiredCertificate.name, "--json");
  });

  describeTeams({ stacks, config }, run, () => ({ kubectl, team }));
});

describe("a program", () => {
  beforeAll(() => {
    strictBuilds = beginStrictBuilds(strict, factory);
    buildingAttacks = factory("attack", maliciousBuild.name, cachePoisoning.name, "--json");
  });

  test(
    "is built, and its provenance holds",
    async () => {
      const built = await builds.go;
      expect(built.code).toBe(0);
      const report = JSON.parse(built.stdout) as { image: string; network: RunTraffic };
      image = report.image;
      expectBuildTraffic(report.network, { kubectl, api, team, shared });
      expect(image).toMatch(/^registry\.ssf-registry\.svc\.cluster\.local:5000\/.*go-service@sha256:[0-9a-f]{64}$/);
      expect((await factory("verify", image)).code).toBe(0);
    },
    20 * minutes,
  );

  test(
    "in another language, or by the address of its repository, is built, and its provenance holds",
    async () => {
      for (const ended of [builds.npm, builds.pip]) {
        const { code, stdout } = await ended;
        expect(code).toBe(0);
        const report = JSON.parse(stdout) as { image: string; repository: string };
        expect((await factory("verify", report.image, "--source", report.repository)).code).toBe(0);
        withdrawn = report.image;
      }
    },
    20 * minutes,
  );

  test(
    "is refused when another source or commit is expected",
    async () => {
      expect((await factory("verify", image, "--commit", "0".repeat(40))).code).toBe(1);
      expect((await factory("verify", image, "--source", "https://elsewhere.test/x.git")).code).toBe(1);
    },
    5 * minutes,
  );

  test(
    "is refused when changed, although the good image's attestation lies beside it",
    async () => {
      changed = await tamper(image);
      const tampered = await factory("verify", changed);
      expect(tampered.code).toBe(1);
      expect(tampered.stdout).toContain("FAILED about this image");
      expect((await factory("verify", image)).code).toBe(0);
    },
    10 * minutes,
  );

  test(
    "is refused by tag, and when it is not there",
    async () => {
      expect((await factory("verify", image.replace(/@.*/, ":latest"))).stderr).toContain("SSF-VERIFY-001");
      const absent = await factory("verify", image.replace(/[0-9a-f]{64}$/, "0".repeat(64)));
      expect(absent.code).toBe(2);
      expect(absent.stderr).toContain("SSF-VERIFY-003");
    },
    5 * minutes,
  );

  test(
    "runs behind the gate, pulled from the registry by its digest; changed, or in the namespace of a team, it does not",
    async () => {
      const shop = new Shop({ kubectl, api, team });
      await shop.open();
      try {
        await shop.run(image);
        await expect(shop.ask(changed)).rejects.toThrow(/SSF-GATE-002 .*not about this image/);
        await expect(shop.ask(image)).resolves.toBeUndefined();
        const jailed = { runtimeClassName: shared.runtimeClasses?.jailed };
        await expect(apply(pod("service", image, "default", jailed))).rejects.toThrow(/SSF-ADMISSION-007/);
      } finally {
        await shop.close();
      }
    },
    10 * minutes,
  );
});

describeSupplyChain(() => strictBuilds, factory);

describe("the factory under attack", () => {
  let usual: Promise<Ended>;
  beforeAll(() => {
    const others = [cachePoisoning, expiredCertificate, gateOutage, maliciousBuild];
    usual = factory(
      "attack",
      ...attacks.filter((attack) => !others.includes(attack)).map(({ name }) => name),
      "--json",
    );
  });

  test(
    "refuses every attack, passes every control, and is left as it was",
    async () => {
      const together = await Promise.all([usual, tenMinuteAttack, buildingAttacks]);
      const ended = [...together, await factory("attack", gateOutage.name, "--json")];
      expect(notAsItMust(ended.map(({ stdout }) => stdout))).toEqual([]);
      expect(ended.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
      const left = await kubectl.text([
        "get",
        "namespaces,pods,pipelineruns,taskruns",
        "--all-namespaces",
        "--output=name",
      ]);
      expect(left.split("\n").filter((name) => name.includes("attack-"))).toEqual([]);
    },
    40 * minutes,
  );
});

describe("what the factory promises of itself", () => {
  test(
    "holds",
    async () => {
      const asked = await factory("verify", "self", "--json");
      const { checks } = JSON.parse(asked.stdout) as { checks: { code: string; held: boolean }[] };
      expect(checks.filter(({ held }) => !held)).toEqual([]);
      expect(checks.length).toBeGreaterThan(10);
      expect(asked.code).toBe(0);
    },
    5 * minutes,
  );

  test(
    "is told with versions, readiness, identities, certificates, the log and what waits for a signature",
    async () => {
      const asked = await factory("status", "--json");
      const status = JSON.parse(asked.stdout) as {
        components: {
          name: string;
          version?: string;
          ready: number;
          wanted: number;
          identity?: string;
          certificate?: { notAfter: string };
        }[];
        firstExpiry: { notAfter: string };
        log: { entries: number; rootHash: string; checkpoint: string };
        unsigned: { run: string }[];
      };
      expect(status.components.length).toBeGreaterThan(20);
      expect(status.components.filter(({ version, ready, wanted }) => version === undefined || ready < wanted)).toEqual(
        [],
      );
      expect(status.components.find(({ name }) => name === "tekton-chains-controller")?.identity).toMatch(
        /^spiffe:.*tekton-chains/,
      );
      const shown = status.components.flatMap(({ identity = "" }) => identity.split("/ns/")[1] ?? []);
      expect(COMPONENTS.map(({ namespace, serviceAccount }) => `${namespace}/sa/${serviceAccount}`)).toEqual(
        expect.arrayContaining(shown),
      );
      expect(new Set(shown).size).toBe(COMPONENTS.length);
      expect(Date.parse(status.firstExpiry.notAfter)).toBeGreaterThan(Date.now());
      const rekor = status.components.find(({ name }) => name === "rekor");
      expect(Date.parse(rekor?.certificate?.notAfter ?? "")).toBeGreaterThan(Date.now());
      const { images } = readToolchain();
      const versionOf = (component: string) => status.components.find(({ name }) => name === component)?.version;
      expect(versionOf("spire-server")).toBe(images["spire-server"]?.version);
      expect(status.log.entries).toBeGreaterThan(0);
      expect(status.log.rootHash).toMatch(/^[0-9a-f]{64}$/);
      const checkpoint = openCheckpoint(status.log.checkpoint, shared.provenance.log.publicKeyPem);
      expect(checkpoint).toMatchObject({ size: status.log.entries });
      expect(status.unsigned).toEqual([]);
      expect(asked.code).toBe(0);
    },
    minutes,
  );

  /** What breaks promises of the factory without anybody using it: a webhook about nothing, a token, an identity for nobody, another trust domain. */
  const intruders = (trustDomain: string) => [
    {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingWebhookConfiguration",
      metadata: { name: "e2e-open" },
      webhooks: [
        {
          name: "open.e2e.test",
          failurePolicy: "Ignore",
          rules: [],
          clientConfig: { service: { namespace: "default", name: "nobody" } },
          sideEffects: "None",
          admissionReviewVersions: ["v1"],
        },
      ],
    },
    {
      apiVersion: "v1",
      kind: "Secret",
      metadata: {
        name: "e2e-token",
        namespace: "default",
        annotations: { "kubernetes.io/service-account.name": "default" },
      },
      type: "kubernetes.io/service-account-token",
    },
    {
      apiVersion: "spire.spiffe.io/v1alpha1",
      kind: "ClusterStaticEntry",
      metadata: { name: "e2e-rogue" },
      spec: {
        spiffeID: `spiffe://${trustDomain}/ns/e2e-nowhere/sa/rogue`,
        parentID: `spiffe://${trustDomain}/nodes`,
        selectors: ["k8s:ns:e2e-nowhere"],
        x509SVIDTTL: "1h0m0s",
        jwtSVIDTTL: "5m0s",
      },
    },
    {
      apiVersion: "spire.spiffe.io/v1alpha1",
      kind: "ClusterFederatedTrustDomain",
      metadata: { name: "e2e-elsewhere" },
      spec: {
        trustDomain: "elsewhere.test",
        bundleEndpointURL: "https://elsewhere.test",
        bundleEndpointProfile: { type: "https_web" },
      },
    },
  ];

  test(
    "is seen to be broken, in each place where it is",
    async () => {
      const binding = "validatingadmissionpolicybinding/ssf-pod-form";
      const before = await kubectl.text(["get", binding, "--output=json"]);
      const trustDomain = new URL(shared.provenance.signer.identity).host;
      const list = JSON.stringify({ apiVersion: "v1", kind: "List", items: intruders(trustDomain) });
      await kubectl.text(["patch", binding, "--type=merge", `--patch={"spec":{"validationActions":["Audit"]}}`]);
      try {
        await kubectl.text(["create", "--filename=-"], list);
        const asked = await factory("verify", "self", "--json");
        const { checks } = JSON.parse(asked.stdout) as { checks: { code: string; held: boolean; detail: string }[] };
        const failed = new Map(checks.filter(({ held }) => !held).map(({ code, detail }) => [code, detail]));
        expect(failed.get("SSF-SELF-002")).toContain("ssf-pod-form: no binding with Deny");
        expect(failed.get("SSF-SELF-006")).toContain("e2e-open, open.e2e.test: failurePolicy Ignore");
        expect(failed.get("SSF-SELF-008")).toContain("default/e2e-token");
        expect(failed.get("SSF-SELF-011")).toContain("e2e-rogue");
        expect(failed.get("SSF-SELF-011")).toContain("e2e-elsewhere: nobody's, trusts elsewhere.test");
        expect(asked.code).toBe(1);
      } finally {
        const { spec } = JSON.parse(before) as { spec: object };
        await kubectl.text(["patch", binding, "--type=merge", `--patch=${JSON.stringify({ spec })}`]);
        await kubectl.text(["delete", "--ignore-not-found", "--filename=-"], list);
      }
    },
    5 * minutes,
  );
});

describe("the jail", () => {
  test(
    "keeps a step from the network that its unjailed twin reaches",
    async () => {
      const [jailed, twin] = [await reachForge("build", "none"), await reachForge("ingest-source", "forge")];
      expect(jailed).toMatchObject({ succeeded: true, results: { reached: "no", packets: "0" } });
      expect(twin).toMatchObject({ succeeded: true, results: { reached: "yes" } });
    },
    5 * minutes,
  );

  test(
    "is the rule for every pod of the team",
    async () => {
      const image = readToolchain().images.shell?.reference ?? "";
      await expect(apply(pod("free", image, "default", { runtimeClassName: "networked" }))).rejects.toThrow(
        /every pod is jailed/,
      );
      await expect(apply(pod("free", image, "default", {}))).rejects.toThrow(/every pod is jailed/);
      await apply(pod("jailed", image, "default", { runtimeClassName: "jailed" }));
      await kubectl.text(["delete", "pod", "jailed", "--namespace", team.namespace, "--wait=false"]);
    },
    minutes,
  );
});

describeEgress(() => ({ kubectl, api, team, shared }));

describeTriggers(() => ({ kubectl, team }));

describeSignatures(
  factory,
  () => ({ kubectl, api, team, shared }),
  () => {
    describePreviews({
      stacks: "e2e-cluster,e2e-factory,e2e-team",
      config: config.filter((line) => !line.startsWith(strict.stack)),
      state,
    });
  },
);

describeParity(() => ({ api, image }));

describeRestarts(factory, () => ({ kubectl, api, team, shared, image }));

describeRotation(
  { stacks, config, state },
  (args, more) => run("./factory", args, more),
  () => ({ kubectl, api, team, shared, image, withdrawn }),
);

test("every command of a guide that needs a factory was run here", () => {
  const lines = guides.flatMap(liveCommands).flatMap((script) => script.split("\n"));
  expect(lines.filter((line) => !typed.has(line))).toEqual([]);
});

const apply = (object: object): Promise<string> => kubectl.text(["create", "--filename=-"], JSON.stringify(object));

/** A pod that Pod Security lets through, whatever else its specification says. */
const pod = (name: string, imageReference: string, serviceAccountName: string, spec: object) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: team.namespace },
  spec: {
    serviceAccountName,
    restartPolicy: "Never",
    automountServiceAccountToken: false,
    securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: "RuntimeDefault" } },
    containers: [
      {
        name: "main",
        image: imageReference,
        securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
      },
    ],
    ...spec,
  },
});

/** Pushes a changed copy of the image with the good image's attestation beside it, as a thief of those who write could. */
const tamper = async (good: string): Promise<string> => {
  const { publisher, attestor } = await stolenLogins({ kubectl, factory: shared, id: "e2e" }, team.namespace);
  const { namespace, service, host } = shared.registry;
  const [, path = ""] = /^[^/]+\/([^@]+)@/.exec(good) ?? [];
  const forward = await kubectl.portForward(namespace, service, Number(host.split(":")[1]));
  const login = mkdtempSync(join(tmpdir(), "ssf-e2e-login-"));
  try {
    const local = `127.0.0.1:${forward.port}`;
    const crane = (user: string, ...args: string[]) => {
      const auth = Buffer.from(user).toString("base64");
      writeFileSync(join(login, "config.json"), JSON.stringify({ auths: { [local]: { auth } } }), { mode: 0o600 });
      return execFileSync(join(readToolchain().bin, "crane"), ["--insecure", ...args], {
        env: { ...process.env, DOCKER_CONFIG: login },
        encoding: "utf8",
      }).trim();
    };
    const repository = `${local}/${path}`;
    crane(
      publisher,
      "mutate",
      `${repository}@${good.split("@")[1] ?? ""}`,
      "--label",
      "changed=true",
      "--tag",
      `${repository}:changed`,
    );
    const digest = crane(publisher, "digest", `${repository}:changed`);
    crane(attestor, "copy", `${repository}:${attestationTag(good)}`, `${repository}:${digest.replace(":", "-")}.att`);
    return `${host}/${path}@${digest}`;
  } finally {
    rmSync(login, { recursive: true });
    forward.close();
  }
};

const attestationTag = (reference: string): string => `${(reference.split("@")[1] ?? "").replace(":", "-")}.att`;

/** Runs a signed pipeline whose one stage has that name and network, and tries to connect to the forge. */
const reachForge = (name: string, network: Network) => {
  const target = new URL(shared.forge.url);
  const results = [
    { name: "reached", description: "Whether a connection was made." },
    { name: "packets", description: "Packets that left." },
  ];
  const stage: Stage = {
    name,
    description: "Tries the network and tells what came of it.",
    image: readToolchain().images.shell?.reference ?? "",
    script: `
if timeout 10 bash -c 'exec 3<>/dev/tcp/${target.hostname}/${target.port}'; then reached=yes; else reached=no; fi
printf '%s' "$reached" >"$RESULT_REACHED"
awk '/eth0:/ { printf "%d", $11 }' /proc/net/dev >"$RESULT_PACKETS"`,
    params: [],
    results,
    reads: [],
    network,
    env: {},
    mounts: [],
    resources: { cpu: "500m", memory: "128Mi", scratch: "64Mi" },
  };
  return probe(
    { kubectl, api, team, shared },
    {
      name: `reach-from-${name}`,
      description: "A probe.",
      params: [],
      workspaces: [],
      stages: [stage],
      results: results.map((result) => ({ ...result, from: { stage: name, result: result.name } })),
    },
  );
};

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { RequestListener } from "node:http";
import type { Server } from "node:https";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gatekeeperCrds, gatekeeperObjects } from "../../components/gatekeeper";
import type { DeploymentObject, KubernetesObject } from "../../components/lib/manifests";
import { deadlines } from "../../policies/admission/gate/deadlines";
import {
  ADMITTED,
  imageProvenance,
  PROVIDER_OBJECT,
  providerSpec,
} from "../../policies/admission/gate/image-provenance";
import { imagesByDigest } from "../../policies/admission/gate/images-by-digest";
import { workloadConstraint } from "../../policies/admission/gate/template";
import { ruleDigest, type RuleObject } from "../../policies/admission";
import { readToolchain, source } from "../../stacks/toolchain";
import { openProvider } from "../../tools/gate/provider";
import { type Answer, type ApiServer, startApiServer } from "../admission/support/api-server";
import { certificateFor } from "../cli/support/tls";
import { describeWith, programPath } from "../support/programs";
import { testImage } from "../support/render";

const image = (character: string) => `registry.test/app@sha256:${character.repeat(64)}`;

const freePort = (): Promise<number> =>
  new Promise((done) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => done(port));
    });
  });

/** Where objects of that kind are made. */
const collection = ({ apiVersion, kind, metadata: { namespace } }: KubernetesObject): string => {
  const group = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  return `${group}${namespace === undefined ? "" : `/namespaces/${namespace}`}/${kind.toLowerCase()}s`;
};

const constraints = "/apis/constraints.gatekeeper.sh/v1beta1";

// Programs start, and two answers are of 8 MiB.
jest.setTimeout(60_000);

describeWith(
  "gatekeeper",
  "etcd",
  "kube-apiserver",
)("Gatekeeper with the component's flags, rights and webhook", () => {
  const certificate = certificateFor("localhost");
  const directory = mkdtempSync(join(tmpdir(), "ssf-gate-"));
  const caBundle = Buffer.from(certificate.certificatePem).toString("base64");
  let api: ApiServer;
  let gatekeeper: ChildProcess;
  let provider: Server;
  let delay = 0;
  /** Answers in the provider's place. */
  let instead: RequestListener | undefined;

  const make = async (object: KubernetesObject): Promise<void> => {
    await api.askUntil(({ status }) => status < 300 || status === 409, "POST", collection(object), object);
  };
  const start = (character: string, namespace = "shop", name = image(character)): Promise<Answer> =>
    api.ask("POST", `/api/v1/namespaces/${namespace}/pods?dryRun=All`, {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "web", namespace },
      spec: { automountServiceAccountToken: false, containers: [{ name: "web", image: name }] },
    });

  beforeAll(async () => {
    api = await startApiServer();
    const toolchain = readToolchain();
    const objects = gatekeeperObjects({
      source: source(toolchain, "gatekeeper"),
      image: testImage("gatekeeper"),
      version: toolchain.images["gatekeeper"]?.version ?? "",
      issuer: "ssf-ca",
    });
    const namespaces = ["shop", "other"].map((name) => ({
      apiVersion: "v1",
      kind: "Namespace",
      metadata: {
        name,
        labels: { gate: "yes", ...(name === "shop" ? {} : { "admission.gatekeeper.sh/ignore": "yes" }) },
      },
    }));
    const ofKinds = (...kinds: string[]) => objects.filter(({ kind }) => kinds.includes(kind));
    const first = [...ofKinds("Namespace"), ...gatekeeperCrds(source(toolchain, "gatekeeper"))];
    const rights = ofKinds("ServiceAccount", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding");
    const accounts = ["shop", "other", "kube-system"].map((namespace) => ({
      apiVersion: "v1",
      kind: "ServiceAccount",
      metadata: { name: "default", namespace },
    }));
    for (const object of [...first, ...namespaces, ...rights, ...accounts]) await make(object);
    const { body } = await api.ask(
      "POST",
      "/api/v1/namespaces/gatekeeper-system/serviceaccounts/gatekeeper-admin/token",
      { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: {} },
    );
    const { token } = (body as { status: { token: string } }).status;
    for (const [file, content] of [
      ["kubeconfig", api.kubeconfigFor(token)],
      ["tls.crt", certificate.certificatePem],
      ["tls.key", certificate.keyPem],
    ] as const)
      writeFileSync(join(directory, file), content);

    ({ server: provider } = openProvider({
      pair: () => certificate,
      clientCaPem: certificate.certificatePem,
      clientName: "localhost",
      verdict: (name) =>
        new Promise((resolve) => {
          const admitted = name === image("a");
          setTimeout(() => resolve(admitted ? { admitted } : { admitted, message: "SSF-GATE-002 not signed" }), delay);
        }),
    }));
    const [answer] = provider.listeners("request") as RequestListener[];
    provider.removeAllListeners("request");
    provider.on("request", (...asked) => (instead ?? answer)?.(...asked));
    await new Promise<void>((resolve) => provider.listen(0, "127.0.0.1", resolve));

    const [port, health, metrics] = await Promise.all([freePort(), freePort(), freePort()]);
    const flags = (ofKinds("Deployment") as DeploymentObject[]).flatMap(
      ({ spec }) => spec.template.spec.containers[0]?.args ?? [],
    );
    gatekeeper = spawn(
      programPath("gatekeeper") ?? "",
      [
        ...new Set(flags.filter((flag) => !flag.startsWith("--port"))),
        ...[`--kubeconfig=${join(directory, "kubeconfig")}`, `--cert-dir=${directory}`, `--port=${port}`],
        ...[`--health-addr=127.0.0.1:${health}`, `--prometheus-port=${metrics}`, "--debug-use-fake-pod"],
        `--api-cache-dir=${directory}`,
      ],
      { stdio: "ignore", env: { POD_NAME: "gatekeeper", POD_NAMESPACE: "gatekeeper-system" } },
    );
    for (const object of ofKinds("ValidatingWebhookConfiguration")) {
      const { webhooks } = object as unknown as { webhooks: object[] };
      const clientConfig = { url: `https://localhost:${port}/v1/admit`, caBundle };
      await make({
        ...object,
        webhooks: webhooks.map((webhook) => ({ ...webhook, clientConfig })),
      } as KubernetesObject);
    }
    await make(imagesByDigest);
    await make(imageProvenance);
    const url = `https://localhost:${(provider.address() as AddressInfo).port}/verify`;
    await make({ ...PROVIDER_OBJECT, spec: providerSpec(url, certificate.certificatePem) } as KubernetesObject);
    const inForce = async (path: string, object: object) =>
      api.askUntil(({ status }) => status < 300 || status === 409, "POST", `${constraints}/${path}`, object);
    await inForce("imagesbydigest", workloadConstraint(imagesByDigest, "images", "gate"));
    await inForce("imageprovenance", workloadConstraint(imageProvenance, "provenance", "gate"));
    await api.askUntil(
      ({ message }) => message.includes("ValidatingAdmissionPolicy 'gatekeeper-imagesbydigest'"),
      ...(["POST", "/api/v1/namespaces/shop/pods?dryRun=All"] as const),
      {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: "web", namespace: "shop" },
        spec: { automountServiceAccountToken: false, containers: [{ name: "web", image: "app:1" }] },
      },
    );
    for (let tries = 0; tries < 100 && (await start("a")).status !== 201; tries++)
      await new Promise((resume) => setTimeout(resume, 250));
  }, 240_000);

  afterAll(async () => {
    gatekeeper.kill("SIGKILL");
    provider.closeAllConnections();
    provider.close();
    await api.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  test("an image that the provider admits may run, and no other, and nothing is remembered", async () => {
    const refused = { status: 403, message: expect.stringContaining("SSF-GATE-002") as string };
    expect([await start("a"), await start("b")]).toMatchObject([{ status: 201 }, refused]);
    expect([await start("a"), await start("b")]).toMatchObject([{ status: 201 }, refused]);
  });

  test("its rules are given back with the digests that they were written with", async () => {
    const written = [
      imagesByDigest,
      imageProvenance,
      workloadConstraint(imagesByDigest, "images", "gate"),
      workloadConstraint(imageProvenance, "provenance", "gate"),
    ];
    const given: RuleObject[] = [];
    for (const object of written) {
      const plural = object.kind === "ConstraintTemplate" ? "constrainttemplates" : object.kind.toLowerCase();
      const { body } = await api.ask("GET", `/apis/${object.apiVersion}/${plural}/${object.metadata.name}`);
      given.push(body as RuleObject);
    }
    expect(given.map(ruleDigest)).toEqual(written.map(ruleDigest));
  });

  const item = (given: object) => ({ key: image("a"), ...given });
  const said = (response: object) =>
    JSON.stringify({
      apiVersion: "externaldata.gatekeeper.sh/v1beta1",
      kind: "ProviderResponse",
      response: { idempotent: true, ...response },
    });
  const huge = "x".repeat(8 << 20);

  test.each<[string, { status?: number; type?: string; body: string }, RegExp]>([
    ["an error of the server", { status: 500, body: said({ systemError: "it failed" }) }, /SSF-GATE-004 .*it failed/],
    ["an error of the server, and nothing else", { status: 500, body: "" }, /SSF-GATE-004/],
    ["no items", { body: said({ items: [] }) }, /SSF-GATE-004/],
    ["no list of items", { body: said({}) }, /SSF-GATE-004/],
    ["errors only", { body: said({ items: [item({ error: "SSF-GATE-003 no answer" })] }) }, /SSF-GATE-003 no answer/],
    [
      "a value and an error",
      { body: said({ items: [item({ value: ADMITTED, error: "SSF-GATE-003 x" })] }) },
      /GATE-003/,
    ],
    [
      "an item for another image",
      { body: said({ items: [item({ key: image("b"), value: ADMITTED })] }) },
      /SSF-GATE-004/,
    ],
    ["another value", { body: said({ items: [item({ value: true })] }) }, /SSF-GATE-004/],
    ["a value of 8 MiB", { body: said({ items: [item({ value: huge })] }) }, /SSF-GATE-004/],
    ["8 MiB of nothing", { body: huge }, /SSF-GATE-004/],
    ["a page of another type", { type: "text/html", body: "<html>admitted</html>" }, /SSF-GATE-004/],
    ["garbage", { body: "\u0000{" }, /SSF-GATE-004/],
    ["nothing", { body: "" }, /SSF-GATE-004/],
    ["null", { body: "null" }, /SSF-GATE-004/],
  ])("a provider that answers with %s admits nothing", async (_, { status = 200, type, body }, refused) => {
    instead = (_asked, response) => {
      response.writeHead(status, { "content-type": type ?? "application/json" }).end(body);
    };
    try {
      const { status: denied, message } = await start("a");
      expect([denied, message]).toEqual([403, expect.stringMatching(refused)]);
      instead = (_asked, response) => void response.end(said({ items: [item({ value: ADMITTED })] }));
      expect((await start("a")).status).toBe(201);
    } finally {
      instead = undefined;
    }
  });

  test("a tag is refused by the API server itself, in a namespace with Gatekeeper's exempting label too", async () => {
    for (const namespace of ["shop", "other"])
      expect(await start("", namespace, "app:1")).toMatchObject({
        status: 422,
        message: expect.stringContaining("ValidatingAdmissionPolicy 'gatekeeper-imagesbydigest'") as string,
      });
    expect((await start("", "kube-system", "app:1")).status).toBe(201);
  });

  test("a provider that is slow, or gone, admits nothing", async () => {
    delay = (deadlines.providerSeconds + 1) * 1000;
    const slow = await start("a");
    expect([slow.status, slow.message]).toEqual([403, expect.stringMatching(/SSF-GATE-004 .*deadline exceeded/)]);
    provider.closeAllConnections();
    provider.close();
    expect(await start("a")).toMatchObject({ status: 403, message: expect.stringContaining("SSF-GATE-004") as string });
  }, 30_000);

  test("without Gatekeeper no workload is admitted, and what heals it is", async () => {
    gatekeeper.kill("SIGKILL");
    await new Promise((resume) => setTimeout(resume, 500));
    expect((await start("a")).status).toBe(500);
    expect((await start("a", "kube-system")).status).toBe(201);
    const lease = { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: { name: "l", namespace: "shop" } };
    expect((await api.ask("POST", collection(lease), lease)).status).toBe(201);
  });

  test("a tag is refused even when somebody deletes the webhook", async () => {
    const webhooks = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    await api.ask("DELETE", `${webhooks}/gatekeeper-validating-webhook-configuration`);
    await api.askUntil(({ status }) => status === 422, "POST", "/api/v1/namespaces/shop/pods?dryRun=All", {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "web", namespace: "shop" },
      spec: { automountServiceAccountToken: false, containers: [{ name: "web", image: "app:1" }] },
    });
  });
});

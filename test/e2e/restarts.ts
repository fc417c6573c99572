import { z } from "zod";
import { openApiServer } from "../../tools/cli/api-server";
import { openService } from "../../tools/cli/service";
import { killPods, pause } from "../attacks/support";
import { eventually, Shop } from "./gate";
import { container } from "./host";
import { RememberedLog } from "./log";
import { type ProbeContext, withPipeline } from "./probe";
import { entriesOf, signingPipeline, waitForRuns } from "./signed-runs";
import type { Ended } from "./supply-chain";

const minutes = 60_000;

/** Namespaces of the log, of the authority, and of what gives identities to whoever asks them. */
const parts = ["ssf-rekor", "ssf-fulcio", "ssf-spire", "ssf-spire-agent"];

const bundleSchema = z.object({ chains: z.array(z.object({ certificates: z.array(z.string()) })) });

/** The chain of the authority, as it hands it out. */
export const authorityChain = async ({ kubectl, shared }: ProbeContext): Promise<string[]> => {
  const { host } = new URL(shared.trust.authority.url);
  const [name = "", port] = host.split(":");
  const [service = "", namespace = ""] = name.split(".");
  const forward = await kubectl.portForward(namespace, service, Number(port));
  try {
    const access = { host, localPort: forward.port, caPem: shared.registry.caPem };
    const get = openService(access, (url, reason) => new Error(`${url}: ${reason}`));
    const { body } = await get("/api/v2/trustBundle", "application/json");
    return bundleSchema.parse(JSON.parse(body.toString())).chains.flatMap(({ certificates }) => certificates);
  } finally {
    forward.close();
  }
};

const started = z.object({ running: z.object({ startedAt: z.coerce.date() }).optional() }).default({});
const containers = z.array(z.object({ name: z.string(), restartPolicy: z.string().optional() })).default([]);
const statuses = z.array(z.object({ name: z.string(), state: started })).default([]);
const podsSchema = z.object({
  items: z.array(
    z.object({
      metadata: z.object({ namespace: z.string(), name: z.string() }),
      spec: z.object({ restartPolicy: z.string(), containers, initContainers: containers }),
      status: z.object({
        conditions: z.array(z.object({ type: z.string(), status: z.string() })).default([]),
        containerStatuses: statuses,
        initContainerStatuses: statuses,
      }),
    }),
  ),
});

/** Pods that are to run for good, and are not ready with containers started since then. */
const notReady = async (kubectl: ProbeContext["kubectl"], since: Date): Promise<string[]> => {
  const { items } = podsSchema.parse(await kubectl.json(["get", "pods", "--all-namespaces"]));
  return items
    .filter(({ spec }) => spec.restartPolicy === "Always")
    .filter(({ spec, status }) => {
      const running = [...spec.containers, ...spec.initContainers.filter((one) => one.restartPolicy === "Always")];
      const found = [...status.containerStatuses, ...status.initContainerStatuses];
      const all = running.every(({ name }) => {
        const { running: now } = found.find((one) => one.name === name)?.state ?? {};
        return now !== undefined && now.startedAt >= since;
      });
      return !all || !status.conditions.some(({ type, status: holds }) => type === "Ready" && holds === "True");
    })
    .map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);
};

/** Nodes whose kubelet the API server does not reach, as it must for logs and forwarded ports. */
const unreached = async (kubectl: ProbeContext["kubectl"], nodes: readonly string[]): Promise<string[]> => {
  const reached = nodes.map((node) =>
    kubectl.text(["get", `--raw=/api/v1/nodes/${node}/proxy/healthz`]).then(
      () => [],
      (error: unknown) => [`node ${node}: ${String(error)}`],
    ),
  );
  return (await Promise.all(reached)).flat();
};

/** Stops every node as a power failure does, starts it again, and waits until everything that ran before runs again. */
export const restartNodes = async (kubectl: ProbeContext["kubectl"]): Promise<void> => {
  const names = await kubectl.text(["get", "nodes", "--output=jsonpath={.items[*].metadata.name}"]);
  const nodes = names.split(" ");
  // Kubernetes tells times by the second.
  const since = new Date(Math.floor(Date.now() / 1000) * 1000);
  await container("restart", "--time=0", ...nodes);
  let missing: string[] = [];
  for (let tries = 420; tries > 0; tries--) {
    missing = [
      ...(await notReady(kubectl, since).catch((error: unknown) => [String(error)])),
      ...(await unreached(kubectl, nodes)),
    ];
    if (missing.length === 0) break;
    await pause();
  }
  if (missing.length > 0) throw new Error(`not ready after the restart: ${missing.join(", ")}`);
  const available = ["--for=condition=Available", "deployments", "--all", "--all-namespaces", "--timeout=120s"];
  await kubectl.text(["wait", ...available]);
};

/** Tests that log and authority lose nothing, whatever of the factory is killed, its nodes included. */
export const describeRestarts = (
  factory: (...args: string[]) => Promise<Ended>,
  context: () => ProbeContext & { image: string },
): void => {
  describe("restarts", () => {
    test(
      "of pods and of nodes lose no entry and no signature, and the factory comes back by itself",
      async () => {
        const { kubectl, team, shared, image } = context();
        const repository = `${team.registryRepository}/restart`;
        const log = new RememberedLog(context);
        const { size } = await log.checkpoint();
        const before = await log.entries(size);
        expect(await log.faults(before)).toEqual([]);
        const chain = await authorityChain(context());

        const numbers = parts.flatMap((_, index) => [`${index}1`, `${index}2`]);
        const [entries, afterwards] = await withPipeline(
          context(),
          signingPipeline(repository, "restart"),
          async (start) => {
            const runs: string[] = [];
            for (const [index, namespace] of parts.entries()) {
              for (const number of numbers.slice(2 * index, 2 * index + 2)) runs.push(await start({ number }));
              await killPods(kubectl, namespace);
            }
            await waitForRuns(context(), runs, "have ended", ({ succeeded }) => succeeded);
            await restartNodes(kubectl);
            // The connection that was kept ended with the node, which its other side may not have seen yet.
            const afterwards = { ...context(), api: await openApiServer(shared.kubeconfig) };
            await waitForRuns(afterwards, runs, "are signed and in the log", ({ signed }) => signed);
            return [await entriesOf(afterwards, repository, numbers), afterwards] as const;
          },
        );

        expect(entries.filter((entry) => typeof entry === "string")).toEqual([]);
        const logged = entries.filter((entry) => typeof entry !== "string");
        expect(await log.faults([...before, ...logged])).toEqual([]);
        expect((await log.checkpoint()).size).toBeGreaterThanOrEqual(size + numbers.length);
        expect(await authorityChain(context())).toEqual(chain);
        expect((await factory("verify", image)).code).toBe(0);
        const shop = new Shop(afterwards);
        await shop.open();
        try {
          await eventually(() => shop.ask(image));
        } finally {
          await shop.close();
        }
        const { code, stdout } = await factory("status", "--json");
        const { components } = JSON.parse(stdout) as { components: { name: string; ready: number; wanted: number }[] };
        expect(components.filter(({ ready, wanted }) => ready < wanted)).toEqual([]);
        expect(code).toBe(0);
      },
      20 * minutes,
    );
  });
};

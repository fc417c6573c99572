import { z } from "zod";
import type { Kubectl } from "../../tools/cli/kubectl";
import { columns } from "../../tools/cli/columns";
import { short } from "./statistics";

const nodesSchema = z.object({ items: z.array(z.object({ metadata: z.object({ name: z.string() }) })) });
const summarySchema = z.object({
  pods: z.array(
    z.object({
      podRef: z.object({ name: z.string(), namespace: z.string() }),
      containers: z
        .array(
          z.object({
            name: z.string(),
            memory: z.object({ workingSetBytes: z.number().default(0) }).default({ workingSetBytes: 0 }),
          }),
        )
        .default([]),
    }),
  ),
});

interface Used {
  name: string;
  mebibytes: number;
}

/** Working set of every container but those of teams' runs, as the kubelet counts it, the largest first. */
const containersOf = async (kubectl: Kubectl): Promise<Used[]> => {
  const { items } = nodesSchema.parse(await kubectl.json(["get", "nodes"]));
  const summaries = items.map(async ({ metadata: { name } }) =>
    summarySchema.parse(JSON.parse(await kubectl.text(["get", `--raw=/api/v1/nodes/${name}/proxy/stats/summary`]))),
  );
  return (await Promise.all(summaries))
    .flatMap(({ pods }) => pods)
    .filter(({ podRef }) => !podRef.namespace.startsWith("team-"))
    .flatMap(({ podRef, containers: all }) =>
      all.map(({ name, memory }) => ({
        name: `${podRef.namespace}/${name}`,
        mebibytes: memory.workingSetBytes / 2 ** 20,
      })),
    )
    .sort((a, b) => b.mebibytes - a.mebibytes);
};

const totalOf = (containers: readonly Used[]): number => containers.reduce((sum, { mebibytes }) => sum + mebibytes, 0);

/** Working set of the whole factory, in MiB. */
export const memoryInUse = async (kubectl: Kubectl): Promise<number> => totalOf(await containersOf(kubectl));

/** A table of what each container of the factory holds. */
export const measureMemory = async (kubectl: Kubectl): Promise<string[]> => {
  const containers = await containersOf(kubectl);
  const total = totalOf(containers);
  return columns([
    ["memory", "MiB", "of all"],
    ...containers.map(({ name, mebibytes }) => [name, short(mebibytes), `${short((100 * mebibytes) / total)} %`]),
    ["all", short(total), "100 %"],
  ]);
};

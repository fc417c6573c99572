import { openKubectl } from "../../tools/cli/kubectl";
import { factoryStack, readOutputs } from "../../tools/cli/outputs";
import { columns } from "../../tools/cli/columns";
import { readyStack, removeStack, update } from "../../tools/cli/pulumi";
import type { PlannedStack } from "../../tools/cli/stack-plan";
import { openWorkspace } from "../../tools/cli/workspace";
import { memoryInUse } from "./memory";
import { short } from "./statistics";

/** Numbers of teams at which memory is read, beside those that are up already. */
const counts = (process.argv[2] ?? "1,5,20").split(",").map(Number);

const seconds = async (work: () => Promise<unknown>): Promise<number> => {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
};

/** Adds teams to the factory that is up, one after the other, measures what each takes, and removes them. */
const main = async (): Promise<void> => {
  const workspace = openWorkspace({});
  const { kubeconfig } = await readOutputs(workspace, "factory", factoryStack(workspace));
  const kubectl = openKubectl(kubeconfig);
  const teams = Array.from({ length: Math.max(...counts) }, (_, index): PlannedStack => {
    const name = `bench-${index + 1}`;
    const overrides = { team: name, factoryStack: factoryStack(workspace) };
    return { name, role: "team", pattern: "team-a", overrides };
  });
  const run = async (stack: PlannedStack, operation: "up" | "destroy") =>
    update(workspace, await readyStack(workspace, stack), { operation, onProgress: () => undefined });
  const before = await memoryInUse(kubectl);
  const rows = [["teams", "up of the last, s", "no change, s", "MiB more, of all"]];
  const made: PlannedStack[] = [];
  try {
    for (const stack of teams) {
      console.error(`team ${stack.name}`);
      made.push(stack);
      const up = await seconds(() => run(stack, "up"));
      if (!counts.includes(made.length)) continue;
      const again = await seconds(() => run(stack, "up"));
      rows.push([String(made.length), short(up), short(again), short((await memoryInUse(kubectl)) - before)]);
    }
  } finally {
    const removal = await seconds(async () => {
      for (const stack of made) {
        await run(stack, "destroy");
        await removeStack(workspace, stack.name, false);
      }
    });
    rows.push([`removal of ${made.length}`, short(removal), "", ""]);
  }
  console.log(columns(rows).join("\n"));
};

void main();

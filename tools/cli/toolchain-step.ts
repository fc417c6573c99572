import { buildToolchain } from "../toolchain/index";
import { type HostUse, requireHost } from "./preflight";
import type { Step } from "./steps";

/** Builds what is missing of programs and images, after a look at the machine; options as in `BuildOptions`. */
export const toolchainStep = ({ extras, hasCluster }: HostUse): Step => ({
  title: "toolchain",
  run: async (report) => {
    report.status("looking at this machine");
    await requireHost({ extras, hasCluster });
    const building = new Map<string, number>();
    const count = { cached: 0, built: 0 };
    await buildToolchain({
      extras,
      hasCluster,
      onEvent: ({ name, kind, state, index, total, seconds }) => {
        if (state === "building") building.set(name, index);
        else building.delete(name);
        if (state === "cached") count.cached += 1;
        if (state === "built") {
          count.built += 1;
          report.note(`${index} of ${total}: ${kind} ${name} built in ${Math.round(seconds ?? 0)} s`);
        }
        if (state === "failed") report.note(`${index} of ${total}: ${kind} ${name} failed, and no other step begins`);
        const names = [...building].map(([active, number]) => `${active} (${number} of ${total})`);
        report.status(names.length === 0 ? `${index} of ${total}` : `building ${names.join(", ")}`);
      },
    });
    return `${count.cached} from the cache, ${count.built} built`;
  },
});

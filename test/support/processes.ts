import { readdirSync, readFileSync } from "node:fs";

/** A process of this machine. */
export interface RunningProcess {
  pid: number;
  command: string;
}

/** The processes, but this one, of which that holds; it is told where the kernel shows the process. What ends meanwhile is none. */
export const processesWhere = (holds: (shown: string) => boolean): RunningProcess[] =>
  readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid)
    .flatMap((pid) => {
      const shown = `/proc/${pid}`;
      try {
        if (!holds(shown)) return [];
        const command = readFileSync(`${shown}/cmdline`, "utf8").replaceAll("\0", " ").trim();
        return [{ pid: Number(pid), command }];
      } catch {
        return [];
      }
    });

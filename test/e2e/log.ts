import { askLog, type Entered, type Log, openLog } from "../../tools/cli/log";
import { type Checkpoint, openCheckpoint } from "../../tools/cli/checkpoint";
import { ownMemory } from "../cli/support/log";
import type { ProbeContext } from "./probe";

/** The factory's log as somebody sees it who remembers it for as long as a test runs. */
export class RememberedLog {
  private readonly memory = ownMemory();

  constructor(private readonly context: () => ProbeContext) {}

  /** What the log says of itself now, signed; the first one is remembered. */
  checkpoint = (): Promise<Checkpoint> =>
    this.open(async (log) => {
      const checkpoint = openCheckpoint(await log.checkpoint(), this.publicKeyPem());
      if (checkpoint === undefined) throw new Error("the log has not signed its checkpoint");
      if ((await this.memory.read()) === undefined) await this.memory.write(checkpoint);
      return checkpoint;
    });

  /** The first entries. */
  entries = (count: number): Promise<Entered[]> =>
    this.open(async (log) => {
      const entries: Entered[] = [];
      for (let logIndex = 0; logIndex < count; logIndex++) {
        const entry = await log.entry(logIndex);
        if (entry === undefined) throw new Error(`the log has no entry ${logIndex}`);
        entries.push({ body: entry.body, logIndex });
      }
      return entries;
    });

  /** What is wrong with these entries, or with how the log grew since it was last asked; nothing when all are included. */
  faults = (entries: readonly Entered[]): Promise<string[]> =>
    this.open(async (log) => {
      const faults: string[] = [];
      for (const entry of entries) {
        const { inclusion, growth } = await askLog(log, entry, this.publicKeyPem(), this.memory);
        faults.push(...[inclusion.fault, growth.fault].filter((fault) => fault !== undefined));
      }
      return faults;
    });

  private publicKeyPem = (): string => this.context().shared.provenance.log.publicKeyPem;

  private async open<T>(use: (log: Log) => Promise<T>): Promise<T> {
    const { kubectl, shared } = this.context();
    const { log } = shared.provenance;
    const { port, close } = await kubectl.portForward(log.namespace, log.service, log.port);
    try {
      return await use(openLog({ ...log, localPort: port }));
    } finally {
      close();
    }
  }
}

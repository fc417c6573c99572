import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { programPath } from "./programs";

const manifestTypes = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";

/** The factory's registry on a port of this machine, without TLS and logins. */
export class LocalRegistry {
  private constructor(
    /** Host and port. */
    readonly host: string,
    private readonly directory: string,
    private readonly process: ChildProcess,
  ) {}

  /** Starts one that is empty. */
  static async start(): Promise<LocalRegistry> {
    const directory = mkdtempSync(join(tmpdir(), "ssf-registry-"));
    const config = join(directory, "config.json");
    const log = join(directory, "log");
    writeFileSync(
      config,
      JSON.stringify({
        version: "0.1",
        log: { accesslog: { disabled: true } },
        storage: { filesystem: { rootdirectory: join(directory, "data") } },
        http: { addr: "127.0.0.1:0" },
      }),
    );
    const descriptor = openSync(log, "w");
    // A file and no pipe: stages run while this process stands still, and nobody would empty the pipe.
    const process = spawn(programPath("registry") ?? "", ["serve", config], {
      stdio: ["ignore", descriptor, descriptor],
    });
    closeSync(descriptor);
    for (;;) {
      const port = /listening on 127\.0\.0\.1:([0-9]+)/.exec(readFileSync(log, "utf8"))?.[1];
      if (port !== undefined) return new LocalRegistry(`127.0.0.1:${port}`, directory, process);
      if (process.exitCode !== null) throw new Error(`the registry ended: ${readFileSync(log, "utf8")}`);
      await setTimeout(50);
    }
  }

  /** A manifest by tag or digest, as JSON; undefined when there is none. */
  async manifest(path: string, reference: string): Promise<unknown> {
    const response = await this.get(`${path}/manifests/${reference}`);
    return response.ok ? response.json() : undefined;
  }

  /** A blob by digest. */
  async blob(path: string, digest: string): Promise<Buffer> {
    const response = await this.get(`${path}/blobs/${digest}`);
    if (!response.ok) throw new Error(`no blob ${digest}`);
    return Buffer.from(await response.arrayBuffer());
  }

  private get(path: string): Promise<Response> {
    return fetch(`http://${this.host}/v2/${path}`, { headers: { accept: manifestTypes } });
  }

  /** Ends it and removes what it held. */
  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    this.process.kill();
    await ended;
    rmSync(this.directory, { recursive: true, force: true });
  }
}

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";

/** Serves the files and directory listings of its argument; a process of its own, because the tests run others in step. */
const program = `
const { createReadStream, readdirSync, statSync } = require("node:fs");
const { join } = require("node:path");
const server = require("node:http").createServer((request, response) => {
  const path = join(process.argv[1], decodeURIComponent(new URL(request.url, "http://x").pathname));
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return response.writeHead(404).end();
  if (found.isFile()) return createReadStream(path).pipe(response);
  response.setHeader("Content-Type", "text/html");
  response.end("<!DOCTYPE html><html><body>" + readdirSync(path).map((name) => '<a href="' + name + '">' + name + "</a>").join("") + "</body></html>");
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
`;

/** A package registry on this machine, whose packages are files. */
export class FileServer {
  private constructor(
    private readonly child: ChildProcess,
    /** Its address, with a slash at the end. */
    readonly address: string,
  ) {}

  /** Serves a directory on a free port of the loopback. */
  static async start(directory: string): Promise<FileServer> {
    const child = spawn(process.execPath, ["-e", program, directory], { stdio: ["ignore", "pipe", "inherit"] });
    const [port] = (await once(child.stdout, "data")) as [Buffer];
    return new FileServer(child, `http://127.0.0.1:${port.toString().trim()}/`);
  }

  /** Ends it. */
  async stop(): Promise<void> {
    const ended = once(this.child, "exit");
    this.child.kill();
    await ended;
  }
}

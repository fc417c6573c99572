import { execFile } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type Files, newestRoot, newKey, rotateKeys, signRepository, updateTrust, writeTargets } from "../../trust";
import { describeWith, programPath } from "../support/programs";
import { factoryTrust, newAuthority, newLog } from "./support/sigstore";
import { ceremony, temporaryDirectories } from "./support/world";

const temporary = temporaryDirectories();

/** Another client of another project: cosign, by go-tuf. */
describeWith("cosign")("cosign as a client", () => {
  jest.setTimeout(60_000);
  const { files: empty, all } = ceremony();
  const trust = updateTrust({ current: factoryTrust(newAuthority("first"), newLog()), now: new Date() });
  const { files: signed } = signRepository({ files: empty, keys: all, now: new Date() }, writeTargets(trust));
  const { files: rotated } = rotateKeys({ files: signed, keys: all, now: new Date() }, "root", [
    newKey(),
    newKey(),
    newKey(),
  ]);

  let served: Files = {};
  let server: Server;
  beforeAll(async () => {
    server = createServer((request, response) => {
      const content = served[(request.url ?? "").replace(/^\/(targets\/)?/, "")];
      response.writeHead(content === undefined ? 404 : 200).end(content);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  });
  afterAll(() => void server.close());

  const initialize = () => {
    const directory = temporary();
    const { port } = server.address() as AddressInfo;
    writeFileSync(join(directory, "root.json"), newestRoot(signed));
    return new Promise<string>((resolve, reject) => {
      execFile(
        programPath("cosign") ?? "",
        ["initialize", `--mirror=http://127.0.0.1:${port}`, `--root=${join(directory, "root.json")}`],
        { env: { ...process.env, TUF_ROOT: directory, HOME: directory } },
        (error, _stdout, stderr) => {
          const file = join(directory, `127.0.0.1-${port}/targets/trusted_root.json`);
          if (error === null && existsSync(file)) resolve(readFileSync(file, "utf8"));
          else reject(new Error(stderr));
        },
      );
    });
  };

  it("follows the rotated root and takes the trusted root", async () => {
    served = rotated;
    await expect(initialize()).resolves.toBe(writeTargets(trust)["trusted_root.json"]);
  });

  it("refuses a root that the old keys did not sign, and a changed target", async () => {
    const other = ceremony();
    const foreign = rotateKeys({ files: other.files, keys: other.all, now: new Date() }, "timestamp", [newKey()]).files;
    served = { ...signed, "2.root.json": foreign["2.root.json"] ?? "" };
    await expect(initialize()).rejects.toThrow();
    const name = Object.keys(signed).find((file) => file.endsWith(".trusted_root.json")) ?? "";
    served = { ...signed, [name]: (signed[name] ?? "").replace("fulcio", "falcio") };
    await expect(initialize()).rejects.toThrow();
    served = signed;
    await expect(initialize()).resolves.toContain("fulcio");
  });
});

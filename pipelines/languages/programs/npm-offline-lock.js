// Lets a lock file name the packages that lie in a directory, so that npm needs no registry; the hashes stay.
"use strict";
const { existsSync, readFileSync, writeFileSync } = require("node:fs");
const { join } = require("node:path");

const [lockFile, directory] = process.argv.slice(2);
const lock = JSON.parse(readFileSync(lockFile, "utf8"));
for (const entry of Object.values(lock.packages)) {
  const [, hash] = /(?:^|\s)sha512-([A-Za-z0-9+/]{86}==)/.exec(String(entry.integrity ?? "")) ?? [];
  if (hash === undefined) continue;
  const file = join(directory, Buffer.from(hash, "base64").toString("hex") + ".tgz");
  if (existsSync(file)) entry.resolved = "file:" + file;
}
writeFileSync(lockFile, JSON.stringify(lock));

// Downloads the package of every entry of a lock file, and refuses what does not have the hash that stands there.
// No code of any package runs, and none of npm's settings are read, since the source could bring its own.
"use strict";
const { createHash } = require("node:crypto");
const { createWriteStream, readFileSync } = require("node:fs");
const { join } = require("node:path");
const { pipeline } = require("node:stream/promises");

const [lockFile, target] = process.argv.slice(2);
const publicRegistry = "https://registry.npmjs.org/";
const registry = process.env.NPM_REGISTRY.replace(/\/*$/, "/");
const tries = 4;
const downloadsAtOnce = 8;

const problems = [];
const refuse = (text) => problems.push(text);
const stopIfRefused = () => {
  if (problems.length === 0) return;
  for (const problem of problems) console.error("refused: " + problem);
  process.exit(1);
};

const outside = (path) => path.startsWith("/") || path.split("/").includes("..");

/** Whether npm installs a package on a machine of this kind: a list of names, or of names that are excluded by `!`. */
const allows = (list, own) => {
  if (list === undefined) return true;
  const names = [list].flat();
  const wanted = names.filter((name) => !name.startsWith("!"));
  return !names.includes("!" + own) && (wanted.length === 0 || wanted.includes(own) || wanted.includes("any"));
};

/** What to download for an entry of the lock file; undefined for what lies in the source or in another package. */
const downloadOf = ([path, entry]) => {
  const ownName = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
  const name = entry.name ?? ownName;
  const what = name + "@" + entry.version;
  if (entry.link || !path.includes("node_modules/")) {
    if (outside(path) || outside(String(entry.resolved ?? "")))
      refuse("package " + path + " lies outside the directory");
    return undefined;
  }
  if (entry.inBundle || !allows(entry.os, process.platform) || !allows(entry.cpu, process.arch)) return undefined;

  // npm leaves the address out where it is told to, and then takes the one that follows from name and version.
  const usual = publicRegistry + name + "/-/" + name.slice(name.indexOf("/") + 1) + "-" + entry.version + ".tgz";
  const address = String(entry.resolved ?? usual);
  const base = [registry, publicRegistry].find((start) => address.startsWith(start));
  if (base === undefined) {
    refuse(what + " comes from " + address + ", but dependencies come from the registry " + registry + " only");
    return undefined;
  }
  const file = address.slice(base.length);
  if (!file.replace(/%2f/i, "/").startsWith(name + "/-/") || outside(file)) {
    refuse(what + " has the address of another package: " + address);
    return undefined;
  }
  const [, expected] = /(?:^|\s)sha512-([A-Za-z0-9+/]{86}==)/.exec(String(entry.integrity ?? "")) ?? [];
  if (expected === undefined) {
    refuse(what + " has no SHA-512 in package-lock.json (field integrity); let npm 7 or newer write the file anew");
    return undefined;
  }
  return { what, address: registry + file, expected };
};

const pause = (milliseconds) => new Promise((resume) => setTimeout(resume, milliseconds));

const fetchOnce = async ({ address, expected }) => {
  const response = await fetch(address, { redirect: "follow" });
  if (!response.ok) {
    await response.body?.cancel();
    throw Object.assign(new Error("the registry answers " + response.status), { final: response.status < 500 });
  }
  const hash = createHash("sha512");
  const hashed = async function* (chunks) {
    for await (const chunk of chunks) {
      hash.update(chunk);
      yield chunk;
    }
  };
  const file = join(target, Buffer.from(expected, "base64").toString("hex") + ".tgz");
  await pipeline(response.body, hashed, createWriteStream(file));
  return hash.digest("base64");
};

const download = async (wanted, attempt = 1) => {
  try {
    const found = await fetchOnce(wanted);
    if (found === wanted.expected) return;
    refuse(
      wanted.what +
        " is not what package-lock.json says\n" +
        "  expected sha512-" +
        wanted.expected +
        "\n" +
        "  found    sha512-" +
        found +
        "\n" +
        "  at       " +
        wanted.address,
    );
  } catch (error) {
    if (!error.final && attempt < tries) {
      await pause(500 * 2 ** attempt);
      return download(wanted, attempt + 1);
    }
    refuse(wanted.what + " cannot be had from " + wanted.address + ": " + (error.cause?.message ?? error.message));
  }
};

const readLock = () => {
  const lock = JSON.parse(readFileSync(lockFile, "utf8"));
  if ([2, 3].includes(lock.lockfileVersion) && typeof lock.packages === "object") return lock.packages;
  refuse(lockFile + " has version " + lock.lockfileVersion + "; let npm 7 or newer write it, which makes it 2 or 3");
  return {};
};

const main = async () => {
  const wanted = Object.entries(readLock()).map(downloadOf).filter(Boolean);
  stopIfRefused();
  const queue = [...new Map(wanted.map((one) => [one.expected, one])).values()];
  const count = queue.length;
  const work = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await download(next);
  };
  await Promise.all(Array.from({ length: downloadsAtOnce }, work));
  stopIfRefused();
  console.log(count + " packages have the hashes of " + lockFile);
};

main().catch((error) => {
  console.error("refused: " + error.message);
  process.exit(1);
});

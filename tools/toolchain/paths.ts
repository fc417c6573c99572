import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** Root of the checkout. */
export const repository = resolve(__dirname, "../..");

/** Everything that can be made again lives here, outside the checkout. */
export const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "secure-software-factory");

/** Finished outputs, one directory a content key; nothing in it is ever changed. */
export const store = join(cache, "store");

/** Outputs in the making; whatever is found here at the start of a build is left from an interrupted one. */
export const work = join(cache, "work");

/** Module and compile caches of Go; dropped when the toolchain is complete. */
export const goCaches = join(cache, "go");

/** The generated file that lists images by digest, upstream sources and programs. */
export const lockFile = join(repository, "toolchain.lock.json");

/** When servers refused plugins, one file a plugin. */
export const refusals = join(cache, "refusals");

/** What nobody needs any more, on its way out. */
export const discarded = join(cache, "discarded");

/** Space that a build from an empty cache takes at most, on the way. */
export const buildGigabytes = 45;

/** Space that the finished cache takes at most. */
export const keptGigabytes = 12;

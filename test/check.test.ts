import { resolve } from "node:path";
import { run } from "../tools/process";

/** What `make check` asks; among the tests, so that nothing waits for it. */
test.each(["format:check", "lint", "typecheck"])(
  "npm run %s finds nothing",
  async (script) => {
    await run("npm", ["run", "--silent", script], { cwd: resolve(__dirname, "..") });
  },
  10 * 60_000,
);

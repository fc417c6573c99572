import { resolve } from "node:path";
import { run } from "../tools/process";

/** Among the tests, so that nothing waits for it. */
test(
  "npm run check finds nothing",
  async () => {
    await run("npm", ["run", "--silent", "check"], { cwd: resolve(__dirname, "..") });
  },
  10 * 60_000,
);

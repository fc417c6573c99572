import { execFile, spawnSync } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

const wrapper = join(__dirname, "../../tools/modules/workloads");
const environment = {
  ...process.env,
  CGO_ENABLED: "0",
  GOFLAGS: "-mod=readonly -modcacherw -trimpath -buildvcs=false -gcflags=all=-dwarf=false",
  GOWORK: "off",
};

const hasGo = spawnSync("go", ["version"]).status === 0;
const describeWithGo = hasGo ? describe : describe.skip;

/** What Go says of a program's tests; when one fails, without what the program logs. */
const testsOf = async (program: string): Promise<string> => {
  const options = { cwd: wrapper, env: environment, maxBuffer: 1 << 26 };
  try {
    return (await promisify(execFile)("go", ["test", `./cmd/${program}`], options)).stdout;
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error([stderr, ...stdout.split("\n").filter((line) => !line.startsWith("{"))].join("\n"));
  }
};

describeWithGo("the tests in Go of", () => {
  // They compile Kubernetes' client when nothing of it is there.
  test.each(["workload-api-driver", "signing-healer"])(
    "%s pass",
    async (program) => expect(await testsOf(program)).toMatch(/^ok\s/m),
    1_200_000,
  );
});

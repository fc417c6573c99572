import { execFile, spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { type GoTests, goTests, goTestsProblem } from "../support/go-tests";

const wrapper = join(__dirname, "../../tools/modules/workloads");
const environment = {
  ...process.env,
  CGO_ENABLED: "0",
  GOFLAGS: "-mod=readonly -modcacherw -trimpath -buildvcs=false -gcflags=all=-dwarf=false",
  GOWORK: "off",
};

const hasGo = spawnSync("go", ["version"]).status === 0;
const describeWithGo = hasGo ? describe : describe.skip;

/** Directories of the packages that have tests, by the last part of their path. */
const withTests = [
  ...new Set(
    readdirSync(wrapper, { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith("_test.go"))
      .map((file) => dirname(file).split("/").at(-1) ?? file),
  ),
].sort();

/** What Go says of all tests of the module, whether they pass or not. */
const runAll = async (): Promise<string> => {
  const options = { cwd: wrapper, env: environment, maxBuffer: 1 << 26 };
  try {
    return (await promisify(execFile)("go", ["test", "-json", "./..."], options)).stdout;
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    if (!stdout) throw new Error(stderr ?? String(error), { cause: error });
    return stdout;
  }
};

describeWithGo("the tests in Go of", () => {
  let ran: Map<string, GoTests>;
  // They compile Kubernetes' client when nothing of it is there.
  beforeAll(async () => {
    ran = goTests(await runAll());
  }, 1_200_000);

  // Mounts need a privileged root, so that only root's tests are complete.
  test.each(withTests)("%s pass", (name) => {
    expect(goTestsProblem(ran.get(name), process.getuid?.() !== 0)).toBeUndefined();
  });
});

describe("what Go says of tests", () => {
  const said = (...events: object[]) => goTests(events.map((event) => JSON.stringify(event)).join("\n")).get("guard");
  const of = (Action: string, Test?: string) => ({ Action, Package: "factory/cmd/guard", Test });

  test("counts when one passed and none failed", () => {
    const tests = said(of("run", "TestRead"), of("pass", "TestRead"), of("skip", "TestMount"), of("pass"));
    expect(tests).toMatchObject({ passed: ["TestRead"], skipped: ["TestMount"], failed: [] });
    expect(goTestsProblem(tests, true)).toBeUndefined();
  });

  test.each<[string, GoTests | undefined, boolean, string]>([
    ["a package that was not run", undefined, true, "its tests were not run"],
    [
      "nothing but skipped tests",
      said(of("skip", "TestMount"), of("pass")),
      true,
      "no test passed; skipped: TestMount",
    ],
    ["no tests at all", said(of("pass")), true, "no test passed; skipped: none"],
    ["a skipped test where nothing lacks", said(of("pass", "A"), of("skip", "B")), false, "skipped: B"],
    ["a test that failed", said(of("pass", "A"), of("fail", "B"), of("fail")), true, "failed: B, the package\n"],
    [
      "a package that does not compile",
      said({ ImportPath: "factory/cmd/guard [factory/cmd/guard.test]", Action: "build-fail" }),
      true,
      "failed: the package\n",
    ],
  ])("refuses %s", (_name, tests, maySkip, problem) => {
    expect(goTestsProblem(tests, maySkip)).toBe(problem);
  });

  test("shows what the tests print, and not what a program logs", () => {
    const printed = { ...of("output", "B"), Output: "guard_test.go:7: want 1\n" };
    const logged = { ...of("output", "B"), Output: '{"level":"info"}\n' };
    const tests = goTests([JSON.stringify(printed), JSON.stringify(logged), "plain"].join("\n")).get("guard");
    expect(tests?.output).toBe("guard_test.go:7: want 1\n");
  });
});

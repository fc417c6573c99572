/** How the tests of one Go package went, by name; subtests by `parent/name`. */
export interface GoTests {
  passed: string[];
  skipped: string[];
  failed: string[];
  /** What a person needs to mend it: the lines that failed tests and the compiler printed. */
  output: string;
}

interface GoEvent {
  Action: string;
  Package?: string;
  ImportPath?: string;
  Test?: string;
  Output?: string;
}

/** Logs of programs under test are JSON, too; what Go tells names an action. */
const eventOf = (line: string): GoEvent | undefined => {
  try {
    const event = JSON.parse(line) as Partial<GoEvent>;
    return event.Action === undefined ? undefined : { ...event, Action: event.Action };
  } catch {
    return undefined;
  }
};

/** What `go test -json` says, by the last part of a package's path. */
export const goTests = (stdout: string): Map<string, GoTests> => {
  const packages = new Map<string, GoTests>();
  for (const event of stdout.split("\n").map(eventOf)) {
    const path = event?.Package ?? event?.ImportPath?.split(" ")[0];
    if (event === undefined || path === undefined) continue;
    const name =
      path
        .split("/")
        .at(-1)
        ?.replace(/\.test$/, "") ?? path;
    const tests = packages.get(name) ?? { passed: [], skipped: [], failed: [], output: "" };
    packages.set(name, tests);
    if (event.Output !== undefined && !event.Output.startsWith("{")) tests.output += event.Output;
    if (event.Test === undefined) {
      if (event.Action === "fail" || event.Action === "build-fail") tests.failed.push("the package");
    } else if (event.Action === "pass") tests.passed.push(event.Test);
    else if (event.Action === "skip") tests.skipped.push(event.Test);
    else if (event.Action === "fail") tests.failed.push(event.Test);
  }
  return packages;
};

/**
 * Why the tests of a package do not count; undefined when they do.
 *
 * @param maySkip whether the machine may lack what some tests need
 */
export const goTestsProblem = (tests: GoTests | undefined, maySkip: boolean): string | undefined => {
  if (tests === undefined) return "its tests were not run";
  if (tests.failed.length > 0) return `failed: ${tests.failed.join(", ")}\n${tests.output}`;
  if (tests.passed.length === 0) return `no test passed; skipped: ${tests.skipped.join(", ") || "none"}`;
  if (!maySkip && tests.skipped.length > 0) return `skipped: ${tests.skipped.join(", ")}`;
  return undefined;
};

/** What takes less is not worth a line, in seconds. */
const short = 10;

/** How many lines of a failure are told again at the end. */
const told = 20;

const isOfJest = (line) => /^ +at .*(node_modules|node:internal)/.test(line);

const fileOf = ({ testFilePath }) => testFilePath.split("/test/").at(-1);

const taken = (result) => {
  const { perfStats, testResults } = result;
  const own = testResults.reduce((rest, { duration }) => rest - (duration ?? 0), perfStats.runtime ?? 0);
  return [
    { seconds: own / 1000, name: `${fileOf(result)}: before and after its tests` },
    ...testResults.map(({ duration, fullName }) => ({
      seconds: (duration ?? 0) / 1000,
      name: `${fileOf(result)}: ${fullName}`,
    })),
  ];
};

const failures = (result) => {
  const shown = (name, message) =>
    `FAILED ${fileOf(result)}: ${name}\n${message
      .split("\n")
      .filter((line) => !isOfJest(line))
      .slice(0, told)
      .join("\n")}\n`;
  const { testExecError, testResults } = result;
  return [
    ...(testExecError ? [shown("could not run", testExecError.message ?? "")] : []),
    ...testResults
      .filter(({ status }) => status === "failed")
      .map(({ fullName, failureMessages }) => shown(fullName, failureMessages.join("\n"))),
  ];
};

/**
 * Prints what took longest, what failed, and `N passed, N failed` alone on the last line; a file that could not run counts as
 * a failure. A file's own time is what its tests did not take: loading, and what is done before and after all of them.
 */
module.exports = class SummaryReporter {
  onRunComplete(_contexts, { numPassedTests, numFailedTests, numRuntimeErrorTestSuites, testResults }) {
    const long = testResults
      .flatMap(taken)
      .filter(({ seconds }) => seconds >= short)
      .sort((a, b) => b.seconds - a.seconds)
      .map(({ seconds, name }) => `${seconds.toFixed(0).padStart(6)} s  ${name}\n`);
    const end = `${numPassedTests} passed, ${numFailedTests + numRuntimeErrorTestSuites} failed\n`;
    // Jest's own summary comes after those of others.
    process.once("exit", () => process.stdout.write([...long, ...testResults.flatMap(failures), end].join("")));
  }
};

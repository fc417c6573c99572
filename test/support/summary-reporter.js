/** What takes less is not worth a line, in seconds. */
const short = 10;

const line = ({ seconds, name }) => `${seconds.toFixed(0).padStart(6)} s  ${name}\n`;

/**
 * Prints what took longest, and `N passed, N failed` alone on the last line; a file that could not run counts as a failure.
 * A file's own time is what its tests did not take: loading, and what is done before and after all of them.
 */
module.exports = class SummaryReporter {
  onRunComplete(_contexts, { numPassedTests, numFailedTests, numRuntimeErrorTestSuites, testResults }) {
    const taken = testResults.flatMap(({ testFilePath, perfStats, testResults: tests }) => {
      const file = testFilePath.split("/test/").at(-1);
      const own = tests.reduce((rest, { duration }) => rest - (duration ?? 0), perfStats.runtime ?? 0);
      return [
        { seconds: own / 1000, name: `${file}: before and after its tests` },
        ...tests.map(({ duration, fullName }) => ({ seconds: (duration ?? 0) / 1000, name: `${file}: ${fullName}` })),
      ];
    });
    const long = taken.filter(({ seconds }) => seconds >= short).sort((a, b) => b.seconds - a.seconds);
    process.stdout.write(long.map(line).join(""));
    process.stdout.write(`${numPassedTests} passed, ${numFailedTests + numRuntimeErrorTestSuites} failed\n`);
  }
};

/** @type {import("jest").Config} */
module.exports = {
  testEnvironment: "node",
  roots: ["<rootDir>/test"],
  testMatch: ["**/*.test.ts"],
  transform: { "^.+\\.tsx?$": ["@swc/jest", { jsc: { target: "es2022", parser: { syntax: "typescript" } } }] },
  globalSetup: "<rootDir>/test/support/temporary-files.js",
  globalTeardown: "<rootDir>/test/support/remove-temporary-files.js",
  reporters: ["default", "<rootDir>/test/support/summary-reporter.js"],
  maxWorkers: 2,
  // Tests share the machine with a factory that comes up; one that hangs is ended all the same.
  testTimeout: 120_000,
};

const { mkdtempSync } = require("node:fs");
const { tmpdir } = require("node:os");
const { join } = require("node:path");

/** Gives a run of the tests a directory for temporary files, which `remove-temporary-files.js` removes whatever became of them. */
module.exports = () => {
  process.env.TMPDIR = mkdtempSync(join(tmpdir(), "ssf-test-"));
};

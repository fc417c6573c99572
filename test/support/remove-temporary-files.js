const { rmSync } = require("node:fs");

/** Removes what a run of the tests left in the directory that `temporary-files.js` made. */
module.exports = () => rmSync(process.env.TMPDIR, { recursive: true, force: true });

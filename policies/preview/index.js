"use strict";

// The rules are TypeScript, as the program is. Whatever keeps them from being read ends the preview, with its place.
try {
  require("tsx/cjs");
  require("./pack");
} catch (error) {
  console.error(
    error.name === "FactoryError"
      ? error.message
      : `SSF-PREVIEW-002 policies/preview: ${error.message}\n  rule: Every policy can be read.\n  fix:  Mend the line that is named above.`,
  );
  process.exit(1);
}

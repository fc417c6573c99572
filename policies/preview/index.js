"use strict";

// The rules are TypeScript, as the program is, and are loaded as it is: without the loader that Pulumi gives to packs, which
// checks types. Whatever keeps them from being read ends the preview, with its place.
delete require.extensions[".ts"];
try {
  require("@swc-node/register");
  require("./pack");
} catch (error) {
  // What follows is a trace of the compiler's own program.
  const [reason] = error.message.split("\nCaused by:");
  console.error(
    error.name === "FactoryError"
      ? error.message
      : `SSF-PREVIEW-002 policies/preview: ${reason.trim()}\n  rule: Every policy can be read.\n  fix:  Mend the line that is named above.`,
  );
  process.exit(1);
}

import { type AskedFor, openImageVerifier } from "../image-verifier";
import { exitCode, type ExitCode } from "../outcome";
import { allHeld } from "../provenance";
import { parseImage } from "../registry";
import { openWorkspace, type WorkspaceOptions } from "../workspace";

/** Options of {@link verify}. */
export interface VerifyOptions extends WorkspaceOptions, AskedFor {
  json: boolean;
}

/** Verifies an image by its digest and prints each check. */
export const verify = async (text: string, options: VerifyOptions): Promise<ExitCode> => {
  // Refused before the factory is asked for anything.
  parseImage(text);
  const verifier = await openImageVerifier(openWorkspace(options));
  const checks = await verifier(text, options);
  const held = allHeld(checks);
  if (options.json) console.log(JSON.stringify({ image: text, held, checks }, undefined, 2));
  else {
    for (const { code, title, held: itHeld, detail } of checks)
      console.log(`${itHeld ? "held  " : "FAILED"} ${title}: ${detail}${itHeld ? "" : ` (${code})`}`);
    console.log(held ? `verified: ${text}` : `not verified: ${text}`);
  }
  return held ? exitCode.held : exitCode.didNotHold;
};

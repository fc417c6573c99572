import { spawnSync } from "node:child_process";
import { programPath } from "../support/programs";
import { testKeys } from "./fixtures";

/** What Tekton's own code says of one object. */
export interface TektonAnswer {
  checksum: string;
  /** Whether the object carries a signature of the key. */
  signed: boolean;
  /** What Tekton's webhook would object to. */
  invalid: string;
}

/** Asks Tekton's own code about objects, in their order. */
export const askTekton = (objects: readonly object[], publicKeyPem = testKeys.publicKeyPem): TektonAnswer[] => {
  const { status, stdout, stderr } = spawnSync(programPath("tekton-definitions") ?? "", [], {
    encoding: "utf8",
    input: JSON.stringify({ publicKeyPem, objects }),
    maxBuffer: 1 << 26,
  });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as TektonAnswer[];
};

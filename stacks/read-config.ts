import * as pulumi from "@pulumi/pulumi";

import { type Config, parseConfig } from "./config";

/** The settings of the stack that is running. */
export const readConfig = (): Config => {
  const prefix = `${pulumi.getProject()}:`;
  const own = Object.entries(pulumi.runtime.allConfig())
    .filter(([key]) => key.startsWith(prefix))
    .map(([key, value]) => [key.slice(prefix.length), value] as const);
  return parseConfig(Object.fromEntries(own));
};

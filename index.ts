import * as pulumi from "@pulumi/pulumi";

import { FactoryError } from "./components/lib/errors";
import { clusterStack } from "./stacks/cluster";
import { type Config, readConfig } from "./stacks/config";
import { factoryStack } from "./stacks/factory";
import { requireOwnName } from "./stacks/named-teams";
import { teamStack } from "./stacks/team";

/** The resources and outputs of the stack that the settings ask for. */
const stackOf = (config: Config): Promise<pulumi.Inputs> | pulumi.Inputs => {
  switch (config.kind) {
    case "cluster":
      return clusterStack(config);
    case "factory":
      return factoryStack(config);
    case "team":
      requireOwnName({ stack: pulumi.getStack(), ...config }, process.cwd(), pulumi.getProject());
      return teamStack(config);
  }
};

export = async (): Promise<pulumi.Inputs> => {
  try {
    return await stackOf(readConfig());
  } catch (error) {
    // The engine prints these as they are, and every other error with its stack.
    throw error instanceof FactoryError ? new pulumi.RunError(error.message) : error;
  }
};

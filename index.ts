import * as pulumi from "@pulumi/pulumi";

import { FactoryError } from "./components/lib/errors";
import { clusterStack } from "./stacks/cluster";
import type { Config } from "./stacks/config";
import { factoryStack } from "./stacks/factory";
import { requireOwnName } from "./stacks/named-teams";
import { readConfig } from "./stacks/read-config";
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

/** A refusal as the engine prints it: its message alone. Node.js 20 is ten seconds over colouring the engine's own frames. */
const refusal = ({ message }: FactoryError): pulumi.RunError =>
  Object.assign(new pulumi.RunError(message), { stack: message });

/** Those that the stack has; about one that is undefined the engine would warn. */
const present = (outputs: pulumi.Inputs): pulumi.Inputs =>
  Object.fromEntries(Object.entries(outputs).filter(([, output]) => output !== undefined));

export = async (): Promise<pulumi.Inputs> => {
  try {
    return present(await stackOf(readConfig()));
  } catch (error) {
    throw error instanceof FactoryError ? refusal(error) : error;
  }
};

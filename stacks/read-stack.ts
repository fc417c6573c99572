import * as pulumi from "@pulumi/pulumi";

import { FactoryError } from "../components/lib/errors";
import type { StackKind } from "./config";
import { notUp, outputSchemas, parseOutputs, type StackOutputs } from "./outputs";

/**
 * Reads the outputs of another stack of this project. They are plain values, known already at preview, so that what is
 * made from them is, too.
 */
export const readStack = async <K extends StackKind>(kind: K, stack: string): Promise<StackOutputs[K]> => {
  const name = `${pulumi.getOrganization()}/${pulumi.getProject()}/${stack}`;
  try {
    // A reference to a stack that does not exist ends the program; this question is only answered with no.
    await pulumi.runtime.invoke("pulumi:pulumi:readStackOutputs", { name });
  } catch (error) {
    if (!String(error).includes("unknown stack")) throw error;
    throw new FactoryError(notUp(kind, stack, "there is no such stack"));
  }
  const reference = new pulumi.StackReference(stack, { name });
  const read = Object.keys(outputSchemas[kind].shape).map(async (output) => {
    const details: { value?: unknown; secretValue?: unknown } = await reference.getOutputDetails(output);
    return [output, details.value ?? details.secretValue] as const;
  });
  return parseOutputs(kind, stack, Object.fromEntries(await Promise.all(read)));
};

import type { PolicyConfigSchema } from "@pulumi/policy";

import type { RuntimeClasses } from "../../pipelines/tekton";
import { factoryImages } from "../../stacks/factory-images";
import { readToolchain } from "../../stacks/toolchain";
import type { FactoryImages } from "../admission";
import { gatorPath } from "./gator";

/** What the rules know beside the preview. */
export interface Settings {
  /** Path of gator. */
  gator: string;
  /** Images of the lock file. */
  images: FactoryImages;
  /** RuntimeClasses of the cluster; `null` where NetworkPolicies alone are the jail. */
  runtimeClasses: RuntimeClasses | null;
  /** Whether the stack is to last, so that Pulumi must refuse to remove what holds its data. */
  protectData: boolean;
}

/** Setting of a rule, in the pack's configuration, that says what keeps stages from the network. */
export const jailConfig: PolicyConfigSchema = {
  properties: {
    jail: { type: "string", enum: ["runtime", "network-policy"], default: "runtime" },
  },
};

/** What the pack's configuration says of one rule, beside its level. */
export interface RuleConfig {
  jail?: string;
}

/** The settings as the pack's configuration of one rule changes them. */
export const withConfig = (settings: Settings, { jail }: RuleConfig): Settings =>
  jail === "network-policy" ? { ...settings, runtimeClasses: null } : settings;

/** Settings of the stack that is previewed, as Pulumi hands them to a pack. */
const stackSetting = (key: string, env: NodeJS.ProcessEnv): string | undefined => {
  const config = JSON.parse(env.PULUMI_CONFIG ?? "{}") as Record<string, string>;
  return config[`${env.PULUMI_PROJECT ?? ""}:${key}`];
};

/**
 * What the rules know of this machine and of the stack that is previewed.
 *
 * @throws FactoryError `SSF-TOOLCHAIN-001` or `SSF-PREVIEW-001` where the toolchain has not been built
 */
export const readSettings = (env: NodeJS.ProcessEnv = process.env): Settings => {
  const toolchain = readToolchain();
  return {
    gator: gatorPath(toolchain),
    images: factoryImages(toolchain, stackSetting("falcoImage", env)),
    runtimeClasses: { jailed: "jailed", networked: "networked" },
    protectData: stackSetting("protectData", env) === "true",
  };
};

import { existsSync } from "node:fs";
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execute } from "../process";
import { goArchitecture } from "./go";
import type { PluginSpec } from "./modules";
import { refusals } from "./paths";
import { digestOf, outputPath, stored, workDirectory } from "./store";

/** How long a refusal is believed, in milliseconds: a version may be published, or a network be opened, later. */
const refusalLasts = 24 * 3_600_000;

/** The server's own word that there is no such plugin for us; GitHub says the same of who asks too often. */
const refused = /\b(?:403|404|410) HTTP error fetching plugin from (?!https:\/\/api\.github\.com\/)/;

const outputName = ({ name }: PluginSpec): string => `published-${name}`;

const outputKey = ({ name, version }: PluginSpec): string => digestOf(name, version, goArchitecture);

/** Name of a plugin's directory below `$PULUMI_HOME/plugins`. */
export const pluginDirectory = ({ name, version }: PluginSpec): string => `resource-${name}-v${version}`;

/** The output of a plugin that was downloaded, laid out as below `$PULUMI_HOME/plugins`; undefined without one. */
export const downloadedPlugin = (plugin: PluginSpec): string | undefined => {
  const output = outputPath(outputName(plugin), outputKey(plugin));
  return existsSync(output) ? output : undefined;
};

const refusalFile = (plugin: PluginSpec): string => join(refusals, `${plugin.name}-${outputKey(plugin).slice(0, 16)}`);

const isRefused = async (plugin: PluginSpec): Promise<boolean> => {
  const when = Number(await readFile(refusalFile(plugin), "utf8").catch(() => "0"));
  return Date.now() - when < refusalLasts;
};

const rememberRefusal = async (plugin: PluginSpec): Promise<void> => {
  await mkdir(refusals, { recursive: true });
  await writeFile(refusalFile(plugin), String(Date.now()));
};

/**
 * A published plugin, laid out as below `$PULUMI_HOME/plugins`. A server's refusal is believed for a day; after any other
 * failure, such as of the network, the next build asks again.
 *
 * @param pulumi the command line that downloads
 * @returns the output's directory; undefined where it cannot be downloaded now
 */
export const downloadPlugin = async (pulumi: string, plugin: PluginSpec): Promise<string | undefined> => {
  if (downloadedPlugin(plugin) === undefined && (await isRefused(plugin))) return undefined;
  const home = await workDirectory("pulumi-home");
  if (downloadedPlugin(plugin) === undefined) {
    // The command line leaves a log of what failed among temporary files.
    const { code, log } = await execute(pulumi, ["plugin", "install", "resource", plugin.name, `v${plugin.version}`], {
      env: { PULUMI_HOME: home, TMPDIR: home, PULUMI_SKIP_UPDATE_CHECK: "true" },
    });
    if (code !== 0) {
      if (refused.test(log)) await rememberRefusal(plugin);
      await rm(home, { recursive: true });
      return undefined;
    }
  }
  const output = await stored(outputName(plugin), outputKey(plugin), (directory) =>
    cp(join(home, "plugins", pluginDirectory(plugin)), join(directory, pluginDirectory(plugin)), { recursive: true }),
  );
  await rm(home, { recursive: true });
  return output;
};

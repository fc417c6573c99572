import { distinctHosts, type Host, hostOf, parseHosts } from "../../components/lib/hosts";

/** What decides which registries a team's stages reach. */
export interface RegistrySettings {
  /** Names of the team's languages. */
  languages: readonly string[];
  /** Registries that the team lists, joined by commas. @default the public ones that no mirror replaces */
  registries?: string;
  /** Go module proxies, as GOPROXY. @default the public one */
  goProxy?: string;
  /** npm registry. @default the public one */
  npmRegistry?: string;
  /** Index of Python packages. @default the public one */
  pipIndex?: string;
}

/** Registries that a language's own tools ask when nothing else is said; `always` also beside a mirror. */
const publicRegistries: Readonly<Record<string, { instead: string[]; always: string[] }>> = {
  go: { instead: ["proxy.golang.org"], always: ["sum.golang.org"] },
  npm: { instead: ["registry.npmjs.org"], always: [] },
  pip: { instead: ["pypi.org", "files.pythonhosted.org"], always: [] },
};

const mirrorOf = (language: string, settings: RegistrySettings): string | undefined =>
  ({ go: settings.goProxy, npm: settings.npmRegistry, pip: settings.pipIndex })[language];

/** Addresses in a list as GOPROXY has it; `direct` and `off` name no host. */
const addressesIn = (mirrors: string): string[] => mirrors.split(/[,|]/).filter((part) => part.startsWith("https://"));

/** The hosts that *ingest dependencies* may reach: the mirrors that are set, and what is listed or else public. */
export const registryHosts = (settings: RegistrySettings): Host[] => {
  const mirrors = settings.languages.flatMap((language) => addressesIn(mirrorOf(language, settings) ?? ""));
  const usual = settings.languages.flatMap((language) => {
    const { instead = [], always = [] } = publicRegistries[language] ?? {};
    return mirrorOf(language, settings) === undefined ? [...instead, ...always] : always;
  });
  const listed = settings.registries ?? usual.join(",");
  return distinctHosts([...mirrors.map(hostOf), ...(listed === "" ? [] : parseHosts(listed))]);
};

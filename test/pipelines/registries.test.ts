import { describeHost } from "../../components/lib/hosts";
import { registryHosts, type RegistrySettings } from "../../pipelines/languages/registries";

const hosts = (settings: RegistrySettings) => registryHosts(settings).map(describeHost);

test.each<[string, RegistrySettings, string[]]>([
  [
    "the public ones of its languages",
    { languages: ["go", "npm", "pip"] },
    [
      "files.pythonhosted.org:443",
      "proxy.golang.org:443",
      "pypi.org:443",
      "registry.npmjs.org:443",
      "sum.golang.org:443",
    ],
  ],
  ["those of its languages only", { languages: ["npm"] }, ["registry.npmjs.org:443"]],
  [
    "a mirror in the place of what it mirrors, and Go's checksums still",
    {
      languages: ["go", "npm"],
      goProxy: "https://go.test:8081/x,https://more.test|direct",
      npmRegistry: "https://npm.test/",
    },
    ["go.test:8081", "more.test:443", "npm.test:443", "sum.golang.org:443"],
  ],
  ["the list and nothing else", { languages: ["go"], registries: "b.test,a.test:8443" }, ["a.test:8443", "b.test:443"]],
  [
    "the mirror beside the list",
    { languages: ["pip"], registries: "a.test", pipIndex: "https://pip.test/simple" },
    ["a.test:443", "pip.test:443"],
  ],
  [
    "no mirror of a language that the team does not have",
    { languages: ["npm"], goProxy: "https://go.test" },
    ["registry.npmjs.org:443"],
  ],
  ["nothing for a proxy that is off but the checksums", { languages: ["go"], goProxy: "off" }, ["sum.golang.org:443"]],
])("a team reaches %s", (_, settings, expected) => {
  expect(hosts(settings)).toEqual(expected);
});

import { readFileSync } from "node:fs";

import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";

import { FactoryError } from "../components/lib/errors";
import { describeHost, distinctHosts, hostOf, parseHosts } from "../components/lib/hosts";
import { readerLogin } from "../components/lib/registry-config";
import { RecordedTeam } from "../components/recorded-team";
import { teamNamespace, teamRepository } from "../components/lib/names";
import { Team, TEAM_OBJECTS } from "../components/team";
import { go, type Language, npm, parseAllowedSigners, pip, teamPipeline } from "../pipelines";
import { registryHosts } from "../pipelines/languages/registries";
import type { TeamConfig } from "./config";
import { definitionKeys, stackSigner } from "./definition-keys";
import { type ExportedOutputs, SCHEMA } from "./outputs";
import { readStack } from "./read-stack";
import { clusterProvider } from "./provider";
import { makeTrigger, splitPair } from "./team-trigger";
import { readToolchain } from "./toolchain";

/** This stack, and no other: not even one of the same name that another state has. */
const stackOwner = (): pulumi.Output<string> => {
  const id = new random.RandomBytes("owner", { length: 8 });
  return pulumi.interpolate`${pulumi.getStack()} ${pulumi.unsecret(id.hex)}`;
};

/** One team: its namespace, accounts, rules and signed pipelines. */
export const teamStack = async (config: TeamConfig): Promise<ExportedOutputs<"team">> => {
  const factory = await readStack("factory", config.factoryStack);
  const caBundlePem =
    config.caBundleFile === undefined ? undefined : readFile("caBundleFile", config.caBundleFile, caBundle);
  const namespace = teamNamespace(config.team);
  const egress = {
    forges: config.forges === undefined ? [] : distinctHosts(parseHosts(config.forges)),
    registries: registryHosts({ ...config, languages: config.languages.split(",") }),
  };

  const keys = definitionKeys(config, readToolchain().bin);

  const common = {
    team: config.team,
    namespace,
    images: factory.stageImages,
    registry: {
      repository: teamRepository(factory.registry.host, config.team),
      caConfigMap: TEAM_OBJECTS.authority,
    },
    ...(caBundlePem === undefined ? {} : { caBundleConfigMap: TEAM_OBJECTS.caBundle }),
    forges: [hostOf(factory.forge.url), ...egress.forges].map(describeHost),
    ...supplyChain(config),
    runtimeClasses: factory.runtimeClasses,
    signer: stackSigner(keys),
    formerKeys: keys.formerPublicKeysPem,
  };
  const pipelines = languagesOf(config).map((language) => teamPipeline({ ...common, language }));
  const networks = new Map(
    pipelines.flatMap(({ stages }) => stages.map(({ serviceAccount, network }) => [serviceAccount, network] as const)),
  );

  const opts = { providers: [clusterProvider(factory)] };
  const reader = readerLogin(factory.registryReadersKey, namespace);
  const team = new Team(
    "team",
    {
      team: config.team,
      owner: stackOwner(),
      accounts: [...networks].map(([name, network]) => ({ name, network })),
      definitions: [
        ...pipelines.slice(0, 1).map(({ verificationPolicy }) => verificationPolicy),
        ...pipelines.flatMap(({ tasks, pipeline }) => [...tasks, pipeline]),
      ],
      pipelines,
      registryHost: factory.registry.host,
      reader: { ...reader, password: pulumi.secret(reader.password) },
      trustDomain: factory.trustDomain,
      caPem: factory.registry.caPem,
      caBundlePem,
      networkPolicies: factory.networkPolicies,
      egress,
      clusterCidrs: factory.clusterCidrs,
      quota: {
        cpu: config.quotaCpu,
        memory: config.quotaMemory,
        storage: config.quotaStorage,
        pods: config.quotaPods,
      },
    },
    opts,
  );

  new RecordedTeam(
    "recorded-team",
    {
      team: config.team,
      namespaceUid: team.namespaceUid,
      record: {
        namespace,
        repository: common.registry.repository,
        forges: common.forges,
        sources: Object.fromEntries((config.sources?.split(",") ?? []).map(splitPair)),
        stageImages: Object.values(factory.stageImages),
        jailedRuntimeClass: factory.runtimeClasses?.jailed ?? null,
        pipelines: pipelines.map(({ name, stages, digests, runTemplate: { spec } }) => ({
          name,
          stages,
          digests,
          runTemplate: { spec },
        })),
      },
    },
    opts,
  );

  const trigger = makeTrigger(config, { factory, pipelines, caBundlePem }, { ...opts, dependsOn: [team] });

  return {
    schema: SCHEMA,
    team: config.team,
    namespace: team.namespace,
    kubeconfig: pulumi.secret(factory.kubeconfig),
    pipelines: Object.fromEntries(
      pipelines.map(({ name, stages, digests, runTemplate, params }) => [
        name,
        { name, stages, digests, runTemplate, params },
      ]),
    ),
    networkPolicies: factory.networkPolicies,
    egress,
    registryRepository: team.registryRepository,
    ruleDigests: team.ruleDigests,
    provenance: factory.provenance,
    definitions: pulumi.secret(keys),
    definitionsPublicKeyPem: keys.publicKeyPem,
    registry: factory.registry,
    registryCredentials: pulumi.secret({ reader }),
    forge: { ...factory.forge, password: pulumi.secret(factory.forge.password) },
    trigger,
  };
};

const languagesOf = (config: TeamConfig): Language[] => {
  const known: Record<string, Language> = {
    go: go(config.goProxy === undefined ? {} : { goProxy: config.goProxy }),
    npm: npm(config.npmRegistry === undefined ? {} : { registry: config.npmRegistry }),
    pip: pip(config.pipIndex === undefined ? {} : { index: config.pipIndex }),
  };
  return config.languages.split(",").flatMap((name) => known[name] ?? []);
};

/** What the team asks of its supply chain; all of it becomes part of the signed definitions. */
const supplyChain = (config: TeamConfig) => ({
  artefact: config.artefact,
  deniedLicenses: config.deniedLicenses?.split(",") ?? [],
  deniedPackages: config.deniedPackages?.split(",") ?? [],
  reproduce: config.reproduce,
  ...(config.allowedSignersFile === undefined
    ? {}
    : {
        allowedSigners: parseAllowedSigners(
          readFile("allowedSignersFile", config.allowedSignersFile, signers),
          config.allowedSignersFile,
        ),
      }),
});

/** What a file of the settings is, for whoever named one that cannot be read. */
interface FileFacts {
  rule: string;
  fix: string;
}

const caBundle: FileFacts = {
  rule: "It must be the path of a PEM file that this machine can read.",
  fix: "Name the file that holds your network's certificate authorities, or leave the key out.",
};

const signers: FileFacts = {
  rule: "It must be the path of a file that this machine can read.",
  fix: "Name the file that lists who may sign commits, or leave the key out.",
};

const readFile = (key: string, file: string, { rule, fix }: FileFacts): string => {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const given = error instanceof Error ? error.message : String(error);
    throw new FactoryError({ code: "SSF-CONFIG-005", path: `config ${key}`, given, rule, fix });
  }
};

import { readFileSync } from "node:fs";

import * as pulumi from "@pulumi/pulumi";

import { FactoryError } from "../components/lib/errors";
import { Team, TEAM_OBJECTS, teamNamespace } from "../components/team";
import { definitionSigner, go, parseAllowedSigners, teamPipeline } from "../pipelines";
import type { TeamConfig } from "./config";
import { type ExportedOutputs, readStack, SCHEMA } from "./outputs";
import { clusterProvider } from "./provider";

/** One team: its namespace, accounts, rules and signed pipelines. */
export const teamStack = async (config: TeamConfig): Promise<ExportedOutputs<"team">> => {
  const factory = await readStack("factory", config.factoryStack);
  const caBundlePem =
    config.caBundleFile === undefined ? undefined : readFile("caBundleFile", config.caBundleFile, caBundle);
  const namespace = teamNamespace(config.team);

  const pipeline = teamPipeline({
    team: config.team,
    namespace,
    images: factory.stageImages,
    language: go(config.goProxy === undefined ? {} : { goProxy: config.goProxy }),
    registry: {
      repository: `${factory.registry.host}/${namespace}`,
      caConfigMap: TEAM_OBJECTS.authority,
      credentialsSecret: TEAM_OBJECTS.publisher,
    },
    ...(caBundlePem === undefined ? {} : { caBundleConfigMap: TEAM_OBJECTS.caBundle }),
    ...supplyChain(config),
    runtimeClasses: factory.runtimeClasses,
    signer: definitionSigner(factory.definitions.privateKeyPem),
  });

  const login = ({ username, password }: { username: string; password: string }) => ({
    username,
    password: pulumi.secret(password),
  });
  const team = new Team(
    "team",
    {
      team: config.team,
      accounts: pipeline.stages.map((stage) => ({ name: stage.serviceAccount, network: stage.network })),
      definitions: [pipeline.verificationPolicy, ...pipeline.tasks, pipeline.pipeline],
      registryHost: factory.registry.host,
      publisher: login(factory.registryCredentials.publisher),
      reader: login(factory.registryCredentials.reader),
      caPem: factory.registry.caPem,
      caBundlePem,
      quota: {
        cpu: config.quotaCpu,
        memory: config.quotaMemory,
        storage: config.quotaStorage,
        pods: config.quotaPods,
      },
    },
    { providers: [clusterProvider(factory)] },
  );

  return {
    schema: SCHEMA,
    team: config.team,
    namespace: team.namespace,
    kubeconfig: pulumi.secret(factory.kubeconfig),
    pipelines: {
      [pipeline.name]: {
        name: pipeline.name,
        stages: pipeline.stages,
        digests: pipeline.digests,
        runTemplate: pipeline.runTemplate,
        params: pipeline.params,
      },
    },
    registryRepository: team.registryRepository,
    provenance: factory.provenance,
    definitionsPublicKeyPem: factory.definitions.publicKeyPem,
    registry: factory.registry,
    registryCredentials: pulumi.secret({ reader: factory.registryCredentials.reader }),
    forge: { ...factory.forge, password: pulumi.secret(factory.forge.password) },
  };
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

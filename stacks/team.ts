import { readFileSync } from "node:fs";

import * as pulumi from "@pulumi/pulumi";

import { FactoryError } from "../components/lib/errors";
import { describeHost, distinctHosts, hostOf, parseHosts } from "../components/lib/hosts";
import { Team, TEAM_OBJECTS, teamNamespace } from "../components/team";
import { definitionSigner, go, teamPipeline } from "../pipelines";
import { registryHosts } from "../pipelines/languages/registries";
import type { TeamConfig } from "./config";
import { type ExportedOutputs, readStack, SCHEMA } from "./outputs";
import { clusterProvider } from "./provider";

/** One team: its namespace, accounts, rules and signed pipelines. */
export const teamStack = async (config: TeamConfig): Promise<ExportedOutputs<"team">> => {
  const factory = await readStack("factory", config.factoryStack);
  const caBundlePem = config.caBundleFile === undefined ? undefined : readBundle(config.caBundleFile);
  const namespace = teamNamespace(config.team);
  const egress = {
    forges: config.forges === undefined ? [] : distinctHosts(parseHosts(config.forges)),
    registries: registryHosts({ ...config, languages: ["go"] }),
  };

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
    forges: [hostOf(factory.forge.url), ...egress.forges].map(describeHost),
    runtimeClasses: factory.runtimeClasses,
    signer: definitionSigner(factory.definitions.privateKeyPem),
    formerKeys: factory.definitions.formerPublicKeysPem,
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
      pipelines: [pipeline],
      registryHost: factory.registry.host,
      publisher: login(factory.registryCredentials.publisher),
      reader: login(factory.registryCredentials.reader),
      caPem: factory.registry.caPem,
      caBundlePem,
      networkPolicies: factory.networkPolicies,
      egress,
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
    networkPolicies: factory.networkPolicies,
    egress,
    registryRepository: team.registryRepository,
    provenance: factory.provenance,
    definitionsPublicKeyPem: factory.definitions.publicKeyPem,
    registry: factory.registry,
    registryCredentials: pulumi.secret({ reader: factory.registryCredentials.reader }),
    forge: { ...factory.forge, password: pulumi.secret(factory.forge.password) },
  };
};

const readBundle = (file: string): string => {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new FactoryError({
      code: "SSF-CONFIG-005",
      path: "config caBundleFile",
      given: error instanceof Error ? error.message : String(error),
      rule: "It must be the path of a PEM file that this machine can read.",
      fix: "Name the file that holds your network's certificate authorities, or leave the key out.",
    });
  }
};

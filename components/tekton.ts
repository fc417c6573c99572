import { join } from "node:path";

import * as pulumi from "@pulumi/pulumi";
import { stringify } from "yaml";

import { UNASSIGNED_ACCOUNT } from "../policies/admission";
import { podSecurity } from "./lib/labels";
import {
  containerOf,
  createObjects,
  type CrdVersion,
  type DeploymentObject,
  dropDescriptions,
  type KubernetesObject,
  Manifests,
  overrideData,
  setData,
  waitForAuthority,
} from "./lib/manifests";
import { resources, type Resources } from "./lib/pods";
import type { Workload } from "./lib/workload-api";

/** The images of {@link Tekton}, each by digest. */
export interface TektonImages {
  controller: string;
  webhook: string;
  events: string;
  /** Must hold git, and tini in /usr/bin. */
  resolvers: string;
  entrypoint: string;
  nop: string;
  /** Runs the scripts that Tekton puts before the steps. */
  shell: string;
  workingdirinit: string;
  sidecarlogresults: string;
}

/** Arguments of {@link Tekton}. */
export interface TektonArgs {
  /** Directory with upstream's `config`. */
  source: string;
  images: TektonImages;
  /** Version that the images were built from, as Tekton reports it. */
  version: string;
  /** RuntimeClass of every pod that asks for no other. @default the cluster's own runtime */
  defaultRuntimeClass?: string;
}

const NAMESPACE = "tekton-pipelines";
const RESOLVERS = "tekton-pipelines-resolvers";

/** Tekton's pods, as SPIRE knows them. */
export const TEKTON_WORKLOADS: Workload[] = [
  { namespace: NAMESPACE, serviceAccount: "tekton-pipelines-controller" },
  { namespace: NAMESPACE, serviceAccount: "tekton-pipelines-webhook" },
  { namespace: NAMESPACE, serviceAccount: "tekton-events-controller" },
  { namespace: RESOLVERS, serviceAccount: RESOLVERS },
];

/**
 * Tekton Pipelines, so that only signed definitions run: no inline specs, no run without a verifying policy, no
 * credentials handed to steps, restricted pods.
 *
 * Its namespaces keep upstream's names, because upstream's programs have them built in.
 */
export class Tekton extends pulumi.ComponentResource {
  /** Namespace of the controllers, once their webhooks answer. */
  public readonly namespace: pulumi.Output<string>;

  constructor(name: string, args: TektonArgs, opts?: pulumi.ComponentResourceOptions) {
    super("secure-software-factory:index:Tekton", name, args, opts);
    const core = createObjects(coreObjects(args), { name, parent: this });
    createObjects(resolverObjects(args), { name: `${name}-resolvers`, parent: this, dependsOn: core });

    this.namespace = pulumi.all(core.map((resource) => resource.id)).apply(() => NAMESPACE);
    this.registerOutputs({ namespace: this.namespace });
  }
}

/** Feature flags that differ from upstream's, and why. */
const FEATURE_FLAGS = {
  // A run that no policy verifies does not run.
  "trusted-resources-verification-no-match-policy": "fail",
  // A spec in the run itself could not be verified.
  "disable-inline-spec": "pipeline,pipelinerun,taskrun",
  // Tekton's own containers fit into namespaces with Pod Security `restricted`.
  "set-security-context": "true",
  "set-security-context-read-only-root-filesystem": "true",
  "require-git-ssh-secret-known-hosts": "true",
  // Stages read what they need from their own volumes; nothing is taken from service accounts.
  "disable-creds-init": "true",
  // A stage has more than one workspace, which every other mode refuses or serialises.
  coschedule: "disabled",
  "running-in-environment-with-injected-sidecars": "false",
  "send-cloudevents-for-runs": "false",
};

const RESOLVER_FLAGS = {
  "enable-git-resolver": "true",
  "enable-cluster-resolver": "true",
  "enable-http-resolver": "false",
  "enable-hub-resolver": "false",
  "enable-bundles-resolver": "false",
};

/** Namespaces in which nobody keeps definitions of builds. */
const CONTROL_PLANE = [
  "default",
  "kube-system",
  "kube-public",
  "kube-node-lease",
  NAMESPACE,
  RESOLVERS,
  "tekton-chains",
];

const small = resources({ cpu: "20m", memory: "64Mi" }, { cpu: "500m", memory: "256Mi" });

const harden = (deployment: DeploymentObject, container: string, limits: Resources): void => {
  deployment.spec.replicas = 1;
  containerOf(deployment, container).resources = limits;
};

const restrict = (namespace: KubernetesObject): void => {
  namespace.metadata.labels = { ...namespace.metadata.labels, ...podSecurity("restricted") };
};

/** An older version beside the stored one would be a second door to the same objects, with rules of its own. */
const isCurrent = (version: CrdVersion, _: number, all: CrdVersion[]): boolean =>
  version.storage || !all.some((other) => other.storage && other.name === "v1");

/** Definitions of Tekton's kinds. */
export const tektonCrds = (source: string): readonly KubernetesObject[] =>
  Manifests.read(join(source, "config/300-crds"))
    .patchAll("CustomResourceDefinition", (crd) => {
      crd.spec.versions = crd.spec.versions.filter(isCurrent);
      dropDescriptions(crd);
    })
    .list();

/** Controllers, webhook and their settings. */
export const coreObjects = (args: TektonArgs): readonly KubernetesObject[] => {
  const config = join(args.source, "config");
  const { images } = args;
  return (
    Manifests.read(config, join(config, "100-namespace"))
      .patch("Namespace", NAMESPACE, restrict)
      .patch("ConfigMap", "feature-flags", (flags) => overrideData(flags, FEATURE_FLAGS))
      .patch("ConfigMap", "config-defaults", (defaults) => setData(defaults, runDefaults(args.defaultRuntimeClass)))
      .patch("ConfigMap", "pipelines-info", (info) => overrideData(info, { version: args.version }))
      .patch("Deployment", "tekton-pipelines-controller", (deployment) =>
        harden(
          deployment,
          "tekton-pipelines-controller",
          resources({ cpu: "50m", memory: "128Mi" }, { cpu: "1", memory: "512Mi" }),
        ),
      )
      .patch("Deployment", "tekton-pipelines-webhook", (deployment) => harden(deployment, "webhook", small))
      .patch("Deployment", "tekton-events-controller", (deployment) =>
        harden(deployment, "tekton-events-controller", small),
      )
      .remove("HorizontalPodAutoscaler", "tekton-pipelines-webhook")
      // Who may start runs is said by each team's role; upstream would let every editor of any namespace.
      .remove("ClusterRole", "tekton-aggregate-edit")
      .patchAll("ValidatingWebhookConfiguration", waitForAuthority)
      .patchAll("MutatingWebhookConfiguration", waitForAuthority)
      .replaceImages({
        "ko://github.com/tektoncd/pipeline/cmd/controller": images.controller,
        "ko://github.com/tektoncd/pipeline/cmd/webhook": images.webhook,
        "ko://github.com/tektoncd/pipeline/cmd/events": images.events,
        "ko://github.com/tektoncd/pipeline/cmd/entrypoint": images.entrypoint,
        "ko://github.com/tektoncd/pipeline/cmd/nop": images.nop,
        "ko://github.com/tektoncd/pipeline/cmd/workingdirinit": images.workingdirinit,
        "ko://github.com/tektoncd/pipeline/cmd/sidecarlogresults": images.sidecarlogresults,
        ...shellImages(config, images.shell),
      })
      .list()
  );
};

/** The resolvers' controller and its settings. */
export const resolverObjects = (args: TektonArgs): readonly KubernetesObject[] => {
  const { images } = args;
  return Manifests.read(join(args.source, "config/resolvers"))
    .patch("Namespace", RESOLVERS, restrict)
    .patch("ConfigMap", "resolvers-feature-flags", (flags) => overrideData(flags, RESOLVER_FLAGS))
    .patch("ConfigMap", "cluster-resolver-config", (config) =>
      overrideData(config, { "blocked-namespaces": CONTROL_PLANE.join(",") }),
    )
    .patch("ClusterRole", "tekton-pipelines-resolvers-resolution-request-updates", (role) => {
      // Upstream lets the resolvers read every Secret of the cluster, for logins to forges that we do not use.
      role.rules = role.rules.filter((rule) => !rule.resources.includes("secrets"));
    })
    .patch("Deployment", "tekton-pipelines-remote-resolvers", (deployment) => {
      harden(deployment, "controller", resources({ cpu: "20m", memory: "64Mi" }, { cpu: "500m", memory: "512Mi" }));
      const container = containerOf(deployment, "controller");
      container.command = ["/usr/bin/tini", "--", "/ko-app/resolvers"];
      container.env = container.env?.filter((variable) => !variable.name.endsWith("_HUB_API"));
    })
    .replaceImages({ "ko://github.com/tektoncd/pipeline/cmd/resolvers": images.resolvers })
    .list();
};

/** What a run gets that says nothing. */
export const runDefaults = (runtimeClass: string | undefined): Record<string, string> => ({
  "default-timeout-minutes": "60",
  "default-service-account": UNASSIGNED_ACCOUNT,
  // Both would switch a step's own network isolation off.
  "default-forbidden-env": "TEKTON_RESOURCE_NAME,TEKTON_HERMETIC",
  "default-pod-template": stringify({
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    ...(runtimeClass === undefined ? {} : { runtimeClassName: runtimeClass }),
  }),
});

/** Upstream's own shell images, for Linux and for nodes that we do not have; the flag of neither may be empty. */
const shellImages = (config: string, shell: string): Record<string, string> => {
  const controller = Manifests.read(config).get("Deployment", "tekton-pipelines-controller");
  const args = containerOf(controller, "tekton-pipelines-controller").args ?? [];
  const after = (flag: string): string => args[args.indexOf(flag) + 1] ?? flag;
  return { [after("-shell-image")]: shell, [after("-shell-image-win")]: shell };
};

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import * as pulumi from "@pulumi/pulumi";
import { CORE_SCHEMA, loadAll } from "js-yaml";

import { FactoryError } from "./errors";
import { kebabCase } from "./names";
import type { Resources } from "./pods";
import { timeouts } from "./timeouts";

/** Any Kubernetes object as it stands in a manifest. */
export interface KubernetesObject {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  };
}

/** One environment variable of a {@link Container}. */
export interface EnvironmentVariable {
  name: string;
  value?: string;
  valueFrom?: object;
}

/** A volume of a pod. */
export interface Volume {
  name: string;
  configMap?: { name: string };
  secret?: { secretName: string };
  csi?: { driver: string; readOnly: boolean };
  projected?: object;
}

/** The fields of a container that our patches touch. */
export interface Container {
  name: string;
  image: string;
  imagePullPolicy?: string;
  command?: string[];
  args?: string[];
  env?: EnvironmentVariable[];
  resources?: Resources;
  securityContext?: object;
  volumeMounts?: { name: string; mountPath: string; subPath?: string; readOnly?: boolean }[];
}

/** The fields of a Deployment that our patches touch. */
export interface DeploymentObject extends KubernetesObject {
  kind: "Deployment";
  spec: {
    replicas?: number;
    template: {
      metadata: { labels?: Record<string, string>; annotations?: Record<string, string> };
      spec: { containers: Container[]; initContainers?: Container[]; volumes?: Volume[] };
    };
  };
}

/** A ConfigMap. */
export interface ConfigMapObject extends KubernetesObject {
  kind: "ConfigMap";
  data?: Record<string, string>;
}

/** One rule of a Role or ClusterRole. */
export interface PolicyRule {
  apiGroups: string[];
  resources: string[];
  resourceNames?: string[];
  verbs: string[];
}

/** A Role or ClusterRole. */
export interface RoleObject extends KubernetesObject {
  kind: "Role" | "ClusterRole";
  rules: PolicyRule[];
}

/** One version of a kind that a CRD defines. */
export interface CrdVersion {
  name: string;
  served: boolean;
  storage: boolean;
}

/** A CRD. */
export interface CrdObject extends KubernetesObject {
  kind: "CustomResourceDefinition";
  spec: { versions: CrdVersion[] };
}

/** Requests that a webhook is asked about. */
export interface WebhookRule {
  apiGroups: string[];
  apiVersions: string[];
  operations: string[];
  resources: string[];
  scope?: string;
}

/** One webhook of a configuration. */
export interface Webhook {
  name: string;
  failurePolicy?: string;
  timeoutSeconds?: number;
  namespaceSelector?: { matchExpressions?: { key: string; operator: string; values?: string[] }[] };
  rules?: WebhookRule[];
}

/** A ValidatingWebhookConfiguration. Where the webhook writes it itself, upstream leaves most of it out. */
export interface ValidatingWebhookObject extends KubernetesObject {
  kind: "ValidatingWebhookConfiguration";
  webhooks: Webhook[];
}

/** The object types that a patch may ask for, by kind. */
export interface PatchableKinds {
  ClusterRole: RoleObject;
  ConfigMap: ConfigMapObject;
  CustomResourceDefinition: CrdObject;
  Deployment: DeploymentObject;
  MutatingWebhookConfiguration: KubernetesObject;
  Namespace: KubernetesObject;
  Role: RoleObject;
  Secret: KubernetesObject;
  ValidatingWebhookConfiguration: ValidatingWebhookObject;
}

/** A change of one object; it edits the object that it is given. */
export type Patch<T> = (object: T) => void;

/** Kinds in the order in which they are made; kinds that are not named come last. */
const WAVES: readonly (readonly string[])[] = [
  ["Namespace", "CustomResourceDefinition"],
  ["ServiceAccount", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding", "ConfigMap", "Secret"],
  ["Service"],
  ["Deployment", "StatefulSet", "DaemonSet"],
  ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"],
];

const WORKLOADS = new Set(["Deployment", "StatefulSet", "DaemonSet"]);

const waveOf = (kind: string): number => {
  const wave = WAVES.findIndex((kinds) => kinds.includes(kind));
  return wave === -1 ? WAVES.length : wave;
};

/**
 * The objects of an upstream directory, to be changed by patches and then made one Pulumi resource each.
 *
 * A patch that does not find what it changes is an error, because it means that upstream moved something that our
 * hardening relies on.
 * @example
 * Manifests.read(`${source}/config`)
 *   .remove("HorizontalPodAutoscaler", "tekton-pipelines-webhook")
 *   .patch("ConfigMap", "feature-flags", (flags) => setData(flags, { coschedule: "disabled" }))
 *   .replaceImages({ "ko://example.dev/cmd/controller": controllerReference });
 */
export class Manifests {
  /** References that replaceImages put in. */
  private readonly ours = new Set<string>();

  private constructor(
    private readonly origin: string,
    private readonly objects: KubernetesObject[],
  ) {}

  /** Reads every `*.yaml` file directly in the given directories, in the order of their names. */
  static read(...directories: [string, ...string[]]): Manifests {
    const objects = directories.flatMap((directory) =>
      yamlFiles(directory).flatMap((file) => readDocuments(join(directory, file))),
    );
    return new Manifests(directories[0], objects);
  }

  /** Looks at one object. */
  get<K extends keyof PatchableKinds>(kind: K, name: string): Readonly<PatchableKinds[K]> {
    return this.find(kind, name) as PatchableKinds[K];
  }

  /** Edits one object. */
  patch<K extends keyof PatchableKinds>(kind: K, name: string, change: Patch<PatchableKinds[K]>): this {
    change(this.find(kind, name) as PatchableKinds[K]);
    return this;
  }

  /** Edits every object of a kind, of which there must be at least one. */
  patchAll<K extends keyof PatchableKinds>(kind: K, change: Patch<PatchableKinds[K]>): this {
    for (const object of this.ofKind(kind)) change(object as PatchableKinds[K]);
    return this;
  }

  /** Keeps the objects of a kind, of which there must be at least one, and leaves every other out. */
  only(kind: string): this {
    this.objects.splice(0, this.objects.length, ...this.ofKind(kind));
    return this;
  }

  /** Leaves out the objects of a kind, of which there must be at least one. */
  without(kind: string): this {
    for (const { metadata } of this.ofKind(kind)) this.remove(kind, metadata.name);
    return this;
  }

  /** Leaves one object out. */
  remove(kind: string, name: string): this {
    this.objects.splice(this.objects.indexOf(this.find(kind, name)), 1);
    return this;
  }

  /**
   * Puts our references in the place of upstream's, in images and in arguments.
   * @param references - upstream's text -> our reference by digest; each must occur at least once
   */
  replaceImages(references: Readonly<Record<string, string>>): this {
    const unused = new Set(Object.keys(references));
    const replace = (text: string): string => {
      const reference = references[text];
      if (reference === undefined) return text;
      unused.delete(text);
      this.ours.add(reference);
      return reference;
    };
    for (const object of this.objects) {
      for (const container of containersOf(object)) {
        container.image = replace(container.image);
        if (container.args !== undefined) container.args = container.args.map(replace);
      }
    }
    const [gone] = unused;
    if (gone !== undefined) throw this.missing("image", gone);
    return this;
  }

  /** The objects, once every image among them is ours and by digest. */
  list(): readonly KubernetesObject[] {
    for (const object of this.objects) {
      for (const container of containersOf(object)) {
        const named = [container.image, ...(container.args ?? []).filter(looksLikeImage)];
        const left = named.find((image) => !this.ours.has(image) || !isByDigest(image));
        if (left !== undefined) {
          throw new FactoryError({
            code: "SSF-MANIFEST-003",
            path: `${this.origin}: ${object.kind}/${object.metadata.name} container ${container.name}`,
            given: left,
            rule: "Every image is one of the toolchain's, by digest.",
            fix: "Name a replacement for it in the component that reads this directory.",
          });
        }
      }
    }
    return this.objects;
  }

  private ofKind(kind: string): KubernetesObject[] {
    const found = this.objects.filter((object) => object.kind === kind);
    if (found.length === 0) throw this.missing(kind, "(any)");
    return found;
  }

  private find(kind: string, name: string): KubernetesObject {
    const object = this.objects.find((candidate) => candidate.kind === kind && candidate.metadata.name === name);
    if (object === undefined) throw this.missing(kind, name);
    return object;
  }

  private missing(kind: string, name: string): FactoryError {
    return new FactoryError({
      code: "SSF-MANIFEST-002",
      path: `${this.origin}: ${kind}/${name}`,
      given: "not there",
      rule: "What our hardening changes must exist in the upstream manifests.",
      fix: "Compare the upstream version with the component that patches it, and adapt the patch.",
    });
  }
}

/** Sets entries of a ConfigMap and drops upstream's `_example`, which nothing reads. */
export const setData = (map: ConfigMapObject, data: Readonly<Record<string, string>>): void => {
  const kept = Object.entries(map.data ?? {}).filter(([key]) => key !== "_example");
  map.data = { ...Object.fromEntries(kept), ...data };
};

/** Sets entries of a ConfigMap that upstream already lists, so that a renamed setting cannot be lost silently. */
export const overrideData = (map: ConfigMapObject, data: Readonly<Record<string, string>>): void => {
  for (const key of Object.keys(data)) {
    if (map.data?.[key] === undefined) {
      throw new FactoryError({
        code: "SSF-MANIFEST-004",
        path: `ConfigMap/${map.metadata.name} data.${key}`,
        given: "not there",
        rule: "A setting that we override must be one that upstream knows.",
        fix: "Look up how upstream calls the setting now, and adapt the component.",
      });
    }
  }
  setData(map, data);
};

/** Takes the prose out of a CRD: most of its size, and the engine writes its state anew with every resource. */
export const dropDescriptions = (value: object): void => {
  const fields = value as Record<string, unknown>;
  for (const [key, field] of Object.entries(fields)) {
    if (key === "description" && typeof field === "string") Reflect.deleteProperty(fields, key);
    else if (typeof field === "object" && field !== null) dropDescriptions(field);
  }
};

/** The one container called `name`. */
export const containerOf = (deployment: DeploymentObject, name: string): Container => {
  const container = deployment.spec.template.spec.containers.find((candidate) => candidate.name === name);
  if (container !== undefined) return container;
  throw new FactoryError({
    code: "SSF-MANIFEST-005",
    path: `Deployment/${deployment.metadata.name} container ${name}`,
    given: deployment.spec.template.spec.containers.map((candidate) => candidate.name).join(", "),
    rule: "The container that our hardening changes must exist.",
    fix: "Look up how upstream calls the container now, and adapt the component.",
  });
};

/** How {@link createObjects} makes the objects. */
export interface CreateOptions {
  /** First part of every logical name. */
  name: string;
  /** The component that owns the objects. */
  parent: pulumi.Resource;
  /** What must exist before the first object. */
  dependsOn?: pulumi.Resource[];
  /** Namespace that an earlier call made; the objects in it go with it. @default the one among the objects */
  namespace?: pulumi.Resource;
  /** What takes every object with it when it goes. @default its namespace, for an object in one */
  deletedWith?: pulumi.Resource;
  /** Annotations of pod templates, by Deployment, that are only known while the program runs. */
  podAnnotations?: Readonly<Record<string, pulumi.Input<Record<string, string>>>>;
}

/**
 * Makes every object a Pulumi resource of its own, so that previews, policies and tests see each of them.
 * They are made in waves: namespaces and CRDs, then accounts and configuration, services, workloads, webhooks.
 * @returns the resources, in the order in which they were made
 */
export const createObjects = (
  objects: readonly KubernetesObject[],
  options: CreateOptions,
): pulumi.CustomResource[] => {
  const made: pulumi.CustomResource[] = [];
  let previous = options.dependsOn ?? [];
  let { namespace } = options;
  for (let wave = 0; wave <= WAVES.length; wave++) {
    const resources = objects
      .filter((object) => waveOf(object.kind) === wave)
      .map((object) => {
        const resource = createObject(object, { ...options, namespace, dependsOn: previous });
        if (object.kind === "Namespace") namespace = resource;
        return resource;
      });
    if (resources.length > 0) previous = resources;
    made.push(...resources);
  }
  return made;
};

/** A resource of any kind; the SDK has no class for kinds that only a manifest names. */
class ManifestObject extends pulumi.CustomResource {}

const createObject = (object: KubernetesObject, options: CreateOptions): pulumi.CustomResource =>
  new ManifestObject(
    `kubernetes:${object.apiVersion === "v1" ? "core/v1" : object.apiVersion}:${object.kind}`,
    `${options.name}-${kebabCase(object.kind)}-${object.metadata.name.replaceAll(".", "-")}`,
    inputsOf(object, options.podAnnotations?.[object.metadata.name]),
    {
      parent: options.parent,
      dependsOn: options.dependsOn,
      deletedWith: options.deletedWith ?? (object.metadata.namespace === undefined ? undefined : options.namespace),
      customTimeouts: WORKLOADS.has(object.kind) ? timeouts.workload : timeouts.plain,
      additionalSecretOutputs: object.kind === "Secret" ? ["data", "stringData"] : [],
    },
  );

const inputsOf = (object: KubernetesObject, podAnnotations?: pulumi.Input<Record<string, string>>): pulumi.Inputs => {
  if (object.kind === "Service") {
    // The workload behind it is awaited; waiting for endpoints as well would cost ten seconds a service.
    const annotations = { ...object.metadata.annotations, "pulumi.com/skipAwait": "true" };
    return { ...object, metadata: { ...object.metadata, annotations } };
  }
  if (podAnnotations === undefined || !isDeployment(object)) return { ...object };
  const { template } = object.spec;
  const annotations = pulumi.output(podAnnotations).apply((added) => ({ ...template.metadata.annotations, ...added }));
  return {
    ...object,
    spec: { ...object.spec, template: { ...template, metadata: { ...template.metadata, annotations } } },
  };
};

const isDeployment = (object: KubernetesObject): object is DeploymentObject => object.kind === "Deployment";

const containersOf = (object: KubernetesObject): Container[] => {
  if (!isDeployment(object)) return [];
  const { containers, initContainers = [] } = object.spec.template.spec;
  return [...initContainers, ...containers];
};

const isByDigest = (reference: string): boolean => /@sha256:[0-9a-f]{64}$/.test(reference);

const looksLikeImage = (argument: string): boolean => argument.startsWith("ko://") || argument.includes("@sha256:");

const yamlFiles = (directory: string): string[] => {
  try {
    return readdirSync(directory)
      .filter((file) => file.endsWith(".yaml"))
      .sort();
  } catch (error) {
    throw new FactoryError({
      code: "SSF-MANIFEST-001",
      path: directory,
      given: error instanceof Error ? error.message : String(error),
      rule: "The upstream manifests must be on this machine.",
      fix: "Run make toolchain.",
    });
  }
};

const readDocuments = (file: string): KubernetesObject[] =>
  (loadAll(readFileSync(file, "utf8"), null, { schema: CORE_SCHEMA }) as (KubernetesObject | null)[]).filter(
    (object) => object !== null,
  );

/** Annotation of a webhook that is ready once it has been given its authority, which its deployment's readiness does not say. */
export const WAIT_FOR_AUTHORITY = { "pulumi.com/waitFor": "jsonpath={.webhooks[0].clientConfig.caBundle}" };

/** A webhook of Knative writes its certificate and rules here itself, so that we set neither; with the first it is ready. */
export const waitForAuthority = (webhook: KubernetesObject): void => {
  webhook.metadata.annotations = { ...WAIT_FOR_AUTHORITY };
};

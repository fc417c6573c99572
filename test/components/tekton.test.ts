import {
  coreObjects,
  resolverObjects,
  runDefaults,
  Tekton,
  type TektonArgs,
  tektonCrds,
} from "../../components/tekton";
import type { KubernetesObject, PatchableKinds } from "../../components/lib/manifests";
import { readToolchain, source } from "../../stacks/toolchain";
import { render, type Rendering, testImage } from "../support/render";

const args: TektonArgs = {
  source: source(readToolchain(), "tekton"),
  version: "v1.15.0",
  defaultRuntimeClass: "jailed",
  images: {
    controller: testImage("controller"),
    webhook: testImage("webhook"),
    events: testImage("events"),
    resolvers: testImage("resolvers"),
    entrypoint: testImage("entrypoint"),
    nop: testImage("nop"),
    shell: testImage("shell"),
    workingdirinit: testImage("workingdirinit"),
    sidecarlogresults: testImage("sidecarlogresults"),
  },
};

const find = <K extends keyof PatchableKinds>(
  objects: readonly KubernetesObject[],
  kind: K,
  name: string,
): PatchableKinds[K] => {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
  if (found === undefined) throw new Error(`no ${kind}/${name}`);
  return found as PatchableKinds[K];
};

describe("objects of the controllers", () => {
  const objects = coreObjects(args);

  test.each([
    ["trusted-resources-verification-no-match-policy", "fail"],
    ["disable-inline-spec", "pipeline,pipelinerun,taskrun"],
    ["set-security-context", "true"],
    ["set-security-context-read-only-root-filesystem", "true"],
    ["require-git-ssh-secret-known-hosts", "true"],
    ["disable-creds-init", "true"],
    ["coschedule", "disabled"],
    ["enable-api-fields", "beta"],
    ["enforce-nonfalsifiability", "none"],
  ])("feature flag %s is %s", (flag, value) => {
    expect(find(objects, "ConfigMap", "feature-flags").data).toMatchObject({ [flag]: value });
  });

  test("a run that says nothing is jailed, and has an account that does not exist", () => {
    expect(find(objects, "ConfigMap", "config-defaults").data).toEqual({
      "default-timeout-minutes": "60",
      "default-service-account": "unassigned",
      "default-forbidden-env": "TEKTON_RESOURCE_NAME,TEKTON_HERMETIC",
      "default-pod-template":
        "automountServiceAccountToken: false\nenableServiceLinks: false\nruntimeClassName: jailed\n",
    });
    expect(runDefaults(undefined)["default-pod-template"]).not.toContain("runtimeClassName");
  });

  test("every image and every image in an argument is ours", () => {
    const controller = find(objects, "Deployment", "tekton-pipelines-controller");
    expect(controller.spec.template.spec.containers[0]?.args).toEqual([
      "-entrypoint-image",
      testImage("entrypoint"),
      "-nop-image",
      testImage("nop"),
      "-sidecarlogresults-image",
      testImage("sidecarlogresults"),
      "-workingdirinit-image",
      testImage("workingdirinit"),
      "-shell-image",
      testImage("shell"),
      "-shell-image-win",
      testImage("shell"),
    ]);
    expect(JSON.stringify(objects)).not.toMatch(/ko:\/\/|chainguard|nanoserver/);
  });

  test("its namespace is restricted, nothing scales, and no editor of a namespace may start runs", () => {
    expect(find(objects, "Namespace", "tekton-pipelines").metadata.labels).toMatchObject({
      "pod-security.kubernetes.io/enforce": "restricted",
    });
    const kinds = new Set(objects.map(({ kind }) => kind));
    expect([...kinds]).not.toContain("HorizontalPodAutoscaler");
    expect(objects.map(({ metadata }) => metadata.name)).not.toContain("tekton-aggregate-edit");
  });

  const crds = tektonCrds(args.source);

  test("only the stored version of a kind that has reached v1 is served", () => {
    const versions = (name: string) =>
      find(crds, "CustomResourceDefinition", name).spec.versions.map((version) => version.name);
    expect(versions("tasks.tekton.dev")).toEqual(["v1"]);
    expect(versions("pipelineruns.tekton.dev")).toEqual(["v1"]);
    expect(versions("stepactions.tekton.dev")).toEqual(["v1alpha1", "v1beta1"]);
  });

  test("CRDs keep their properties and lose their prose", () => {
    const crd = JSON.stringify(find(crds, "CustomResourceDefinition", "tasks.tekton.dev"));
    expect(crd).not.toContain("TaskSpec defines the desired state of Task");
    expect(crd).toContain('"description":{"type":"string"}');
  });

  test("leaves rules and authority of the webhooks to their controller, and waits for the authority", () => {
    const webhooks = objects.filter(({ kind }) => kind.endsWith("WebhookConfiguration"));
    expect(webhooks).toHaveLength(3);
    for (const webhook of webhooks) {
      expect(webhook.metadata.annotations).toEqual({
        "pulumi.com/waitFor": "jsonpath={.webhooks[0].clientConfig.caBundle}",
      });
      expect(JSON.stringify(webhook)).not.toMatch(/"rules"|"caBundle"/);
    }
  });
});

describe("objects of the resolvers", () => {
  const objects = resolverObjects(args);

  test("git and cluster are on, all others off", () => {
    expect(find(objects, "ConfigMap", "resolvers-feature-flags").data).toEqual({
      "enable-git-resolver": "true",
      "enable-cluster-resolver": "true",
      "enable-http-resolver": "false",
      "enable-hub-resolver": "false",
      "enable-bundles-resolver": "false",
    });
  });

  test("definitions come from any namespace but those of the control plane", () => {
    expect(find(objects, "ConfigMap", "cluster-resolver-config").data).toMatchObject({
      "allowed-namespaces": "",
      "blocked-namespaces": expect.stringContaining("tekton-chains") as string,
    });
  });

  test("they read no Secret", () => {
    const role = find(objects, "ClusterRole", "tekton-pipelines-resolvers-resolution-request-updates");
    expect(role.rules.flatMap((rule) => rule.resources)).toEqual([
      "resolutionrequests",
      "resolutionrequests/status",
      "tasks",
      "pipelines",
      "stepactions",
    ]);
  });

  test("they start by the tini of our image", () => {
    const resolvers = find(objects, "Deployment", "tekton-pipelines-remote-resolvers");
    expect(resolvers.spec.template.spec.containers[0]).toMatchObject({
      image: testImage("resolvers"),
      command: ["/usr/bin/tini", "--", "/ko-app/resolvers"],
    });
  });
});

describe("Tekton", () => {
  let rendering: Rendering;
  beforeAll(async () => {
    rendering = await render(() => new Tekton("tekton", args));
  });

  test("every object is a resource of its own, in waves", () => {
    const children = rendering.childrenOf("tekton");
    expect(children).toHaveLength(coreObjects(args).length + resolverObjects(args).length);
    expect(children).toContain("core/v1:ConfigMap tekton-config-map-feature-flags");
    expect(rendering.get("tekton-deployment-tekton-pipelines-webhook").dependsOn).toContain(
      "tekton-service-tekton-pipelines-webhook",
    );
    expect(
      rendering.get("tekton-validating-webhook-configuration-validation-webhook-pipeline-tekton-dev").dependsOn,
    ).toContain("tekton-deployment-tekton-pipelines-webhook");
  });
});

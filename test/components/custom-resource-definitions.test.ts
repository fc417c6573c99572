import * as pulumi from "@pulumi/pulumi";
import { CustomResourceDefinitions } from "../../components/custom-resource-definitions";
import { readToolchain, source } from "../../stacks/toolchain";
import { inputAt, render, valueOf } from "../support/render";

const toolchain = readToolchain();
const args = {
  certManager: source(toolchain, "cert-manager"),
  gatekeeper: source(toolchain, "gatekeeper"),
  spireControllerManager: source(toolchain, "spire-controller-manager"),
  tekton: source(toolchain, "tekton"),
  triggers: source(toolchain, "triggers"),
};

test("makes the definitions of every component's kinds, and nothing else; they go with their cluster", async () => {
  let names: string[] = [];
  const rendering = await render(async () => {
    const cluster = new pulumi.ComponentResource("test:index:Cluster", "cluster");
    const definitions = new CustomResourceDefinitions("crds", args, { deletedWith: cluster });
    names = await valueOf(definitions.names);
  });
  const children = rendering.resources.filter(({ parent }) => parent === "crds");
  expect(children.map((crd) => inputAt(crd, "metadata.name"))).toEqual([
    "certificaterequests.cert-manager.io",
    "certificates.cert-manager.io",
    "challenges.acme.cert-manager.io",
    "clusterfederatedtrustdomains.spire.spiffe.io",
    "clusterinterceptors.triggers.tekton.dev",
    "clusterissuers.cert-manager.io",
    "clusterspiffeids.spire.spiffe.io",
    "clusterstaticentries.spire.spiffe.io",
    "clustertriggerbindings.triggers.tekton.dev",
    "configpodstatuses.status.gatekeeper.sh",
    "configs.config.gatekeeper.sh",
    "connectionpodstatuses.status.gatekeeper.sh",
    "connections.connection.gatekeeper.sh",
    "constraintpodstatuses.status.gatekeeper.sh",
    "constrainttemplatepodstatuses.status.gatekeeper.sh",
    "constrainttemplates.templates.gatekeeper.sh",
    "customruns.tekton.dev",
    "eventlisteners.triggers.tekton.dev",
    "interceptors.triggers.tekton.dev",
    "issuers.cert-manager.io",
    "orders.acme.cert-manager.io",
    "pipelineruns.tekton.dev",
    "pipelines.tekton.dev",
    "providerpodstatuses.status.gatekeeper.sh",
    "providers.externaldata.gatekeeper.sh",
    "resolutionrequests.resolution.tekton.dev",
    "stepactions.tekton.dev",
    "syncsets.syncset.gatekeeper.sh",
    "taskruns.tekton.dev",
    "tasks.tekton.dev",
    "triggerbindings.triggers.tekton.dev",
    "triggers.triggers.tekton.dev",
    "triggertemplates.triggers.tekton.dev",
    "verificationpolicies.tekton.dev",
  ]);
  expect(names).toHaveLength(children.length);
  expect(new Set(children.map(({ type }) => type))).toEqual(
    new Set(["kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"]),
  );
  expect(new Set(children.map(({ deletedWith }) => deletedWith))).toEqual(new Set(["cluster"]));
});

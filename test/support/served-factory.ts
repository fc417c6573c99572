import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { VERIFIER_NAMESPACE } from "../../policies/admission/gate/records";
import { NetworkPolicies } from "../../components/lib/network-policies";
import { image, readToolchain } from "../../stacks/toolchain";
import { project } from "../../tools/cli/stack-plan";
import { type ApiServer, describeWithApiServer, startApiServer } from "../admission/support/api-server";
import { crds } from "../admission/support/world";
import { engineBin } from "../cli/support/engine";
import { type Checkout, copyCheckout } from "./checkout";
import { factoryOutputs } from "./outputs";

/** What removes namespaces and dependents, and makes the account `default`. */
const controllers = ["namespace-controller", "garbage-collector-controller", "serviceaccount-controller"];

/** An API server with what a team's stack needs of a factory: Tekton's and SPIRE's kinds, and the verifier's namespace. */
const startFactoryCluster = async (): Promise<ApiServer> => {
  const server = await startApiServer(controllers);
  try {
    for (const crd of crds()) await server.ask("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd);
    const metadata = { name: VERIFIER_NAMESPACE };
    await server.ask("POST", "/api/v1/namespaces", { apiVersion: "v1", kind: "Namespace", metadata });
    for (const kind of ["tekton.dev/v1alpha1/verificationpolicies", "spire.spiffe.io/v1alpha1/clusterstaticentries"])
      await server.askUntil(({ status }) => status === 200, "GET", `/apis/${kind}`);
    return server;
  } catch (error) {
    await server.stop();
    throw error;
  }
};

/** A copy of the checkout, and the factory that it finds. */
export interface ServedFactory {
  server: ApiServer;
  checkout: Checkout;
}

/** `describe` with both, where the machine has what they need, and `describe.skip` elsewhere. */
export const describeWithFactory = (title: string, tests: (served: ServedFactory) => void): void =>
  (engineBin() === undefined ? describe.skip : describeWithApiServer)(title, () => {
    const served = {} as ServedFactory;
    beforeAll(async () => {
      served.checkout = copyCheckout();
      served.server = await startFactoryCluster();
      await importFactory(served.checkout, served.server);
    });
    afterAll(async () => {
      await served.server.stop();
      served.checkout.remove();
    });
    tests(served);
  });

/**
 * Gives a copy of the checkout the stack `dev` of a factory that is up on that API server, as far as teams read it.
 *
 * @param changed outputs that are other than usual
 */
export const importFactory = async (
  checkout: Checkout,
  { kubeconfig }: ApiServer,
  changed: Partial<typeof factoryOutputs> = {},
): Promise<void> => {
  const type = "pulumi:pulumi:Stack";
  const stageImages = Object.fromEntries(
    Object.keys(factoryOutputs.stageImages).map((name) => [name, image(readToolchain(), name)]),
  );
  const networkPolicies = NetworkPolicies.Kubernetes;
  const outputs = { ...factoryOutputs, kubeconfig, networkPolicies, stageImages, ...changed };
  const resources = [{ urn: `urn:pulumi:dev::${project}::${type}::${project}-dev`, custom: false, type, outputs }];
  const manifest = { time: "2026-01-01T00:00:00Z", magic: "", version: "" };
  const file = join(checkout.directory, "state/dev.json");
  await checkout.output("pulumi stack select dev --create");
  writeFileSync(file, JSON.stringify({ version: 3, deployment: { manifest, resources } }));
  await checkout.output(`pulumi stack import --stack dev --file ${file}`);
};

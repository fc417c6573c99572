import { FactoryError } from "../../components/lib/errors";
import type { Kubectl } from "../../tools/cli/kubectl";
import type { ApiServer } from "../admission/support/api-server";
import { bareSpace, otherSpace } from "../admission/support/world";
import { byApiServer, isOneOf } from "../policies/preview/engines";
import { cases, gatedSpace, lockedImages, namespaces, type TestObject } from "../policies/preview/fixtures";

/** The cluster as the engine that is asked about fixtures; it is asked by kubectl, as its administrator. */
const asApiServer = (kubectl: Kubectl): Pick<ApiServer, "ask"> => ({
  ask: async (_method, path, body) => {
    try {
      const message = await kubectl.text(["create", `--raw=${path}`, "--filename=-"], JSON.stringify(body));
      return { status: 201, message, body: undefined };
    } catch (error) {
      if (!(error instanceof FactoryError)) throw error;
      return { status: 403, message: error.problems[0]?.given ?? "", body: undefined };
    }
  },
});

/** What fixtures need and a factory does not have: places for them, and a runtime class that is not the factory's. */
const surroundings: readonly TestObject[] = [
  ...namespaces.filter(({ metadata: { name } }) => [bareSpace, otherSpace, gatedSpace].includes(name)),
  { apiVersion: "node.k8s.io/v1", kind: "RuntimeClass", metadata: { name: "foreign" }, handler: "foreign" },
];

/** The object behind the gate with an image that has provenance, of which only the cluster can ask. */
const withProvenance = (object: TestObject, image: string): TestObject =>
  object.metadata.namespace === gatedSpace
    ? (JSON.parse(JSON.stringify(object).replaceAll(`"${lockedImages.stages[0] ?? ""}"`, `"${image}"`)) as TestObject)
    : object;

/**
 * Checks that the factory that is up, with Gatekeeper's own program, says of the fixtures what a preview says.
 *
 * @param context the factory, and an image that it built
 */
export const describeParity = (context: () => { kubectl: Kubectl; image: string }): void => {
  test("the cluster refuses in dry-run what a preview refuses, and lets the same through", async () => {
    const { kubectl, image } = context();
    const made = JSON.stringify({ apiVersion: "v1", kind: "List", items: surroundings });
    await kubectl.text(["create", "--filename=-"], made);
    try {
      const objects = new Map([...cases].map(([name, { object }]) => [name, withProvenance(object, image)]));
      const live = await byApiServer(asApiServer(kubectl), objects);
      const differences = [...cases].flatMap(([name, { codes }]) => {
        const said = live.get(name) ?? ["nothing"];
        return isOneOf(said, codes) ? [] : `${name} | preview: ${codes.join() || "-"} | cluster: ${said.join() || "-"}`;
      });
      expect(differences).toEqual([]);
    } finally {
      await kubectl.text(["delete", "--filename=-", "--wait=false"], made);
    }
  }, 120_000);
};

import { type ApiServer, messageOf } from "../../tools/cli/api-server";
import type { ApiServer as TestApiServer } from "../admission/support/api-server";
import { bareSpace, otherSpace } from "../admission/support/world";
import { byApiServer, isOneOf } from "../policies/preview/engines";
import { cases, gatedSpace, lockedImages, namespaces, type TestObject } from "../policies/preview/fixtures";

/** The cluster as the engine that is asked about fixtures, as its administrator. */
const asApiServer = ({ send }: ApiServer): Pick<TestApiServer, "ask"> => ({
  ask: async (method, path, body) => {
    const answer = await send(method, path, body);
    return { ...answer, message: messageOf(answer) };
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
export const describeParity = (context: () => { api: ApiServer; image: string }): void => {
  test("the cluster refuses in dry-run what a preview refuses, and lets the same through", async () => {
    const { api, image } = context();
    for (const object of surroundings) await api.create(object);
    try {
      const objects = new Map([...cases].map(([name, { object }]) => [name, withProvenance(object, image)]));
      const live = await byApiServer(asApiServer(api), objects);
      const differences = [...cases].flatMap(([name, { codes }]) => {
        const said = live.get(name) ?? ["nothing"];
        return isOneOf(said, codes) ? [] : `${name} | preview: ${codes.join() || "-"} | cluster: ${said.join() || "-"}`;
      });
      expect(differences).toEqual([]);
    } finally {
      for (const object of surroundings) await api.remove(object);
    }
  }, 120_000);
};

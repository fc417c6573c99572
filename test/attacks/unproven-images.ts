import { FACTORY_NAMESPACES, SYSTEM_NAMESPACE } from "../../policies/admission";
import { GATE_NAMESPACE } from "../../components/gate";
import { isOwnCluster } from "../../stacks/outputs";
import { variants, withValue, type ClusterObject, type Path, type Session } from "../../tools/cli/attack-session";
import type { Attempt } from "../../tools/cli/attacks";
import { anyBuilt, jailedPod, type FactoryAttack, type Pod } from "./support";

/** A pod such as the gate lets in, if its image may run. */
export const workload = (session: Session, image: string): Pod => {
  const pod = jailedPod(session, `attack-${session.id}`, GATE_NAMESPACE, { image });
  const container = withValue(pod.spec.containers[0], ["securityContext", "readOnlyRootFilesystem"], true);
  return { ...pod, spec: { ...pod.spec, runtimeClassName: undefined, containers: [container as object] } };
};

/** Where a {@link workload} names its image. */
export const IMAGE_OF_WORKLOAD: Path = ["spec", "containers", 0, "image"];
const beside = (field: string): Path => ["spec", field];

/** Everything that makes pods of such a form. */
const workloadsOf = ({ metadata, spec }: Pod): ClusterObject[] => {
  const labels = { attack: metadata.name };
  const template = { metadata: { labels }, spec: { ...spec, restartPolicy: "Always" } };
  const ending = { metadata: { labels }, spec };
  const selector = { matchLabels: labels };
  return [
    { apiVersion: "apps/v1", kind: "Deployment", metadata, spec: { selector, template } },
    { apiVersion: "apps/v1", kind: "DaemonSet", metadata, spec: { selector, template } },
    { apiVersion: "apps/v1", kind: "StatefulSet", metadata, spec: { selector, serviceName: "none", template } },
    { apiVersion: "apps/v1", kind: "ReplicaSet", metadata, spec: { selector, template } },
    { apiVersion: "v1", kind: "ReplicationController", metadata, spec: { selector: labels, template } },
    { apiVersion: "batch/v1", kind: "Job", metadata, spec: { template: ending } },
    {
      apiVersion: "batch/v1",
      kind: "CronJob",
      metadata,
      spec: { schedule: "@daily", jobTemplate: { spec: { template: ending } } },
    },
  ];
};

const inEveryWorkload = ({ admin }: Session, pod: Pod): Attempt[] =>
  workloadsOf(pod).map((object) => ({ name: `in a ${object.kind}`, run: () => admin.wouldCreate(object) }));

/** The namespaces of the factory itself, whose pods decide about all others, and of its cluster. */
const ownNamespaces = async ({ kubectl, factory }: Session): Promise<string[]> => {
  const names = await kubectl.text(["get", "namespaces", "--output=jsonpath={.items[*].metadata.name}"]);
  const present = FACTORY_NAMESPACES.filter((namespace) => names.split(" ").includes(namespace));
  return isOwnCluster(factory) ? [...present, SYSTEM_NAMESPACE] : present;
};

/** A pod in each of these namespaces, under the name of what is tried. */
const inEach = (session: Session, namespaces: readonly string[], what: string, image: string): Attempt[] =>
  namespaces.map((namespace) => {
    const pod = workload(session, image);
    return {
      name: `${what} in ${namespace}`,
      run: () => session.admin.wouldCreate({ ...pod, metadata: { ...pod.metadata, namespace } }),
    };
  });

export const unprovenImages: FactoryAttack = {
  name: "unproven-images",
  covers:
    "Images that no pipeline of the factory built, in every kind of workload, and behind the names of those that one did.",
  tries: "to start, behind the gate and in the factory itself, images that nothing proves",
  refusal: { by: ["admission policy"], message: /SSF-GATE-\d+|SSF-ADMISSION-02[346]/ },
  control: "The same workloads with an image that the factory has built, or that its lock file lists, are accepted.",
  prepare: async (session) => {
    const { admin, team } = session;
    const built = await anyBuilt(session);
    const [repository = "", digest = ""] = built.split("@");
    const unknown = `${repository}@sha256:${"0".repeat(64)}`;
    const own = await ownNamespaces(session);
    const listed = session.image("stage-go");
    const good = workload(session, built);
    const bad = workload(session, unknown);
    const second = (name: string, reference: string) => ({ ...good.spec.containers[0], name, image: reference });
    return {
      attempts: [
        ...variants(admin, good, [
          ["a digest that was never built", [IMAGE_OF_WORKLOAD, unknown]],
          ["a tag of the repository", [IMAGE_OF_WORKLOAD, `${repository}:latest`]],
          ["the repository without tag or digest", [IMAGE_OF_WORKLOAD, repository]],
          ["the digest cut short", [IMAGE_OF_WORKLOAD, built.slice(0, -1)]],
          [
            "the digest under another repository of the team",
            [IMAGE_OF_WORKLOAD, `${team.registryRepository}/other@${digest}`],
          ],
          [
            "the digest under another team's repository",
            [IMAGE_OF_WORKLOAD, `${repository.replace(team.namespace, "team-other")}@${digest}`],
          ],
          [
            "the digest under a name that begins like the team's",
            [IMAGE_OF_WORKLOAD, `${team.registryRepository}-x/app@${digest}`],
          ],
          [
            "the digest in another registry",
            [IMAGE_OF_WORKLOAD, `registry.example/${repository.split("/").slice(1).join("/")}@${digest}`],
          ],
          ["an image of the factory itself, which no pipeline built", [IMAGE_OF_WORKLOAD, session.image("shell")]],
          ["a second container", [beside("containers"), [second("main", built), second("other", unknown)]]],
          ["an init container", [beside("initContainers"), [second("other", unknown)]]],
          ["a sidecar", [beside("initContainers"), [{ ...second("other", unknown), restartPolicy: "Always" }]]],
          ["files that it may change", [["spec", "containers", 0, "securityContext", "readOnlyRootFilesystem"], false]],
          ["memory without end", [["spec", "containers", 0, "resources"], {}]],
          ["a token of the API server", [["spec", "automountServiceAccountToken"], true]],
          [
            "a label by which Gatekeeper exempts namespaces",
            [IMAGE_OF_WORKLOAD, unknown],
            [["metadata", "labels"], { "admission.gatekeeper.sh/ignore": "yes" }],
          ],
        ]),
        ...inEveryWorkload(session, bad),
        ...inEach(session, own, "another program", listed.replace(/[0-9a-f]{64}$/, "0".repeat(64))),
        ...inEach(session, own, "a program by its tag", listed.replace(/@.*/, ":latest")),
      ],
      controls: [
        { name: "the image as it was built", run: () => admin.wouldCreate(good) },
        {
          name: "the same with its tag before the digest",
          run: () => admin.wouldCreate(withValue(good, IMAGE_OF_WORKLOAD, `${repository}:latest@${digest}`)),
        },
        ...inEveryWorkload(session, good),
        ...inEach(session, own, "a program of the lock file", listed),
      ],
    };
  },
};

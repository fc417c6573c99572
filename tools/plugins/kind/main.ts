import type { Provider } from "@pulumi/pulumi/provider";
import { serve } from "../../serve";
import { KindCluster, type ClusterInputs } from "./cluster";

/** Inputs whose change needs a new cluster; a new image archive is imported into the running nodes. */
const replacing = ["name", "nodeImage", "config", "files"] as const satisfies readonly (keyof ClusterInputs)[];
const updating = ["imageArchive"] as const satisfies readonly (keyof ClusterInputs)[];

/** How the engine marks a secret value on its way to a provider. */
const secretMark = "4dabf18193072939515e22adb298388d";

/** The value without the engine's marks of secrets; the program marks the resource's outputs anew. */
const plain = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value;
  if (secretMark in value) return plain((value as unknown as { value: unknown }).value);
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, plain(entry)]));
};

const inputsOf = (value: ClusterInputs): ClusterInputs => plain(value) as ClusterInputs;

const differ = (olds: ClusterInputs, news: ClusterInputs) => (key: keyof ClusterInputs) =>
  JSON.stringify(olds[key]) !== JSON.stringify(news[key]);

/** The provider of `kind:index:Cluster`: a cluster whose nodes are containers of this machine. */
const provider: Provider = {
  version: "0.1.0",
  schema: JSON.stringify({ name: "kind", version: "0.1.0", resources: {} }),

  check: (_urn, _olds, news: ClusterInputs) => Promise.resolve({ inputs: news, failures: [] }),

  diff: (_id, _urn, olds: ClusterInputs, news: ClusterInputs) => {
    const differs = differ(inputsOf(olds), inputsOf(news));
    const replaces = replacing.filter(differs);
    const changes = replaces.length > 0 || updating.some(differs);
    return Promise.resolve({ changes, replaces, deleteBeforeReplace: true });
  },

  create: async (_urn, inputs: ClusterInputs) => {
    const kubeconfig = await new KindCluster(inputsOf(inputs)).create();
    return { id: inputs.name, outs: { ...inputs, kubeconfig } };
  },

  update: async (_id, _urn, olds: ClusterInputs & { kubeconfig: string }, news: ClusterInputs) => {
    await new KindCluster(inputsOf(news)).importImages(news.imageArchive);
    return { outs: { ...news, kubeconfig: olds.kubeconfig } };
  },

  read: async (id, _urn, props: ClusterInputs) =>
    (await new KindCluster(inputsOf(props)).nodes()).length > 0 ? { id, props } : {},

  delete: async (_id, _urn, props: ClusterInputs) => new KindCluster(inputsOf(props)).delete(),
};

serve(provider);

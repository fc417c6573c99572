import { main, type Provider } from "@pulumi/pulumi/provider";
import { KindCluster, type ClusterInputs } from "./cluster";

/** Inputs whose change needs a new cluster; a new image archive is imported into the running nodes. */
const replacing = ["name", "nodeImage", "config", "files"] as const satisfies readonly (keyof ClusterInputs)[];
const updating = ["imageArchive"] as const satisfies readonly (keyof ClusterInputs)[];

const differ = (olds: ClusterInputs, news: ClusterInputs) => (key: keyof ClusterInputs) =>
  JSON.stringify(olds[key]) !== JSON.stringify(news[key]);

/** The provider of `kind:index:Cluster`: a cluster whose nodes are containers of this machine. */
const provider: Provider = {
  version: "0.1.0",
  schema: JSON.stringify({ name: "kind", version: "0.1.0", resources: {} }),

  check: (_urn, _olds, news: ClusterInputs) => Promise.resolve({ inputs: news, failures: [] }),

  diff: (_id, _urn, olds: ClusterInputs, news: ClusterInputs) => {
    const replaces = replacing.filter(differ(olds, news));
    const changes = replaces.length > 0 || updating.some(differ(olds, news));
    return Promise.resolve({ changes, replaces, deleteBeforeReplace: true });
  },

  create: async (_urn, inputs: ClusterInputs) => {
    const kubeconfig = await new KindCluster(inputs).create();
    return { id: inputs.name, outs: { ...inputs, kubeconfig } };
  },

  update: async (_id, _urn, olds: ClusterInputs & { kubeconfig: string }, news: ClusterInputs) => {
    await new KindCluster(news).importImages(news.imageArchive);
    return { outs: { ...news, kubeconfig: olds.kubeconfig } };
  },

  read: async (id, _urn, props: ClusterInputs) =>
    (await new KindCluster(props).nodes()).length > 0 ? { id, props } : {},

  delete: async (_id, _urn, props: ClusterInputs) => new KindCluster(props).delete(),
};

void main(provider, process.argv.slice(2));

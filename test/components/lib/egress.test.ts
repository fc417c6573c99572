import { ciliumEgress, type EgressHosts, kubernetesEgress } from "../../../components/lib/egress";
import { parseHosts } from "../../../components/lib/hosts";

const hosts: EgressHosts = {
  forges: parseHosts("git.test:8443,code.test"),
  registries: parseHosts("proxy.test,sums.test"),
};
const nothing: EgressHosts = { forges: [], registries: [] };

describe("a stage's policy for Cilium", () => {
  const policy = (network: string, reached = hosts) => ciliumEgress("some-stage", network, reached);
  const questions = (...names: string[]) => ({
    toEndpoints: [{ matchLabels: { "k8s:io.kubernetes.pod.namespace": "kube-system", "k8s:k8s-app": "kube-dns" } }],
    toPorts: [
      {
        ports: [
          { port: "53", protocol: "UDP" },
          { port: "53", protocol: "TCP" },
        ],
        rules: { dns: names.map((matchName) => ({ matchName })) },
      },
    ],
  });
  const pods = (namespace: string, port: string) => ({
    toEndpoints: [{ matchLabels: { "k8s:io.kubernetes.pod.namespace": namespace } }],
    toPorts: [{ ports: [{ port, protocol: "TCP" }] }],
  });
  const names = (port: string, ...matched: string[]) => ({
    toFQDNs: matched.map((matchName) => ({ matchName })),
    toPorts: [{ ports: [{ port, protocol: "TCP" }] }],
  });

  test("selects the pods of that stage", () => {
    expect(policy("registry")?.endpointSelector).toEqual({
      matchLabels: { "k8s:tekton.dev/pipelineTask": "some-stage" },
    });
  });

  test("forge: the factory's own, and those that are listed on their ports", () => {
    expect(policy("forge")?.egress).toEqual([
      questions("forge.ssf-forge.svc.cluster.local", "code.test", "git.test"),
      pods("ssf-forge", "8443"),
      names("443", "code.test"),
      names("8443", "git.test"),
    ]);
  });

  test("forge without a list: the factory's own and nothing outside", () => {
    expect(policy("forge", nothing)?.egress).toEqual([
      questions("forge.ssf-forge.svc.cluster.local"),
      pods("ssf-forge", "8443"),
    ]);
  });

  test("dependencies: the registries and nothing of the cluster", () => {
    expect(policy("dependencies")?.egress).toEqual([
      questions("proxy.test", "sums.test"),
      names("443", "proxy.test", "sums.test"),
    ]);
  });

  test("registry: the factory's own and nothing outside", () => {
    expect(policy("registry")?.egress).toEqual([
      questions("registry.ssf-registry.svc.cluster.local"),
      pods("ssf-registry", "5000"),
    ]);
  });

  test("there is none where a list of names would be empty, which would mean every name", () => {
    expect(policy("dependencies", nothing)).toBeUndefined();
    expect(policy("none")).toBeUndefined();
  });
});

describe("a stage's rules for Kubernetes", () => {
  const cidrs = ["10.0.0.0/8"];
  const rules = (network: string, reached = hosts) => kubernetesEgress(network, reached, cidrs);
  const nameServer = {
    to: [
      {
        namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "kube-system" } },
        podSelector: { matchLabels: { "k8s-app": "kube-dns" } },
      },
    ],
    ports: [
      { port: 53, protocol: "UDP" },
      { port: 53, protocol: "TCP" },
    ],
  };
  const service = (namespace: string, port: number) => ({
    to: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": namespace } } }],
    ports: [{ port, protocol: "TCP" }],
  });
  const outside = (...ports: number[]) => ({
    to: [{ ipBlock: { cidr: "0.0.0.0/0", except: [...cidrs, "169.254.0.0/16"] } }],
    ports: ports.map((port) => ({ port, protocol: "TCP" })),
  });

  test.each<[string, object[]]>([
    ["forge", [nameServer, service("ssf-forge", 8443), outside(443, 8443)]],
    ["dependencies", [nameServer, outside(443)]],
    ["registry", [nameServer, service("ssf-registry", 5000)]],
    ["none", []],
  ])("%s", (network, expected) => {
    expect(rules(network)).toEqual(expected);
  });

  test("leave the outside alone where no host is listed", () => {
    expect(rules("forge", nothing)).toEqual([nameServer, service("ssf-forge", 8443)]);
    expect(rules("dependencies", nothing)).toEqual([]);
  });
});

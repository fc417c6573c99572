import { describeHost, distinctHosts, hostOf, isHostList, parseHosts } from "../../../components/lib/hosts";

describe("a list of hosts", () => {
  test.each([
    ["an address", "192.0.2.1", "a.test"],
    ["a wildcard", "*.a.test", "b.a.test"],
    ["a scheme", "https://a.test", "a.test"],
    ["a path", "a.test/b", "a.test"],
    ["a single label", "localhost", "localhost.test"],
    ["capitals", "A.test", "a.test"],
    ["a dot at the end", "a.test.", "a.test"],
    ["an empty entry", "a.test,", "a.test,b.test"],
    ["a space", "a.test, b.test", "a.test,b.test"],
    ["a service of the cluster", "a.b.svc.cluster.local", "a.b.svc.cluster.test"],
    ["port 0", "a.test:0", "a.test:1"],
    ["a port that is too high", "a.test:65536", "a.test:65535"],
    ["two ports", "a.test:1:2", "a.test:12"],
    ["a label that is too long", `${"a".repeat(64)}.test`, `${"a".repeat(63)}.test`],
  ])("with %s is refused; its good twin is not", (_, bad, good) => {
    expect([isHostList(bad), isHostList(good)]).toEqual([false, true]);
  });

  test("gives names and ports, each once", () => {
    const hosts = parseHosts("b.test,a.test:8443,b.test:443");
    expect(hosts.map(describeHost)).toEqual(["b.test:443", "a.test:8443", "b.test:443"]);
    expect(distinctHosts(hosts).map(describeHost)).toEqual(["a.test:8443", "b.test:443"]);
  });
});

test("an https address has a host and a port", () => {
  expect(hostOf("https://A.test/x.git")).toEqual({ name: "a.test", port: 443 });
  expect(hostOf("https://a.test:8443")).toEqual({ name: "a.test", port: 8443 });
});

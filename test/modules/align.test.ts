import { apart, behind, newest, sharedLibraries, versions, versionsIn } from "../../tools/modules/align";
import { modules } from "../../tools/toolchain/modules";

test("what most upstreams are built from has one version in all of them", () => {
  expect(behind(versions())).toEqual(new Map());
  expect([...newest(versions()).keys()]).toEqual(sharedLibraries);
});

test("an older version is found, whoever names the newest; a library that is not shared stays as it is", () => {
  const [api, net] = ["k8s.io/api", "golang.org/x/net"];
  const named = (one: Record<string, string>) => new Map(Object.entries(one));
  const found = behind(
    new Map([
      ["older", named({ [api]: "v0.9.1", [net]: "v0.40.0", "example.com/own": "v1.0.0" })],
      ["before", named({ [api]: "v0.10.0-rc.2", "example.com/own": "v2.0.0" })],
      ["newest", named({ [api]: "v0.10.0", [net]: "v0.9.0" })],
    ]),
  );
  expect(Object.fromEntries(found)).toEqual({
    older: [`${api}@v0.10.0`],
    before: [`${api}@v0.10.0`],
    newest: [`${net}@v0.40.0`],
  });
});

test("an upstream that keeps its own versions is one that is built, and says why", () => {
  expect(Object.keys(modules)).toEqual(expect.arrayContaining(Object.keys(apart)));
  expect(Object.values(apart)).not.toContain("");
});

test("the API server is as upstream tested it", () => {
  expect(versionsIn("kubernetes").get("golang.org/x/net")).not.toBe(versionsIn("tekton").get("golang.org/x/net"));
});

import { aligned, apart, newest, sharedLibraries, versionsIn } from "../../tools/toolchain/align";
import { modules } from "../../tools/toolchain/modules";

test("what most upstreams are built from has one version in all of them", () => {
  const behind = sharedLibraries.flatMap((library) =>
    aligned.flatMap((upstream) => {
      const version = versionsIn(upstream).get(library);
      return version === undefined || version === newest(library) ? [] : [`${upstream}: ${library} ${version}`];
    }),
  );
  expect(behind).toEqual([]);
  expect(sharedLibraries.filter((library) => newest(library) === undefined)).toEqual([]);
});

test("an upstream that keeps its own versions is one that is built, and says why", () => {
  expect(Object.keys(modules)).toEqual(expect.arrayContaining(Object.keys(apart)));
  expect(Object.values(apart)).not.toContain("");
});

test("the API server is as upstream tested it", () => {
  expect(versionsIn("kubernetes").get("golang.org/x/net")).not.toBe(versionsIn("tekton").get("golang.org/x/net"));
});

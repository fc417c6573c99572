import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import * as fc from "fast-check";

import { imageParts } from "../../../components/lib/images";
import { containerOf, Manifests, overrideData, setData } from "../../../components/lib/manifests";
import { dnsLabel, isDnsLabel, kebabCase, requireDnsLabel } from "../../../components/lib/names";
import { dockerConfig, readerLogin } from "../../../components/lib/registry-config";
import { testImage } from "../../support/render";

describe("names", () => {
  test("a label out of any parts is a DNS label, and always the same", () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { minLength: 1 }), fc.integer({ min: 12, max: 63 }), (parts, maximum) => {
        const label = dnsLabel(parts, maximum);
        expect(isDnsLabel(label, maximum)).toBe(true);
        expect(dnsLabel(parts, maximum)).toBe(label);
      }),
    );
  });

  test("short parts are only joined; long ones that differ at the end stay different", () => {
    expect(dnsLabel(["team-a", "build"])).toBe("team-a-build");
    expect(dnsLabel(["a".repeat(80), "x"])).not.toBe(dnsLabel(["a".repeat(80), "y"]));
    expect(dnsLabel(["team", "A"])).not.toBe(dnsLabel(["team", "a"]));
  });

  test.each(["", "-a", "a-", "A", "a.b", "a_b", "a".repeat(41)])("%j is refused as a name of at most 40", (name) => {
    expect(() => requireDnsLabel("team", name, 40)).toThrow(/SSF-NAME-001 team/);
  });

  test.each(["a", "team-a", "4u", "a".repeat(40)])("%j is taken", (name) => {
    expect(requireDnsLabel("team", name, 40)).toBe(name);
  });

  test.each([
    ["ConfigMap", "config-map"],
    ["CustomResourceDefinition", "custom-resource-definition"],
    ["APIService", "api-service"],
  ])("%s in kebab case is %s", (kind, name) => {
    expect(kebabCase(kind)).toBe(name);
  });
});

describe("images", () => {
  test("a reference by digest has two parts", () => {
    expect(imageParts("image", testImage("shell"))).toEqual({
      repository: "ssf.local/shell",
      digest: `sha256:${"0".repeat(64)}`,
    });
  });

  test.each(["ssf.local/shell", "ssf.local/shell:v1", "ssf.local/shell@sha256:12", `s:v1:x@sha256:${"0".repeat(63)}`])(
    "%s is refused",
    (reference) => {
      expect(() => imageParts("images.shell", reference)).toThrow(/SSF-IMAGE-001 images\.shell/);
    },
  );
});

describe("registry logins", () => {
  test("a Docker configuration knows one host", () => {
    expect(JSON.parse(dockerConfig("r:5000", { username: "u", password: "p" }))).toEqual({
      auths: { "r:5000": { username: "u", password: "p", auth: "dTpw" } },
    });
  });

  test("a reader's password is made from key and name, as the guard makes it", () => {
    // printf team-a | openssl dgst -sha256 -hmac key -binary | basenc --base64url
    expect(readerLogin("key", "team-a")).toEqual({
      username: "team-a",
      password: "RjJiANnbNdLcPvih_GgBNR07NhOGS509Mc_-zLdebXs",
    });
    expect(readerLogin("key", "team-b").password).not.toBe(readerLogin("key", "team-a").password);
  });
});

describe("manifests", () => {
  let directory: string;
  const deployment = (image: string) => `
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec: { template: { metadata: {}, spec: { containers: [{ name: web, image: "${image}", args: [-x, "ko://x"] }] } } }
---
# nothing here
---
apiVersion: v1
kind: ConfigMap
metadata: { name: flags }
data: { _example: "long", a: "1" }
`;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "manifests-"));
    writeFileSync(join(directory, "all.yaml"), deployment("ko://web"));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const ours = { "ko://web": testImage("web"), "ko://x": testImage("x") };

  test("reads every document, and puts our images in the place of upstream's", () => {
    const objects = Manifests.read(directory).replaceImages(ours).list();
    expect(objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`)).toEqual([
      "Deployment/web",
      "ConfigMap/flags",
    ]);
    expect(JSON.stringify(objects)).toContain(testImage("x"));
  });

  test("an image that is left over is refused", () => {
    expect(() => Manifests.read(directory).list()).toThrow(
      /SSF-MANIFEST-003 .*Deployment\/web container web: ko:\/\/web/,
    );
  });

  test("an image by digest that is not ours is refused", () => {
    writeFileSync(join(directory, "all.yaml"), deployment(testImage("foreign")));
    expect(() =>
      Manifests.read(directory)
        .replaceImages({ "ko://x": testImage("x") })
        .list(),
    ).toThrow(/SSF-MANIFEST-003/);
  });

  test("a replacement by tag is refused", () => {
    expect(() =>
      Manifests.read(directory)
        .replaceImages({ ...ours, "ko://web": "web:v1" })
        .list(),
    ).toThrow(/SSF-MANIFEST-003 .*: web:v1/);
  });

  test("a replacement that is not used is refused", () => {
    expect(() => Manifests.read(directory).replaceImages({ ...ours, "ko://gone": testImage("gone") })).toThrow(
      /SSF-MANIFEST-002 .*image\/ko:\/\/gone/,
    );
  });

  test("a patch, a removal or a look at what is not there is refused", () => {
    const manifests = Manifests.read(directory);
    expect(() => manifests.patch("ConfigMap", "gone", () => undefined)).toThrow(/SSF-MANIFEST-002 .*ConfigMap\/gone/);
    expect(() => manifests.patchAll("Secret", () => undefined)).toThrow(/SSF-MANIFEST-002/);
    expect(() => manifests.remove("Secret", "gone")).toThrow(/SSF-MANIFEST-002/);
    expect(() => manifests.only("Secret")).toThrow(/SSF-MANIFEST-002/);
    expect(() => manifests.without("Secret")).toThrow(/SSF-MANIFEST-002/);
  });

  test("a kind can be taken alone, or left out", () => {
    const kinds = (manifests: Manifests) => manifests.list().map(({ kind }) => kind);
    expect(kinds(Manifests.read(directory).only("ConfigMap"))).toEqual(["ConfigMap"]);
    const rest = Manifests.read(directory).without("ConfigMap").replaceImages(ours);
    expect(kinds(rest)).toEqual(["Deployment"]);
  });

  test("settings: known ones are overridden, unknown ones refused, examples dropped", () => {
    const flags = Manifests.read(directory).get("ConfigMap", "flags");
    overrideData(flags, { a: "2" });
    expect(flags.data).toEqual({ a: "2" });
    expect(() => overrideData(flags, { b: "2" })).toThrow(/SSF-MANIFEST-004 ConfigMap\/flags data\.b/);
    setData(flags, { b: "2" });
    expect(flags.data).toEqual({ a: "2", b: "2" });
  });

  test("a container that is not there is refused", () => {
    expect(() => containerOf(Manifests.read(directory).get("Deployment", "web"), "gone")).toThrow(/SSF-MANIFEST-005/);
  });

  test("a directory that is not there names the fix", () => {
    expect(() => Manifests.read(join(directory, "gone"))).toThrow(/SSF-MANIFEST-001[^]*Run make toolchain/);
  });
});

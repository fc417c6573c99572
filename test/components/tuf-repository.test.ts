import { requirePublic, TUF_SERVER_SETTINGS, TufRepository } from "../../components/tuf-repository";
import { newestRoot, newKey, rotateKeys } from "../../trust";
import { inputAt, render, type Rendering, testImage, valueOf } from "../support/render";
import { ceremony } from "../trust/support/world";

const { files: first, all } = ceremony();
const { files: metadata } = rotateKeys({ files: first, keys: all, now: new Date() }, "timestamp", [newKey()]);
const clients = [{ podSelector: { matchLabels: { app: "gate" } } }];

describe("TufRepository", () => {
  let rendering: Rendering;
  let repository: TufRepository;
  beforeAll(async () => {
    rendering = await render(() => {
      repository = new TufRepository("tuf", { image: testImage("tls-proxy"), issuer: "ssf-ca", metadata, clients });
    });
  });

  test("makes these objects and no others: no volume, no users, no Secret of its own", () => {
    expect(rendering.childrenOf("tuf")).toEqual([
      "apps/v1:Deployment tuf-deployment",
      "cert-manager.io/v1:Certificate tuf-certificate",
      "core/v1:ConfigMap tuf-config",
      "core/v1:ConfigMap tuf-content",
      "core/v1:Namespace tuf-ns",
      "core/v1:Service tuf-service",
      "core/v1:ServiceAccount tuf-account",
      "networking.k8s.io/v1:NetworkPolicy tuf-policy",
    ]);
  });

  test("serves the public files, read-only, and starts anew when they change", async () => {
    expect(rendering.get("tuf-content").inputs.data).toEqual(metadata);
    const pod = inputAt(rendering.get("tuf-deployment"), "spec.template");
    expect(pod).toMatchObject({
      spec: {
        automountServiceAccountToken: false,
        containers: [
          {
            image: testImage("tls-proxy"),
            securityContext: { readOnlyRootFilesystem: true, capabilities: { drop: ["ALL"] } },
            volumeMounts: [
              { name: "settings", mountPath: "/etc/tuf", readOnly: true },
              { name: "content", mountPath: "/srv/tuf", readOnly: true },
              { name: "tls", mountPath: "/etc/tuf-tls", readOnly: true },
              { name: "tmp", mountPath: "/tmp" },
            ],
          },
        ],
      },
    });
    const other = await render(
      () => new TufRepository("tuf", { image: testImage("tls-proxy"), issuer: "ssf-ca", metadata: first, clients: [] }),
    );
    const annotations = (of: Rendering) => inputAt(of.get("tuf-deployment"), "spec.template.metadata.annotations");
    expect(annotations(other)).not.toEqual(annotations(rendering));
    expect(inputAt(rendering.get("tuf-deployment"), "spec.strategy")).toEqual({ type: "RollingUpdate" });
  });

  test("takes connections from its clients only, also where there are none, and opens none", async () => {
    expect(rendering.get("tuf-policy").inputs.spec).toEqual({
      podSelector: {},
      policyTypes: ["Ingress", "Egress"],
      ingress: [{ from: clients, ports: [{ port: 8443, protocol: "TCP" }] }],
    });
    const args = { image: testImage("tls-proxy"), issuer: "ssf-ca", metadata, clients: [] };
    const closed = await render(() => new TufRepository("tuf", args));
    expect(inputAt(closed.get("tuf-policy"), "spec.ingress")).toEqual([]);
  });

  test("speaks TLS, lists nothing, and has cosign's paths", () => {
    expect(TUF_SERVER_SETTINGS).toContain('ssl.engine = "enable"');
    expect(TUF_SERVER_SETTINGS).not.toContain("dir-listing");
    expect(TUF_SERVER_SETTINGS).toContain('alias.url = ("/targets/" => "/srv/tuf/")');
  });

  test("gives its address and the newest root", async () => {
    await expect(valueOf(repository.url)).resolves.toBe("https://tuf.ssf-tuf.svc.cluster.local:8443");
    await expect(valueOf(repository.rootJson)).resolves.toBe(metadata["2.root.json"]);
    expect(newestRoot(metadata)).toBe(metadata["2.root.json"]);
  });
});

describe("what may be published", () => {
  test("is a whole repository", () => {
    expect(requirePublic(metadata)).toEqual(metadata);
    expect(() => requirePublic({})).toThrow("SSF-TRUST-006 1.root.json");
    expect(() => requirePublic({ ...metadata, "timestamp.json": first["timestamp.json"] ?? "" })).toThrow(
      "SSF-TRUST-006 timestamp.json",
    );
  });

  test.each(["root-0123456789ab.pem", "README.md", "../1.root.json", "0.root.json"])("is no %s", (name) => {
    expect(() => requirePublic({ ...metadata, [name]: "{}" })).toThrow(`SSF-TRUST-013 metadata ${name}`);
  });

  test("is no private key under whatever name, and no more than a ConfigMap holds", () => {
    const name = `${"0".repeat(64)}.policy.json`;
    const key = newKey().encrypt("a passphrase of five words");
    expect(() => requirePublic({ ...metadata, [name]: key })).toThrow(/SSF-TRUST-013[^]*: a private key/);
    expect(() => requirePublic({ ...metadata, [name]: "x".repeat(1_000_000) })).toThrow(
      "SSF-TRUST-013 metadata of all files",
    );
    expect(requirePublic({ ...metadata, [name]: "x" })).toHaveProperty([name], "x");
  });
});

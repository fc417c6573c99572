import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { stringify } from "yaml";

/** What the provider must know of a cluster before it lays out charts, and an answer that it has no kinds at all. */
const answers: Readonly<Record<string, unknown>> = {
  "/version": { major: "1", minor: "35", gitVersion: "v1.35.0" },
  "/api": { kind: "APIVersions", versions: [] },
  "/apis": { kind: "APIGroupList", apiVersion: "v1", groups: [] },
};

const schemaPath = "/openapi/v2";
const schemaType = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
const notFound = { kind: "Status", apiVersion: "v1", status: "Failure", reason: "NotFound", code: 404 };

/** Something that answers like the API server of an empty cluster, on this machine only. */
export interface StandInCluster {
  kubeconfig: string;
  close: () => Promise<void>;
}

/** Starts what a preview asks where no cluster answers. Without any kind there, the provider takes objects as the program has them. */
export const startStandInCluster = async (): Promise<StandInCluster> => {
  const server = createServer(({ url = "" }, response) => {
    const path = url.split("?")[0] ?? "";
    if (path === schemaPath) {
      response.setHeader("content-type", schemaType).end();
      return;
    }
    const answer = answers[path];
    response.writeHead(answer === undefined ? 404 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify(answer ?? notFound));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const name = "stand-in";
  return {
    kubeconfig: stringify({
      apiVersion: "v1",
      kind: "Config",
      "current-context": name,
      clusters: [{ name, cluster: { server: `http://127.0.0.1:${port}` } }],
      contexts: [{ name, context: { cluster: name, user: name } }],
      users: [{ name, user: {} }],
    }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};

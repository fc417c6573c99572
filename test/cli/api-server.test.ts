import { actor } from "../../tools/cli/attack-session";
import { type ApiServer, openApiServer } from "../../tools/cli/api-server";
import type { Kubectl } from "../../tools/cli/kubectl";
import { type ApiServer as Server, describeWithApiServer, startApiServer } from "../admission/support/api-server";

jest.setTimeout(120_000);

const unused: Kubectl = {
  text: () => Promise.reject(new Error("kubectl was started")),
  json: () => Promise.reject(new Error("kubectl was started")),
  portForward: () => Promise.reject(new Error("kubectl was started")),
};

describeWithApiServer("the API server, through a proxy of kubectl", () => {
  let server: Server;
  let api: ApiServer;
  beforeAll(async () => {
    server = await startApiServer();
    api = await openApiServer(server.kubeconfig);
  });
  afterAll(() => server.stop());

  const configMap = (change: object = {}) => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "asked", namespace: "default" },
    ...change,
  });
  const administrator = () => actor(unused, api, new AbortController().signal);
  const stranger = () => actor(unused, api, new AbortController().signal, { user: "stranger", groups: ["nobodies"] });

  test("knows where objects are made, in a namespace and outside", async () => {
    const made = (apiVersion: string, kind: string, namespace?: string) =>
      api.collection({ apiVersion, kind, metadata: { namespace } });
    await expect(made("v1", "ConfigMap", "x")).resolves.toBe("/api/v1/namespaces/x/configmaps");
    await expect(made("v1", "Pod")).resolves.toBe("/api/v1/namespaces/default/pods");
    await expect(made("rbac.authorization.k8s.io/v1", "ClusterRole")).resolves.toBe(
      "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    );
    await expect(made("v1", "Nothing")).rejects.toThrow("SSF-KUBE-001 API server: v1 has no kind Nothing");
  });

  test("reads what is there, and refuses to read what is not", async () => {
    await expect(api.read("/api/v1/namespaces/default")).resolves.toMatchObject({ metadata: { name: "default" } });
    await expect(api.read("/api/v1/namespaces/nowhere")).rejects.toThrow(
      "SSF-KUBE-001 API server: GET /api/v1/namespaces/nowhere: HTTP status 404",
    );
  });

  test("says what would be made, and makes nothing", async () => {
    await expect(administrator().wouldCreate(configMap())).resolves.toMatchObject({ is: "accepted" });
    const { status } = await api.send("GET", "/api/v1/namespaces/default/configmaps/asked");
    expect(status).toBe(404);
  });

  test("makes an object, changes it by either kind of patch, and removes it for good", async () => {
    const object = configMap({ metadata: { name: "made", namespace: "default" } });
    const path = "/api/v1/namespaces/default/configmaps/made";
    await api.create(object, { dryRun: true });
    expect((await api.send("GET", path)).status).toBe(404);
    await api.create(object);
    await expect(api.create(object)).rejects.toThrow(
      /SSF-KUBE-001 .*HTTP status 409: configmaps "made" already exists/,
    );
    expect((await api.send("PATCH", path, { data: { a: "1" } })).status).toBe(200);
    expect((await api.send("PATCH", path, [{ op: "add", path: "/data/b", value: "2" }])).status).toBe(200);
    await expect(api.read(path)).resolves.toMatchObject({ data: { a: "1", b: "2" } });
    await api.remove(object);
    expect((await api.send("GET", path)).status).toBe(404);
    await expect(api.remove(object)).resolves.toBeUndefined();
  });

  test("makes nothing with a field that its kind does not have", async () => {
    await expect(api.create(configMap({ colour: "green" }))).rejects.toThrow(/unknown field "colour"/);
  });

  test("answers about a part of an object that kubectl's proxy would keep to itself", async () => {
    const exec = "/api/v1/namespaces/default/pods/absent/exec?command=true";
    const { status, body } = await api.send("POST", exec, {});
    expect([status, body]).toMatchObject([404, { message: 'pods "absent" not found' }]);
  });

  test("refuses another user, by name, and what no object of the kind has", async () => {
    await expect(stranger().wouldCreate(configMap())).resolves.toMatchObject({
      is: "refused",
      by: "RBAC",
      message: expect.stringContaining('User "stranger" cannot create resource "configmaps"') as string,
    });
    await expect(administrator().wouldCreate(configMap({ colour: "green" }))).resolves.toMatchObject({
      is: "refused",
      by: "API server",
    });
  });

  test("takes no trouble for a refusal", async () => {
    const elsewhere = configMap({ metadata: { name: "asked", namespace: "nowhere" } });
    await expect(administrator().wouldCreate(elsewhere)).rejects.toThrow(/HTTP status 404: namespaces "nowhere"/);
  });

  test("is told from one that does not answer", async () => {
    const gone = server.kubeconfig.replace(/https:\/\/127\.0\.0\.1:\d+/, "https://127.0.0.1:9");
    const { send } = await openApiServer(gone);
    await expect(send("GET", "/api/v1")).rejects.toThrow("SSF-KUBE-001 API server");
  });
});

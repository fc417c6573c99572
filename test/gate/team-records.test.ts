import type { RequestListener } from "node:http";
import type { Server } from "node:https";
import { RECORD_KEY, RECORD_LABEL, type TeamRecord } from "../../policies/admission/gate/records";
import { teamRecords } from "../../tools/gate/team-records";
import { certificateFor, listen } from "../cli/support/tls";

const tls = certificateFor("kubernetes.default.svc");
const record = (namespace: string): TeamRecord => ({
  namespace,
  repository: `registry.test:5000/${namespace}`,
  forges: [],
  sources: {},
  stageImages: [],
  jailedRuntimeClass: null,
  pipelines: [],
});
const configMap = (name: string, creationTimestamp: string, text?: string, team = name.slice(0, 1)) => ({
  metadata: { name, creationTimestamp, labels: { [RECORD_LABEL]: team } },
  ...(text === undefined ? {} : { data: { [RECORD_KEY]: text } }),
});
const good = configMap("b-1", "2026-11-23T01:00:00Z", JSON.stringify(record("team-b")));

let answer: RequestListener;
let server: Server;
let port: number;
beforeAll(async () => {
  ({ server, port } = await listen(tls, (incoming, response) => answer(incoming, response)));
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const read = (image = "registry.test:5000/team-b/service") =>
  teamRecords(
    { host: "kubernetes.default.svc", localPort: port, caPem: tls.certificatePem, bearer: () => "token" },
    "ssf-verifier",
    "registry.test:5000",
  )(image);
const list =
  (...items: object[]): RequestListener =>
  (_, response) =>
    void response.end(JSON.stringify({ items }));

test("reads the records of the image's team by their label, with its token, the newest first", async () => {
  const asked: (string | undefined)[] = [];
  const others = configMap("a-1", "2026-11-23T02:00:00Z", JSON.stringify(record("team-a")));
  const newer = { ...record("team-b"), forges: ["forge.test:443"] };
  answer = (incoming, response) => {
    asked.push(incoming.url, incoming.headers.authorization);
    list(good, others, configMap("b-2", "2026-11-23T03:00:00Z", JSON.stringify(newer)))(incoming, response);
  };
  expect(await read()).toEqual([newer, record("team-b")]);
  expect(asked).toEqual([
    "/api/v1/namespaces/ssf-verifier/configmaps?labelSelector=secure-software-factory.dev%2Fverified-team",
    "Bearer token",
  ]);
});

test.each([
  ["is no JSON", "{", /SSF-VERIFY-007 ConfigMap bad: no JSON/],
  ["is not there", undefined, /SSF-VERIFY-007 ConfigMap bad: no JSON/],
  ["lacks a field", JSON.stringify({ ...record("x"), forges: undefined }), /SSF-VERIFY-007 ConfigMap bad: .*forges/s],
  ["has a field too many", JSON.stringify({ ...record("x"), admit: "all" }), /SSF-VERIFY-007 ConfigMap bad: .*admit/s],
])("one record that %s spoils those of its team, and no other's", async (_, text, message) => {
  answer = list(good, configMap("bad", "2026-11-23T02:00:00Z", text));
  await expect(read()).rejects.toThrow(message);
  answer = list(good, configMap("bad", "2026-11-23T02:00:00Z", text, "a"));
  expect(await read()).toEqual([record("team-b")]);
  await expect(read("registry.test:5000/team-a/service")).rejects.toThrow(message);
});

test.each<[string, Partial<TeamRecord>]>([
  ["repository", { repository: "registry.test:5000/team-b" }],
  ["namespace", { namespace: "team-b" }],
  ["repository and namespace", { repository: "registry.test:5000/team-b", namespace: "team-b" }],
  ["repository in another registry", { repository: "elsewhere.test/team-a" }],
  ["repository, all of them", { repository: "registry.test:5000" }],
])("a record of one team that claims another's %s counts for neither", async (_, claimed) => {
  const own = "registry.test:5000/team-a/service";
  const claiming = (changes: Partial<TeamRecord>) =>
    list(good, configMap("a-1", "2026-11-23T02:00:00Z", JSON.stringify({ ...record("team-a"), ...changes })));
  answer = claiming(claimed);
  await expect(read(own)).rejects.toThrow(/SSF-VERIFY-008 ConfigMap a-1: a record of team a for /);
  expect(await read()).toEqual([record("team-b")]);
  answer = claiming({});
  expect(await read(own)).toEqual([record("team-a")]);
});

test.each(["team-c/service", "team-b-c/service", "team-b", "service"])("%s is nobody's", async (path) => {
  answer = list(good);
  await expect(read(`registry.test:5000/${path}`)).rejects.toThrow(
    /SSF-VERIFY-004 .*Start an image below registry\.test:5000\/team-b\./s,
  );
});

test("an API server that refuses is no empty list", async () => {
  answer = (_, response) => void response.writeHead(403).end("{}");
  await expect(read()).rejects.toThrow(/SSF-VERIFY-007 https:.*HTTP status 403/);
  answer = list();
  await expect(read()).rejects.toThrow(/SSF-VERIFY-004 .*Bring up a team/s);
});

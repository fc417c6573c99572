import { GATE_LABEL } from "../../../components/lib/labels";
import { gateConstraints, gateTemplates } from "../../../policies/admission/gate";
import { celSource } from "../../../policies/admission/gate/template";
import { type ApiServer } from "../../admission/support/api-server";
import { as, startWorld } from "../../admission/support/world";
import { describeWith } from "../../support/programs";
import { byApiServer, byGator, byPack, collectionOf, isOneOf, type Refusals } from "./engines";
import { absentFixtures, cases, fixtures, gatedSpace, lockedImages, namespaces, type TestObject } from "./fixtures";

jest.setTimeout(300_000);

const objects = new Map([
  ...[...cases].map(([name, { object }]): [string, TestObject] => [name, object]),
  ...absentFixtures.map(({ code, field, object }): [string, TestObject] => [`${code} without ${field}`, object]),
]);

/** The gate's templates in CEL as policies of the API server, as Gatekeeper makes them; it knows the same variable. */
const gatePolicies = gateConstraints.flatMap(({ kind }): TestObject[] => {
  const template = gateTemplates.find(({ spec }) => spec.crd.spec.names.kind === kind);
  const source = template && celSource(template);
  if (source === undefined) return [];
  const metadata = { name: `gatekeeper-${kind.toLowerCase()}` };
  const apiVersion = "admissionregistration.k8s.io/v1";
  const rule = (apiGroup: string, ...resources: string[]) => ({
    apiGroups: [apiGroup],
    apiVersions: ["*"],
    operations: ["CREATE", "UPDATE"],
    resources,
  });
  return [
    {
      apiVersion,
      kind: "ValidatingAdmissionPolicy",
      metadata,
      spec: {
        failurePolicy: "Fail",
        matchConstraints: {
          resourceRules: [
            rule("", "pods", "replicationcontrollers"),
            rule("apps", "deployments", "daemonsets", "statefulsets", "replicasets"),
            rule("batch", "jobs", "cronjobs"),
          ],
        },
        variables: [{ name: "anyObject", expression: "object == null ? oldObject : object" }, ...source.variables],
        validations: source.validations,
      },
    },
    {
      apiVersion,
      kind: "ValidatingAdmissionPolicyBinding",
      metadata,
      spec: {
        policyName: metadata.name,
        validationActions: ["Deny"],
        matchResources: { namespaceSelector: { matchExpressions: [{ key: GATE_LABEL, operator: "Exists" }] } },
      },
    },
  ];
});

const PLURAL: Readonly<Record<string, string>> = {
  ValidatingAdmissionPolicy: "validatingadmissionpolicies",
  ValidatingAdmissionPolicyBinding: "validatingadmissionpolicybindings",
};

/** The factory's rules and the gate's in an API server, with the namespaces of the fixtures. */
const startCluster = async (): Promise<ApiServer> => {
  const server = await startWorld(lockedImages);
  const account = {
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata: { name: "default", namespace: gatedSpace },
  };
  const gated = namespaces.filter(({ metadata }) => metadata.name === gatedSpace);
  for (const object of [...gated, account]) await server.ask("POST", collectionOf(object), object);
  for (const object of gatePolicies)
    await server.ask("POST", `/apis/${object.apiVersion}/${PLURAL[object.kind] ?? ""}`, object);
  for (const { code, bad } of fixtures.filter((fixture) => fixture.code.startsWith("SSF-GATE-")))
    await server.askUntil(
      ({ message }) => message.includes(code),
      "POST",
      `${collectionOf(bad)}?dryRun=All`,
      bad,
      as.stack,
    );
  return server;
};

/** Fixtures of which engines say different things, each as one line of a table. */
const differences = (pack: Refusals, gator: Refusals, cluster: Refusals): string[] =>
  [...objects.keys()].flatMap((name) => {
    const [ours, theirs, live] = [pack, gator, cluster].map((one) => one.get(name) ?? []) as [
      string[],
      string[],
      string[],
    ];
    return ours.join() === theirs.join() && isOneOf(live, ours)
      ? []
      : [`${name} | pack: ${ours.join() || "-"} | gator: ${theirs.join() || "-"} | cluster: ${live.join() || "-"}`];
  });

describeWith(
  "pulumi",
  "gator",
  "etcd",
  "kube-apiserver",
)("pack, gator and cluster", () => {
  let server: ApiServer;
  let verdicts: [Refusals, Refusals, Refusals];
  beforeAll(async () => {
    server = await startCluster();
    verdicts = [await byPack(objects), await byGator(objects), await byApiServer(server, objects)];
  });
  afterAll(() => server.stop());

  test("say the same of every fixture", () => {
    expect(differences(...verdicts)).toEqual([]);
  });

  test.each(
    fixtures.map(({ code, attempt, also = [] }): [string, string[]] => [`${code} ${attempt}`, [...also, code]]),
  )("refuse %s, and let its good twin through", (name, codes) => {
    expect(verdicts[0].get(name)).toEqual(codes);
    expect(verdicts[0].get(`good twin of ${name}`)).toEqual([]);
  });

  test("a difference is a line of a table", () => {
    const [name = ""] = [...objects.keys()];
    const [pack, gator, cluster] = verdicts;
    expect(differences(pack, new Map([...gator, [name, []]]), cluster)).toEqual([
      `${name} | pack: SSF-ADMISSION-001 | gator: - | cluster: SSF-ADMISSION-001`,
    ]);
    expect(differences(pack, gator, new Map([...cluster, [name, []]]))).toHaveLength(1);
    expect(differences(new Map([...pack, [name, []]]), gator, cluster)).toHaveLength(1);
  });
});

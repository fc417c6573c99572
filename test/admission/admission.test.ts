import { enforcedObjects } from "../../components/lib/admission-policy";
import {
  clusterRules,
  factoryRules,
  ruleDigest,
  type RuleObject,
  SYSTEM_NAMESPACE,
  teamRuns,
} from "../../policies/admission";
import { absentCases, NOTHING_ABSENT } from "./cases/absent";
import { accessCases, connectCases } from "./cases/access";
import type { Case, Request } from "./cases/case";
import { definitionCases } from "./cases/definitions";
import { factoryCases } from "./cases/factory";
import { entry, identityCases } from "./cases/identities";
import { metadataCases } from "./cases/metadata";
import { pod, podCases } from "./cases/pods";
import { goodChild, goodRun, runCases } from "./cases/runs";
import { type Answer, type ApiServer, describeWithApiServer } from "./support/api-server";
import { as, factorySpace, otherSpace, pipeline, startWorld, teamSpace } from "./support/world";

jest.setTimeout(180_000);

const cases: Case[] = [
  ...podCases("running"),
  ...runCases("run", "child"),
  ...metadataCases("run", "running"),
  ...accessCases("running"),
  ...definitionCases("question"),
  ...factoryCases("component"),
  ...identityCases("signer", "component"),
];

const absent = absentCases("unmarked", "running");

const networked = {
  apiVersion: "node.k8s.io/v1",
  kind: "RuntimeClass",
  metadata: { name: "networked" },
  handler: "runc",
};

const closed = {
  apiVersion: "networking.k8s.io/v1",
  kind: "NetworkPolicy",
  metadata: { name: "leaving", namespace: teamSpace },
  spec: { podSelector: {}, policyTypes: ["Egress"] },
};

const policiesPath = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";

interface Policies {
  items: {
    metadata: { name: string; generation: number };
    status?: { observedGeneration?: number; typeChecking?: { expressionWarnings?: unknown[] } };
  }[];
}

const isChecked = ({ body }: Answer): boolean =>
  (body as Policies).items.every(({ metadata, status }) => status?.observedGeneration === metadata.generation);

describeWithApiServer("admission", () => {
  let server: ApiServer;
  const ask = ({ method, path, body, as: who }: Request) => server.ask(method, path, body, who);
  const store = async (path: string, body: object, who: Request["as"]) => {
    const answer = await ask({ method: "POST", path, body, ...(who === undefined ? {} : { as: who }) });
    expect(answer).toMatchObject({ status: 201 });
  };

  beforeAll(async () => {
    server = await startWorld();
    const [tekton, core] = ["/apis/tekton.dev/v1", "/api/v1"].map((root) => `${root}/namespaces/${teamSpace}`);
    await store(`${core ?? ""}/pods`, pod({}, { name: "running" }), as.tekton);
    await store(
      `/api/v1/namespaces/${otherSpace}/pods`,
      pod({}, { name: "plain", namespace: otherSpace }),
      as.operator,
    );
    for (const namespace of [factorySpace, SYSTEM_NAMESPACE])
      await store(`/api/v1/namespaces/${namespace}/pods`, pod({}, { name: "component", namespace }), as.operator);
    await store(
      `/api/v1/namespaces/${factorySpace}/pods`,
      pod({ serviceAccountName: "signer" }, { name: "signer", namespace: factorySpace }),
      as.operator,
    );
    await store("/apis/spire.spiffe.io/v1alpha1/clusterstaticentries", entry("nodes"), as.stack);
    for (const name of ["run", "unmarked"]) {
      const named = { ...goodRun, metadata: { ...goodRun.metadata, generateName: undefined, name } };
      await store(`${tekton ?? ""}/pipelineruns`, named, as.member);
    }
    await store(`${tekton ?? ""}/taskruns`, goodChild, as.tekton);
    const question = {
      apiVersion: "resolution.tekton.dev/v1beta1",
      kind: "ResolutionRequest",
      metadata: { name: "question", namespace: teamSpace, labels: { "resolution.tekton.dev/type": "cluster" } },
      spec: { params: [] },
    };
    await store(`/apis/resolution.tekton.dev/v1beta1/namespaces/${teamSpace}/resolutionrequests`, question, as.tekton);
    const signed = { metadata: { annotations: { "chains.tekton.dev/signed": "true" } } };
    const marked = await server.ask("PATCH", `${tekton ?? ""}/pipelineruns/run`, signed, as.chains);
    expect(marked).toMatchObject({ status: 200 });
  });
  afterAll(() => server.stop());

  test.each(cases.map((one) => [one.attempt, one] as const))("refuses %s", async (_, { code, bad, good }) => {
    const [refused, admitted] = [await ask(bad), await ask(good)];
    expect(refused.message).toMatch(new RegExp(`SSF-(ADMISSION-)?${code} \\S.*; rule: \\S.* fix: \\S`));
    expect(refused.status).toBe(403);
    expect(admitted.status < 300 ? "admitted" : admitted.message).toBe("admitted");
  });

  test.each(connectCases.map((one) => [one.attempt, one] as const))("refuses %s", async (_, { code, bad, good }) => {
    const [refused, elsewhere] = [await ask(bad), await ask(good)];
    expect(refused).toMatchObject({ status: 403 });
    expect(refused.message).toMatch(new RegExp(`SSF-(ADMISSION-)?${code} `));
    expect(elsewhere).toMatchObject({ status: 404, message: 'pods "absent" not found' });
  });

  const settings = {
    runtimeClasses: { jailed: "jailed", networked: "networked" },
    unjailedServiceAccounts: [],
    images: { components: [], stages: [], identityUsers: [] },
    stack: { users: [], groups: [] },
  };

  test("the API server gives every rule back with the digest that it was written with", async () => {
    const written = [...factoryRules(settings), ...clusterRules([])]
      .flatMap(enforcedObjects)
      .map((object) => ({ ...object, metadata: { name: `again-${object.metadata.name}` } }));
    const given = written.map(async (object) => {
      const path = `/apis/${object.apiVersion}/${object.kind.toLowerCase().replace(/y$/, "ie")}s`;
      const { body } = await server.ask("POST", `${path}?dryRun=All`, object);
      return ruleDigest(body as RuleObject);
    });
    expect(await Promise.all(given)).toEqual(written.map(ruleDigest));
  });

  test.each(absent.map((one) => [one.code, one.field, one] as const))(
    "%s is decided on purpose where there is no %s",
    async (_code, _field, { request, refusedBy }) => {
      const { status, message } = await ask(request);
      const refusal = new RegExp(`SSF-(ADMISSION-)?${refusedBy ?? ""} \\S.*; rule: \\S.* fix: \\S`);
      if (refusedBy === undefined) expect(status < 300 ? "admitted" : message).toBe("admitted");
      else expect([status, message]).toEqual([403, expect.stringMatching(refusal)]);
    },
  );

  const codesOfRules = (): string[] => {
    const teamRule = teamRuns({ team: "a", namespace: teamSpace }, [pipeline]);
    const codes = [...factoryRules(settings), ...clusterRules([]), teamRule].flatMap(({ validations }) =>
      validations.map(({ code }) => code.replace(/^SSF-(ADMISSION-)?/, "")),
    );
    return [...new Set(codes)];
  };

  test("every condition of every rule is tried", () => {
    const tried = new Set([...cases, ...connectCases].flatMap(({ code }) => code.match(/(TRIGGER-)?\d+/g) ?? []));
    expect(codesOfRules().filter((code) => !tried.has(code))).toEqual([]);
  });

  test("every condition is asked about an object that lacks what it reads, or reads nothing that may be absent", () => {
    const asked = new Set(absent.map(({ code }) => code));
    const unasked = codesOfRules().filter((code) => !asked.has(code));
    expect(unasked.sort()).toEqual(Object.keys(NOTHING_ABSENT).sort());
  });

  test("Kubernetes finds no fault in the types of any expression; in those of a wrong one it does", async () => {
    const wrong = {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingAdmissionPolicy",
      metadata: { name: "wrong" },
      spec: {
        matchConstraints: {
          resourceRules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["pods"] }],
        },
        validations: [{ expression: "object.spec.jail == 'on'" }],
      },
    };
    await store(policiesPath, wrong, undefined);
    const { body } = await server.askUntil(isChecked, "GET", policiesPath);
    const faulty = (body as Policies).items
      .filter(({ status }) => (status?.typeChecking?.expressionWarnings ?? []).length > 0)
      .map(({ metadata }) => metadata.name);
    expect(faulty).toEqual(["wrong"]);
  });

  test.each([
    ["a definition", `/apis/tekton.dev/v1/namespaces/${teamSpace}/tasks`, pipeline.tasks[0]],
    ["a network policy", `/apis/networking.k8s.io/v1/namespaces/${teamSpace}/networkpolicies`, closed],
    ["a runtime class of the factory", "/apis/node.k8s.io/v1/runtimeclasses", networked],
  ])("%s that the stack removes is gone after the collector's last word, and not before", async (_, path, object) => {
    const held = { metadata: { finalizers: ["example.test/held"] } };
    const freed = { metadata: { finalizers: null } };
    const name = object === networked ? "networked" : "leaving";
    if (object !== networked) await store(path, { ...object, metadata: { ...object?.metadata, name } }, as.stack);
    const one = `${path}/${name}`;
    expect(await server.ask("PATCH", one, held, as.stack)).toMatchObject({ status: 200 });
    expect(await server.ask("PATCH", one, freed, as.garbageCollector)).toMatchObject({ status: 403 });
    expect(await server.ask("DELETE", one, undefined, as.stack)).toMatchObject({ status: 200 });
    expect(await server.ask("PATCH", one, freed, as.garbageCollector)).toMatchObject({ status: 200 });
    expect(await server.ask("GET", one)).toMatchObject({ status: 404 });
    if (object === networked) await store(path, object, as.stack);
  });

  describe("a member of the team", () => {
    const asMember = (path: string, body: object) => server.ask("POST", path, body, as.member);
    const review = (group: string, kind: string, spec: object) =>
      asMember("/apis/authorization.k8s.io/v1/" + group, { apiVersion: "authorization.k8s.io/v1", kind, spec });

    test("has these rights in its namespace and no others", async () => {
      const { body } = await review("selfsubjectrulesreviews", "SelfSubjectRulesReview", { namespace: teamSpace });
      const { resourceRules } = (
        body as { status: { resourceRules: { apiGroups: string[]; resources: string[]; verbs: string[] }[] } }
      ).status;
      const rights = resourceRules.map(
        ({ apiGroups, resources, verbs }) =>
          `${apiGroups.join(",")}/${resources.join(",")}: ${[...verbs].sort().join(",")}`,
      );
      expect(rights.sort()).toEqual([
        "/pods,pods/log,events: get,list,watch",
        "authentication.k8s.io/selfsubjectreviews: create",
        "authorization.k8s.io/selfsubjectaccessreviews,selfsubjectrulesreviews: create",
        "tekton.dev/pipelineruns: create,get,list,watch",
        "tekton.dev/taskruns,tasks,pipelines: get,list,watch",
      ]);
    });

    test.each([
      ["a token of Chains", "tekton-chains", "serviceaccounts", "create", "token"],
      ["a token of a stage", teamSpace, "serviceaccounts", "create", "token"],
      ["Secrets", teamSpace, "secrets", "list", ""],
      ["pods", teamSpace, "pods", "create", ""],
    ])("may not have %s", async (_, namespace, resource, verb, subresource) => {
      const resourceAttributes = { namespace, resource, verb, subresource };
      const access = await review("selfsubjectaccessreviews", "SelfSubjectAccessReview", { resourceAttributes });
      expect(access.body).toMatchObject({ status: { allowed: false } });
    });
  });

  test("a rule refuses while nothing but the API server runs, and says where, what, why and how", async () => {
    const { message } = await server.ask(
      "POST",
      `/api/v1/namespaces/${teamSpace}/pods?dryRun=All`,
      pod({ runtimeClassName: "networked" }),
      as.operator,
    );
    expect(message).toBe(
      `pods "sample" is forbidden: ValidatingAdmissionPolicy 'ssf-network-jail' with binding 'ssf-network-jail' denied request: SSF-ADMISSION-001 spec.runtimeClassName: 'networked' for service account 'default'; rule: In a team's namespace every pod is jailed. fix: Set runtimeClassName to 'jailed', or let Tekton run it as the stage that needs a network (ingest-source, ingest-dependencies, publish).`,
    );
  });
});

import { as, otherSpace, pipeline, teamSpace } from "../support/world";
import { type Case, create, inNamespace, patch, remove } from "./case";

const namespaces = "/api/v1/namespaces";
const policies = inNamespace("tekton.dev/v1alpha1", teamSpace, "verificationpolicies");

const space = (name: string, labels: object) => ({ apiVersion: "v1", kind: "Namespace", metadata: { name, labels } });
const teamLabel = "secure-software-factory.dev/team";

/** Definitions, what resolvers answer, and the namespaces of teams; `request` is a question to a resolver. */
export const definitionCases = (request: string): Case[] => {
  const requests = inNamespace("resolution.tekton.dev/v1beta1", teamSpace, "resolutionrequests");
  const question = {
    apiVersion: "resolution.tekton.dev/v1beta1",
    kind: "ResolutionRequest",
    metadata: { name: "another", namespace: teamSpace, labels: { "resolution.tekton.dev/type": "cluster" } },
    spec: { params: [] },
  };
  const stepAction = (namespace: string) => ({
    apiVersion: "tekton.dev/v1beta1",
    kind: "StepAction",
    metadata: { name: "step", namespace },
    spec: { image: "example.test/x", script: "true" },
  });
  const answer = (data: string) => ({ status: { data, source: { uri: "x" }, refSource: { uri: "x" } } });
  const networkPolicies = inNamespace("networking.k8s.io/v1", teamSpace, "networkpolicies");
  const openNetwork = {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { name: "open", namespace: teamSpace },
    spec: { podSelector: {}, policyTypes: ["Egress"], egress: [{}] },
  };
  const relabel = (labels: object) => ({ metadata: { labels } });
  return [
    ...(
      [
        ["tasks", pipeline.tasks[0]],
        ["pipelines", pipeline.pipeline],
      ] as const
    ).flatMap(([resource, object]): Case[] => {
      const path = inNamespace("tekton.dev/v1", teamSpace, resource);
      const copy = { ...object, metadata: { ...object?.metadata, name: "copy" } };
      const own = `${path}/${object?.metadata.name ?? ""}`;
      const change = { metadata: { annotations: { "tekton.dev/signature": "other" } } };
      return [
        {
          attempt: `${resource} that the stack has not made`,
          code: "050",
          bad: create(path, copy, as.operator),
          good: create(path, copy, as.stack),
        },
        {
          attempt: `${resource} that Tekton would store`,
          code: "050",
          bad: { method: "POST", path, body: copy, as: as.tekton },
          good: create(path, copy, as.tekton),
        },
        {
          attempt: `${resource} that are changed`,
          code: "050",
          bad: patch(own, change, as.tekton),
          good: patch(own, change),
        },
        {
          attempt: `${resource} that are removed`,
          code: "050",
          bad: remove(own, as.operator),
          good: remove(own, as.namespaceController),
        },
      ];
    }),
    {
      attempt: "a weaker policy for signatures",
      code: "050",
      bad: patch(`${policies}/definitions`, { spec: { mode: "warn" } }, as.operator),
      good: patch(`${policies}/definitions`, { spec: { mode: "enforce" } }, as.stack),
    },
    {
      attempt: "no policy for signatures",
      code: "050",
      bad: remove(`${policies}/definitions`, as.operator),
      good: remove(`${policies}/definitions`, as.garbageCollector),
    },
    {
      attempt: "a policy that opens the network",
      code: "053",
      bad: create(networkPolicies, openNetwork, as.operator),
      good: create(networkPolicies, openNetwork, as.stack),
    },
    {
      attempt: "no policy that closes the network",
      code: "053",
      bad: remove(`${networkPolicies}/deny-all`, as.operator),
      good: remove(`${networkPolicies}/deny-all`, as.namespaceController),
    },
    {
      attempt: "a step action, even of the stack",
      code: "051",
      bad: create(inNamespace("tekton.dev/v1beta1", teamSpace, "stepactions"), stepAction(teamSpace), as.stack),
      good: create(inNamespace("tekton.dev/v1beta1", otherSpace, "stepactions"), stepAction(otherSpace), as.stack),
    },
    {
      attempt: "a question to a resolver",
      code: "052",
      bad: create(requests, question, as.stack),
      good: create(requests, question, as.tekton),
    },
    {
      attempt: "an answer to Tekton's question",
      code: "052",
      bad: patch(`${requests}/${request}/status`, answer("ZXZpbA=="), as.operator),
      good: patch(`${requests}/${request}/status`, answer("Z29vZA=="), as.resolvers),
    },
    {
      attempt: "a team's namespace without its label",
      code: "060",
      bad: patch(`${namespaces}/${teamSpace}`, relabel({ [teamLabel]: null }), as.operator),
      good: patch(`${namespaces}/${teamSpace}`, { metadata: { annotations: { colour: "green" } } }, as.operator),
    },
    ...["status", "finalize"].map((subresource): Case => ({
      attempt: `the same by namespaces/${subresource}`,
      code: "060",
      bad: {
        method: "PUT",
        path: `${namespaces}/${teamSpace}/${subresource}?dryRun=All`,
        body: space(teamSpace, {}),
        as: as.operator,
      },
      good: {
        method: "PUT",
        path: `${namespaces}/${otherSpace}/${subresource}?dryRun=All`,
        body: space(otherSpace, {}),
        as: as.operator,
      },
    })),
    {
      attempt: "weaker Pod Security in a team's namespace",
      code: "060",
      bad: patch(
        `${namespaces}/${teamSpace}`,
        relabel({ "pod-security.kubernetes.io/enforce": "privileged" }),
        as.operator,
      ),
      good: patch(
        `${namespaces}/${otherSpace}`,
        relabel({ "pod-security.kubernetes.io/enforce": "privileged" }),
        as.operator,
      ),
    },
    {
      attempt: "a namespace that says it is a team's",
      code: "060",
      bad: create(namespaces, space("team-b", { [teamLabel]: "b" }), as.operator),
      good: create(namespaces, space("team-b", { [teamLabel]: "b" }), as.stack),
    },
    {
      attempt: "the removal of a team's namespace",
      code: "060",
      bad: remove(`${namespaces}/${teamSpace}`, as.operator),
      good: remove(`${namespaces}/${teamSpace}`, as.stack),
    },
  ];
};

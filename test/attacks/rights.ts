import type { Attempt } from "../../tools/cli/attacks";
import { byRights, idle, jailedPod, type FactoryAttack } from "./support";

export const rights: FactoryAttack = {
  name: "rights",
  covers: "Tokens, Secrets, accounts, fences and other teams: everything that a member's role does not hold.",
  tries: "to get tokens of stages and of Chains, read Secrets, take down the fences, and look into other namespaces",
  refusal: byRights,
  control: "The member does what the role is for: starts runs, and reads runs, pods and definitions.",
  prepare: (session) => {
    const { member, team, goodRun, factory } = session;
    const inTeam = `--namespace=${team.namespace}`;
    const asks = (name: string, args: readonly string[], input?: unknown): Attempt => ({
      name,
      run: () => member.ask(args, input),
    });
    const token = (namespace: string, account: string) =>
      asks(`token of ${account}`, ["create", "token", account, `--namespace=${namespace}`, "--audience=sigstore"]);
    const removed = (what: string, type: string, name: string, where: readonly string[]) =>
      asks(what, ["delete", type, name, ...where, "--dry-run=server"]);
    const accounts = (Object.values(team.pipelines)[0]?.stages ?? []).map(({ serviceAccount }) => serviceAccount);
    const publisher = jailedPod(session, `attack-${session.id}`, team.namespace, idle);
    const binding = {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "RoleBinding",
      metadata: { name: `attack-${session.id}`, namespace: team.namespace },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "admin" },
      subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: "attacker" }],
    };
    const foreign = [factory.registry.namespace, "kube-system", "tekton-chains", "tekton-pipelines", "default"];
    return Promise.resolve({
      attempts: [
        ...[...accounts, "default"].map((account) => token(team.namespace, account)),
        token("tekton-chains", "tekton-chains-controller"),
        token("tekton-pipelines", "tekton-pipelines-controller"),
        asks("list Secrets", ["get", "secrets", inTeam]),
        asks("read the team's login", ["get", "secret", "registry-reader", inTeam]),
        asks("read the key of Chains", ["get", "secret", "signing-secrets", "--namespace=tekton-chains"]),
        {
          name: "pod with account publish",
          run: () => member.wouldCreate({ ...publisher, spec: { ...publisher.spec, serviceAccountName: "publish" } }),
        },
        { name: "a role of one's own", run: () => member.wouldCreate(binding) },
        removed("remove the network policy", "networkpolicy", "deny-all", [inTeam]),
        removed("remove the quota", "resourcequota", "team", [inTeam]),
        removed("remove the jail's rule", "validatingadmissionpolicybinding", "ssf-network-jail", []),
        removed("remove the runtime class", "runtimeclass", "jailed", []),
        removed("remove the verification policy", "verificationpolicies.v1alpha1.tekton.dev", "definitions", [inTeam]),
        asks("take the team's label off the namespace", [
          "label",
          "namespace",
          team.namespace,
          "secure-software-factory.dev/team-",
          "--dry-run=server",
        ]),
        asks("lower Pod Security", [
          "label",
          "namespace",
          team.namespace,
          "pod-security.kubernetes.io/enforce=privileged",
          "--overwrite",
          "--dry-run=server",
        ]),
        asks("Tekton's settings", [
          "patch",
          "configmap",
          "feature-flags",
          "--namespace=tekton-pipelines",
          "--dry-run=server",
          `--patch=${JSON.stringify({ data: { "trusted-resources-verification-no-match-policy": "ignore" } })}`,
        ]),
        removed("delete a run, and what it shows with it", "pipelineruns.v1.tekton.dev", "any", [inTeam]),
        asks("list nodes", ["get", "nodes"]),
        asks("pods of a node by its kubelet", ["get", "--raw=/api/v1/nodes/any/proxy/pods"]),
        ...foreign.flatMap((namespace) => [
          asks(`pods of ${namespace}`, ["get", "pods", `--namespace=${namespace}`]),
          {
            name: `run in ${namespace}`,
            run: () => member.wouldCreate({ ...goodRun, metadata: { ...goodRun.metadata, namespace } }),
          },
        ]),
      ],
      controls: [
        { name: "start a run", run: () => member.wouldCreate(goodRun) },
        asks("list runs", ["get", "pipelineruns.v1.tekton.dev", inTeam]),
        asks("list pods", ["get", "pods", inTeam]),
        asks("list definitions", ["get", "tasks.v1.tekton.dev", inTeam]),
      ],
    });
  },
};

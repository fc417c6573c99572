import { variants, type Path } from "../../tools/cli/attack-session";
import type { Expectation } from "../../tools/cli/attacks";
import { atAdmission, byRights, idle, jailedPod, type FactoryAttack } from "./support";

const container: Path = ["spec", "containers", 0];
const security: Path = [...container, "securityContext"];

/** The API server itself may know that this cluster has no such pods, before any rule is asked. */
const byFormOrRule: Expectation = {
  by: [...atAdmission.by, "API server"],
  message: new RegExp(`${atAdmission.message.source}|securityContext\\.(privileged|procMount)`),
};

export const pods: FactoryAttack = {
  name: "pods",
  covers: "Pods in the team's namespace that were not made for a stage, or not as a stage's pods are.",
  tries: "to make pods directly: as a member, and as an administrator who bends one",
  refusal: atAdmission,
  control: "A jailed, restricted pod is accepted from an administrator.",
  prepare: (session) => {
    const { admin, member, team } = session;
    const good = jailedPod(session, `attack-${session.id}`, team.namespace, idle);
    return Promise.resolve({
      attempts: [
        { name: "jailed pod, as a member", expected: byRights, run: () => member.wouldCreate(good) },
        ...variants(admin, good, [
          ["runtime class networked", [["spec", "runtimeClassName"], "networked"]],
          ["no runtime class", [["spec", "runtimeClassName"], undefined]],
          [
            "account publish, unjailed",
            [["spec", "serviceAccountName"], "publish"],
            [["spec", "runtimeClassName"], "networked"],
          ],
          [
            "account ingest-dependencies, unjailed",
            [["spec", "serviceAccountName"], "ingest-dependencies"],
            [["spec", "runtimeClassName"], undefined],
          ],
          ["host network", [["spec", "hostNetwork"], true]],
          ["host PIDs", [["spec", "hostPID"], true]],
          ["host IPC", [["spec", "hostIPC"], true]],
          ["host port", [[...container, "ports"], [{ containerPort: 80, hostPort: 80 }]]],
          ["privilege escalation", [[...security, "allowPrivilegeEscalation"], true]],
          ["root", [[...security, "runAsUser"], 0]],
          ["added capability", [[...security, "capabilities"], { drop: ["ALL"], add: ["NET_RAW"] }]],
          ["kept capabilities", [[...security, "capabilities"], {}]],
          ["no seccomp", [[...security, "seccompProfile"], { type: "Unconfined" }]],
          ["root in a user namespace", [["spec", "hostUsers"], false], [[...security, "runAsUser"], 0]],
          ["hostPath", [["spec", "volumes"], [{ name: "host", hostPath: { path: "/" } }]]],
          ["host aliases", [["spec", "hostAliases"], [{ ip: "203.0.113.1", hostnames: ["registry.example.com"] }]]],
          ["name servers", [["spec", "dnsPolicy"], "None"], [["spec", "dnsConfig"], { nameservers: ["203.0.113.53"] }]],
          ["scheduler", [["spec", "schedulerName"], "attacker"]],
          ["node", [["spec", "nodeName"], "elsewhere"]],
          ["API token", [["spec", "automountServiceAccountToken"], true]],
          [
            "token as a volume",
            [
              ["spec", "volumes"],
              [
                {
                  name: "token",
                  projected: { sources: [{ serviceAccountToken: { path: "token", audience: "sigstore" } }] },
                },
              ],
            ],
          ],
          ["image by tag", [[...container, "image"], "ssf.local/shell:latest"]],
          ["switch of the hermetic mode", [[...container, "env"], [{ name: "TEKTON_HERMETIC", value: "0" }]]],
          ["name of a resource", [[...container, "env"], [{ name: "TEKTON_RESOURCE_NAME", value: "x" }]]],
          ["label of a stage", [["metadata", "labels"], { "tekton.dev/pipelineTask": "publish" }]],
          ["kernel settings", [["spec", "securityContext", "sysctls"], [{ name: "kernel.msgmax", value: "65536" }]]],
        ]),
        ...variants(admin, good, [
          ["privileged", [[...security, "privileged"], true], [[...security, "allowPrivilegeEscalation"], true]],
          ["unmasked /proc", [[...security, "procMount"], "Unmasked"]],
        ]).map((attempt) => ({ ...attempt, expected: byFormOrRule })),
      ],
      controls: [{ name: "jailed pod, as an administrator", run: () => admin.wouldCreate(good) }],
    });
  },
};

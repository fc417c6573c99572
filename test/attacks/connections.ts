import type { Actor, Session } from "../../tools/cli/attack-session";
import type { Attempt } from "../../tools/cli/attacks";
import { atAdmission, byRights, idle, jailedPod, phase, type FactoryAttack, type Pod } from "./support";

/** What the API server says when it has let a request for a connection pass that was made without one. */
const passed = /upgrade|error trying to reach service|ServiceUnavailable|BadRequest/i;

/** Every way into a running pod. */
const ways = (session: Session, who: Actor, title: string, { metadata }: Pod): Attempt[] => {
  const { name, namespace = "" } = metadata;
  const path = `/api/v1/namespaces/${namespace}/pods/${name}`;
  const on = (what: string, run: Attempt["run"]): Attempt => ({ name: `${title}: ${what}`, run });
  const get = (rest: string) => () => who.ask(["get", `--raw=${path}/${rest}`], undefined, passed);
  const post = (rest: string) => () => who.ask(["create", `--raw=${path}/${rest}`, "--filename=-"], {}, passed);
  return [
    on("exec", () => who.ask(["exec", name, `--namespace=${namespace}`, "--", "true"])),
    on("exec by GET", get("exec?command=true&stdout=true")),
    on("exec by POST", post("exec?command=true&stdout=true")),
    on("attach by GET", get("attach?stdout=true")),
    on("attach by POST", post("attach?stdout=true")),
    on("port-forward by GET", get("portforward?ports=80")),
    on("port-forward by POST", post("portforward")),
    on("proxy", get("proxy/")),
    on("ephemeral container", async () => {
      const pod = (await session.kubectl.json(["get", "pod", name, `--namespace=${namespace}`])) as Pod;
      const ephemeralContainers = [
        {
          name: "intruder",
          image: session.image("shell"),
          command: ["true"],
          targetContainerName: "main",
          securityContext:
            pod.spec.containers[0] && (pod.spec.containers[0] as { securityContext?: object }).securityContext,
        },
      ];
      const changed = { ...pod, spec: { ...pod.spec, ephemeralContainers } };
      return who.ask(["replace", `--raw=${path}/ephemeralcontainers?dryRun=All`, "--filename=-"], changed);
    }),
    on("resize", () => {
      const patch = { spec: { containers: [{ name: "main", resources: { limits: { cpu: "600m" } } }] } };
      const args = ["patch", "pod", name, `--namespace=${namespace}`, "--subresource=resize", "--dry-run=server"];
      return who.ask([...args, `--patch=${JSON.stringify(patch)}`]);
    }),
    on("image of a container", () => {
      const patch = { spec: { containers: [{ name: "main", image: session.image("stage-git") }] } };
      const args = ["patch", "pod", name, `--namespace=${namespace}`, "--dry-run=server"];
      return who.ask([...args, `--patch=${JSON.stringify(patch)}`]);
    }),
  ];
};

export const connections: FactoryAttack = {
  name: "connections",
  covers: "Ways into a running pod: exec, attach, port-forward, proxy, ephemeral containers, changes in place.",
  tries: "to get into a running pod of the team as a member and as an administrator",
  refusal: { by: [...byRights.by, ...atAdmission.by], message: /cannot|SSF-ADMISSION-\d+/ },
  control: "The same is possible in a pod of a namespace that is no team's, and a member reads the team's logs.",
  prepare: async (session) => {
    const { member, admin, team } = session;
    const name = `attack-${session.id}`;
    const target = jailedPod(session, name, team.namespace, { command: ["sh", "-c", "echo here; exec sleep 600"] });
    const elsewhere = jailedPod(session, name, await session.workbench(), idle);
    for (const pod of [target, elsewhere]) await session.create(pod);
    for (const pod of [target, elsewhere]) await phase(session, pod, ["Running"]);
    return {
      attempts: [...ways(session, member, "member", target), ...ways(session, admin, "administrator", target)],
      controls: [
        ...ways(session, admin, "elsewhere", elsewhere),
        { name: "log, as a member", run: () => member.ask(["logs", name, `--namespace=${team.namespace}`]) },
      ],
    };
  },
};

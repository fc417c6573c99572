import { variants } from "../../tools/cli/attack-session";
import { atAdmission, byRights, taskRun, type FactoryAttack } from "./support";

const reference = ["spec", "pipelineRef"] as const;

const resolver = (name: string, params: Readonly<Record<string, string>>) => ({
  resolver: name,
  params: Object.entries(params).map(([param, value]) => ({ name: param, value })),
});

export const references: FactoryAttack = {
  name: "references",
  covers: "Runs that take their pipeline by plain name, by another resolver, or from another namespace.",
  tries: "to start runs of definitions that the team's policy does not cover",
  refusal: atAdmission,
  control: "The same run by the cluster resolver and from its own namespace is accepted.",
  prepare: (session) => {
    const { member, admin, goodRun, team } = session;
    const cluster = (kind: string, name: string, namespace: string) => resolver("cluster", { kind, name, namespace });
    const [pipeline] = Object.values(team.pipelines);
    const name = pipeline?.name ?? "";
    const task = taskRun(`attack-${session.id}`, team.namespace, {
      name: pipeline?.stages[0]?.task ?? "",
      namespace: team.namespace,
    });
    return Promise.resolve({
      attempts: [
        ...variants(member, goodRun, [
          ["plain name", [reference, { name }]],
          [
            "git resolver",
            [
              reference,
              resolver("git", { url: "https://git.example.com/x.git", revision: "main", pathInRepo: "p.yaml" }),
            ],
          ],
          ["http resolver", [reference, resolver("http", { url: "https://example.com/pipeline.yaml" })]],
          ["hub resolver", [reference, resolver("hub", { kind: "pipeline", name, version: "0.1" })]],
          [
            "bundles resolver",
            [reference, resolver("bundles", { bundle: "registry.example.com/x", name, kind: "pipeline" })],
          ],
          ["resolver of the attacker's own", [reference, resolver("attack", { name })]],
          ["pipeline of another namespace", [reference, cluster("pipeline", name, "default")]],
          ["task in place of the pipeline", [reference, cluster("task", name, team.namespace)]],
          ["name beside the resolver", [reference, { ...cluster("pipeline", name, team.namespace), name }]],
          [
            "namespace named twice",
            [
              reference,
              {
                ...cluster("pipeline", name, team.namespace),
                params: [...cluster("pipeline", name, team.namespace).params, { name: "namespace", value: "default" }],
              },
            ],
          ],
        ]),
        { name: "TaskRun, as a member", expected: byRights, run: () => member.wouldCreate(task) },
        ...variants(admin, task, [
          ["TaskRun by plain name, as an administrator", [["spec", "taskRef"], { name: pipeline?.stages[0]?.task }]],
          ["TaskRun of a signed task, as an administrator"],
        ]),
        {
          name: "ResolutionRequest, as a member",
          expected: byRights,
          run: () =>
            member.wouldCreate({
              apiVersion: "resolution.tekton.dev/v1beta1",
              kind: "ResolutionRequest",
              metadata: {
                name: `attack-${session.id}`,
                namespace: team.namespace,
                labels: { "resolution.tekton.dev/type": "cluster" },
              },
              spec: { params: [] },
            }),
        },
      ],
      controls: [{ name: "run by the cluster resolver", run: () => member.wouldCreate(goodRun) }],
    });
  },
};

import { variants, type Path } from "../../tools/cli/attack-session";
import { atAdmission, type FactoryAttack } from "./support";

/** What a podTemplate could change about the pod of a stage. */
const templateFields: readonly (readonly [string, Path, unknown])[] = [
  ["host network", ["hostNetwork"], true],
  ["host users", ["hostUsers"], true],
  ["another runtime class", ["runtimeClassName"], "networked"],
  ["hostPath volume", ["volumes"], [{ name: "host", hostPath: { path: "/" } }]],
  ["Secret as a volume", ["volumes"], [{ name: "secret", secret: { secretName: "registry-reader" } }]],
  ["another run's claim as a volume", ["volumes"], [{ name: "claim", persistentVolumeClaim: { claimName: "other" } }]],
  [
    "token as a volume",
    ["volumes"],
    [{ name: "token", projected: { sources: [{ serviceAccountToken: { path: "token", audience: "sigstore" } }] } }],
  ],
  ["switch of the hermetic mode", ["env"], [{ name: "TEKTON_HERMETIC", value: "0" }]],
  ["name of a resource", ["env"], [{ name: "TEKTON_RESOURCE_NAME", value: "x" }]],
  ["preloaded library", ["env"], [{ name: "LD_PRELOAD", value: "/tmp/x.so" }]],
  ["name servers", ["dnsConfig"], { nameservers: ["203.0.113.53"] }],
  ["DNS policy", ["dnsPolicy"], "ClusterFirst"],
  ["host aliases", ["hostAliases"], [{ ip: "203.0.113.1", hostnames: ["registry.example.com"] }]],
  ["scheduler", ["schedulerName"], "attacker"],
  ["priority", ["priorityClassName"], "system-node-critical"],
  ["node", ["nodeSelector"], { "kubernetes.io/hostname": "elsewhere" }],
  ["tolerations", ["tolerations"], [{ operator: "Exists" }]],
  ["affinity", ["affinity"], { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [] } }],
  [
    "topology",
    ["topologySpreadConstraints"],
    [{ maxSkew: 1, topologyKey: "kubernetes.io/hostname", whenUnsatisfiable: "DoNotSchedule" }],
  ],
  ["API token", ["automountServiceAccountToken"], true],
  ["pull secrets", ["imagePullSecrets"], [{ name: "registry-reader" }]],
  ["root", ["securityContext", "runAsUser"], 0],
  ["root allowed", ["securityContext", "runAsNonRoot"], false],
  ["no seccomp", ["securityContext", "seccompProfile"], { type: "Unconfined" }],
  ["kernel settings", ["securityContext", "sysctls"], [{ name: "net.ipv4.ping_group_range", value: "0 65535" }]],
  ["more groups", ["securityContext", "supplementalGroups"], [0]],
  ["service links", ["enableServiceLinks"], true],
];

export const podTemplates: FactoryAttack = {
  name: "pod-templates",
  covers: "What a run may say about the pods of its stages: podTemplate, taskRunSpecs, accounts.",
  tries: "to bend the pods of a run, for the whole run and for stage build alone",
  refusal: atAdmission,
  control: "The run as its template has it is accepted.",
  prepare: ({ member, goodRun }) => {
    const build = goodRun.spec.taskRunSpecs.findIndex(({ pipelineTaskName }) => pipelineTaskName === "build");
    const stage = ["spec", "taskRunSpecs", build];
    const places: readonly (readonly [string, Path])[] = [
      ["run", ["spec", "taskRunTemplate", "podTemplate"]],
      ["stage", [...stage, "podTemplate"]],
    ];
    const bent = places.flatMap(([place, top]) =>
      templateFields.map(([name, path, value]) => [`${name}, ${place}`, [[...top, ...path], value] as const] as const),
    );
    const account = (name: string) => [[...stage, "serviceAccountName"], name] as const;
    return Promise.resolve({
      attempts: variants(member, goodRun, [
        ...bent,
        ["account publish for stage build", account("publish")],
        ["account default for stage build", account("default")],
        [
          "account of Chains for the run",
          [["spec", "taskRunTemplate", "serviceAccountName"], "tekton-chains-controller"],
        ],
        [
          "no settings for stage build",
          [["spec", "taskRunSpecs"], goodRun.spec.taskRunSpecs.filter((_, index) => index !== build)],
        ],
        [
          "settings for stage build twice",
          [
            ["spec", "taskRunSpecs", goodRun.spec.taskRunSpecs.length],
            { ...goodRun.spec.taskRunSpecs[build], podTemplate: { runtimeClassName: "networked" } },
          ],
        ],
        [
          "settings for a stage that is not there",
          [
            ["spec", "taskRunSpecs", goodRun.spec.taskRunSpecs.length],
            { pipelineTaskName: "other", serviceAccountName: "publish" },
          ],
        ],
        [
          "environment of a step",
          [[...stage, "stepSpecs"], [{ name: "build", computeResources: { limits: { cpu: "8" } } }]],
        ],
        ["resources of a stage", [[...stage, "computeResources"], { limits: { cpu: "8" } }]],
        [
          "annotation for a stage",
          [[...stage, "metadata"], { annotations: { "experimental.tekton.dev/execution-mode": "" } }],
        ],
        ["another time-out", [["spec", "timeouts", "pipeline"], "0"]],
        ["managed by somebody else", [["spec", "managedBy"], "attacker.example.com/controller"]],
      ]),
      controls: [{ name: "run as its template has it", run: () => member.wouldCreate(goodRun) }],
    });
  },
};

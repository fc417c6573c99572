import type { TektonObject } from "../../pipelines";

/** Definitions that hold every trap of the canonical form, each with the bytes that Tekton computes its checksum over. */
export const canonicalCases: { name: string; definition: TektonObject; bytes: string }[] = [
  {
    name: "a Task with nothing but a step",
    definition: {
      apiVersion: "tekton.dev/v1",
      kind: "Task",
      metadata: { name: "least", namespace: "team-a" },
      spec: { steps: [{ name: "one", image: "i", script: "true" }] },
    },
    bytes:
      '{"kind":"Task","apiVersion":"tekton.dev/v1","metadata":{"name":"least","namespace":"team-a"},' +
      '"spec":{"steps":[{"name":"one","image":"i","computeResources":{},"script":"true"}]}}',
  },
  {
    name: "a Task with every escape of a string",
    definition: {
      apiVersion: "tekton.dev/v1",
      kind: "Task",
      metadata: { name: "escapes", namespace: "team-a" },
      spec: {
        description: '<a href="x">&amp;</a> \u2028\u2029 \b\f\n\r\t\u0000\u001f\u007f \\ / ü 😀',
        steps: [{ name: "one", image: "i", script: "a <b >c && d" }],
      },
    },
    bytes:
      '{"kind":"Task","apiVersion":"tekton.dev/v1","metadata":{"name":"escapes","namespace":"team-a"},"spec":{' +
      '"description":"\\u003ca href=\\"x\\"\\u003e\\u0026amp;\\u003c/a\\u003e \\u2028\\u2029 ' +
      '\\b\\f\\n\\r\\t\\u0000\\u001f\u007f \\\\ / ü 😀",' +
      '"steps":[{"name":"one","image":"i","computeResources":{},"script":"a \\u003cb \\u003ec \\u0026\\u0026 d"}]}}',
  },
  {
    name: "a Task whose fields stand in another order, some of them empty",
    definition: {
      spec: {
        results: [
          { description: "r", name: "one" },
          { name: "two", type: "" },
        ],
        workspaces: [{ readOnly: false, mountPath: "/w", name: "w", optional: true }],
        volumes: [
          { secret: { optional: false, defaultMode: 0, items: [{ path: "p", key: "k" }], secretName: "s" }, name: "v" },
          { name: "e", emptyDir: {} },
          { name: "c", configMap: { defaultMode: 288, name: "c", items: [] } },
          { csi: { readOnly: false, driver: "d" }, name: "d" },
        ],
        steps: [
          {
            script: "true",
            securityContext: {
              seccompProfile: { type: "RuntimeDefault" },
              allowPrivilegeEscalation: false,
              privileged: false,
              runAsUser: 0,
              capabilities: { drop: ["ALL"] },
            },
            volumeMounts: [{ mountPath: "/m", readOnly: false, name: "v" }],
            computeResources: { requests: { memory: "1Gi", cpu: "500m" }, limits: {} },
            env: [
              { value: "", name: "EMPTY" },
              { name: "FULL", value: "x" },
            ],
            image: "i",
            name: "one",
            command: [],
          },
        ],
        params: [{ description: "", name: "p", default: "" }],
      },
      metadata: { namespace: "team-a", name: "order", labels: {}, annotations: {} },
      kind: "Task",
      apiVersion: "tekton.dev/v1",
    },
    bytes:
      '{"kind":"Task","apiVersion":"tekton.dev/v1","metadata":{"name":"order","namespace":"team-a"},"spec":{' +
      '"params":[{"name":"p","type":"string","default":""}],"steps":[{"name":"one","image":"i",' +
      '"env":[{"name":"EMPTY"},{"name":"FULL","value":"x"}],' +
      '"computeResources":{"requests":{"cpu":"500m","memory":"1Gi"}},"volumeMounts":[{"name":"v","mountPath":"/m"}],' +
      '"securityContext":{"capabilities":{"drop":["ALL"]},"privileged":false,"runAsUser":0,' +
      '"allowPrivilegeEscalation":false,"seccompProfile":{"type":"RuntimeDefault"}},"script":"true"}],' +
      '"volumes":[{"name":"v","secret":{"secretName":"s","items":[{"key":"k","path":"p"}],"defaultMode":0,"optional":false}},' +
      '{"name":"e","emptyDir":{}},{"name":"c","configMap":{"name":"c","defaultMode":288}},' +
      '{"name":"d","csi":{"driver":"d","readOnly":false}}],' +
      '"workspaces":[{"name":"w","mountPath":"/w","optional":true}],' +
      '"results":[{"name":"one","type":"string","description":"r"},{"name":"two","type":"string"}]}}',
  },
  {
    name: "a Pipeline with labels, annotations of others, and a result without description",
    definition: {
      apiVersion: "tekton.dev/v1",
      kind: "Pipeline",
      metadata: {
        name: "joined",
        namespace: "team-a",
        labels: { b: "2", a: "1", "a.b/c": "", B: "3" },
        annotations: {
          "tekton.dev/signature": "c2lnbmF0dXJl",
          "kubectl.kubernetes.io/last-applied-configuration": "{}",
          "kubectl-client-side-apply": "x",
          kept: "<yes>",
        },
      },
      spec: {
        params: [{ name: "p" }, { name: "q", default: "d" }],
        results: [{ name: "r", value: "$(tasks.t.results.r)" }],
        workspaces: [{ name: "w", optional: false }],
        tasks: [
          {
            name: "t",
            workspaces: [{ workspace: "w", name: "w" }],
            params: [{ value: "", name: "p" }],
            taskRef: { params: [{ value: "task", name: "kind" }], resolver: "cluster" },
            runAfter: [],
          },
        ],
      },
    },
    bytes:
      '{"kind":"Pipeline","apiVersion":"tekton.dev/v1","metadata":{"name":"joined","namespace":"team-a",' +
      '"labels":{"B":"3","a":"1","a.b/c":"","b":"2"},"annotations":{"kept":"\\u003cyes\\u003e"}},' +
      '"spec":{"tasks":[{"name":"t","taskRef":{"resolver":"cluster","params":[{"name":"kind","value":"task"}]},' +
      '"params":[{"name":"p","value":""}],"workspaces":[{"name":"w","workspace":"w"}]}],' +
      '"params":[{"name":"p","type":"string"},{"name":"q","type":"string","default":"d"}],' +
      '"workspaces":[{"name":"w"}],"results":[{"name":"r","description":"","value":"$(tasks.t.results.r)"}]}}',
  },
];

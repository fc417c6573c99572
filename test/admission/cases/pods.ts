import { as, listedImage as image, otherListedImage as otherImage, strangeImage, teamSpace } from "../support/world";
import { type Case, create, inNamespace, patch, type Request } from "./case";

const pods = inNamespace("v1", teamSpace, "pods");

const container = (more: object = {}) => ({
  name: "main",
  image,
  resources: { requests: { cpu: "10m" } },
  securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
  ...more,
});

/** A pod that every rule admits. */
export const pod = (spec: object = {}, metadata: object = {}) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "sample", namespace: teamSpace, ...metadata },
  spec: {
    serviceAccountName: "default",
    runtimeClassName: "jailed",
    restartPolicy: "Never",
    securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: "RuntimeDefault" } },
    containers: [container()],
    ...spec,
  },
});

const made = (spec: object, by: Request["as"] = as.operator): Request => create(pods, pod(spec), by);
const good = made({});
const volume = (source: object) => ({ volumes: [{ name: "files", ...source }] });

const refusedForm: [attempt: string, code: string, spec: object, twin?: object][] = [
  ["a pod without a runtime class", "001", { runtimeClassName: undefined }],
  ["a pod with a network", "001", { runtimeClassName: "networked" }],
  ["other addresses in /etc/hosts", "004", { hostAliases: [{ ip: "192.0.2.1", hostnames: ["a.test"] }] }],
  [
    "a name server of its own",
    "004",
    { dnsPolicy: "None", dnsConfig: { nameservers: ["192.0.2.1"] } },
    { dnsPolicy: "None", dnsConfig: { nameservers: ["127.0.0.1"] } },
  ],
  ["a name server beside the cluster's", "004", { dnsConfig: { nameservers: ["192.0.2.1"] } }],
  ["a search domain", "004", { dnsConfig: { searches: ["evil.test"] } }],
  ["the node's name servers", "004", { dnsPolicy: "Default" }],
  ["a scheduler of its own", "005", { schedulerName: "mine" }],
  ["a node that it chose", "005", { nodeName: "somewhere" }],
  [
    "the variable that switches a step's isolation off",
    "006",
    { containers: [container({ env: [{ name: "TEKTON_RESOURCE_NAME", value: "x" }] })] },
    { containers: [container({ env: [{ name: "LEVEL", value: "debug" }] })] },
  ],
  [
    "the same in an init container",
    "006",
    { initContainers: [container({ name: "first", env: [{ name: "TEKTON_HERMETIC", value: "0" }] })] },
    { initContainers: [container({ name: "first" })] },
  ],
  [
    "variables from an object",
    "006",
    { containers: [container({ envFrom: [{ configMapRef: { name: "settings", optional: true } }] })] },
  ],
  ["an image by tag", "007", { containers: [container({ image: "registry.test/app:1.0" })] }],
  ["an image that is not of the factory", "007", { containers: [container({ image: strangeImage })] }],
  ["an init container's image by tag", "007", { initContainers: [container({ name: "first", image: "app:1" })] }],
  ["a token of the API server", "008", { automountServiceAccountToken: true }, { automountServiceAccountToken: false }],
  [
    "a token in a projected volume",
    "009",
    volume({ projected: { sources: [{ serviceAccountToken: { path: "token" } }] } }),
    volume({ projected: { sources: [{ configMap: { name: "factory-ca" } }] } }),
  ],
  [
    "a volume of another class",
    "009",
    volume({
      ephemeral: {
        volumeClaimTemplate: {
          spec: {
            storageClassName: "other",
            accessModes: ["ReadWriteOnce"],
            resources: { requests: { storage: "1Gi" } },
          },
        },
      },
    }),
    volume({ emptyDir: {} }),
  ],
  ["a volume of a driver", "009", volume({ csi: { driver: "csi.test" } })],
  ["a volume of an image", "009", volume({ image: { reference: image } })],
  [
    "the workspace of a run",
    "010",
    volume({ persistentVolumeClaim: { claimName: "pvc-0123456789" } }),
    volume({ persistentVolumeClaim: { claimName: "own-files" } }),
  ],
  [
    "sight of the other containers' processes",
    "011",
    { shareProcessNamespace: true },
    { shareProcessNamespace: false },
  ],
];

/** Pods of a team, and what is done to them; `running` is one that Tekton has made. */
export const podCases = (running: string): Case[] => {
  const path = `${pods}/${running}`;
  const stage = { serviceAccountName: "ingest-source", runtimeClassName: "networked" };
  const identity = (csi: object = {}) => volume({ csi: { driver: "csi.spiffe.io", readOnly: true, ...csi } });
  const publish = { ...stage, serviceAccountName: "publish" };
  return [
    ...refusedForm.map(([attempt, code, spec, twin]): Case => ({
      attempt,
      code,
      bad: made(spec),
      good: twin === undefined ? good : made(twin),
    })),
    ...["ingest-source", "ingest-dependencies", "publish"].map((account): Case => ({
      attempt: `a pod of stage ${account} that Tekton has not made`,
      code: "002",
      bad: made({ serviceAccountName: account, runtimeClassName: "networked" }),
      good: made({ serviceAccountName: account, runtimeClassName: "networked" }, as.tekton),
    })),
    {
      attempt: "a jailed pod with the account of a stage that has Secrets",
      code: "002",
      bad: made({ serviceAccountName: "publish" }, as.stack),
      good: made({ serviceAccountName: "build" }, as.stack),
    },
    {
      attempt: "a runtime class that is not the factory's, by a stage with a network",
      code: "003",
      bad: made({ ...stage, runtimeClassName: "foreign" }, as.tekton),
      good: made(stage, as.tekton),
    },
    ...(
      [
        ["the identity of a stage in a jailed pod", identity()],
        ["the identity of a stage in one that downloads", { ...stage, ...identity() }],
        ["an identity's volume that can be written", { ...publish, ...identity({ readOnly: false }) }],
        ["a volume of another driver in the stage that publishes", { ...publish, ...identity({ driver: "csi.test" }) }],
      ] as const
    ).map(([attempt, spec]): Case => ({
      attempt,
      code: "009",
      bad: made(spec, as.tekton),
      good: made({ ...publish, ...identity() }, as.tekton),
    })),
    {
      attempt: "another image in a running stage",
      code: "012",
      bad: patch(path, [{ op: "replace", path: "/spec/containers/0/image", value: otherImage }], as.operator),
      good: patch(path, [{ op: "replace", path: "/spec/containers/0/image", value: otherImage }], as.tekton),
    },
  ];
};

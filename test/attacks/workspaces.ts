import { variants, type Path, type Session } from "../../tools/cli/attack-session";
import type { Answer, Attempt } from "../../tools/cli/attacks";
import { atAdmission, claim, jailedPod, outputOf, type FactoryAttack } from "./support";

/** What a reader does to a workspace that it may only read; each line prints whether it worked. */
const readerScript = `
cd /workspace/source
try() { name=$1; shift; if "$@" >/tmp/out 2>/tmp/err; then echo "$name: worked"; else echo "$name: $(head -n 1 /tmp/err)"; fi; }
try "new file" sh -c 'echo x >new'
try "change" sh -c 'echo x >>program'
try "removal" rm -f program
try "mode" chmod 0777 program
try "time" touch program
try "link" ln -s /etc/passwd link
try "rename" mv program other
try "write through a symbolic link" sh -c 'echo x >writable'
try "host's shadow file" cat escape/etc/shadow
try "host's kubelet" ls climb/var/lib/kubelet/pods
echo "content: $(cat program)"
`;

/** What a writer leaves for readers: a program, and links that lead out of the workspace. */
const writerScript = `
cd /workspace/source
echo 'good program' >program
ln -s /proc/1/root escape
ln -s ../../../../../../../.. climb
ln -s program writable
echo 'content: '"$(cat program)"
`;

const runtime = ["new file", "change", "removal", "mode", "time", "link", "rename", "write through a symbolic link"];
const boundary = ["host's shadow file", "host's kubelet"];

const mounting = (session: Session, namespace: string, name: string, script: string, readOnly: boolean) => {
  const pod = jailedPod(session, name, namespace, {
    command: ["sh", "-c", script],
    volumeMounts: [
      { name: "source", mountPath: "/workspace/source", readOnly },
      { name: "scratch", mountPath: "/tmp" },
    ],
  });
  const volumes = [
    { name: "source", persistentVolumeClaim: { claimName: "source" } },
    { name: "scratch", emptyDir: {} },
  ];
  return { ...pod, spec: { ...pod.spec, volumes } };
};

const lineOf = (log: string, name: string): string =>
  log
    .split("\n")
    .find((line) => line.startsWith(`${name}: `))
    ?.slice(name.length + 2) ?? "";

const answerOf = (log: string, name: string): Answer => {
  const line = lineOf(log, name);
  if (line === "") return { is: "unproven", detail: "the pod said nothing about it" };
  return line === "worked" ? { is: "accepted", detail: line } : { is: "refused", by: "kernel", message: line };
};

export const workspaces: FactoryAttack = {
  name: "workspaces",
  covers: "Workspaces: written by a reader, shared by runs, taken from elsewhere, left through a link.",
  tries: "to bind a run to storage of others, and to write or leave a workspace from a pod that mounts it read-only",
  refusal: atAdmission,
  control: "The writer writes the workspace, the reader reads it, and a run with claims of its own is accepted.",
  prepare: async (session) => {
    const { member, goodRun } = session;
    const first: Path = ["spec", "workspaces", 0];
    const template: Path = [...first, "volumeClaimTemplate"];
    const noTemplate = [template, undefined] as const;
    const bound = variants(member, goodRun, [
      ["claim of another run", noTemplate, [[...first, "persistentVolumeClaim"], { claimName: "other" }]],
      ["directory above", [[...first, "subPath"], "../.."]],
      ["directory below", [[...first, "subPath"], "a"]],
      ["Secret", noTemplate, [[...first, "secret"], { secretName: "registry-reader" }]],
      ["ConfigMap", noTemplate, [[...first, "configMap"], { name: "factory-ca" }]],
      ["memory", noTemplate, [[...first, "emptyDir"], {}]],
      ["token", noTemplate, [[...first, "projected"], { sources: [{ serviceAccountToken: { path: "token" } }] }]],
      ["driver", noTemplate, [[...first, "csi"], { driver: "csi.spiffe.io", readOnly: true }]],
      ["volume of another claim", [[...template, "spec", "volumeName"], "pvc-other"]],
      [
        "copy of another claim",
        [[...template, "spec", "dataSource"], { kind: "PersistentVolumeClaim", name: "other" }],
      ],
      ["another storage class", [[...template, "spec", "storageClassName"], "other"]],
      ["storage for all nodes", [[...template, "spec", "accessModes"], ["ReadWriteMany"]]],
      ["more storage", [[...template, "spec", "resources", "requests", "storage"], "100Gi"]],
      ["one workspace less", [["spec", "workspaces"], goodRun.spec.workspaces.slice(1)]],
      ["one workspace more", [["spec", "workspaces", goodRun.spec.workspaces.length], { name: "extra", emptyDir: {} }]],
    ]);

    const namespace = await session.workbench();
    await session.create(claim(namespace, "source"));
    const written = await outputOf(session, mounting(session, namespace, "writer", writerScript, false));
    const read = await outputOf(session, mounting(session, namespace, "reader", readerScript, true));
    const attempt = (name: string, message: RegExp): Attempt => ({
      name,
      expected: { by: ["kernel"], message },
      run: () => Promise.resolve(answerOf(read, name)),
    });
    const content = (title: string, log: string): Attempt => ({
      name: title,
      run: () =>
        Promise.resolve(
          lineOf(log, "content") === "good program"
            ? { is: "accepted", detail: "good program" }
            : { is: "unproven", detail: log.slice(0, 200) },
        ),
    });
    return {
      attempts: [
        ...bound,
        ...runtime.map((name) => attempt(name, /Read-only file system/)),
        ...boundary.map((name) => attempt(name, /denied|No such file/)),
      ],
      controls: [
        { name: "run with claims of its own", run: () => member.wouldCreate(goodRun) },
        content("the writer writes", written),
        content("the reader reads", read),
      ],
    };
  },
};

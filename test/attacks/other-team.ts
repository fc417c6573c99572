import { PUBLISHER } from "../../components/lib/workload-api";
import { TEAM_OBJECTS } from "../../components/team";
import { withValue, type Session } from "../../tools/cli/attack-session";
import type { Answer, Attempt } from "../../tools/cli/attacks";
import { parseImage } from "../../tools/cli/registry";
import { definitionPolicy, runs } from "./definitions-edited";
import { openForger } from "./forgery";
import { openHttps, registryAnswer, stolenLogins } from "./services";
import {
  anyBuilt,
  atAdmission,
  byRights,
  claim,
  idle,
  jailedPod,
  logOf,
  outputOf,
  phase,
  signedTask,
  taskRun,
  until,
  type FactoryAttack,
  type Pod,
} from "./support";
import { workload } from "./unproven-images";

/** A row of the matrix: what one team does to another, and the same at home. */
interface Cell {
  attempts: Attempt[];
  controls: Attempt[];
}

const port = 18_081;

/** What the role of a member gives at home, and what is the other team's. */
const byRole = ({ member, id }: Session, home: string, other: string): Cell => {
  const asks = (name: string, args: readonly string[]): Attempt => ({ name, run: () => member.ask(args) });
  const reads = (what: string, type: string, namespace: string) =>
    asks(`${what} of ${namespace}`, ["get", type, `--namespace=${namespace}`]);
  const kinds = [
    ["namespace: pods", "pods"],
    ["runs: list", "pipelineruns.v1.tekton.dev"],
    ["definitions: list", "tasks.v1.tekton.dev"],
  ] as const;
  return {
    attempts: [
      ...kinds.map(([what, type]) => reads(what, type, other)),
      reads("workspace: claims", "persistentvolumeclaims", other),
      asks(`secrets: the registry's login of ${other}`, ["get", "secret", TEAM_OBJECTS.reader, `--namespace=${other}`]),
      asks(`identity: a token of the account that publishes for ${other}`, [
        ...["create", "token", PUBLISHER, `--namespace=${other}`, `--audience=${id}`],
      ]),
    ],
    controls: kinds.map(([what, type]) => reads(what, type, home)),
  };
};

/** A run in the other's namespace, and one at home of the other's pipeline. */
const byRun = ({ member, goodRun }: Session, other: string): Cell => ({
  attempts: [
    {
      name: `runs: start in ${other}`,
      run: () => member.wouldCreate(withValue(goodRun, ["metadata", "namespace"], other)),
    },
    {
      name: `runs: start at home the pipeline of ${other}`,
      expected: atAdmission,
      run: () => {
        const { params } = goodRun.spec.pipelineRef;
        const borrowed = params.map((param) => (param.name === "namespace" ? { ...param, value: other } : param));
        return member.wouldCreate(withValue(goodRun, ["spec", "pipelineRef", "params"], borrowed));
      },
    },
  ],
  controls: [{ name: "runs: start at home", run: () => member.wouldCreate(goodRun) }],
});

/** A namespace in which one team's key counts for definitions. */
const under = async (session: Session, team: Session["team"]): Promise<string> => {
  const name = `attack-${session.id}-${team.namespace}`;
  await session.create({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
  await session.create(definitionPolicy(team, name));
  return name;
};

/** What one team has signed, where the other team's key counts. */
const byDefinition = (session: Session, other: Session["team"]): Cell => {
  const tries = (name: string, team: Session["team"]): Attempt => ({
    name,
    expected: { by: ["Tekton"], message: /VerificationFailed|verif/i },
    run: async () => {
      const namespace = await under(session, team);
      const task = signedTask(session, namespace, "signed", {});
      await session.create({ ...task });
      return runs(session, taskRun("signed", namespace, { name: task.metadata.name, namespace }));
    },
  });
  return {
    attempts: [tries(`definitions: signed at home, run where the key of ${other.namespace} counts`, other)],
    controls: [tries("definitions: signed at home, run where the team's own key counts", session.team)],
  };
};

/** A claim of the other team's namespace, by its name. */
const byWorkspace = (session: Session, home: string, other: string): Cell => {
  const mounts = (name: string, claimedIn: string, expected?: Attempt["expected"]): Attempt => ({
    name,
    expected,
    run: async (): Promise<Answer> => {
      const object = `attack-${session.id}-${claimedIn}`.slice(0, 50);
      await session.create(claim(claimedIn, object));
      const pod = jailedPod(session, object, home, {
        ...idle,
        volumeMounts: [{ name: "claim", mountPath: "/claim", readOnly: true }],
      });
      const volumes = [{ name: "claim", persistentVolumeClaim: { claimName: object } }];
      await session.create({ ...pod, spec: { ...pod.spec, volumes } });
      return until(session, `pod ${object}`, async () => {
        const about = [`--namespace=${home}`, `--field-selector=involvedObject.name=${object}`];
        const events = await session.kubectl.text(["get", "events", ...about]);
        const [refusal] = /persistentvolumeclaim "[^"]+" not found/.exec(events) ?? [];
        if (refusal !== undefined) return { is: "refused", by: "API server", message: refusal };
        return /\bStarted\b/.test(events) ? { is: "accepted", detail: "it started" } : undefined;
      });
    },
  });
  return {
    attempts: [mounts(`workspace: a claim of ${other}`, other, { by: ["API server"], message: /not found/ })],
    controls: [mounts("workspace: a claim at home", home)],
  };
};

/** Images of the other team: read, pushed, and passed off as its own. */
const byRegistry = async (session: Session, home: string, other: string): Promise<Cell> => {
  const { team, factory, admin } = session;
  const built = await anyBuilt(session);
  const { path } = parseImage(built);
  const forger = await openForger(session, built, `${other}/${path.split("/")[1] ?? ""}`);
  const send = await openHttps(session, factory.registry.host);
  const { publisher } = await stolenLogins(session, home);
  const { username, password } = team.registryCredentials.reader;
  const asks = (name: string, method: string, what: string, auth: string): Attempt => ({
    name,
    expected: { by: ["registry"], message: /HTTP status 403 .*SSF-REGISTRY-002/ },
    run: async () => {
      const { status, body } = await send({ method, path: `/v2/${what}`, auth });
      return registryAnswer(status, [200, 202], body.toString());
    },
  });
  const reads = (where: string) =>
    asks(
      `registry: read from ${where}`,
      "GET",
      `${where}/${path.split("/")[1] ?? ""}/tags/list`,
      `${username}:${password}`,
    );
  const pushes = (where: string) =>
    asks(`registry: push to ${where}`, "POST", `${where}/attack/blobs/uploads/`, publisher);
  return {
    attempts: [
      reads(other),
      pushes(other),
      {
        name: `identity: an image of ${home} with all that proves it, as one of ${other}`,
        expected: { by: ["admission policy"], message: /SSF-GATE-002/ },
        run: async () => {
          const { image, digest } = await forger.whole();
          await forger.attach(digest, forger.statement);
          return admin.wouldCreate(workload(session, image));
        },
      },
    ],
    controls: [
      reads(home),
      pushes(home),
      { name: `identity: the image as one of ${home}`, run: () => admin.wouldCreate(workload(session, built)) },
    ],
  };
};

/** A pod that answers, and one beside it that tries to reach it. */
const byNetwork = (session: Session, home: string, other: string, bench: string): Cell => {
  const runtimeClassName = session.factory.runtimeClasses?.networked;
  const inClass = (pod: Pod): Pod =>
    pod.metadata.namespace === bench ? { ...pod, spec: { ...pod.spec, runtimeClassName } } : pod;
  const reaches = (name: string, server: string, client: string): Attempt => ({
    name,
    expected: { by: ["jail"], message: /no connection/ },
    run: async (): Promise<Answer> => {
      const listen = `import socket; s = socket.create_server(("", ${port})); print("listening", flush=True); s.accept()`;
      const served = inClass(
        jailedPod(session, `attack-${session.id}-server`, server, {
          image: session.image("stage-python"),
          command: ["timeout", "300", "python3", "-c", listen],
        }),
      );
      await session.create(served);
      const { podIP = "" } = await phase(session, served, ["Running"]);
      await until(session, "the server", async () =>
        (await logOf(session, served)).includes("listening") ? true : undefined,
      );
      const script = `timeout 5 bash -c 'exec 3<>/dev/tcp/${podIP}/${port}' && echo connected || echo no connection`;
      const asking = inClass(
        jailedPod(session, `attack-${session.id}-client`, client, { command: ["sh", "-c", script] }),
      );
      const said = await outputOf(session, asking);
      return /^connected/m.test(said) ? { is: "accepted", detail: said } : { is: "refused", by: "jail", message: said };
    },
  });
  return {
    attempts: [reaches(`jail: a jailed pod of ${other} from one of ${home}`, other, home)],
    controls: [reaches("jail: the same pods, of no team and not jailed", bench, bench)],
  };
};

export const otherTeam: FactoryAttack = {
  name: "other-team",
  covers:
    "Two teams on one factory: namespace, runs, definitions, secrets, workspaces, registry, identity, and jails beside each other.",
  tries: "to reach, as one team, each of these of another team",
  refusal: byRights,
  control: "The team has the same access to what is its own.",
  inapplicable: ({ other }) => (other === undefined ? "the factory has one team only" : undefined),
  prepare: async (session) => {
    const { other, team } = session;
    if (other === undefined) throw new Error("an attack on another team needs one");
    const [home, away] = [team.namespace, other.namespace];
    const cells = [
      byRole(session, home, away),
      byRun(session, away),
      byDefinition(session, other),
      byWorkspace(session, home, away),
      await byRegistry(session, home, away),
      byNetwork(session, home, away, await session.workbench()),
    ];
    return {
      attempts: cells.flatMap(({ attempts }) => attempts),
      controls: cells.flatMap(({ controls }) => controls),
    };
  },
};

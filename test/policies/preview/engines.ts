import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { clusterRules, factoryRules, UNJAILED_STAGES } from "../../../policies/admission";
import { isAboutCreation, ruleConstraint, ruleTemplate } from "../../../policies/admission/constraint-template";
import { gateConstraints, type GateObject, type GateTemplate, gateTemplates } from "../../../policies/admission/gate";
import { celSource } from "../../../policies/admission/gate/template";
import { brokenBy, codeOf } from "../../../policies/preview/questions";
import { gatorPath } from "../../../policies/preview/gator";
import { readToolchain } from "../../../stacks/toolchain";
import { type ApiServer } from "../../admission/support/api-server";
import { as } from "../../admission/support/world";
import { createProject, type Project } from "../../cli/support/engine";
import { execute } from "../../../tools/process";
import { lockedImages, namespaces, type TestObject } from "./fixtures";

/** Codes of what an engine refuses of each object, by the object's name in the test. */
export type Refusals = ReadonlyMap<string, readonly string[]>;

const root = resolve(__dirname, "../../..");

/** The gate's templates and the rules of admission, each with its constraint, as the factory of the tests has them. */
const inForce: { template: GateTemplate; constraint: GateObject }[] = [
  ...gateConstraints.flatMap((constraint) =>
    gateTemplates
      .filter((template) => template.spec.crd.spec.names.kind === constraint.kind && celSource(template) !== undefined)
      .map((template) => ({ template, constraint })),
  ),
  ...[
    ...factoryRules({
      runtimeClasses: { jailed: "jailed", networked: "networked" },
      unjailedServiceAccounts: UNJAILED_STAGES,
      images: lockedImages,
      stack: { users: [as.stack.user], groups: [] },
    }),
    ...clusterRules(lockedImages.components),
  ]
    .filter(isAboutCreation)
    .map((rule) => ({ template: ruleTemplate(rule), constraint: ruleConstraint(rule) })),
];

const sorted = (codes: Iterable<string>): string[] => [...new Set(codes)].sort();

/** An event of the engine, as far as policies are told of in it. */
interface PolicyEvent {
  policyEvent?: { resourceUrn?: string; message: string; policyName: string; enforcementLevel: string };
}

/** What policies said in a preview: of which resource by its name, under which policy, at which level. */
export interface Said {
  resource: string;
  policy: string;
  level: string;
  message: string;
}

/** A project whose previews the pack judges. */
export const createJudgedProject = async (program: string): Promise<Project> => {
  const project = await createProject(program, resolve(root, "tools/plugins/random"));
  await symlink(readToolchain().plugins, join(project.directory, "home", "plugins"));
  return project;
};

/** What a pack, by default that of this checkout, says of a preview of the project, and whether the preview succeeds. */
export const previewWithPack = async (
  project: Pick<Project, "directory" | "env">,
  flags: readonly string[] = [],
  checkout = root,
): Promise<{ succeeds: boolean; output: string; said: Said[] }> => {
  const log = join(project.directory, "events.jsonl");
  rmSync(log, { force: true });
  const ended = await execute(
    "pulumi",
    ["--non-interactive", "preview", "--policy-pack", join(checkout, "policies/preview"), "--event-log", log, ...flags],
    { cwd: project.directory, env: { ...project.env, PULUMI_DEBUG_COMMANDS: "true" } },
  );
  const said = readFileSync(log, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .flatMap((line) => (JSON.parse(line) as PolicyEvent).policyEvent ?? [])
    .map(({ resourceUrn = "", policyName, enforcementLevel, message }) => ({
      resource: resourceUrn.split("::").at(-1) ?? "",
      policy: policyName,
      level: enforcementLevel,
      message,
    }));
  return { succeeds: ended.code === 0, output: ended.log, said };
};

/** A program that makes these objects by the resource names that they are given, in one component. */
const programOf = (objects: ReadonlyMap<string, TestObject>): string => `
const k8s = require("@pulumi/kubernetes");
const pulumi = require("@pulumi/pulumi");
const parent = new pulumi.ComponentResource("test:index:Parity", "parity");
const provider = new k8s.Provider("cluster", { renderYamlToDirectory: require("node:path").join(__dirname, "rendered") });
for (const [name, object] of ${JSON.stringify([...objects])})
  new pulumi.CustomResource(
    "kubernetes:" + (object.apiVersion === "v1" ? "core/v1" : object.apiVersion) + ":" + object.kind,
    name, object, { parent, provider },
  );
`;

/** By the pack, in a preview that makes all objects and the namespaces. */
export const byPack = async (objects: ReadonlyMap<string, TestObject>): Promise<Refusals> => {
  const spaces = namespaces.map((space): [string, TestObject] => [`namespace ${space.metadata.name}`, space]);
  const project = await createJudgedProject(programOf(new Map([...spaces, ...objects])));
  try {
    const { said, output } = await previewWithPack(project);
    if (said.length === 0) throw new Error(output);
    const codes = (name: string) =>
      said.flatMap(({ resource, policy, message }) =>
        resource === name && policy === "gate" ? (message.match(/\bSSF-[A-Z]+-\d{3}\b/)?.[0] ?? message) : [],
      );
    return new Map([...objects.keys()].map((name) => [name, sorted(codes(name))]));
  } finally {
    await project.remove();
  }
};

/** The request that makes an object, as the API server tells webhooks. */
const review = (object: TestObject): object => {
  const [version = "", group = ""] = object.apiVersion.split("/").reverse();
  return {
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    request: {
      uid: "1",
      kind: { group, version, kind: object.kind },
      resource: { group, version, resource: `${object.kind.toLowerCase()}s` },
      name: object.metadata.name,
      namespace: object.metadata.namespace,
      operation: "CREATE",
      userInfo: { username: as.stack.user, groups: as.stack.groups },
      object,
    },
  };
};

const literal = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** By gator itself, which is given whole requests and tries one condition at a time. */
export const byGator = async (objects: ReadonlyMap<string, TestObject>): Promise<Refusals> => {
  const directory = mkdtempSync(join(tmpdir(), "ssf-parity-"));
  try {
    const write = (file: string, ...contents: object[]): string => {
      writeFileSync(join(directory, file), contents.map((content) => JSON.stringify(content)).join("\n---\n"));
      return file;
    };
    const inventory = [write("namespaces.yaml", ...namespaces)];
    const asked = [...objects].map(([name, object], index) => ({
      name,
      kind: object.kind,
      file: write(`object-${index}.yaml`, review(object)),
    }));
    const cases = new Map<string, { name: string; code: string }>();
    const tests = inForce.map(({ template, constraint }, index) => {
      const { kinds } = (constraint.spec as { match: { kinds: { kinds: string[] }[] } }).match;
      return {
        name: constraint.metadata.name,
        template: write(`template-${index}.yaml`, template),
        constraint: write(`constraint-${index}.yaml`, constraint),
        cases: asked
          .filter(({ kind }) => kinds.some((match) => match.kinds.includes(kind)))
          .flatMap(({ name, file }) =>
            (celSource(template)?.validations ?? []).map((validation) => {
              const id = `case-${cases.size}`;
              cases.set(id, { name, code: codeOf(validation) });
              const message = `^${codeOf(validation)} |${literal(`'${validation.expression}'`)}`;
              return { name: id, object: file, inventory, assertions: [{ violations: "yes", message }] };
            }),
          ),
      };
    });
    write("suite.yaml", { apiVersion: "test.gatekeeper.sh/v1alpha1", kind: "Suite", tests });
    const gator = gatorPath(readToolchain());
    const { stdout, stderr } = await execute(gator, ["verify", "--verbose", "suite.yaml"], { cwd: directory });
    const verdicts = [...stdout.matchAll(/--- (PASS|FAIL): (case-\d+)\b.*\n(.*)/g)];
    const strange = verdicts.filter(
      ([, end, , why = ""]) => end === "FAIL" && !why.includes("unexpected number of violations"),
    );
    if (verdicts.length !== cases.size || strange.length > 0)
      throw new Error(`${strange.join("\n")}${stdout}${stderr}`);
    const refused = verdicts.flatMap(([, end, id = ""]) => (end === "PASS" ? (cases.get(id) ?? []) : []));
    const codes = (name: string) => refused.filter((one) => one.name === name).map(({ code }) => code);
    return new Map([...objects.keys()].map((name) => [name, sorted(codes(name))]));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
};

const PLURALS: Readonly<Record<string, string>> = { NetworkPolicy: "networkpolicies" };

/** Where objects of that kind are made. */
export const collectionOf = ({ apiVersion, kind, metadata: { namespace } }: TestObject): string => {
  const group = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const plural = PLURALS[kind] ?? `${kind.toLowerCase()}s`;
  return `${group}${namespace === undefined ? "" : `/namespaces/${namespace}`}/${plural}`;
};

/** Whether an API server, which names one broken condition of each request, says the same as who names all of them. */
export const isOneOf = (live: readonly string[], codes: readonly string[]): boolean =>
  live.length === Math.min(1, codes.length) && live.every((code) => codes.includes(code));

/** By the API server in dry-run. It names one broken condition of each request, the first that it finds. */
export const byApiServer = async (
  server: Pick<ApiServer, "ask">,
  objects: ReadonlyMap<string, TestObject>,
): Promise<Refusals> => {
  const refusals = new Map<string, string[]>();
  for (const [name, object] of objects) {
    const { status, message } = await server.ask("POST", `${collectionOf(object)}?dryRun=All`, object, as.stack);
    const failed = inForce.flatMap(({ template }) => {
      const source = celSource(template);
      const broken = source && message.includes("resulted in error") ? brokenBy(message, source) : undefined;
      return broken === undefined ? [] : codeOf(broken);
    });
    refusals.set(
      name,
      status < 300 ? [] : [message.match(/\bSSF-[A-Z]+-\d{3}\b/)?.[0] ?? failed[0] ?? `${status} ${message}`],
    );
  }
  return refusals;
};

import { describePath, isObject, isSecret, isWithin, type PreviewedResource, textsOf, valueAt } from "../resource";
import { notChecked, passed, type PreviewRule, together, type Verdicts, violation } from "../rule";

const FIX = "Wrap the value in pulumi.secret, and hand it on in a Secret.";

/** Fields of a Secret that hold what is secret. */
const CONTENT = ["data", "stringData"];

const isSecretObject = ({ inputs }: PreviewedResource): boolean =>
  inputs.kind === "Secret" && inputs.apiVersion === "v1";

/** A Secret whose content the state would show. */
const openSecret = (resource: PreviewedResource): Verdicts => {
  if (!isSecretObject(resource)) return passed;
  return together(
    CONTENT.filter((field) => field in resource.inputs && !isSecret(resource, [field])).map((field) => {
      const open = Object.keys(valueAt(resource, field) ?? {}).filter((key) => !isSecret(resource, [field, key]));
      const unknown = resource.unknown.some((path) => isWithin(path, [field]));
      if (unknown) return notChecked(resource, field, "SSF-PREVIEW-010", "pulumi up");
      return open.length === 0
        ? passed
        : violation(resource, {
            code: "SSF-PREVIEW-010",
            path: field,
            given: `not marked secret: ${open.join(", ")}`,
            rule: "What a Secret holds is secret in the state as well.",
            fix: FIX,
          });
    }),
  );
};

const PRIVATE_KEY = /-----BEGIN ([A-Z]+ )*PRIVATE KEY-----/;

/** A private key that stands in the open. */
const openKeys = (resource: PreviewedResource): Verdicts =>
  together(
    textsOf(resource)
      .filter(({ path, text }) => PRIVATE_KEY.test(text) && !isSecret(resource, path))
      .map(({ path }) =>
        violation(resource, {
          code: "SSF-PREVIEW-011",
          path: describePath(path),
          given: "a private key that is not marked secret",
          rule: "A private key reaches no state, log or ConfigMap in the open.",
          fix: FIX,
        }),
      ),
  );

/** Shorter secrets also stand elsewhere by chance. */
const SHORTEST = 12;

const PUBLIC = /^-----BEGIN (CERTIFICATE|PUBLIC KEY)/;

/** What a text of a Secret's data says; they are in base64 there. */
const plain = (resource: PreviewedResource, path: readonly string[], text: string): string =>
  isSecretObject(resource) && path[0] === "data" ? Buffer.from(text, "base64").toString() : text;

/** Every text that is marked secret somewhere in the preview. */
const secretTexts = (resources: readonly PreviewedResource[]): Set<string> =>
  new Set(
    resources.flatMap((resource) =>
      textsOf(resource)
        .filter(({ path }) => isSecret(resource, path))
        .map(({ path, text }) => plain(resource, path, text))
        .filter((text) => text.length >= SHORTEST && !PUBLIC.test(text)),
    ),
  );

/** A value that is secret at one place and in the open at another. */
const leaks = (resources: readonly PreviewedResource[]): Verdicts => {
  const known = [...secretTexts(resources)];
  return together(
    resources.flatMap((resource) =>
      textsOf(resource)
        .filter(({ path, text }) => !isSecret(resource, path) && known.some((secret) => text.includes(secret)))
        .map(({ path }) =>
          violation(resource, {
            code: "SSF-PREVIEW-012",
            path: describePath(path),
            given: "a value that is marked secret elsewhere",
            rule: "A secret is secret wherever it stands.",
            fix: FIX,
          }),
        ),
    ),
  );
};

/** What of an object nobody knows yet, and so neither whether it is secret elsewhere. */
const unread = (resource: PreviewedResource): Verdicts => {
  const open = resource.unknown.filter((path) => !isSecret(resource, path));
  if (open.length === 0 || !isObject(resource) || isSecretObject(resource)) return passed;
  const paths = open.map(describePath).join(", ");
  return together(["SSF-PREVIEW-011", "SSF-PREVIEW-012"].map((code) => notChecked(resource, paths, code, "pulumi up")));
};

/** Secrets that the state, or the cluster, would show. */
export const secrets: PreviewRule = {
  name: "secrets",
  protects: "A secret is marked as one, so that neither state nor log shows it.",
  level: "mandatory",
  judge: (resources) =>
    together([...resources.flatMap((one) => [openSecret(one), openKeys(one), unread(one)]), leaks(resources)]),
};

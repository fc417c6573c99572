import type { Problem } from "../components/lib/errors";
import type { PipelineModel } from "./model";

/** What credentials look like. Each expression finds a value that nobody writes for another purpose. */
const credentials: readonly (readonly [kind: string, pattern: RegExp])[] = [
  ["a private key", /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----/],
  ["an access key of AWS", /\b(?:AKIA|ASIA)[A-Z2-7]{16}\b/],
  ["a token of GitHub", /\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{36,})/],
  ["a token of GitLab", /\bgl(?:pat|dt|rt|ptt|cbt)-[A-Za-z0-9_-]{20,}/],
  ["a token of npm", /\bnpm_[A-Za-z0-9]{36}\b/],
  ["a token of PyPI", /\bpypi-AgEI[A-Za-z0-9_-]{40,}/],
  ["a token of Slack", /\bxox[abeoprs]-[A-Za-z0-9-]{10,}/],
  ["a key of Google", /\bAIza[A-Za-z0-9_-]{35}\b/],
  ["a token of Docker", /\bdckr_(?:pat|oat)_[A-Za-z0-9_-]{20,}/],
  ["a key of Stripe", /\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}/],
  ["a token of Vault", /\bhv[bsr]\.[A-Za-z0-9_-]{24,}/],
  ["a token of Pulumi", /\bpul-[0-9a-f]{40}\b/],
  ["a JSON web token", /\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}/],
  ["an address with a password", /\b[a-z][a-z0-9+.-]*:\/\/[^\s/:@"'$]*:[^\s/@"'$]+@/i],
  ["an authorization header", /\bauthorization["']?\s*[:=]\s*["']?(?:basic|bearer|token)\s+[A-Za-z0-9+/_=.-]{8,}/i],
];

/** A literal that is given to a name such as `DB_PASSWORD`; a variable, an empty value and a path are no literals. */
const assignment =
  /(?:^|[^A-Za-z0-9])[A-Za-z0-9_-]*(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key)["']?\s*[:=]\s*["']?([^\s"'$`;&|<>(){}[\],/]{4,})/gi;

const secretName = /(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key)$/i;

/** Values after such a name that hold nothing secret. */
const harmless = /^(?:true|false|null|none|required|optional|disabled|enabled|[0-9]+)$/i;

const assignsLiteral = (text: string): boolean =>
  [...text.matchAll(assignment)].some(([, value = ""]) => !harmless.test(value));

/** What kind of credential a text holds; undefined when it holds none. */
export const credentialIn = (text: string): string | undefined =>
  credentials.find(([, pattern]) => pattern.test(text))?.[0] ??
  (assignsLiteral(text) ? "a password or token" : undefined);

/** The same for a value that stands by itself under a name. */
const credentialAs = (name: string, value: string): string | undefined =>
  credentialIn(value) ??
  (secretName.test(name) && assignsLiteral(`${name}=${value}`) ? "a password or token" : undefined);

/**
 * Problems with credentials that are written into a definition, where everybody who may read it sees them. The value is not
 * repeated in the message.
 */
export const credentialProblems = (model: PipelineModel): Problem[] => {
  const found = (path: string, kind: string | undefined): Problem[] =>
    kind === undefined
      ? []
      : [
          {
            code: "SSF-PIPELINE-016",
            path,
            given: `what looks like ${kind}`,
            rule: "A definition holds no credentials: it is stored and shown in plain text.",
            fix: "Put the value into a Secret and mount that, in the only stage that needs it; then replace the value, which has been seen.",
          },
        ];
  return [
    ...model.params.flatMap((param) =>
      found(`params.${param.name}.default`, credentialAs(param.name, param.default ?? "")),
    ),
    ...model.stages.flatMap((stage) => [
      ...found(`stages.${stage.name}.script`, credentialIn(stage.script)),
      ...Object.entries(stage.env).flatMap(([name, value]) =>
        found(`stages.${stage.name}.env.${name}`, credentialAs(name, value)),
      ),
    ]),
  ];
};

import { checkPipeline, teamModel, type PipelineModel, type Stage } from "../../pipelines";
import { credentialIn } from "../../pipelines/lint";
import { model, stage, teamArgs } from "./fixtures";
import { problemsOf } from "./problems";

const letters = "Ab3".repeat(20);

/** Each credential beside a text of the same look that holds none. Put together here, so that no scanner takes them for real. */
const credentials: [kind: string, text: string, twin: string][] = [
  ["a private key", ["-----BEGIN", "PRIVATE KEY-----"].join(" "), ["-----BEGIN", "PUBLIC KEY-----"].join(" ")],
  ["a private key", ["-----BEGIN", "EC PRIVATE KEY-----"].join(" "), "the private key is mounted"],
  ["an access key of AWS", `AKIA${"ABCD2345".repeat(2)}`, `AKIA${"ABCD2345".repeat(3)}`],
  ["a token of GitHub", `ghp_${letters.slice(0, 36)}`, "ghp_short"],
  ["a token of GitLab", `glpat-${letters.slice(0, 20)}`, "glpat-short"],
  ["a token of npm", `npm_${letters.slice(0, 36)}`, "npm_config_registry"],
  ["a token of PyPI", `pypi-AgEI${letters.slice(0, 40)}`, "pypi-AgEI"],
  ["a token of Slack", ["xoxb", "1234567890", "abc"].join("-"), "xoxb-"],
  ["a key of Google", `AIza${letters.slice(0, 35)}`, `AIza${letters.slice(0, 10)}`],
  ["a token of Docker", `dckr_pat_${letters.slice(0, 24)}`, "dckr_pat_x"],
  ["a key of Stripe", `sk_live_${letters.slice(0, 24)}`, "task_live_update"],
  ["a token of Vault", `hvs.${letters.slice(0, 30)}`, "hvs.example"],
  ["a token of Pulumi", `pul-${"0a".repeat(20)}`, `pul-${"0a".repeat(10)}`],
  ["a JSON web token", ["eyJhbGciOiJIUzI1", "eyJzdWIiOiIxMjM0", letters].join("."), "eyJ.eyJ.x"],
  ["an address with a password", "https://user:word@forge.test/one", "https://forge.test:8443/one@1.0"],
  ["an address with a password", "postgres://app:word@db/app", 'postgres://app:"$PASSWORD"@db/app'],
  [
    "an authorization header",
    "curl -H 'Authorization: Bearer abcdefgh12345678'",
    'curl -H "Authorization: Bearer $TOKEN"',
  ],
  ["a password or token", "password=correcthorse", 'password="$(cat /etc/password)"'],
  ["a password or token", "export DB_PASSWORD='correct horse'", "export DB_PASSWORD"],
  ["a password or token", '{"api_key": "0123456789abcdef"}', '{"api_key": null}'],
  ["a password or token", "mytool --token=abcd1234", 'mytool --token="$TOKEN"'],
  ["a password or token", "ACCESS_KEY: abcdefgh", "ACCESS_KEY_FILE: /etc/ssf/key"],
];

describe("a text with", () => {
  test.each(credentials)("%s is found out, and its twin is not", (kind, text, twin) => {
    expect(credentialIn(`echo before\n${text}\necho after`)).toBe(kind);
    expect(credentialIn(`echo before\n${twin}\necho after`)).toBeUndefined();
  });

  test.each([
    "GOPROXY=https://proxy.golang.org,direct",
    "pkg:npm/%40scope/name@1.0.0",
    "sha256:".concat("ab".repeat(32)),
    "git config credential.helper ''",
    'token=$(cat "$TOKEN_FILE")',
    "PASSWORD=/etc/ssf/password",
    "TOKENS=2",
    "secret: true",
    "alice@example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGQ",
  ])("%s holds no credential", (text) => {
    expect(credentialIn(text)).toBeUndefined();
  });
});

const withStage = (changes: Partial<Stage>): PipelineModel => ({
  ...model(),
  stages: [...model().stages, stage("more", changes)],
});

describe("a pipeline with a credential in", () => {
  test.each<[string, PipelineModel, string, PipelineModel]>([
    [
      "a script",
      withStage({ script: "login --password=correcthorse" }),
      "stages.more.script",
      withStage({ script: 'login --password="$PASSWORD"' }),
    ],
    [
      "a fixed variable",
      withStage({ env: { PLACE: "https://user:word@proxy.test" } }),
      "stages.more.env.PLACE",
      withStage({ env: { PLACE: "https://proxy.test" } }),
    ],
    [
      "a fixed variable with such a name",
      withStage({ env: { UPLOAD_TOKEN: "correcthorse" } }),
      "stages.more.env.UPLOAD_TOKEN",
      withStage({ env: { UPLOAD_TOKEN: "/etc/ssf/token" } }),
    ],
    [
      "the default of a parameter",
      model({ params: [...model().params, { name: "api-key", description: "", pattern: "[a-z]+", default: "horse" }] }),
      "params.api-key.default",
      model({ params: [...model().params, { name: "api-key", description: "", pattern: "[a-z]+" }] }),
    ],
  ])("%s is refused, and not its twin", (_, bad, path, good) => {
    expect(problemsOf(() => checkPipeline(bad))).toEqual([`SSF-PIPELINE-016 ${path}`]);
    expect(() => checkPipeline(good)).not.toThrow();
  });

  test("is refused without repeating it", () => {
    expect(() => checkPipeline(withStage({ script: "login --password=correcthorse" }))).not.toThrow(/correcthorse/);
  });
});

test("no pipeline of ours looks as if it held one", () => {
  expect(() =>
    checkPipeline(teamModel(teamArgs({ reproduce: true, allowedSigners: "a@b.test ssh-ed25519 AAAA" }))),
  ).not.toThrow();
});

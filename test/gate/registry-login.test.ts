import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { identityLogin } from "../../tools/gate/registry-login";

// It starts programs.
jest.setTimeout(30_000);

const host = "registry.test:5000";
const patience = 10_000;

describe("a login by identity", () => {
  const directory = mkdtempSync(join(tmpdir(), "ssf-login-"));
  const asked = join(directory, "asked");
  afterAll(() => rmSync(directory, { recursive: true }));
  beforeEach(() => writeFileSync(asked, ""));

  /** A credential helper that notes what it was asked, and ends like this. */
  const helper = (name: string, ending: string): string => {
    const file = join(directory, name);
    writeFileSync(file, `#!/bin/sh\necho "$1 $(cat)" >>${asked}\n${ending}\n`);
    chmodSync(file, 0o755);
    return file;
  };
  const token = (seconds: number): string => {
    const claims = { sub: "spiffe://factory.test/ns/gate/sa/verifier", exp: Math.floor(Date.now() / 1000) + seconds };
    return `head.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.signature`;
  };
  const giving = (secret: string): string =>
    `echo '${JSON.stringify({ ServerURL: host, Username: "spiffe", Secret: secret })}'`;
  const questions = (): string[] => readFileSync(asked, "utf8").trim().split("\n");

  test("is asked for once by all who need it at a time, and used until its token is about to end", async () => {
    const secret = token(300);
    const login = identityLogin(host, helper("good", giving(secret)), patience);
    const credentials = { username: "spiffe", password: secret };
    expect(await Promise.all([login(), login()])).toEqual([credentials, credentials]);
    expect(await login()).toEqual(credentials);
    expect(questions()).toEqual([`get ${host}`]);
  });

  test("whose token ends within a minute is asked for anew the next time", async () => {
    const login = identityLogin(host, helper("late", giving(token(50))), patience);
    await login();
    await login();
    expect(questions()).toHaveLength(2);
  });

  test("that does not come is a failure with its reason, and the next one is asked for", async () => {
    const program = helper("silent", "exec sleep 60");
    const login = identityLogin(host, program, 500);
    await expect(login()).rejects.toThrow(/SSF-VERIFY-011[^]*no answer of the Workload API within 0\.5 s/);
    helper("silent", giving(token(300)));
    expect(await login()).toMatchObject({ username: "spiffe" });
  });

  test.each([
    ["that the Workload API does not give", "echo 'no identity issued'; exit 1", "no identity issued"],
    ["that is no token", giving("password"), "no token of SPIRE"],
    ["that is no answer", "echo hello", "no token of SPIRE"],
  ])("%s is a failure with its reason, and is asked for again", async (_, ending, reason) => {
    const login = identityLogin(host, helper("bad", ending), patience);
    const failure = new RegExp(`SSF-VERIFY-011[^]*${reason}`);
    await expect(login()).rejects.toThrow(failure);
    await expect(login()).rejects.toThrow(failure);
    expect(questions()).toHaveLength(2);
  });
});

import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllowedSigners } from "../../pipelines";
import { ingestSource } from "../../pipelines/stages/ingest-source";
import type { Stage } from "../../pipelines/model";
import { someDigest } from "./fixtures";
import { problemsOf } from "./problems";
import { Machine, type StageRun } from "./run-stage";

const email = "alice@example.test";
const date = 1_700_000_000;

let machine: Machine;
beforeEach(() => {
  machine = new Machine();
});
afterEach(() => machine.remove());

/** A new key pair: the file of its private half, and its public half as `allowed_signers` has it. */
const newKey = (name: string): { file: string; publicKey: string } => {
  const file = join(machine.root, name);
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", file]);
  return { file, publicKey: readFileSync(`${file}.pub`, "utf8").trim() };
};

const git = (repository: string, ...args: string[]): string =>
  execFileSync("git", ["-C", repository, ...args], {
    encoding: "utf8",
    env: {
      PATH: process.env["PATH"],
      HOME: machine.root,
      GIT_CONFIG_GLOBAL: "/dev/null",
      GIT_CONFIG_NOSYSTEM: "1",
      GIT_AUTHOR_DATE: `${date} +0000`,
      GIT_COMMITTER_DATE: `${date} +0000`,
    },
  }).trim();

/** A repository of one commit; without a key, the commit has no signature. */
const committed = (key: string | undefined, format = "sha1", committer = email) => {
  const path = join(machine.root, `repository-${format}`);
  mkdirSync(path);
  git(path, "init", "--quiet", `--object-format=${format}`);
  writeFileSync(join(path, "file"), "text\n");
  git(path, "add", "--all");
  const identity = ["-c", "user.name=Alice", "-c", `user.email=${committer}`];
  const signing =
    key === undefined ? [] : ["-c", "gpg.format=ssh", "-c", `user.signingkey=${key}`, "-c", "commit.gpgsign=true"];
  git(
    path,
    ...identity,
    ...signing,
    "commit",
    "--quiet",
    "--message=One\n\n text that is indented\n\ngpgsig in the text",
  );
  return { path, commit: git(path, "rev-parse", "HEAD") };
};

const ingested = (allowedSigners: string, { path, commit }: { path: string; commit: string }): StageRun => {
  const stage = ingestSource({ image: `images.test/git@${someDigest}`, allowedSigners });
  const local: Stage = {
    ...stage,
    params: stage.params.map((param) =>
      param.name === "repository" ? { ...param, pattern: "/[A-Za-z0-9/._-]+" } : param,
    ),
  };
  const env = { AUTHORITIES: "/dev/null", GIT_ALLOW_PROTOCOL: "file" };
  return machine.run(local, { repository: path, commit, directory: "." }, env);
};

describe("a commit is built when the team asks for signatures", () => {
  test.each(["sha1", "sha256"])("and its committer signed it, in a repository of %s", (format) => {
    const { file, publicKey } = newKey("alice");
    const run = ingested(`${email} ${publicKey}`, committed(file, format));
    expect([run.status, run.output]).toEqual([0, ""]);
    expect(run.results["signer"]).toMatch(/^alice@example\.test with ED25519 key SHA256:[A-Za-z0-9+/]{43}$/);
  });

  test.each([
    ["a pattern", (key: string) => `*@example.test ${key}`],
    ["one of several signers", (key: string) => `bob@example.test,${email} ${key}`],
    ["the namespace of git", (key: string) => `${email} namespaces="git" ${key}`],
    ["a term that has not ended", (key: string) => `${email} valid-after="20200101",valid-before="29990101" ${key}`],
  ])("and the list names its key with %s", (_, line) => {
    const { file, publicKey } = newKey("alice");
    const allowed = parseAllowedSigners(line(publicKey), "list");
    expect(ingested(allowed, committed(file)).status).toBe(0);
  });
});

describe("a commit is refused when the team asks for signatures", () => {
  const refusal = (run: StageRun): string => {
    expect(run.status).toBe(1);
    expect(run.results).toEqual({});
    return run.output;
  };

  test("and it has none", () => {
    const { publicKey } = newKey("alice");
    const source = committed(undefined);
    expect(refusal(ingested(`${email} ${publicKey}`, source))).toBe(
      `refused: commit ${source.commit} has no signature, and this team builds signed commits only\n`,
    );
  });

  test("and another key signed it", () => {
    const { publicKey } = newKey("alice");
    const output = refusal(ingested(`${email} ${publicKey}`, committed(newKey("mallory").file)));
    expect(output).toContain("no good signature of an allowed signer for its committer alice@example.test");
  });

  test("and a signer on the list signed it in the name of another", () => {
    const [alice, bob] = [newKey("alice"), newKey("bob")];
    const allowed = `${email} ${alice.publicKey}\nbob@example.test ${bob.publicKey}`;
    expect(refusal(ingested(allowed, committed(bob.file)))).toContain("for its committer alice@example.test");
    machine.remove();
    machine = new Machine();
    const [again, other] = [newKey("alice"), newKey("bob")];
    const both = `${email} ${again.publicKey}\nbob@example.test ${other.publicKey}`;
    expect(ingested(both, committed(other.file, "sha1", "bob@example.test")).status).toBe(0);
  });

  test.each([
    ["for another namespace", (key: string) => `${email} namespaces="file" ${key}`],
    [
      "until before now, though the commit says it is older",
      (key: string) => `${email} valid-before="20240101" ${key}`,
    ],
    ["from a later time on", (key: string) => `${email} valid-after="29990101" ${key}`],
    ["for another signer", (key: string) => `bob@example.test ${key}`],
  ])("and its key is allowed %s", (_, line) => {
    const { file, publicKey } = newKey("alice");
    const source = committed(file);
    expect(refusal(ingested(line(publicKey), source))).toContain("no good signature");
    expect(ingested(`${email} ${publicKey}`, source).status).toBe(0);
  });

  /** The commit with its raw object changed, as the tip of its repository. */
  const changed = (source: { path: string; commit: string }, change: (raw: string) => string) => {
    const raw = execFileSync("git", ["-C", source.path, "cat-file", "commit", source.commit], { encoding: "utf8" });
    const commit = execFileSync("git", ["-C", source.path, "hash-object", "-t", "commit", "-w", "--stdin"], {
      encoding: "utf8",
      input: change(raw),
    }).trim();
    git(source.path, "update-ref", "HEAD", commit);
    return { ...source, commit };
  };

  test("and it was changed after it was signed", () => {
    const { file, publicKey } = newKey("alice");
    const source = committed(file);
    const forged = changed(source, (raw) => raw.replace("One", "Two"));
    expect(refusal(ingested(`${email} ${publicKey}`, forged))).toContain("no good signature");
    git(forged.path, "update-ref", "HEAD", source.commit);
    expect(ingested(`${email} ${publicKey}`, source).status).toBe(0);
  });

  test("and its signature is of a kind that is not checked", () => {
    const { file, publicKey } = newKey("alice");
    const pgp = changed(committed(file), (raw) => raw.replaceAll("SSH SIGNATURE", "PGP SIGNATURE"));
    expect(refusal(ingested(`${email} ${publicKey}`, pgp))).toBe(
      `refused: the signature of commit ${pgp.commit} is not by an SSH key; no other kind is checked\n`,
    );
  });

  test("and its good signature stands in the message", () => {
    const { file, publicKey } = newKey("alice");
    const moved = changed(committed(file), (raw) => {
      const signature = /^gpgsig (?:.*\n)(?: .*\n)*/m.exec(raw)?.[0] ?? "";
      return `${raw.replace(signature, "")}${signature}`;
    });
    expect(refusal(ingested(`${email} ${publicKey}`, moved))).toContain("has no signature");
  });
});

describe("the list of signers", () => {
  const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGQ=";

  test("is taken without what changes nothing", () => {
    const text = `# ours\n\n  ${email} ${key} laptop \r\nbob@example.test cert-authority,namespaces="git" ${key}\n`;
    expect(parseAllowedSigners(text, "list")).toBe(
      `${email} ${key} laptop\nbob@example.test cert-authority,namespaces="git" ${key}`,
    );
  });

  test.each([
    ["an empty one", "", "list"],
    ["one of comments", "# nobody\n", "list"],
    ["a public key without signer", key, "list, line 1"],
    ["a signer without key", `${email} ${key}\nbob@example.test\n`, "list, line 2"],
    ["a key of an unknown type", `${email} ssh-dss AAAA`, "list, line 1"],
    ["an unknown option", `${email} trust-me ${key}`, "list, line 1"],
    ["a key that is no base64", `${email} ssh-ed25519 $(id)`, "list, line 1"],
    ["a private key", "-----BEGIN OPENSSH PRIVATE KEY-----", "list, line 1"],
  ])("is refused when it is %s", (_, text, path) => {
    expect(problemsOf(() => parseAllowedSigners(text, "list"))).toEqual([`SSF-PIPELINE-017 ${path}`]);
  });
});

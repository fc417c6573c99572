import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const examples = resolve(__dirname, "../../examples");
const minutes = 60_000;

/** A Go module that nobody here wrote, as its author published it, and one of its commands. */
const foreign = { module: "github.com/rogpeppe/go-internal", version: "v1.14.1", command: "./cmd/txtar-c" };
const denied = "pkg:pypi/itsdangerous";
const committer = "member@team.test";

/** How `./factory` ended. */
export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** A team that asks of its runs all that a team can ask, and its members' repositories. */
export class StrictTeam {
  private readonly directory = mkdtempSync(join(tmpdir(), "ssf-e2e-strict-"));
  private readonly key = join(this.directory, "key");
  private readonly allowedSigners = join(this.directory, "allowed_signers");

  constructor(readonly stack: string) {
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", this.key]);
    writeFileSync(this.allowedSigners, `${committer} namespaces="git" ${readFileSync(`${this.key}.pub`, "utf8")}`);
  }

  /** The settings of its stack, as lines of `SSF_CONFIG`. */
  settings = (): string[] =>
    Object.entries({
      team: "strict",
      allowedSignersFile: this.allowedSigners,
      artefact: "file",
      deniedPackages: denied,
      reproduce: "true",
    }).map(([key, value]) => `${this.stack}:${key}=${value}`);

  /** A repository of that name with what `write` leaves in its directory as one commit. */
  repository = (name: string, { signed }: { signed: boolean }, write: (directory: string) => void): string => {
    const directory = join(this.directory, name);
    mkdirSync(directory);
    write(directory);
    const settings = {
      "user.name": "Member",
      "user.email": committer,
      "gpg.format": "ssh",
      "user.signingkey": this.key,
      "commit.gpgsign": String(signed),
    };
    const options = Object.entries(settings).flatMap(([key, value]) => ["-c", `${key}=${value}`]);
    const git = (...args: string[]) => execFileSync("git", ["-C", directory, ...options, ...args]);
    git("init", "--quiet");
    git("add", "--all", "--force");
    git("commit", "--quiet", "--message=A commit");
    return directory;
  };

  remove = (): void => rmSync(this.directory, { recursive: true, force: true });
}

/** The source of {@link foreign} from the module registry, with its checksum verified. */
const copyForeign = (directory: string): void => {
  const cache = mkdtempSync(join(tmpdir(), "ssf-e2e-go-"));
  try {
    const downloaded = execFileSync("go", ["mod", "download", "-json", `${foreign.module}@${foreign.version}`], {
      cwd: cache,
      env: { ...process.env, GOFLAGS: "-modcacherw", GOMODCACHE: cache },
      encoding: "utf8",
    });
    cpSync((JSON.parse(downloaded) as { Dir: string }).Dir, directory, { recursive: true });
    chmodSync(directory, 0o755);
  } finally {
    rmSync(cache, { recursive: true });
  }
};

const copyExample = (name: string) => (directory: string) =>
  cpSync(join(examples, name), directory, {
    recursive: true,
    filter: (path) => !/\/(node_modules|dist)$/.test(path),
  });

/** A program whose build leaves something else each time. */
const copyChanging = (directory: string): void => {
  copyExample("npm-service")(directory);
  const file = join(directory, "package.json");
  const description = JSON.parse(readFileSync(file, "utf8")) as { scripts: Record<string, string> };
  description.scripts.build = `${description.scripts.build ?? ""} && node mark.cjs`;
  writeFileSync(file, JSON.stringify(description, undefined, 2));
  appendFileSync(
    join(directory, "mark.cjs"),
    'require("fs").writeFileSync("dist/mark.js", `export default "${require("crypto").randomUUID()}";\\n`);\n',
  );
};

/** Builds of a team that asks for everything: one that passes with all of it asked for, and one for each refusal. */
export type StrictBuilds = Record<"foreign" | "unsigned" | "denied" | "changing", Promise<Ended>>;

/** Begins all of them at once. */
export const beginStrictBuilds = (strict: StrictTeam, factory: (...args: string[]) => Promise<Ended>): StrictBuilds => {
  const build = (source: string, ...more: string[]) => factory("build", source, "--team", "strict", ...more, "--json");
  return {
    foreign: build(
      strict.repository("go-internal", { signed: true }, copyForeign),
      ...["--package", foreign.command, "--name", "txtar-c"],
    ),
    unsigned: build(strict.repository("unsigned", { signed: false }, copyExample("go-service"))),
    denied: build(strict.repository("denied", { signed: true }, copyExample("pip-service"))),
    changing: build(strict.repository("changing", { signed: true }, copyChanging)),
  };
};

/** Checks what only a team that asks for it gets. */
export const describeSupplyChain = (
  builds: () => StrictBuilds,
  factory: (...args: string[]) => Promise<Ended>,
): void => {
  describe("a team that asks for signed commits, two builds, a deny list and files", () => {
    test(
      "gets a program that nobody here wrote, signed, built twice with the same result, as a file",
      async () => {
        const built = await builds().foreign;
        expect(built.code).toBe(0);
        const { image } = JSON.parse(built.stdout) as { image: string };
        const verified = await factory("verify", image);
        expect(verified.code).toBe(0);
        expect(verified.stdout).toContain("built twice with the same result");
      },
      20 * minutes,
    );

    test(
      "gets nothing of an unsigned commit, a denied package, or a build that differs",
      async () => {
        const { unsigned, denied: withDenied, changing } = builds();
        const refusals = await Promise.all([unsigned, withDenied, changing]);
        const reasons = ["has no signature", `is denied by ${denied}`, "the build is not reproducible"];
        refusals.forEach(({ code, stderr }, index) => {
          expect(code).toBe(1);
          expect(stderr).toContain(reasons[index]);
        });
      },
      20 * minutes,
    );
  });
};

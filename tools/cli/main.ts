import { Argument, Command, CommanderError, Option } from "commander";
import { FactoryError } from "../../components/lib/errors";
import type { Role } from "../../trust";
import { exitCode, type ExitCode, exitCodeOf } from "./outcome";
import type { AlertsOptions } from "./verbs/alerts";
import type { AttackOptions } from "./verbs/attack";
import type { BuildOptions } from "./verbs/build";
import type { GraphOptions } from "./verbs/graph";
import type { TeamRemoveOptions } from "./verbs/team";
import type { PreviewOptions } from "./verbs/preview";
import type {
  TrustInitOptions,
  TrustOptions,
  TrustPolicyOptions,
  TrustRotateOptions,
  TrustSignOptions,
} from "./verbs/trust";
import type { VerifyOptions } from "./verbs/verify";
import type { WorkspaceOptions } from "./workspace";

type Common = WorkspaceOptions & { json: boolean };

const several = (value: string, before: string[] = []): string[] => [...before, value];

const jsonOption = () =>
  new Option("--json", "print the result as JSON; progress goes to standard error").default(false);

const minutes = (value: string): string => {
  if (/^[1-9][0-9]{0,3}$/.test(value)) return value;
  throw new FactoryError({
    code: "SSF-CLI-007",
    path: "--timeout",
    given: `"${value}"`,
    rule: "It must be a whole number of minutes from 1 to 9999.",
    fix: "Write for instance --timeout 60.",
  });
};

/** The command line; `finish` is told the exit code of the verb that ran. */
export const commandLine = (finish: (code: ExitCode) => void): Command => {
  const program = new Command("factory")
    .description("A secure software factory: bring it up, build in it, verify what it built.")
    .addHelpText("after", "\nExit codes: 0 held, 1 did not hold, 2 could not be checked.")
    .showHelpAfterError()
    .exitOverride();

  const verb = (name: string, description: string, parent = program): Command =>
    parent
      .command(name)
      .description(description)
      .addOption(jsonOption())
      .option(
        "--stacks <names>",
        "stacks: cluster, factory and teams, joined by commas (default: cluster, dev, each Pulumi.team-*.yaml)",
      )
      .option("--config <stack:key=value>", "replace a configuration value of a stack; may be repeated", several);

  verb("up", "bring up everything that is missing: toolchain, cluster, factory, teams").action(
    async (options: Common) => finish(await (await import("./verbs/up.ts")).up(options)),
  );
  verb("down", "remove everything that up made, but the caches").action(async (options: Common) =>
    finish(await (await import("./verbs/down.ts")).down(options)),
  );
  const team = program
    .command("team")
    .description("make and remove teams: each has a stack, and a file with its settings");
  verb("new", "write the settings of a new team, Pulumi.team-<name>.yaml; up makes the team", team)
    .argument("<name>", "name of the team; its namespace is team-<name>")
    .action(async (name: string, options: Common) =>
      finish(await (await import("./verbs/team.ts")).teamNew(name, options)),
    );
  verb("list", "list the teams that have settings, and say which of them are up", team).action(
    async (options: Common) => finish(await (await import("./verbs/team.ts")).teamList(options)),
  );
  verb("remove", "remove a team with all that it has, and its settings; other teams stay as they are", team)
    .argument("<name>", "name of the team")
    .option("--yes", "do not ask")
    .action(async (name: string, options: TeamRemoveOptions) =>
      finish(await (await import("./verbs/team.ts")).teamRemove(name, options)),
    );
  verb("preview", "say what the checkout changes in the factory, and whether it breaks a rule; 0 only if none")
    .option("--base <ref>", "branch, tag or commit to compare with (default: origin/HEAD, main or master)")
    .option("--comment <file>", "file for the same as Markdown, with a picture, for a pull request")
    .action(async (options: PreviewOptions) => finish(await (await import("./verbs/preview.ts")).preview(options)));
  verb("build", "build a program; ends with its image by digest, signed")
    .argument("<source>", "a directory of a git repository, or the https address of one")
    .option("--commit <id>", "commit to build (default: HEAD)")
    .option("--directory <path>", "directory within a repository that is given by its address (default: .)")
    .option("--language <name>", "language of the program: go, npm or pip (default: that of its lock file)")
    .option("--package <path>", "main package of a Go program, as a path from the directory (default: .)")
    .option("--param <name=value>", "another parameter of the team's pipeline; may be repeated", several)
    .option("--name <name>", "last part of the image's name (default: the directory's)")
    .option("--team <name>", "team whose pipeline builds (default: the first)")
    .option("--timeout <minutes>", "minutes to wait for the end", minutes, "60")
    .action(async (source: string, options: BuildOptions) =>
      finish(await (await import("./verbs/build.ts")).build(source, options)),
    );
  verb("verify", "check signature and provenance of an image, or the factory itself; 0 only if all of it holds")
    .argument("<image>", "image by digest: <registry>/<path>@sha256:<hex>; or self, for the factory itself")
    .option("--source <url>", "address that its source must come from")
    .option("--commit <id>", "commit that its source must be")
    .action(async (image: string, options: VerifyOptions) =>
      finish(
        image === "self"
          ? await (await import("./verbs/verify-self.ts")).verifySelf(options)
          : await (await import("./verbs/verify.ts")).verify(image, options),
      ),
    );
  verb("attack", "attack the factory in every known way; 0 only if each attack is refused and each control passes")
    .argument("[name...]", "attacks, as --list shows them (default: all that take no minutes)")
    .option("--list", "say what there is, and try nothing")
    .option("--team <name>", "team whose namespace is attacked (default: the first)")
    .action(async (names: string[], options: AttackOptions) =>
      finish(await (await import("./verbs/attack.ts")).attack(names, options)),
    );
  const trust = program
    .command("trust")
    .description("keep what verifiers trust: keys of roles, and what the factory signs with, in a TUF repository");
  const trustVerb = (name: string, description: string): Command =>
    verb(name, description, trust).option(
      "--metadata <directory>",
      "directory of the public files (default: trustDirectory of the factory's stack, or the state's own)",
    );
  const keysOption = ["--keys <directory>", "directory with keys of the ceremony; may be repeated", several] as const;
  trustVerb("init", "hold a ceremony: make the keys of all roles, and an empty repository")
    .requiredOption("--keys <directory>", "new directory for the private keys, on a medium that can be put away")
    .option("--root-keys <number>", "how many root keys there are", "3")
    .option("--threshold <number>", "how many of them must sign", "2")
    .action(async (options: TrustInitOptions) => finish(await (await import("./verbs/trust.ts")).trustInit(options)));
  trustVerb("sign", "sign what the factory signs with, and what expires soon; the same again changes nothing")
    .option(...keysOption)
    .option("--from <file>", "file with output trust of the factory's stack, as JSON (default: the stack itself)")
    .option(
      "--policy <directory>",
      "directory whose files are the policy bundle (default: the rules that the factory's stack names)",
    )
    .option(
      "--revoke <sha256>",
      "what counts for nothing any more: a fingerprint that show names, or an image by digest; may be repeated",
      several,
    )
    .addOption(
      new Option("--renew", "sign what expires soon, and take nothing new").conflicts(["from", "policy", "revoke"]),
    )
    .action(async (options: TrustSignOptions) => finish(await (await import("./verbs/trust.ts")).trustSign(options)));
  trustVerb("rotate", "replace the keys of a role")
    .addArgument(new Argument("<role>").choices(["root", "targets", "snapshot", "timestamp"]))
    .option(...keysOption)
    .option("--new-keys <directory>", "directory for the new keys (default: the first of --keys)")
    .option("--key <id>", "beginning of the id of the one key that goes (default: all of the role)")
    .action(async (role: Role, options: TrustRotateOptions) =>
      finish(await (await import("./verbs/trust.ts")).trustRotate(role, options)),
    );
  trustVerb("show", "say how the roles stand and what is signed; 0 only if all of it holds").action(
    async (options: TrustOptions) => finish(await (await import("./verbs/trust.ts")).trustShow(options)),
  );
  trustVerb("policy", "compare the rules in force with those that are signed; 0 only if they are the same")
    .option("--output <directory>", "directory for the rules in force as files, which sign --policy signs")
    .action(async (options: TrustPolicyOptions) =>
      finish(await (await import("./verbs/trust.ts")).trustPolicy(options)),
    );
  verb("graph", "draw a team's pipeline: stages, workspaces, who writes, who reads, who is jailed")
    .option("--team <name>", "team whose pipeline is drawn (default: the first)")
    .option("--pipeline <name>", "one of its pipelines (default: the first)")
    .addOption(new Option("--format <name>", "svg or mermaid").choices(["svg", "mermaid"]).default("svg"))
    .option("--output <file>", "file to write (default: standard output)")
    .action(async (options: GraphOptions) => finish(await (await import("./verbs/graph.ts")).graph(options)));
  verb("status", "say what is up").action(async (options: Common) =>
    finish(await (await import("./verbs/status.ts")).status(options)),
  );
  verb("alerts", "show what Falco reported; 0 only if it reported nothing and sees every node")
    .option("--since <span>", "how far to look back, such as 30m or 2h", "1h")
    .action(async (options: AlertsOptions) => {
      const { alerts, requireSpan } = await import("./verbs/alerts.ts");
      finish(await alerts({ ...options, since: requireSpan(options.since) }));
    });
  verb("env", 'print variables for a plain pulumi: eval "$(./factory env)"').action(async (options: Common) =>
    finish(await (await import("./verbs/env.ts")).env(options)),
  );
  verb("toolchain", "build programs and images, and write toolchain.lock.json").action(async (options: Common) =>
    finish(await (await import("./verbs/toolchain.ts")).toolchain(options)),
  );
  return program;
};

/** What a person reads about an error; the stack only where `SSF_DEBUG` asks for it. */
export const errorText = (error: unknown, debug: boolean): string => {
  if (!(error instanceof Error)) return String(error);
  if (debug) return error.stack ?? error.message;
  return error instanceof FactoryError ? error.message : `${error.name}: ${error.message}`;
};

const run = async (): Promise<void> => {
  try {
    await commandLine((code) => {
      process.exitCode = code;
    }).parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? exitCode.held : exitCode.notChecked;
      return;
    }
    console.error(errorText(error, process.env.SSF_DEBUG !== undefined));
    process.exitCode = exitCodeOf(error);
  }
};

if (require.main === module) {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => {
      if (process.listenerCount(signal) === 1) process.exit(exitCode.notChecked);
    });
  void run();
}

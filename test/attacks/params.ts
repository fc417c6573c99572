import { variants } from "../../tools/cli/attack-session";
import { atAdmission, type FactoryAttack } from "./support";

/** Values that would mean something to a shell, to git, to a path or to a registry. */
const values: Readonly<Record<string, readonly string[]>> = {
  repository: [
    "http://git.example.com/x.git",
    "https://user:secret@git.example.com/x.git",
    "file:///etc",
    "https://git.example.com/x.git;id",
    "https://git.example.com/$(id)",
    "--upload-pack=id",
    "https://git.example.com/x.git\nhttps://other.test/y",
  ],
  commit: ["main", "0".repeat(39), `${"0".repeat(40)}\n`, `${"0".repeat(40)} x`, "$(params.name)", "--all"],
  directory: ["..", "a/../..", "/etc", "a//b", "a;b", "`id`", "-x", "a\nb", "a\u2028b"],
  name: ["UPPER", "../other-team/app", "a/b", "app:latest", "app@sha256:0", "$(id)", "a b", ""],
  package: ["-exec=id", "../x", "./a b", "./$(id)", "/etc", ".\n-x"],
};

export const params: FactoryAttack = {
  name: "params",
  covers: "Parameters outside the values that their pipeline declares.",
  tries: "to start runs with shell text, options, paths, line ends and image names as parameters",
  refusal: atAdmission,
  control: "The same run with good values is accepted.",
  prepare: ({ member, goodRun }) => {
    const declared = goodRun.spec.params ?? [];
    const bad = declared.flatMap(({ name }, index) =>
      (values[name] ?? []).map(
        (value) => [`${name} ${JSON.stringify(value)}`, [["spec", "params", index, "value"], value]] as const,
      ),
    );
    return Promise.resolve({
      attempts: variants(member, goodRun, [
        ...bad,
        ["a parameter more", [["spec", "params", declared.length], { name: "image", value: "elsewhere.test/x" }]],
        ["a parameter less", [["spec", "params"], declared.filter(({ name }) => name !== "commit")]],
        ["a parameter twice", [["spec", "params", declared.length], { name: "commit", value: "1".repeat(40) }]],
        ["a list in place of a text", [["spec", "params", 0, "value"], ["https://git.example.com/x.git"]]],
        ["an object in place of a text", [["spec", "params", 0, "value"], { key: "https://git.example.com/x.git" }]],
      ]),
      controls: [{ name: "good values", run: () => member.wouldCreate(goodRun) }],
    });
  },
};

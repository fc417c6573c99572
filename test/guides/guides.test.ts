import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { describeWithFactory } from "../support/served-factory";
import { blocksIn, blocksOf, guides, liveCommands } from "./blocks";

jest.setTimeout(900_000);

describe("blocks of commands", () => {
  const fenced = (info: string) => blocksIn("guide", `Text\n\`\`\`${info}\necho 1\necho 2\n\`\`\`\n`);

  test("say where they run, and one that does not is found", () => {
    expect(fenced("sh")).toEqual([{ guide: "guide", line: 2, place: "here", script: "echo 1\necho 2" }]);
    expect(fenced("sh live")).toMatchObject([{ place: "live" }]);
    expect(fenced("sh foreign")).toMatchObject([{ place: "foreign" }]);
    for (const info of ["sh elsewhere", "bash", "console", "sh  live"])
      expect(fenced(info)).toMatchObject([{ place: undefined }]);
    for (const info of ["", "ts", "yaml", "mermaid"]) expect(fenced(info)).toEqual([]);
  });

  test.each(guides)("of the guide %s all say where they run", (guide) => {
    const blocks = blocksOf(guide);
    expect(blocks.length).toBeGreaterThan(0);
    expect(blocks.filter(({ place }) => place === undefined)).toEqual([]);
  });

  test("of what a person does first are all run, here or by the end-to-end test", () => {
    const first = ["add-a-team", "existing-cluster", "write-a-pipeline"].flatMap(blocksOf);
    expect(first.filter(({ place }) => place === "foreign")).toEqual([]);
  });

  test("that need a factory are collected", () => {
    expect(liveCommands("add-a-team")).toEqual(["./factory up\n./factory build examples/go-service --team payments"]);
  });
});

describeWithFactory("the commands of the guide", (served) => {
  /** What its blocks print, run one after the other in a copy of the checkout with a factory's outputs. */
  const printedBy = async (guide: (typeof guides)[number]): Promise<string[]> => {
    const printed: string[] = [];
    for (const { place, script } of blocksOf(guide))
      if (place === "here") printed.push(await served.checkout.output(script));
    return printed;
  };
  const settingsOf = (stack: string): Record<string, unknown> => {
    const { config } = parse(readFileSync(join(served.checkout.directory, `Pulumi.${stack}.yaml`), "utf8")) as {
      config: Record<string, unknown>;
    };
    return Object.fromEntries(Object.entries(config).map(([key, value]) => [key.split(":")[1] ?? key, value]));
  };

  test("add-a-team write a team that previews, and leave nothing of it", async () => {
    const [made, , preview, removed] = await printedBy("add-a-team");
    expect(made).toMatch(/payments +team-payments +dev +not up/);
    expect(preview).toMatch(/kubernetes:core\/v1:Namespace +team-ns +create/);
    expect(preview).toContain("team-pipeline-go");
    expect(preview).not.toContain("team-pipeline-npm");
    expect(removed).toContain("Team payments is gone.");
    expect(existsSync(join(served.checkout.directory, "Pulumi.team-payments.yaml"))).toBe(false);
    expect(existsSync(join(served.checkout.directory, "Pulumi.team-a.yaml"))).toBe(true);
  });

  test("write-a-pipeline draw the pipeline, and a stage more in the jail", async () => {
    const [drawn, vetted] = await printedBy("write-a-pipeline");
    expect(drawn).toContain("accTitle: Pipeline go");
    expect(readFileSync(join(served.checkout.directory, "go.svg"), "utf8")).toContain("Pipeline go</title>");
    expect(vetted).toMatch(/"vet<br\/>jailed"/);
    const spoilt = "sed -i 's/^  results: \\[\\],/  results: [], writes: \"output\",/' vet.ts && npx tsx vet.ts";
    const refused = await served.checkout.sh(spoilt);
    expect([refused.code, refused.stderr]).toEqual([
      1,
      expect.stringMatching(/SSF-PIPELINE-003 workspaces\.output: written by build and vet/),
    ]);
  });

  test("existing-cluster set what the stacks read", async () => {
    const shown = await printedBy("existing-cluster");
    expect(settingsOf("cluster")).toMatchObject({
      kind: "cluster",
      kubeconfig: expect.stringMatching(/\/\.kube\/config$/) as string,
      jail: "network-policy",
    });
    expect(settingsOf("dev")).toMatchObject({ registryClusterIp: "10.96.0.50", serviceCidr: "10.96.0.0/16" });
    expect(shown.at(-1)).toMatch(/jail +network-policy/);
  });
});

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { describeWithFactory, importFactory } from "../support/served-factory";
import { factoryTrust, newAuthority, newLog } from "../trust/support/sigstore";
import { blocksIn, blocksOf, guideText, guides, liveCommands } from "./blocks";

jest.setTimeout(900_000);

describe("blocks of commands", () => {
  const fenced = (info: string) => blocksIn("guide", `Text\n\`\`\`${info}\necho 1\necho 2\n\`\`\`\n`);

  test("say where they run, and one that does not is found", () => {
    expect(fenced("sh")).toEqual([{ guide: "guide", line: 2, place: "here", script: "echo 1\necho 2" }]);
    for (const place of ["refused", "live", "foreign"]) expect(fenced(`sh ${place}`)).toMatchObject([{ place }]);
    for (const info of ["sh elsewhere", "bash", "console", "sh  live"])
      expect(fenced(info)).toMatchObject([{ place: undefined }]);
    for (const info of ["", "ts", "yaml", "mermaid"]) expect(fenced(info)).toEqual([]);
  });

  test.each(guides)("of the guide %s all say where they run", (guide) => {
    const blocks = blocksOf(guide);
    expect(blocks.length).toBeGreaterThan(0);
    expect(blocks.filter(({ place }) => place === undefined)).toEqual([]);
  });

  test("that need what no test has are those of services elsewhere, and of other clients", () => {
    const foreign = guides.flatMap(blocksOf).filter(({ place }) => place === "foreign");
    expect(foreign.filter(({ script }) => !/awskms:|cosign initialize/.test(script))).toEqual([]);
  });

  test("that need a factory are collected", () => {
    expect(liveCommands("add-a-team")).toEqual(["./factory up\n./factory build examples/go-service --team payments"]);
  });
});

/** What is run in place of a block, told what those before it printed. */
type Prepare = (script: string, printed: readonly string[]) => string | Promise<string>;

describeWithFactory("the commands of the guide", (served) => {
  /**
   * What its blocks print, run one after the other in a copy of the checkout with a factory's outputs.
   *
   * @param prepare @default the block itself
   */
  const printedBy = async (
    guide: (typeof guides)[number],
    prepare: Prepare = (script) => script,
  ): Promise<string[]> => {
    const printed: string[] = [];
    for (const { place, script } of blocksOf(guide)) {
      const prepared = await prepare(script, printed);
      if (place === "here") printed.push(await served.checkout.output(prepared));
      if (place !== "refused") continue;
      const { code, stdout } = await served.checkout.sh(prepared);
      expect([script, code]).not.toEqual([script, 0]);
      printed.push(stdout);
    }
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
    const spoilt =
      "sed -i 's/^  results: \\[\\],/  results: [], writes: \"output\",/' vet.ts && node --require @swc-node/register vet.ts";
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
      clusterCidrs: "10.244.0.0/16,10.96.0.0/16,192.168.10.0/24",
      jail: "network-policy",
    });
    expect(settingsOf("dev")).toMatchObject({ registryClusterIp: "10.96.0.50", serviceCidr: "10.96.0.0/16" });
    expect(shown.at(-1)).toMatch(/jail +network-policy/);
  });

  test("preview judge a team, with levels of its own, and by a policy that is added", async () => {
    await served.checkout.output("pulumi stack select team-a --create");
    const [passed = "", levelled = "", , , refused = "", mended = ""] = await printedBy("preview");
    expect(passed).toMatch(/\[advisory\] +not-checked/);
    expect(passed).not.toContain("[mandatory]");
    expect(levelled).not.toContain("not-checked");
    const [, shown = ""] = /(SSF-LOCAL-001[^`]*)```/.exec(guideText("preview").split("```sh refused")[1] ?? "") ?? [];
    for (const line of shown.trim().split("\n")) expect(refused).toContain(line.trim());
    expect(refused).toMatch(/\[mandatory\] +quota/);
    expect(mended).not.toContain("SSF-LOCAL-001");
  });

  test("definition-keys give a team a new key, and end what the old one signed", async () => {
    await served.checkout.output(
      "pulumi stack select team-a --create && pulumi up --yes --skip-preview --stack team-a",
    );
    const policies = "/apis/tekton.dev/v1alpha1/namespaces/team-a/verificationpolicies";
    const keys = async () => {
      const { body } = await served.server.ask("GET", policies);
      const { items } = body as { items: { spec: { authorities: { key: { data: string } }[] } }[] };
      return items.flatMap(({ spec }) => spec.authorities.map(({ key }) => key.data));
    };
    const [former] = await keys();
    const [printed = ""] = await printedBy("definition-keys");
    expect(printed.match(/tekton\.dev\/v1:Task/g)?.length).toBeGreaterThan(4);
    expect(await keys()).toHaveLength(1);
    expect(await keys()).not.toContain(former);
  });

  test("trust hold a ceremony, sign, give every role and the authority a new key, and revoke the old one", async () => {
    const place = mkdtempSync(join(tmpdir(), "ssf-trust-guide-"));
    const log = newLog();
    const [first, second] = ["first", "second"].map((name) => ({
      trust: { ...factoryTrust(newAuthority(name), log), images: [] },
    }));
    const rolesIn = (text: string) => [...text.matchAll(/^(\w+) version \d+, .*: (.*)$/gm)].map(([, ...role]) => role);
    try {
      await importFactory(served.checkout, served.server, first);
      const before = `export HOME=${place} SSF_TRUST_PASSPHRASE='a passphrase of five words'\n`;
      const printed = await printedBy("trust", async (script, said) => {
        if (said.at(-1)?.includes("new key: ") === true) await importFactory(served.checkout, served.server, second);
        const [, leaked = ""] = /^authority ([0-9a-f]{64}) /m.exec(said.join("\n")) ?? [];
        return `${before}leaked=${leaked}\n${script.replaceAll("/media/", `${place}/media/`)}`;
      });
      const shown = printed.find((text) => text.includes("root version 1,")) ?? "";
      const [, leaked = ""] = /^authority ([0-9a-f]{64}) /m.exec(shown) ?? [];
      const now = await served.checkout.output(`${before}./factory trust show`);
      expect(rolesIn(shown).map(([role]) => role)).toEqual(["root", "targets", "snapshot", "timestamp"]);
      for (const [index, [role, keys]] of rolesIn(now).entries())
        expect([role, keys]).not.toEqual([rolesIn(shown)[index]?.[0], rolesIn(shown)[index]?.[1]]);
      expect(now).toContain(`revoked ${leaked}`);
      expect(now).not.toContain(`authority ${leaked}`);
      expect(now).toMatch(/^authority [0-9a-f]{64} https:\/\/fulcio\.example/m);
      expect(readdirSync(join(place, "media/new/root"))).toHaveLength(3);
    } finally {
      rmSync(place, { recursive: true });
      await importFactory(served.checkout, served.server);
    }
  });
});

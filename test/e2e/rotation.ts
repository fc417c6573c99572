import { setTimeout } from "node:timers/promises";
import { sha256 } from "../../components/lib/digest";
import { readyStack, update } from "../../tools/cli/pulumi";
import { openRegistry, readAttestations } from "../../tools/cli/registry";
import { checkSignature, logIdOf, parseAttestation, type SignedStatement } from "../../tools/cli/signature";
import { readOwnTrust } from "../../tools/cli/trust";
import { trustedFor } from "../../tools/cli/trusted";
import { openWorkspace } from "../../tools/cli/workspace";
import { eventually, Shop } from "./gate";
import { type ProbeContext, withPipeline } from "./probe";
import { signingPipeline } from "./signed-runs";
import type { Ended } from "./supply-chain";

const minutes = 60_000;

/** A factory that is up, one of its teams, and two images of that team. */
export interface RotationContext extends ProbeContext {
  image: string;
  /** It is revoked itself; the other one stays good until the keys that signed it are revoked. */
  withdrawn: string;
}

/**
 * Revokes an image, and gives log and authority new keys, by one update of the factory. After it the other image counts for
 * nothing either, since the keys that signed it are revoked, and the factory's settings are others: what comes later must not
 * need the former ones.
 *
 * @param settings stacks and settings by which the factory was brought up; the second stack is the factory's
 */
export const describeRotation = (
  settings: { stacks: string; config: readonly string[]; state: string },
  factory: (args: readonly string[], env: Record<string, string>) => Promise<Ended>,
  context: () => RotationContext,
): void => {
  const { stacks, state } = settings;
  const name = stacks.split(",")[1] ?? "";
  const config = [...settings.config, `${name}:logKeyEpoch=2`, `${name}:authorityKeyEpoch=2`];
  const env = { SSF_CONFIG: config.join("\n") };
  const workspace = openWorkspace({ stacks, config }, { ...process.env, SSF_STATE: state });
  const verify = async (image: string) => (await factory(["verify", image], env)).code;
  const trusted = async () => trustedFor(await readOwnTrust(workspace), context().team.provenance.builderId);

  const publish = async (): Promise<void> => {
    const stack = workspace.stacks.find((one) => one.name === name);
    if (stack === undefined) throw new Error(`no stack ${name}`);
    const ready = await readyStack(workspace, stack);
    await update(workspace, ready, { operation: "up", component: "TufRepository", onProgress: () => undefined });
  };

  /** Fingerprints of the logs and authorities that are trusted, the present and the former ones. */
  const keys = async (): Promise<{ present: string[]; former: string[] }> => {
    const { stdout } = await factory(["trust", "show", "--json"], env);
    const { trusted: entries } = JSON.parse(stdout) as {
      trusted: { kind: string; sha256: string; end?: string }[];
    };
    const signing = entries.filter(({ kind }) => kind === "log" || kind === "authority");
    const of = (isFormer: boolean) =>
      signing.filter(({ end }) => (end !== undefined) === isFormer).map((entry) => entry.sha256);
    return { present: of(false), former: of(true) };
  };

  /** The statement that lies beside an image of the team's as soon as Chains has signed it. */
  const statementOn = async (repository: string, digest: string): Promise<SignedStatement> => {
    const { kubectl, team } = context();
    const { registry } = team;
    const login = () => Promise.resolve(team.registryCredentials.reader);
    const forward = await kubectl.portForward(registry.namespace, registry.service, 5000);
    try {
      const client = openRegistry({ login, ...registry, localPort: forward.port });
      const [host = "", ...path] = repository.split("/");
      for (let tries = 0; tries < 90; tries++) {
        const [attestation] = (await readAttestations(client, { host, path: path.join("/"), digest })).newest;
        const statement = attestation && parseAttestation(attestation);
        if (statement !== undefined) return statement;
        await setTimeout(1000);
      }
      throw new Error("the run has no statement");
    } finally {
      forward.close();
    }
  };

  /** The statement about a run that ends now. */
  const signNow = (): Promise<SignedStatement> => {
    const repository = `${context().team.registryRepository}/rotated`;
    return withPipeline(context(), signingPipeline(repository, "rotate"), async (start) => {
      await start({ number: "7" });
      return statementOn(repository, `sha256:${sha256("7")}`);
    });
  };

  test(
    "an image is revoked, and log and authority get new keys: what the old ones signed holds until they are revoked, and what the new ones sign, after",
    async () => {
      const { kubectl, image, withdrawn } = context();
      const sign = async (...revoked: string[]) =>
        (await factory(["trust", "sign", ...revoked.flatMap((one) => ["--revoke", one])], env)).code;
      const before = await keys();
      expect(before).toMatchObject({ present: { length: 2 }, former: [] });
      expect(await verify(withdrawn)).toBe(0);
      expect(await sign(withdrawn)).toBe(0);
      expect((await factory(["up"], env)).code).toBe(0);
      const rotated = await keys();
      expect(rotated.former.sort()).toEqual(before.present.sort());
      expect(rotated.present).toHaveLength(2);
      // The former one goes with its Certificate, which the cluster collects a moment later.
      await eventually(async () => {
        const secrets = await kubectl.text(["get", "secrets", "--namespace=ssf-fulcio", "--output=name"]);
        const authorities = secrets.split("\n").filter((secret) => /^secret\/fulcio-ca(-\d+)?$/.test(secret));
        expect(authorities).toEqual(["secret/fulcio-ca-2"]);
      });

      const shop = new Shop(context());
      await shop.open();
      try {
        expect(await verify(withdrawn)).toBe(1);
        expect(await verify(image)).toBe(0);
        const statement = await signNow();
        await eventually(() => expect(shop.ask(withdrawn)).rejects.toThrow(/SSF-GATE-002 .*revoked at/));
        await shop.ask(image);
        const { logPublicKeyPem, formerLogPublicKeysPem, signature } = await trusted();
        expect(formerLogPublicKeysPem).toHaveLength(1);
        expect(statement.entry?.logId).toBe(logIdOf(logPublicKeyPem));
        expect(checkSignature(statement, signature).fault).toBeUndefined();

        expect(await sign(...rotated.former)).toBe(0);
        await publish();
        expect(await verify(image)).toBe(1);
        await eventually(() => expect(shop.ask(image)).rejects.toThrow(/SSF-GATE-002 .*nothing that is trusted/));
        expect(checkSignature(statement, (await trusted()).signature).fault).toBeUndefined();
      } finally {
        await shop.close();
      }
    },
    15 * minutes,
  );
};

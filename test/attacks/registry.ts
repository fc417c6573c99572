import { readerLogin } from "../../components/lib/registry-config";
import { PUBLISHER } from "../../components/lib/workload-api";
import { spiffeId } from "../../components/spire";
import type { Answer, Attempt } from "../../tools/cli/attacks";
import { MANIFEST_TYPES, parseImage } from "../../tools/cli/registry";
import { verified } from "./forged-provenance";
import { openForger } from "./forgery";
import { mintToken, openHttps, registryAnswer, type ServiceRequest, stolenLogins, withClaims } from "./services";
import { anyBuilt, type FactoryAttack } from "./support";
import { workload } from "./unproven-images";

/** More than anybody reads, in a list that a registry takes. */
const FLOOD = 1000;

export const registry: FactoryAttack = {
  name: "registry",
  covers:
    "Images and attestations in the registry: read or written by nobody in particular, written by who only reads, deleted or replaced by anybody, flooded by who may write.",
  tries:
    "to read, push, replace and delete in the registry without a login, with bad ones, and with the good ones of somebody else",
  refusal: { by: ["registry"], message: /HTTP status (401|403|405) .*SSF-REGISTRY-00\d/ },
  control:
    "Whoever may read the image and its attestation does, the publishing stage's identity pushes, and the image beside a flooded one is let in.",
  prepare: async (session) => {
    const { team, factory } = session;
    const built = await anyBuilt(session);
    const { path, digest } = parseImage(built);
    const forger = await openForger(session, built);
    const { host } = factory.registry;
    const send = await openHttps(session, host);
    const { publisher, attestor } = await stolenLogins(session, team.namespace);
    const joined = ({ username, password }: { username: string; password: string }) => `${username}:${password}`;
    const member = joined(team.registryCredentials.reader);
    const everyone = { "the team's reader": member, "the publishing stage": publisher, Chains: attestor };
    const base = `/v2/${path}`;
    const attestation = `${base}/manifests/${digest.replace(":", "-")}.att`;
    const image = `${base}/manifests/${digest}`;

    const attempt = (name: string, asked: ServiceRequest, reached: readonly number[]): Attempt => ({
      name,
      run: async () => {
        const { status, body } = await send({ ...asked, accept: MANIFEST_TYPES });
        return registryAnswer(status, reached, body.toString());
      },
    });
    const reads = (name: string, auth: string | undefined, what = image) =>
      attempt(
        `${name} reads ${what === image ? "the image" : "the attestation"}`,
        { method: "GET", path: what, auth },
        [200],
      );
    const pushes = (name: string, auth: string | undefined, where = base) =>
      attempt(`${name} pushes`, { method: "POST", path: `${where}/blobs/uploads/`, auth }, [202]);
    const writes = (name: string, auth: string, what: string) => {
      const type = "application/vnd.oci.image.manifest.v1+json";
      const content = { type, body: JSON.stringify({ schemaVersion: 2, mediaType: type, layers: [] }) };
      return attempt(name, { method: "PUT", path: what, auth, content }, [201]);
    };
    const deletes = (name: string, auth: string, what: string) =>
      attempt(`${name} deletes ${what.slice(base.length + 1)}`, { method: "DELETE", path: what, auth }, [202]);

    const more = new RegExp(`SSF-VERIFY-009 .*${FLOOD} bills of materials`);
    let flooded: Promise<string> | undefined;
    const flood = async (): Promise<string> => {
      const copy = await forger.copy("flood");
      await forger.attachSbom(copy.digest, FLOOD);
      return copy.image;
    };
    const admission = (reference: string): Promise<Answer> => session.admin.wouldCreate(workload(session, reference));

    const identity = spiffeId(factory.trustDomain, { namespace: team.namespace, serviceAccount: PUBLISHER });
    const jailed = spiffeId(factory.trustDomain, { namespace: team.namespace, serviceAccount: "build" });
    const elsewhere = `spiffe:${await mintToken(session, { identity, audience: "elsewhere" })}`;
    const asBuild = `spiffe:${await mintToken(session, { identity: jailed, audience: host })}`;
    const changed = `spiffe:${withClaims(await mintToken(session, { audience: host }), { sub: identity })}`;
    const strangers: [string, string | undefined][] = [
      ["nobody", undefined],
      ["a user with a wrong password", `${team.namespace}:wrong`],
      ["an unknown user", "admin:admin"],
      ["the team's name with another user's password", joined({ ...readerLogin("key", team.namespace) })],
      ["the publishing stage's token for another service", elsewhere],
      ["a jailed stage's identity", asBuild],
      ["a token that was changed to name the publishing stage", changed],
    ];
    return {
      attempts: [
        ...strangers.flatMap(([name, auth]) => [
          attempt(`${name} lists repositories`, { method: "GET", path: "/v2/_catalog", auth }, [200]),
          reads(name, auth),
          pushes(name, auth),
        ]),
        pushes("the team's reader", member),
        writes("the team's reader replaces the attestation", member, attestation),
        writes("the publishing stage replaces the attestation", publisher, attestation),
        writes("Chains replaces the attestation", attestor, attestation),
        writes("Chains pushes an image", attestor, `${base}/manifests/attack-${session.id}`),
        writes(
          "the publishing stage replaces the list of what refers to the image",
          publisher,
          attestation.slice(0, -4),
        ),
        {
          name: "an image with a flood of referrers, at the gate",
          expected: { by: ["admission policy"], message: new RegExp(`SSF-GATE-003 .*${more.source}`) },
          run: async () => admission(await (flooded ??= flood())),
        },
        {
          name: "an image with a flood of referrers, verified",
          expected: { by: ["factory verify"], message: more },
          run: async () => verified(session, await (flooded ??= flood())),
        },
        ...Object.entries(everyone).flatMap(([name, auth]) => [
          attempt(`${name} lists repositories`, { method: "GET", path: "/v2/_catalog", auth }, [200]),
          ...[image, attestation, `${base}/blobs/${digest}`].map((what) => deletes(name, auth, what)),
        ]),
      ],
      controls: [
        ...Object.entries(everyone).flatMap(([name, auth]) => [reads(name, auth), reads(name, auth, attestation)]),
        pushes("the publishing stage", publisher),
        pushes("Chains", attestor),
        { name: "the image beside the flooded one, at the gate", run: () => admission(built) },
        { name: "the image beside the flooded one, verified", run: () => verified(session, built) },
      ],
    };
  },
};

import { z } from "zod";
import { sha256 } from "../../components/lib/digest";
import type { PipelineModel } from "../../pipelines";
import { readToolchain } from "../../stacks/toolchain";
import { openRegistry, readAttestations } from "../../tools/cli/registry";
import { parseAttestation, signatureFault } from "../../tools/cli/signature";
import { pipelineRunSchema } from "../../tools/cli/watch-run";
import { scale } from "../attacks/support";
import { type ProbeContext, type StartRun, withPipeline } from "./probe";

const minutes = 60_000;

/** What signing needs, as deployments. */
const services = [
  { namespace: "ssf-fulcio", name: "fulcio" },
  { namespace: "ssf-rekor", name: "rekor" },
  { namespace: "ssf-registry", name: "registry" },
];

/** Runs while each of the services is away, so that there are fifty. */
const batches = [17, 17, 16];

/** What a run with that number says it has made: nothing that was ever pushed, for only the statement about it counts. */
const digestOf = (number: string): string => `sha256:${sha256(number)}`;

/** A pipeline whose one stage says that it has made an image, and makes none. */
export const signingPipeline = (repository: string): PipelineModel => ({
  name: "sign",
  description: "Says that it has made an image.",
  params: [{ name: "number", description: "a number.", pattern: "[0-9]+" }],
  workspaces: [],
  stages: [
    {
      name: "build",
      description: "Says that it has made an image.",
      image: readToolchain().images.shell?.reference ?? "",
      script: `printf '%s' '${repository}' >"$RESULT_URL"
digest=$(printf '%s' "$PARAM_NUMBER" | sha256sum)
printf 'sha256:%s' "\${digest%% *}" >"$RESULT_DIGEST"`,
      params: [{ name: "number", description: "A number.", pattern: "[0-9]+", from: { run: "number" } }],
      results: [
        { name: "url", description: "Where the image would be." },
        { name: "digest", description: "What it would be." },
      ],
      reads: [],
      network: "none",
      env: {},
      mounts: [],
      resources: { cpu: "500m", memory: "64Mi", scratch: "16Mi" },
    },
  ],
  results: [
    { name: "IMAGE_URL", description: "Where the image would be.", from: { stage: "build", result: "url" } },
    { name: "IMAGE_DIGEST", description: "What it would be.", from: { stage: "build", result: "digest" } },
  ],
});

const pause = () => new Promise((resume) => setTimeout(resume, 1000));

/** Tests that every run gets its signature, whatever was away when it ended. */
export const describeSignatures = (context: () => ProbeContext): void => {
  const read = async (runs: readonly string[]) => {
    const { kubectl, team } = context();
    const list = await kubectl.json(["get", "pipelineruns.tekton.dev", `--namespace=${team.namespace}`]);
    const { items } = z.object({ items: z.array(pipelineRunSchema) }).parse(list);
    return items
      .filter(({ metadata }) => runs.includes(metadata.name))
      .map(({ metadata: { name, annotations }, status }) => ({
        name,
        succeeded: status.conditions.some(({ type, status: holds }) => type === "Succeeded" && holds === "True"),
        signed: annotations["chains.tekton.dev/signed"],
        logged: annotations["chains.tekton.dev/transparency"] !== undefined,
      }));
  };
  type State = Awaited<ReturnType<typeof read>>[number];
  const waitFor = async (runs: readonly string[], what: string, holds: (state: State) => boolean, tries: number) => {
    for (; ; tries--) {
      const states = await read(runs);
      const missing = states.filter((state) => !holds(state));
      if (states.length === runs.length && missing.length === 0) return;
      if (tries === 0)
        throw new Error(`${missing.length} of ${runs.length} runs not ${what}: ${JSON.stringify(missing)}`);
      await pause();
    }
  };
  const endWhileAway = async (start: StartRun, service: (typeof services)[number], numbers: readonly string[]) => {
    await scale(context().kubectl, service, 0);
    try {
      const runs: string[] = [];
      for (const number of numbers) runs.push(await start({ number }));
      await waitFor(runs, "given up by Chains", ({ succeeded, signed }) => succeeded && signed !== undefined, 300);
      return runs;
    } finally {
      await scale(context().kubectl, service, 1);
    }
  };

  describe("signatures", () => {
    test(
      "of fifty runs are all made, although Fulcio, the log and the registry were away when the runs ended",
      async () => {
        const { kubectl, team } = context();
        const repository = `${team.registryRepository}/sign`;
        const numbers = batches.map((size, batch) =>
          Array.from({ length: size }, (_, index) => `${batch}${index + 10}`),
        );
        await withPipeline(context(), signingPipeline(repository), async (start) => {
          const runs: string[] = [];
          for (const [index, service] of services.entries())
            runs.push(...(await endWhileAway(start, service, numbers[index] ?? [])));
          expect(runs).toHaveLength(50);
          await waitFor(runs, "signed and logged", ({ signed, logged }) => signed === "true" && logged, 300);
        });

        const { registry, provenance } = team;
        const forward = await kubectl.portForward(registry.namespace, registry.service, 5000);
        try {
          const login = () => Promise.resolve(team.registryCredentials.reader);
          const client = openRegistry({ login, ...registry, localPort: forward.port });
          const [host = "", ...path] = repository.split("/");
          const faults = numbers.flat().map(async (number) => {
            const digest = digestOf(number);
            const { newest } = await readAttestations(client, { host, path: path.join("/"), digest });
            const found = newest.map((attestation) => {
              const statement = parseAttestation(attestation);
              if (statement?.entry === undefined) return "not in the log";
              return signatureFault(statement, {
                ...provenance.signer,
                certificateAuthorityPem: provenance.certificateAuthorityPem,
                logPublicKeyPem: provenance.log.publicKeyPem,
              });
            });
            return found.includes(undefined) ? [] : [`run ${number}: ${found.join("; ") || "no statement"}`];
          });
          expect((await Promise.all(faults)).flat()).toEqual([]);
        } finally {
          forward.close();
        }
      },
      20 * minutes,
    );
  });
};

import { sha256 } from "../../components/lib/digest";
import type { PipelineModel } from "../../pipelines";
import { readToolchain } from "../../stacks/toolchain";
import { openRegistry, readAttestations } from "../../tools/cli/registry";
import { type LogEntry, parseAttestation, signatureFault } from "../../tools/cli/signature";
import { type PipelineRun, pipelineRunList, signature } from "../../tools/cli/watch-run";
import { pause } from "../attacks/support";
import { type ProbeContext, runsPath } from "./probe";

/** What a run with that number says it has made: nothing that was ever pushed, for only the statement about it counts. */
const digestOf = (number: string): string => `sha256:${sha256(number)}`;

/**
 * A pipeline whose one stage says that it has made an image, and makes none.
 *
 * @param name its own for each use in a test, as {@link withPipeline} asks
 */
export const signingPipeline = (repository: string, name = "sign"): PipelineModel => ({
  name,
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

/** How a run stands with its signature. */
export interface SignedState {
  succeeded: boolean;
  signed: boolean;
  /** Chains has marked it, but it does not count as signed and in the log: Chains will not try again by itself. */
  givenUp: boolean;
}

/** What the conditions of a run and the marks of Chains say. */
export const signedState = (run: PipelineRun): SignedState => ({
  succeeded: run.status.conditions.some(({ type, status: holds }) => type === "Succeeded" && holds === "True"),
  signed: signature(run) === "logged",
  givenUp: signature(run) === "given up",
});

/** The team's runs, or those of one of these pipelines. */
export const readRuns = async (context: ProbeContext, pipelines: readonly string[] = []): Promise<PipelineRun[]> => {
  const labelSelector = pipelines.length === 0 ? "" : `tekton.dev/pipeline in (${pipelines.join(",")})`;
  const list = await context.api.read(`${runsPath(context)}?${new URLSearchParams({ labelSelector }).toString()}`);
  return pipelineRunList.parse(list).items;
};

/** Waits until all of the runs, or at least so many, are as they are to be. */
export const waitForRuns = async (
  context: ProbeContext,
  names: readonly string[],
  what: string,
  holds: (state: SignedState) => boolean,
  { atLeast = names.length, tries = 300 } = {},
): Promise<void> => {
  for (; ; tries--) {
    const runs = (await readRuns(context)).filter(({ metadata }) => names.includes(metadata.name));
    const [good, others] = [true, false].map((held) => runs.filter((run) => holds(signedState(run)) === held));
    if ((good?.length ?? 0) >= atLeast) return;
    const list = others?.map(({ metadata, status }) => ({ ...metadata, ...status.conditions[0] }));
    if (tries === 0)
      throw new Error(`${good?.length} of ${names.length} runs ${what}, not ${atLeast}: ${JSON.stringify(list)}`);
    await pause();
  }
};

/** The log entries of what runs with these numbers say they have made, or why there is none that counts, with the run. */
export const entriesOf = async (
  context: ProbeContext,
  repository: string,
  numbers: readonly string[],
): Promise<(LogEntry | string)[]> => {
  const { kubectl, team } = context;
  const { registry, provenance, registryCredentials } = team;
  const runs = await readRuns(context);
  const runOf = (digest: string) => runs.find(({ status }) => status.results.some(({ value }) => value === digest));
  const forward = await kubectl.portForward(registry.namespace, registry.service, 5000);
  try {
    const login = () => Promise.resolve(registryCredentials.reader);
    const client = openRegistry({ login, ...registry, localPort: forward.port });
    const [host = "", ...path] = repository.split("/");
    const entryOf = async (number: string): Promise<LogEntry | string> => {
      const { newest } = await readAttestations(client, { host, path: path.join("/"), digest: digestOf(number) });
      const found = newest.map((attestation) => {
        const statement = parseAttestation(attestation);
        if (statement?.entry === undefined) return "not in the log";
        const fault = signatureFault(statement, {
          ...provenance.signer,
          certificateAuthorityPem: provenance.certificateAuthorityPem,
          logPublicKeyPem: provenance.log.publicKeyPem,
        });
        return fault ?? statement.entry;
      });
      const faults = found.filter((one) => typeof one === "string");
      const entry = found.find((one) => typeof one !== "string");
      const why = faults.join("; ") || "no statement";
      return entry ?? `${number}: ${why}: ${JSON.stringify(runOf(digestOf(number)))}`;
    };
    return await Promise.all(numbers.map(entryOf));
  } finally {
    forward.close();
  }
};

import { X509Certificate } from "node:crypto";
import { z } from "zod";
import type { StackOutputs } from "../../stacks/outputs";
import type { Kubectl } from "./kubectl";
import { openLog } from "./log";
import type { Check } from "./provenance";
import { place, seconds, selfCheck } from "./self-checks";
import type { ClusterObjects } from "./self-cluster";

type Certificate = ClusterObjects["certificates"][number];

const DAY = 24 * 3600;

/** How long a certificate of each class lives at most, in seconds. */
const longest = {
  authority: 3650 * DAY,
  "server that reads its certificate once": 1825 * DAY,
  server: 90 * DAY,
  client: 90 * DAY,
  "signature, by Fulcio": 600,
} as const;

type CertificateClass = keyof typeof longest;

/** Certificates of servers that read theirs once, at their start, and what these servers are. */
const readOnce: Readonly<Record<string, string>> = {
  "ssf-forge/forge-tls": "lighttpd",
  "ssf-fulcio/fulcio-tls": "lighttpd",
  "ssf-rekor/rekor-tls": "lighttpd",
  "ssf-triggers/webhook-tls": "Tekton's event listeners",
  "ssf-tuf/tuf-tls": "lighttpd",
};

const classOf = ({ metadata, spec: { isCA, usages } }: Certificate): CertificateClass => {
  if (isCA) return "authority";
  if (!usages.includes("server auth")) return "client";
  return place(metadata) in readOnce ? "server that reads its certificate once" : "server";
};

/** The longer one of what was issued and of what will be issued next. */
const lifeOf = ({ spec: { duration }, status: { notBefore, notAfter } }: Certificate): number =>
  Math.max(
    duration === undefined ? 0 : (seconds(duration) ?? Infinity),
    notBefore === undefined || notAfter === undefined ? 0 : (Date.parse(notAfter) - Date.parse(notBefore)) / 1000,
  );

const inWords = (life: number): string => {
  if (life === 0) return "no length at all";
  return life < DAY ? `${life / 60} minutes` : `${life / DAY} days`;
};

/** The certificate of a signature in the log. */
export interface SigningCertificate {
  /** Index of its entry. */
  entry: number;
  /** How long it lived, in seconds; 0 where the entry holds none. */
  life: number;
}

/** Whether each certificate, those of cert-manager and that of the newest signature, lives as long as its class may. */
export const checkLives = (
  { certificates }: Pick<ClusterObjects, "certificates">,
  signing: SigningCertificate | undefined,
): Check => {
  const lives = [
    ...certificates.map((one) => ({ who: place(one.metadata), is: classOf(one), life: lifeOf(one) })),
    ...(signing === undefined
      ? []
      : [{ who: `entry ${signing.entry} of the log`, is: "signature, by Fulcio" as const, life: signing.life }]),
  ];
  const long = lives
    .filter(({ is, life }) => !(life > 0 && life <= longest[is]))
    .map(({ who, is, life }) => `${who}: ${inWords(life)}, at most ${inWords(longest[is])} for: ${is}`);
  const found = (Object.keys(longest) as CertificateClass[]).flatMap((name) => {
    const all = lives.filter(({ is }) => is === name);
    const most = Math.max(...all.map(({ life }) => life));
    return all.length === 0 ? [] : [`${name}: ${inWords(most)} (${all.map(({ who }) => who).join(", ")})`];
  });
  return selfCheck("lives", long, found.join("; "));
};

const RUNS_IN_LOG = String.raw`--output=jsonpath={range .items[*]}{.metadata.annotations.chains\.tekton\.dev/transparency}{"\n"}{end}`;

const entrySchema = z.object({ spec: z.object({ publicKey: z.base64() }) });

/** The certificate of the newest run that is in the log, from the log itself; undefined when no run is there. */
export const newestSigning = async (
  kubectl: Kubectl,
  { log }: Pick<StackOutputs["factory"]["provenance"], "log">,
): Promise<SigningCertificate | undefined> => {
  const urls = await kubectl.text(["get", "pipelineruns.tekton.dev", "--all-namespaces", RUNS_IN_LOG]);
  const indexes = [...urls.matchAll(/[?&]logIndex=(\d+)$/gm)].map(([, index]) => Number(index));
  if (indexes.length === 0) return undefined;
  const entry = Math.max(...indexes);
  const { port, close } = await kubectl.portForward(log.namespace, log.service, log.port);
  try {
    return { entry, life: lifeOfSigning((await openLog({ ...log, localPort: port }).entry(entry))?.body) };
  } finally {
    close();
  }
};

/** Seconds that the certificate in the body of an entry lived; 0 where it holds none. */
export const lifeOfSigning = (body: Buffer | undefined): number => {
  try {
    const { spec } = entrySchema.parse(JSON.parse(body?.toString() ?? ""));
    const { validFrom, validTo } = new X509Certificate(Buffer.from(spec.publicKey, "base64"));
    return (Date.parse(validTo) - Date.parse(validFrom)) / 1000;
  } catch {
    return 0;
  }
};

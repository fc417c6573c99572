import { readFileSync } from "node:fs";
import { describeProblem, FactoryError } from "../../components/lib/errors";
import { deadlines } from "../../policies/admission/gate/deadlines";
import {
  VERIFIER_CHECKPOINTS,
  VERIFIER_FILES,
  VERIFIER_NAMESPACE,
  VERIFIER_PORT,
  verifierSettingsSchema,
} from "../../policies/admission/gate/records";
import { httpsFiles, readTrust } from "../../trust";
import { trustedFor } from "../cli/trusted";
import { imageChecker } from "./checker";
import { keptCheckpoints } from "./checkpoints";
import { openProvider } from "./provider";
import { identityLogin } from "./registry-login";
import { teamRecords } from "./team-records";
import { Verdicts } from "./verdicts";

const loginHelper = "/usr/bin/docker-credential-spiffe";
const account = "/var/run/secrets/kubernetes.io/serviceaccount";
const text = (file: string): string => readFileSync(file, "utf8");

/** How long what held is believed, while the same is trusted: log entry and definitions are looked at anew after that. */
const keepMilliseconds = 10 * 60_000;

/** How long the trust repository is believed without being asked anew: what is revoked there is refused after that, kept or not. */
const trustMilliseconds = 60_000;

/** How often its own certificate is read: cert-manager renews it long before its end. */
const renewMilliseconds = 60_000;

/** Shares one answer among all that ask for it within {@link trustMilliseconds}; a failure is shared with nobody later. */
const kept = <T>(ask: () => Promise<T>): (() => Promise<T>) => {
  let last: { answer: Promise<T>; until: number } | undefined;
  return () => {
    if (last !== undefined && last.until > Date.now()) return last.answer;
    const answer = ask();
    last = { answer, until: Date.now() + trustMilliseconds };
    answer.catch(() => (last = undefined));
    return answer;
  };
};

const main = (): void => {
  const settings = verifierSettingsSchema.parse(JSON.parse(text(VERIFIER_FILES.settings)));
  const { registry, log, trust, builderId, maximumAgeDays } = settings;
  // Shorter than the deadline, so that a verdict names what did not answer.
  const service = { timeoutMilliseconds: deadlines.verifierMilliseconds - 500, connections: 8 };
  const apiServer = {
    host: "kubernetes.default.svc",
    caPem: text(`${account}/ca.crt`),
    bearer: () => text(`${account}/token`),
    ...service,
  };
  const trusted = kept(async () => {
    const source = { rootJson: trust.rootJson, read: httpsFiles(trust), directory: VERIFIER_FILES.cache };
    return trustedFor(await readTrust(source), builderId);
  });
  const check = imageChecker({
    registry: {
      ...registry,
      ...service,
      login: identityLogin(registry.host, loginHelper, service.timeoutMilliseconds),
    },
    log: { ...log, ...service },
    memory: keptCheckpoints(apiServer, VERIFIER_NAMESPACE, VERIFIER_CHECKPOINTS),
    builderId,
    maximumAgeDays,
    trusted,
    records: teamRecords(apiServer, VERIFIER_NAMESPACE, registry.host),
  });
  const verdicts = new Verdicts({
    check,
    trustVersion: async () => (await trusted()).version,
    deadlineMilliseconds: deadlines.verifierMilliseconds,
    keepMilliseconds,
    onFault: (error) => console.error(error),
  });
  const { server, renew } = openProvider({
    pair: () => ({ certificatePem: text(VERIFIER_FILES.certificate), keyPem: text(VERIFIER_FILES.key) }),
    clientCaPem: settings.callers.caPem,
    clientName: settings.callers.name,
    verdict: async (image) => {
      const verdict = await verdicts.on(image);
      console.log(JSON.stringify({ image, ...verdict }));
      return verdict;
    },
  });
  server.listen(VERIFIER_PORT);
  setInterval(() => {
    try {
      renew();
    } catch (error) {
      console.error(error);
    }
  }, renewMilliseconds);
  process.on("SIGTERM", () => server.close(() => process.exit(0)));
};

try {
  main();
} catch (error) {
  console.error(error instanceof FactoryError ? error.problems.map(describeProblem).join("\n") : error);
  process.exit(1);
}

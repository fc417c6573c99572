import { readFileSync } from "node:fs";
import { describeProblem, FactoryError } from "../../components/lib/errors";
import { deadlines } from "../../policies/admission/gate/deadlines";
import {
  VERIFIER_FILES,
  VERIFIER_NAMESPACE,
  VERIFIER_PORT,
  verifierSettingsSchema,
} from "../../policies/admission/gate/records";
import { imageChecker } from "./checker";
import { openProvider } from "./provider";
import { teamRecords } from "./team-records";
import { Verdicts } from "./verdicts";

const account = "/var/run/secrets/kubernetes.io/serviceaccount";
const text = (file: string): string => readFileSync(file, "utf8");

/** How long what held is believed: as long as a signed image's log entry and definitions may be looked at anew. */
const keepMilliseconds = 10 * 60_000;

const main = (): void => {
  const settings = verifierSettingsSchema.parse(JSON.parse(text(VERIFIER_FILES.settings)));
  const { registry, log, signer, certificateAuthorityPem, builderId } = settings;
  // Shorter than the deadline, so that a verdict names what did not answer.
  const service = { timeoutMilliseconds: deadlines.verifierMilliseconds - 500, connections: 8 };
  const check = imageChecker({
    registry: {
      ...registry,
      ...service,
      username: text(VERIFIER_FILES.username),
      password: text(VERIFIER_FILES.password),
    },
    log: { host: log.host, caPem: log.caPem, ...service },
    expected: {
      signature: { ...signer, certificateAuthorityPem, logPublicKeyPem: log.publicKeyPem },
      builderId,
    },
    records: teamRecords(
      {
        host: "kubernetes.default.svc",
        caPem: text(`${account}/ca.crt`),
        bearer: () => text(`${account}/token`),
        ...service,
      },
      VERIFIER_NAMESPACE,
    ),
  });
  const verdicts = new Verdicts({
    check,
    deadlineMilliseconds: deadlines.verifierMilliseconds,
    keepMilliseconds,
    onFault: (error) => console.error(error),
  });
  const server = openProvider({
    certificatePem: text(VERIFIER_FILES.certificate),
    keyPem: text(VERIFIER_FILES.key),
    clientCaPem: settings.callers.caPem,
    clientName: settings.callers.name,
    verdict: async (image) => {
      const verdict = await verdicts.on(image);
      console.log(JSON.stringify({ image, ...verdict }));
      return verdict;
    },
  });
  server.listen(VERIFIER_PORT);
  process.on("SIGTERM", () => server.close(() => process.exit(0)));
};

try {
  main();
} catch (error) {
  console.error(error instanceof FactoryError ? error.problems.map(describeProblem).join("\n") : error);
  process.exit(1);
}

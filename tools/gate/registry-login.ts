import { z } from "zod";
import { FactoryError } from "../../components/lib/errors";
import type { Credentials } from "../../components/lib/registry-config";
import { execute } from "../process";

/** How long before its end a login is no longer used: longer than any answer of the verifier takes. */
const spareMilliseconds = 60_000;

const answerSchema = z.object({ Username: z.string(), Secret: z.string() });
const claimsSchema = z.object({ exp: z.int() });

interface Login {
  credentials: Credentials;
  /** When its token ends, in milliseconds. */
  end: number;
}

const parse = (answer: string): Login => {
  const { Username: username, Secret: password } = answerSchema.parse(JSON.parse(answer));
  const claims: unknown = JSON.parse(Buffer.from(password.split(".")[1] ?? "", "base64url").toString());
  return { credentials: { username, password }, end: claimsSchema.parse(claims).exp * 1000 };
};

const ask = async (host: string, helper: string, timeoutMilliseconds: number): Promise<Login> => {
  const { code, stdout, stderr } = await execute(helper, ["get"], { input: host, timeoutMilliseconds });
  try {
    if (code === 0) return parse(stdout);
  } catch {
    // What is no login is told below, without its content.
  }
  throw new FactoryError({
    code: "SSF-VERIFY-011",
    path: `login to ${host}`,
    given:
      code === undefined
        ? `no answer of the Workload API within ${timeoutMilliseconds / 1000} s`
        : code === 0
          ? "no token of SPIRE"
          : `${stdout}${stderr}`.trim(),
    rule: "The verifier logs in to the registry with its identity.",
    fix: "Look at ./factory status: SPIRE's server and its agents must be ready.",
  });
};

/**
 * Logs in to a registry as whoever this process is to SPIRE. A login is used by all who ask until its token is about to end,
 * and one that fails by nobody later.
 *
 * @param host the registry, as tokens for it name it
 * @param helper path of the credential helper that asks the Workload API
 * @param timeoutMilliseconds how long it may take
 * @returns what gives a login that is good now, or fails with a FactoryError `SSF-VERIFY-011`
 */
export const identityLogin = (
  host: string,
  helper: string,
  timeoutMilliseconds: number,
): (() => Promise<Credentials>) => {
  let last: { login: Promise<Login>; until: number } | undefined;
  return async () => {
    if (last === undefined || Date.now() >= last.until) {
      const asked = { login: ask(host, helper, timeoutMilliseconds), until: Infinity };
      asked.login.then(
        ({ end }) => (asked.until = end - spareMilliseconds),
        () => (asked.until = 0),
      );
      last = asked;
    }
    return (await last.login).credentials;
  };
};

import { createHmac } from "node:crypto";

/** One user of the registry. */
export interface Credentials {
  username: string;
  password: string;
}

/** The login that reads a team's repositories; the registry's guard makes the same of the same key. */
export const readerLogin = (key: string, namespace: string): Credentials => ({
  username: namespace,
  password: createHmac("sha256", key).update(namespace).digest("base64url"),
});

/** A Docker client configuration that knows one registry, and the user that reads it. */
export const dockerConfig = (host: string, { username, password }: Credentials): string =>
  JSON.stringify({
    auths: { [host]: { username, password, auth: Buffer.from(`${username}:${password}`).toString("base64") } },
  });

/** A Docker client configuration that logs in to one registry with the identity of whoever reads it. */
export const identityConfig = (host: string): string => JSON.stringify({ credHelpers: { [host]: "spiffe" } });

/** One user of the registry. */
export interface Credentials {
  username: string;
  password: string;
}

/** A Docker client configuration that knows one registry. */
export const dockerConfig = (host: string, { username, password }: Credentials): string =>
  JSON.stringify({
    auths: { [host]: { username, password, auth: Buffer.from(`${username}:${password}`).toString("base64") } },
  });

/** The lines of a htpasswd file. */
export const htpasswd = (users: readonly { username: string; hash: string }[]): string =>
  users.map(({ username, hash }) => `${username}:${hash}\n`).join("");

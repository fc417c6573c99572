import { isDnsLabel } from "./names";

/** A server outside the cluster. */
export interface Host {
  /** DNS name in lower case, without a dot at the end. */
  name: string;
  /** TCP port. */
  port: number;
}

const HTTPS = 443;
const MAXIMUM_NAME = 253;

/** Rule of a list of hosts, as one sentence for whoever gave a wrong one. */
export const HOSTS_RULE =
  "It must be DNS names outside the cluster, each with a port if it is not 443, joined by commas: no address, no wildcard, no scheme, no path.";

const isName = (name: string): boolean => {
  const labels = name.split(".");
  return (
    name.length <= MAXIMUM_NAME &&
    labels.length > 1 &&
    labels.every((label) => isDnsLabel(label)) &&
    /[a-z]/.test(labels.at(-1) ?? "") &&
    !name.endsWith(".cluster.local")
  );
};

const isHost = (text: string): boolean => {
  const [name = "", port, ...others] = text.split(":");
  const isPort = port === undefined || (/^[1-9][0-9]{0,4}$/.test(port) && Number(port) < 65536);
  return isName(name) && isPort && others.length === 0;
};

/** Whether a text is a list that {@link parseHosts} reads. */
export const isHostList = (text: string): boolean => text.split(",").every(isHost);

/** The hosts of a comma-joined list of `<name>` or `<name>:<port>`. */
export const parseHosts = (list: string): Host[] =>
  list.split(",").map((text) => {
    const [name = "", port] = text.split(":");
    return { name, port: port === undefined ? HTTPS : Number(port) };
  });

/** The host of an https address. */
export const hostOf = (url: string): Host => {
  const { hostname, port } = new URL(url);
  return { name: hostname, port: port === "" ? HTTPS : Number(port) };
};

/** The same hosts, each once, by name and port. */
export const distinctHosts = (hosts: readonly Host[]): Host[] =>
  [...new Map(hosts.map((host) => [describeHost(host), host])).entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, host]) => host);

/** `<name>:<port>`. */
export const describeHost = ({ name, port }: Host): string => `${name}:${port}`;

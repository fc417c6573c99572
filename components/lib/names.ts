import { createHash } from "node:crypto";

import { FactoryError } from "./errors";

const DNS_LABEL = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/;

/** Whether `value` is a DNS label (RFC 1123) of at most `maximum` characters. */
export const isDnsLabel = (value: string, maximum = 63): boolean => value.length <= maximum && DNS_LABEL.test(value);

/** Returns `value`, or refuses it when it is no DNS label of at most `maximum` characters. */
export const requireDnsLabel = (path: string, value: string, maximum = 63): string => {
  if (isDnsLabel(value, maximum)) return value;
  throw new FactoryError({
    code: "SSF-NAME-001",
    path,
    given: `"${value}" (${value.length} characters)`,
    rule: `It must be a DNS label of at most ${maximum} characters: lower-case letters, digits and hyphens, with a letter or digit at both ends.`,
    fix: "Choose a shorter or simpler name.",
  });
};

/** The name of what belongs to the key of that epoch; that of the first has no number. */
export const ofEpoch = (name: string, epoch: number): string => (epoch === 1 ? name : `${name}-${epoch}`);

/** Longest name of a team; with the prefix of its namespace and the suffixes of its objects it stays a DNS label. */
export const MAXIMUM_TEAM_NAME = 40;

/** Namespace of a team. */
export const teamNamespace = (team: string): string => `team-${team}`;

/** What the names of a team's images begin with, and of no other team's; without the slash behind it. */
export const teamRepository = (registryHost: string, team: string): string => `${registryHost}/${teamNamespace(team)}`;

/**
 * One DNS label out of several parts, at most `maximum` characters long.
 * What does not fit is replaced by a hash of the whole, so that two long names never become the same.
 */
export const dnsLabel = (parts: readonly string[], maximum = 63): string => {
  const plain = parts.join("-");
  const label = plain
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, "-")
    .replace(/^-+|-+$/g, "");
  if (label === plain && isDnsLabel(label, maximum)) return label;
  const hash = createHash("sha256").update(parts.join("\0")).digest("hex").slice(0, 8);
  const head = label.slice(0, maximum - hash.length - 1).replace(/-+$/, "");
  return head === "" ? `x${hash}` : `${head}-${hash}`;
};

/** `PascalCase` as `kebab-case`, for logical names that are made from kinds. */
export const kebabCase = (text: string): string =>
  text
    .replace(/([a-z0-9])([A-Z])/g, "$1-$2")
    .replace(/([A-Z]+)([A-Z][a-z])/g, "$1-$2")
    .toLowerCase();

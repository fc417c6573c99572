/** Patterns that several stages share; JavaScript and POSIX extended expressions read them alike. */
export const patterns = {
  /** An `https` address of a repository, without user, query or fragment. */
  repository: "https://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?(/[A-Za-z0-9._~%+=,-]+)+/?",
  /** A full commit id, SHA-1 or SHA-256. */
  commit: "[0-9a-f]{40}([0-9a-f]{24})?",
  /** A directory inside the repository: no `..`, no leading `/`. */
  directory: "[.]|[.]?[A-Za-z0-9_][A-Za-z0-9._@+~-]*(/[.]?[A-Za-z0-9_][A-Za-z0-9._@+~-]*)*",
  /** Last part of an image's name. */
  imageName: "[a-z0-9]+([._-][a-z0-9]+)*",
  /** Seconds since 1970. */
  timestamp: "[0-9]{1,12}",
  /** Operating system and architecture, with variant if any. */
  platform: "[a-z0-9]+/[a-z0-9]+(/[a-z0-9]+)?",
} as const;

const outsideSharedSyntax = /\\|\(\?|[*+?}]\?|\[[^\]]*\[[:.=]|'|[^\x20-\x7e]|\$|\^/;

/** Whether JavaScript and POSIX extended expressions give this pattern the same meaning. */
export const isPortablePattern = (pattern: string): boolean => {
  if (outsideSharedSyntax.test(pattern)) return false;
  try {
    new RegExp(pattern);
    return true;
  } catch {
    return false;
  }
};

/** Whether the whole value matches the pattern. */
export const matchesPattern = (value: string, pattern: string): boolean => new RegExp(`^(?:${pattern})$`).test(value);

import { FactoryError } from "./errors";

const REFERENCE = /^([a-z0-9]+(?:[._/:-][a-z0-9]+)*)@(sha256:[0-9a-f]{64})$/;

/** An image reference by digest, in two parts. */
export interface ImageParts {
  /** Registry and repository, without tag. */
  repository: string;
  /** `sha256:` and 64 hex digits. */
  digest: string;
}

/** What a reference by digest must be, as one sentence. */
export const IMAGE_RULE = "An image is named by digest: <repository>@sha256:<64 hex digits>, without a tag.";

/** Whether `reference` names an image by digest. */
export const isByDigest = (reference: string): boolean => REFERENCE.test(reference);

/** Splits a reference by digest; refuses every other one, because a tag can be moved after it was checked. */
export const imageParts = (path: string, reference: string): ImageParts => {
  const [, repository, digest] = REFERENCE.exec(reference) ?? [];
  if (repository !== undefined && digest !== undefined) return { repository, digest };
  throw new FactoryError({
    code: "SSF-IMAGE-001",
    path,
    given: `"${reference}"`,
    rule: IMAGE_RULE,
    fix: "Look up the digest that the tag stands for now, and use that.",
  });
};

/** Registry part of the names of the factory's own images; there is no such host, nodes have them all. */
export const IMAGE_HOST = "ssf.local";

import { crypto } from "@sigstore/core";

/** Size and root of a Merkle tree. */
export interface TreeHead {
  size: number;
  rootHash: Buffer;
}

/** Hash of a leaf, as in RFC 6962 section 2.1. */
export const leafHash = (leaf: Buffer): Buffer => crypto.digest("sha256", Buffer.of(0), leaf);

/** Hash of a node from those of its children, as in RFC 6962 section 2.1. */
export const nodeHash = (left: Buffer, right: Buffer): Buffer => crypto.digest("sha256", Buffer.of(1), left, right);

const isOdd = (value: number): boolean => value % 2 === 1;
const half = (value: number): number => Math.floor(value / 2);

/**
 * Whether an audit path (RFC 6962 section 2.1.1) leads from a leaf to the root of a tree. The steps are those of RFC 9162
 * section 2.1.3.2.
 */
export const isIncluded = (leaf: Buffer, index: number, path: readonly Buffer[], tree: TreeHead): boolean => {
  if (index >= tree.size) return false;
  let [node, last, hash] = [index, tree.size - 1, leafHash(leaf)];
  for (const sibling of path) {
    if (last === 0) return false;
    if (isOdd(node) || node === last) {
      hash = nodeHash(sibling, hash);
      while (!isOdd(node) && node !== 0) [node, last] = [half(node), half(last)];
    } else hash = nodeHash(hash, sibling);
    [node, last] = [half(node), half(last)];
  }
  return last === 0 && hash.equals(tree.rootHash);
};

/**
 * Whether a consistency proof (RFC 6962 section 2.1.2) shows that a tree begins with all leaves of an earlier one. The steps
 * are those of RFC 9162 section 2.1.4.2.
 */
export const hasGrown = (earlier: TreeHead, later: TreeHead, proof: readonly Buffer[]): boolean => {
  if (earlier.size === later.size) return proof.length === 0 && earlier.rootHash.equals(later.rootHash);
  if (earlier.size === 0 || earlier.size > later.size) return false;
  let [node, last] = [earlier.size - 1, later.size - 1];
  while (isOdd(node)) [node, last] = [half(node), half(last)];
  const [seed, ...path] = node === 0 ? [earlier.rootHash, ...proof] : proof;
  if (seed === undefined) return false;
  let [earlierHash, laterHash] = [seed, seed];
  for (const sibling of path) {
    if (last === 0) return false;
    if (isOdd(node) || node === last) {
      [earlierHash, laterHash] = [nodeHash(sibling, earlierHash), nodeHash(sibling, laterHash)];
      while (!isOdd(node) && node !== 0) [node, last] = [half(node), half(last)];
    } else laterHash = nodeHash(laterHash, sibling);
    [node, last] = [half(node), half(last)];
  }
  return last === 0 && earlierHash.equals(earlier.rootHash) && laterHash.equals(later.rootHash);
};

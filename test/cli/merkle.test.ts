import fc from "fast-check";
import { hasGrown, isIncluded, leafHash, nodeHash, type TreeHead } from "../../tools/cli/merkle";
import { auditPath, consistencyProof, treeHash } from "./support/log";

const leaves = (size: number) => Array.from({ length: size }, (_, index) => Buffer.from(`leaf ${index}`));
const head = (all: Buffer[], size = all.length): TreeHead => ({ size, rootHash: treeHash(all.slice(0, size)) });
const flip = (hash: Buffer) => Buffer.from(hash.map((byte, index) => (index === 0 ? byte ^ 1 : byte)));
const changed = <T>(list: readonly T[], index: number, value: T) => list.map((one, at) => (at === index ? value : one));

it("hashes leaves and nodes apart, as the examples of Certificate Transparency do", () => {
  const hex = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
  expect(leafHash(Buffer.alloc(0)).toString("hex")).toBe(hex);
  expect(nodeHash(leafHash(Buffer.alloc(0)), leafHash(Buffer.of(0))).toString("hex")).toBe(
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
  );
});

it("finds every leaf in every tree at its own place only, by the path that RFC 6962 defines", () => {
  for (let size = 1; size <= 17; size++) {
    const all = leaves(size);
    const tree = head(all);
    for (const [index, leaf] of all.entries()) {
      const path = auditPath(index, all);
      expect(isIncluded(leaf, index, path, tree)).toBe(true);
      for (let other = 0; other <= size; other++)
        if (other !== index) expect(isIncluded(leaf, other, path, tree)).toBe(false);
    }
  }
});

const places = fc
  .integer({ min: 1, max: 200 })
  .chain((size) => fc.record({ size: fc.constant(size), index: fc.integer({ min: 0, max: size - 1 }) }));

it("finds no leaf by another leaf, root, size or path", () => {
  fc.assert(
    fc.property(places, fc.nat(), ({ size, index }, at) => {
      const all = leaves(size);
      const [tree, path, leaf] = [head(all), auditPath(index, all), all[index] ?? Buffer.alloc(0)];
      expect(isIncluded(leaf, index, path, tree)).toBe(true);
      expect(isIncluded(Buffer.from("x"), index, path, tree)).toBe(false);
      expect(isIncluded(leaf, index, path, { ...tree, rootHash: flip(tree.rootHash) })).toBe(false);
      expect(isIncluded(leaf, index, [...path, tree.rootHash], tree)).toBe(false);
      if (path.length > 0) {
        const place = at % path.length;
        expect(isIncluded(leaf, index, changed(path, place, flip(path[place] ?? tree.rootHash)), tree)).toBe(false);
        expect(isIncluded(leaf, index, path.toSpliced(place, 1), tree)).toBe(false);
      }
    }),
  );
});

it("sees that every tree grew out of every smaller one, by the proof that RFC 6962 defines", () => {
  const all = leaves(33);
  for (let later = 1; later <= all.length; later++)
    for (let earlier = 1; earlier <= later; earlier++) {
      const proof = consistencyProof(earlier, all.slice(0, later));
      expect(hasGrown(head(all, earlier), head(all, later), proof)).toBe(true);
      if (earlier !== later) expect(hasGrown(head(all, later), head(all, earlier), proof)).toBe(false);
    }
});

it("sees no growth out of another tree, or by another proof", () => {
  fc.assert(
    fc.property(places, fc.nat(), ({ size, index }, at) => {
      const all = leaves(size);
      const [earlier, later] = [head(all, index + 1), head(all)];
      const proof = consistencyProof(index + 1, all);
      expect(hasGrown(earlier, later, proof)).toBe(true);
      expect(hasGrown({ ...earlier, rootHash: flip(earlier.rootHash) }, later, proof)).toBe(false);
      expect(hasGrown(earlier, { ...later, rootHash: flip(later.rootHash) }, proof)).toBe(false);
      expect(hasGrown(earlier, later, [...proof, later.rootHash])).toBe(false);
      expect(hasGrown({ size: 0, rootHash: treeHash([]) }, later, proof)).toBe(false);
      if (proof.length > 0) {
        const place = at % proof.length;
        expect(hasGrown(earlier, later, changed(proof, place, flip(proof[place] ?? later.rootHash)))).toBe(false);
        expect(hasGrown(earlier, later, proof.toSpliced(place, 1))).toBe(false);
      }
      const other = changed(all, index, Buffer.from("x"));
      if (index + 1 < size) expect(hasGrown(earlier, head(other), consistencyProof(index + 1, other))).toBe(false);
    }),
  );
});

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { removeStaleEndpoints } from "../../tools/toolchain/stale-endpoints";
import { runNodeScript } from "../support/node-script";

const directory = mkdtempSync(join(tmpdir(), "ssf-stale-"));
const file = (name: string) => join(directory, name);
afterAll(() => rmSync(directory, { recursive: true }));

const nodes = {
  items: [{ status: { addresses: [{ address: "10.89.0.7" }, { address: "ssf-control-plane" }] } }],
};

/** Pods whose records it removes, each recorded under an address of its node. */
const removed = (records: Record<string, string | undefined>, hasCilium = true): string[] => {
  const items = Object.entries(records).map(([name, node]) => ({
    metadata: { namespace: "shop", name },
    status: node === undefined ? {} : { networking: { node } },
  }));
  writeFileSync(file("nodes.json"), JSON.stringify(nodes));
  writeFileSync(file("records.json"), JSON.stringify({ items }));
  writeFileSync(file("removed"), "");
  const kubectl = `case "$1 $2" in
    "get customresourcedefinitions") exit ${hasCilium ? 0 : 1};;
    "get nodes") cat ${file("nodes.json")};;
    "get ciliumendpoints.cilium.io") cat ${file("records.json")};;
    "delete ciliumendpoints.cilium.io") cat; echo "$4/$3" >>${file("removed")};;
  esac`;
  expect(runNodeScript(directory, removeStaleEndpoints, { kubectl })).toEqual({ status: 0, stderr: "" });
  return readFileSync(file("removed"), "utf8").split("\n").filter(Boolean);
};

test("a record under an address that no node has is removed, and no other", () => {
  const records = {
    here: "10.89.0.7",
    before: "10.89.0.4",
    "begins-alike": "10.89.0.77",
    short: "10.89.0",
    new: undefined,
  };
  expect(removed(records)).toEqual([
    "--namespace=shop/before",
    "--namespace=shop/begins-alike",
    "--namespace=shop/short",
  ]);
});

test("where there are no such records it does nothing", () => {
  expect(removed({})).toEqual([]);
  expect(removed({ before: "10.89.0.4" }, false)).toEqual([]);
});

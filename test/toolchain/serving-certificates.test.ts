import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { approveServingCertificates } from "../../tools/toolchain/serving-certificates";
import { runNodeScript } from "../support/node-script";

const directory = mkdtempSync(join(tmpdir(), "ssf-serving-"));
const file = (name: string) => join(directory, name);
afterAll(() => rmSync(directory, { recursive: true }));

const node = "ssf-control-plane";
const address = "10.89.0.7";

/** What a kubelet sends to ask for a certificate for these names. */
const csr = (...names: string[]): string => {
  const extension = names.length === 0 ? [] : ["-addext", `subjectAltName=${names.join(",")}`];
  const subject = `/O=system:nodes/CN=system:node:${node}`;
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "/dev/null"];
  const pem = execFileSync("openssl", ["req", "-new", ...key, "-subj", subject, ...extension], { stdio: "pipe" });
  return pem.toString("base64");
};

interface Request {
  username?: string;
  names?: string[];
  conditions?: object[];
}

/** Names of the requests that it approves, where one node has one address. */
const approved = (requests: Record<string, Request>): string[] => {
  const items = Object.entries(requests).map(([name, { username = `system:node:${node}`, names, conditions }]) => ({
    metadata: { name },
    spec: { username, request: csr(...(names ?? [`DNS:${node}`, `IP:${address}`])) },
    status: conditions === undefined ? {} : { conditions },
  }));
  writeFileSync(file("requests.json"), JSON.stringify({ items }));
  writeFileSync(file("approved"), "");
  const programs = {
    kubectl: `case "$1" in get) cat ${file("requests.json")};; certificate) cat; echo "$3" >>${file("approved")};; esac`,
    getent: `test "$2" = ${node} && printf '%s STREAM %s\\n%s DGRAM\\n' ${address} "$2" ${address}`,
  };
  expect(runNodeScript(directory, approveServingCertificates, programs).status).toBe(0);
  return readFileSync(file("approved"), "utf8").split("\n").filter(Boolean);
};

test("a kubelet gets a certificate for its node's name and address, once", () => {
  expect(approved({ mine: {} })).toEqual(["mine"]);
  expect(approved({ "only-name": { names: [`DNS:${node}`] }, mine: {} })).toEqual(["only-name", "mine"]);
  expect(
    approved({ done: { conditions: [{ type: "Approved" }] }, denied: { conditions: [{ type: "Denied" }] } }),
  ).toEqual([]);
});

test.each<[string, Request]>([
  ["another node's address", { names: [`DNS:${node}`, "IP:10.89.0.8"] }],
  ["an address that begins like its own", { names: [`IP:${address}1`] }],
  ["another name", { names: ["DNS:kubernetes.default.svc", `IP:${address}`] }],
  ["no name", { names: [] }],
  ["a node that nobody knows", { username: "system:node:other", names: ["DNS:other", `IP:${address}`] }],
  ["somebody who is no node", { username: node }],
  ["an account that is named like one", { username: `system:serviceaccount:team-a:system:node:${node}` }],
])("a request for %s is left alone, and its good twin is not", (_, request) => {
  expect(approved({ bad: request, mine: {} })).toEqual(["mine"]);
});

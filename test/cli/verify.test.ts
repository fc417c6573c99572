import { checkEvidence, checkStatements, conclude, type Evidence } from "../../tools/cli/image-checks";
import type { LogFindings } from "../../tools/cli/log";
import { allHeld, checkRevocation } from "../../tools/cli/provenance";
import type { SignedStatement } from "../../tools/cli/signature";
import { expectations, signStatement, statement } from "./support/provenance";

const good = () => signStatement(JSON.stringify(statement()));
const bad = () => signStatement(JSON.stringify({ ...statement(), subject: [] }));
const held: LogFindings = { inclusion: { found: "" }, growth: { found: "" } };
const missing: LogFindings = { ...held, inclusion: { fault: "missing", found: "" } };
const fork: LogFindings = { ...held, growth: { fault: "a fork", found: "" } };

const check = async (statements: SignedStatement[], findings: LogFindings[]) => {
  const asked: number[] = [];
  const checks = await checkStatements(statements, expectations(), ({ logIndex }) => {
    const answer = findings[asked.length];
    asked.push(statements.findIndex(({ entry }) => entry?.logIndex === logIndex));
    return answer ? Promise.resolve(answer) : Promise.reject(new Error("no answer"));
  });
  return { asked, held: allHeld(checks), failed: checks.filter((one) => !one.held).map(({ title }) => title) };
};

it("holds when a statement and what the log says of it hold", async () => {
  expect(await check([good()], [held])).toEqual({ asked: [0], held: true, failed: [] });
});

it("fails without any statement", async () => {
  expect(await check([], [])).toEqual({ asked: [], held: false, failed: ["signed by this factory"] });
});

it("asks the log only about what holds in all else", async () => {
  const failed = ["about this image", "bill of materials attached and attested"];
  expect(await check([bad()], [])).toEqual({ asked: [], held: false, failed });
  expect(await check([bad(), good()], [held])).toEqual({ asked: [1], held: true, failed: [] });
});

it("fails when the log does not have it, unless it has another statement that holds", async () => {
  expect(await check([good()], [missing])).toEqual({ asked: [0], held: false, failed: ["in the log"] });
  expect(await check([good(), good()], [missing, held])).toEqual({ asked: [0, 1], held: true, failed: [] });
});

it("fails for a log that did not only grow, whatever it says next", async () => {
  expect(await check([good(), good()], [fork, held])).toEqual({
    asked: [0],
    held: false,
    failed: ["the log only grew"],
  });
});

it("does not hold, and does not fail, when the log does not answer", async () => {
  await expect(check([good()], [])).rejects.toThrow("no answer");
});

describe("statements that nobody read", () => {
  const { image, sboms, ...expected } = expectations();
  const [host = "", ...path] = image.name.split("/");
  const evidence = (statements: SignedStatement[], unread: number): Evidence => ({
    ...{
      image: { host, path: path.join("/"), digest: image.digest },
      revocation: checkRevocation(undefined),
      statements,
      unread,
      sboms,
    },
  });
  const ending = async (found: Evidence) =>
    conclude(found, await checkEvidence(found, expected, () => Promise.resolve(held)));

  it("do not matter where a newer one holds", async () => {
    expect(allHeld(await ending(evidence([good()], 3)))).toBe(true);
  });

  it("leave open whether an image holds where no newer one does, and that is said", async () => {
    await expect(ending(evidence([bad()], 3))).rejects.toThrow(/SSF-VERIFY-010[^]*SSF-PROVENANCE-002[^]*once more/);
    expect(allHeld(await ending(evidence([bad()], 0)))).toBe(false);
  });
});

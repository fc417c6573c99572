import type { Check } from "../../tools/cli/provenance";
import { Verdicts, type VerdictSettings } from "../../tools/gate/verdicts";

const image = (character = "a") => `registry.test:5000/team-a/service@sha256:${character.repeat(64)}`;
const held: Check[] = [{ code: "SSF-PROVENANCE-001", title: "signed by this factory", held: true, detail: "" }];
const failed = (detail: string): Check[] => [
  { code: "SSF-PROVENANCE-001", title: "signed by this factory", held: true, detail: "" },
  { code: "SSF-PROVENANCE-005", title: "from this source and commit", held: false, detail },
];

const open = (check: VerdictSettings["check"], settings: Partial<VerdictSettings> = {}) => {
  const asked: string[] = [];
  const verdicts = new Verdicts({
    check: (reference, signal) => {
      asked.push(`${reference.path}@${reference.digest.slice(7, 9)}`);
      return check(reference, signal);
    },
    trustVersion: () => Promise.resolve("1"),
    deadlineMilliseconds: 100,
    keepMilliseconds: 1000,
    ...settings,
  });
  return { verdicts, asked };
};
const messageOf = async (verdicts: Verdicts, text: string): Promise<string> => {
  const verdict = await verdicts.on(text);
  return verdict.admitted ? "admitted" : verdict.message;
};

test("what holds is admitted, and not checked again for as long as it is kept", async () => {
  let time = 0;
  const { verdicts, asked } = open(() => Promise.resolve(held), { now: () => time });
  for (time of [0, 500, 999]) expect(await verdicts.on(image())).toEqual({ admitted: true });
  expect(asked).toHaveLength(1);
  time = 1000;
  expect(await verdicts.on(image())).toEqual({ admitted: true });
  expect(asked).toHaveLength(2);
});

test("what held is checked anew at once when something else is trusted, and not while the same is", async () => {
  let version = "1";
  let answer = held;
  const { verdicts, asked } = open(() => Promise.resolve(answer), { trustVersion: () => Promise.resolve(version) });
  expect(await messageOf(verdicts, image())).toBe("admitted");
  answer = failed("its key was revoked");
  expect(await messageOf(verdicts, image())).toBe("admitted");
  expect(asked).toHaveLength(1);
  version = "2";
  expect(await messageOf(verdicts, image())).toContain("its key was revoked");
  expect(asked).toHaveLength(2);
});

test("a check that began before a revocation answers nobody who asks after it", async () => {
  let version = "1";
  const finish: ((checks: Check[]) => void)[] = [];
  const { verdicts, asked } = open(() => new Promise((resolve) => finish.push(resolve)), {
    trustVersion: () => Promise.resolve(version),
  });
  const before = messageOf(verdicts, image());
  await new Promise((resume) => setImmediate(resume));
  version = "2";
  const after = messageOf(verdicts, image());
  await new Promise((resume) => setImmediate(resume));
  finish[0]?.(held);
  finish[1]?.(failed("its key was revoked"));
  expect(await before).toBe("admitted");
  expect(await after).toContain("its key was revoked");
  expect(asked).toHaveLength(2);
});

test("while nobody can say what is trusted, not even what was kept is admitted", async () => {
  let isThere = true;
  const { verdicts } = open(() => Promise.resolve(held), {
    trustVersion: () => (isThere ? Promise.resolve("1") : Promise.reject(new Error("gone"))),
  });
  expect(await messageOf(verdicts, image())).toBe("admitted");
  isThere = false;
  expect(await messageOf(verdicts, image())).toContain("SSF-GATE-003");
  isThere = true;
  expect(await messageOf(verdicts, image())).toBe("admitted");
});

test("a verdict is kept by digest: with another digest behind the same tag it is checked anew", async () => {
  const { verdicts, asked } = open(({ digest }) => Promise.resolve(digest.includes("aa") ? held : failed("a fork")));
  expect(await messageOf(verdicts, image("a").replace("@", ":1.0@"))).toBe("admitted");
  expect(await messageOf(verdicts, image("a"))).toBe("admitted");
  expect(await messageOf(verdicts, image("b").replace("@", ":1.0@"))).toContain("a fork");
  expect(asked).toEqual(["team-a/service@aa", "team-a/service@bb"]);
});

test("a refusal is not kept: what comes later is seen", async () => {
  const answers = [failed("nothing yet"), held];
  const { verdicts } = open(() => Promise.resolve(answers.shift() ?? []));
  expect(await messageOf(verdicts, image())).toContain("nothing yet");
  expect(await messageOf(verdicts, image())).toBe("admitted");
});

test("a refusal says what was missing, the rule, and what would do", async () => {
  const { verdicts } = open(() => Promise.resolve(failed("expected source x, found y")));
  expect(await messageOf(verdicts, image())).toBe(
    `SSF-GATE-002 ${image()}: not from this source and commit: expected source x, found y (SSF-PROVENANCE-005); ` +
      "rule: A workload runs images of this factory, with provenance that holds. " +
      `fix: Start a digest that ./factory build printed; ./factory verify ${image()} shows every check.`,
  );
});

test("no check at all admits nothing", async () => {
  const { verdicts } = open(() => Promise.resolve([]));
  expect(await messageOf(verdicts, image())).toContain("nothing was checked");
});

test.each(["registry.test/service:1.0", "service", "", `${image()}0`, image().replace("sha256", "sha512")])(
  "%p is refused without a question",
  async (text) => {
    const { verdicts, asked } = open(() => Promise.resolve(held));
    expect(await messageOf(verdicts, text)).toContain("SSF-GATE-001");
    expect(asked).toEqual([]);
  },
);

test("what is not known by the deadline is refused, and what comes later serves the next one", async () => {
  let finish: (checks: Check[]) => void = () => undefined;
  const { verdicts, asked } = open(() => new Promise((resolve) => (finish = resolve)));
  expect(await messageOf(verdicts, image())).toContain("SSF-GATE-003");
  expect(await messageOf(verdicts, image())).toContain("no verdict within 0.1 s");
  expect(asked).toHaveLength(1);
  finish(held);
  await new Promise((resume) => setImmediate(resume));
  expect(await messageOf(verdicts, image())).toBe("admitted");
  expect(asked).toHaveLength(1);
});

test("what does not end is given up, and checked anew for the next one", async () => {
  const untilGivenUp = (_: unknown, signal: AbortSignal) =>
    new Promise<Check[]>((_resolve, reject) => {
      signal.addEventListener("abort", () => reject(new Error("given up")));
    });
  const checks = [untilGivenUp, () => Promise.resolve(held)];
  const { verdicts, asked } = open((reference, signal) => (checks.shift() ?? untilGivenUp)(reference, signal), {
    deadlineMilliseconds: 20,
  });
  expect(await messageOf(verdicts, image())).toContain("no verdict within 0.02 s");
  expect(await messageOf(verdicts, image())).toContain("SSF-GATE-003");
  while (asked.length < 2) expect(await messageOf(verdicts, image())).toMatch(/SSF-GATE-003|admitted/);
  expect(await messageOf(verdicts, image())).toBe("admitted");
});

test("an error of the checks admits nothing, and says nothing of itself", async () => {
  const { verdicts } = open(() => Promise.reject(new TypeError("secret")));
  expect(await messageOf(verdicts, image())).toMatch(/SSF-GATE-003 .*the verifier failed/);
  expect(await messageOf(verdicts, image())).not.toContain("secret");
});

test("what an attacker wrote into provenance makes no second line and no flood", async () => {
  const { verdicts } = open(() => Promise.resolve(failed(`a\nAdmitted: yes\u001b[2J${"x".repeat(100_000)}`)));
  const message = await messageOf(verdicts, image());
  expect(message).not.toMatch(/\n|\u001b/);
  expect(message.length).toBeLessThan(3000);
});

test("only so many images are remembered; the oldest is forgotten first", async () => {
  const { verdicts, asked } = open(() => Promise.resolve(held), { capacity: 2 });
  for (const character of ["a", "b", "c", "b", "a"]) await verdicts.on(image(character));
  expect(asked.map((one) => one.slice(-2))).toEqual(["aa", "bb", "cc", "aa"]);
});

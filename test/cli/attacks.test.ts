import {
  type Answer,
  type Attack,
  type Attempt,
  chosen,
  codeOf,
  type Defer,
  runAttack,
  table,
} from "../../tools/cli/attacks";

interface Session {
  defer: Defer;
}

const refused: Answer = { is: "refused", by: "RBAC", message: "you cannot" };
const accepted: Answer = { is: "accepted", detail: "done" };
const unproven: Answer = { is: "unproven", detail: "nothing to reach" };

const attempt = (name: string, answer: Answer | Error): Attempt => ({
  name,
  run: () => (answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer)),
});

const undone: string[] = [];
beforeEach(() => (undone.length = 0));

const attack = (
  attempts: Attempt[],
  controls: Attempt[] = [attempt("twin", accepted)],
  more: Partial<Attack<Session>> = {},
): Attack<Session> => ({
  name: "example",
  covers: "An example.",
  tries: "to do what it may not",
  refusal: { by: ["RBAC"], message: /cannot/ },
  control: "What it may do works.",
  prepare: ({ defer }) => {
    for (const what of ["first", "second"]) defer(what, () => Promise.resolve(undone.push(what)));
    return Promise.resolve({ attempts, controls });
  },
  ...more,
});

const go = (one: Attack<Session>, signal = new AbortController().signal) =>
  runAttack(one, (defer) => ({ defer }), signal);

it("holds when every attempt is refused by whom it should, and every control passes", async () => {
  const result = await go(attack([attempt("a", refused), attempt("b", unproven)]));
  expect(result).toMatchObject({ verdict: "held", attempts: [{ verdict: "held" }, { verdict: "unproven" }] });
  expect(codeOf([result])).toBe(0);
});

it.each<[string, Attempt[], Attempt[], number, string]>([
  [
    "an attempt got through",
    [attempt("a", refused), attempt("b", accepted)],
    [attempt("t", accepted)],
    1,
    "did not hold",
  ],
  ["a control was refused", [attempt("a", refused)], [attempt("t", refused)], 1, "did not hold"],
  [
    "an attempt could not be made",
    [attempt("a", refused), attempt("b", new Error("no answer"))],
    [attempt("t", accepted)],
    2,
    "not checked",
  ],
  ["a control could not be made", [attempt("a", refused)], [attempt("t", new Error("no answer"))], 2, "not checked"],
  [
    "somebody else refused",
    [attempt("a", { ...refused, by: "API server" })],
    [attempt("t", accepted)],
    2,
    "not checked",
  ],
  [
    "it was refused in other words",
    [attempt("a", { ...refused, message: "no such kind" })],
    [attempt("t", accepted)],
    2,
    "not checked",
  ],
  ["nothing is proven", [attempt("a", unproven)], [attempt("t", accepted)], 2, "not checked"],
  ["there is no control", [attempt("a", refused)], [], 2, "not checked"],
  [
    "one got through and another could not be made",
    [attempt("a", accepted), attempt("b", new Error("no"))],
    [attempt("t", accepted)],
    1,
    "did not hold",
  ],
])("does not hold when %s, and cleans up", async (_, attempts, controls, code, verdict) => {
  const result = await go(attack(attempts, controls));
  expect([result.verdict, codeOf([result]), undone]).toEqual([verdict, code, ["second", "first"]]);
});

it("takes an attempt's own expectation before the attack's", async () => {
  const own = {
    ...attempt("a", { ...refused, by: "kernel", message: "EROFS" }),
    expected: { by: ["kernel"], message: /EROFS/ } as const,
  };
  expect((await go(attack([own]))).verdict).toBe("held");
});

it("cleans up and says why when the set-up fails", async () => {
  const result = await go(
    attack([], [], {
      prepare: ({ defer }) => {
        defer("namespace", () => Promise.resolve(undone.push("namespace")));
        return Promise.reject(new Error("no quota"));
      },
    }),
  );
  expect(result).toMatchObject({ verdict: "not checked", reason: "no quota" });
  expect([codeOf([result]), undone]).toEqual([2, ["namespace"]]);
});

it("cleans up when it is interrupted, and tries nothing more", async () => {
  const controller = new AbortController();
  const tried: string[] = [];
  const waiting: Attempt = {
    name: "waits for ever",
    run: () => {
      controller.abort();
      return new Promise<Answer>(() => undefined);
    },
  };
  const later = ["b", "c", "d", "e"].map((name) => ({
    name,
    run: () => {
      tried.push(name);
      return Promise.resolve(refused);
    },
  }));
  const result = await go(attack([waiting, ...later]), controller.signal);
  expect(result).toMatchObject({ verdict: "not checked", reason: "interrupted" });
  expect(undone).toEqual(["second", "first"]);
  expect(tried).toEqual([]);
});

it("goes on cleaning up where something cannot be removed, and does not hide it", async () => {
  const good = attack([attempt("a", refused)]);
  const result = await go({
    ...good,
    prepare: async (session) => {
      const prepared = await good.prepare(session);
      session.defer("pod x", () => Promise.reject(new Error("stuck")));
      return prepared;
    },
  });
  expect(result).toMatchObject({ verdict: "not checked", reason: "left behind: pod x: stuck" });
  expect(undone).toEqual(["second", "first"]);
});

it("does not run what this factory does not have, which is neither held nor broken", async () => {
  const result = await go(attack([attempt("a", accepted)], undefined, { inapplicable: () => "no pipeline for pip" }));
  expect(result).toMatchObject({ verdict: "not run", reason: "no pipeline for pip" });
  const held = await go(attack([attempt("a", refused)]));
  expect([codeOf([result]), codeOf([result, held])]).toEqual([2, 0]);
});

it("runs what is named, and else all but what takes minutes", () => {
  const all = [{ name: "a" }, { name: "slow", onlyByName: true }];
  expect(chosen(all, [])).toMatchObject({ missing: [], run: [{ name: "a" }], left: [{ name: "slow" }] });
  expect(chosen(all, ["slow", "b"])).toMatchObject({ missing: ["b"], run: [{ name: "slow" }], left: [] });
});

it("shows a row an attack, and a line for everything that did not simply hold", async () => {
  const held = await go(attack([attempt("a", refused), attempt("b", unproven)]));
  const through = await go(attack([attempt("a", refused), attempt("b", accepted)], [attempt("t", refused)]));
  expect(table([held, through]).split("\n")).toEqual([
    "attack   tried  refused by    control",
    "example  1/1    RBAC          passed",
    "example  1/2    DID NOT HOLD  FAILED (0/1)",
    "- example, b: unproven: nothing to reach",
    "- example, b: got through: done",
    '- example, control "t": failed: you cannot',
  ]);
});

import { takingTurns } from "../../tools/gate/turns";

/** Work that lasts until it is told to end. */
const works = (inTurn: ReturnType<typeof takingTurns>) => {
  const begun: string[] = [];
  const ends = new Map<string, (fault?: Error) => void>();
  const begin = (owner: string, name: string) =>
    inTurn(
      owner,
      () =>
        new Promise<string>((resolve, reject) => {
          begun.push(name);
          ends.set(name, (fault) => (fault === undefined ? resolve(name) : reject(fault)));
        }),
    );
  const end = async (name: string, fault?: Error) => {
    ends.get(name)?.(fault);
    await new Promise((resume) => setImmediate(resume));
  };
  return { begun, begin, end };
};

test("the works of one owner wait for each other, in their order, and for nobody else's", async () => {
  const { begun, begin, end } = works(takingTurns(2));
  const done = ["a1", "a2", "a3", "a4", "b1"].map((name) => begin(name.slice(0, 1), name));
  expect(begun).toEqual(["a1", "a2", "b1"]);
  await end("b1");
  expect(begun).toEqual(["a1", "a2", "b1"]);
  await end("a2");
  expect(begun).toEqual(["a1", "a2", "b1", "a3"]);
  await end("a1");
  await end("a3");
  await end("a4");
  expect(await Promise.all(done)).toEqual(["a1", "a2", "a3", "a4", "b1"]);
  const again = ["a5", "a6", "a7"].map((name) => begin("a", name));
  expect(begun.slice(5)).toEqual(["a5", "a6"]);
  for (const name of ["a5", "a6", "a7"]) await end(name);
  expect(await Promise.all(again)).toEqual(["a5", "a6", "a7"]);
});

test("a work that fails makes room for the next one", async () => {
  const { begun, begin, end } = works(takingTurns(1));
  const [first, second] = [begin("a", "a1"), begin("a", "a2")];
  const failed = expect(first).rejects.toThrow("no answer");
  await end("a1", new Error("no answer"));
  await failed;
  expect(begun).toEqual(["a1", "a2"]);
  await end("a2");
  expect(await second).toBe("a2");
});

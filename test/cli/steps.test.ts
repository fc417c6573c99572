import { duration, runSteps } from "../../tools/cli/steps";

it.each([
  [400, "0 s"],
  [59_400, "59 s"],
  [187_000, "3 min 07 s"],
  [3_720_000, "1 h 02 min"],
])("writes %d ms as %s", (milliseconds, text) => {
  expect(duration(milliseconds)).toBe(text);
});

describe("plain progress", () => {
  const lines: string[] = [];
  const display = { interactive: false, write: (line: string) => void lines.push(line) };
  beforeEach(() => {
    lines.length = 0;
    jest.useFakeTimers();
  });
  afterEach(() => jest.useRealTimers());

  it("has a line for each start, note, half minute and end", async () => {
    const step = {
      title: "cluster",
      run: async ({ status, note }: { status: (text: string) => void; note: (text: string) => void }) => {
        note("a lock was released");
        status("3 resources");
        await new Promise((resume) => setTimeout(resume, 65_000));
        return "3 created";
      },
    };
    const done = runSteps([step], display);
    await jest.advanceTimersByTimeAsync(65_000);
    await done;
    expect(lines).toEqual([
      "[1/1] cluster: started",
      "[1/1] cluster: a lock was released",
      "[1/1] cluster: 3 resources (30 s)",
      "[1/1] cluster: 3 resources (1 min 00 s)",
      "[1/1] cluster: 3 created (1 min 05 s)",
    ]);
  });

  it("ends at the first step that fails, with its error", async () => {
    const failing = { title: "a", run: () => Promise.reject(new Error("no")) };
    const never = { title: "b", run: jest.fn() };
    await expect(runSteps([failing, never], display)).rejects.toThrow("no");
    expect(lines).toEqual(["[1/2] a: started", "[1/2] a: failed (0 s)"]);
    expect(never.run).not.toHaveBeenCalled();
  });
});

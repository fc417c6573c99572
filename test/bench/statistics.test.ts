import { quantile, short, tail } from "./statistics";

test.each([
  [0.5, 5],
  [0.95, 10],
  [0.99, 10],
  [0, 1],
  [1, 10],
])("the quantile %d of one to ten is %d", (part, expected) => {
  expect(quantile([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], part)).toBe(expected);
});

test("the largest of few samples is called so", () => {
  expect(tail([3, 1, 2])).toBe("3 (max of 3)");
  expect(tail(Array.from({ length: 99 }, (_, index) => index))).toBe("98 (max of 99)");
  expect(tail(Array.from({ length: 100 }, (_, index) => index))).toBe("98");
});

test("numbers have three digits that count, and none where there is nothing", () => {
  expect([1234.5, 0.012345, 12, Number.NaN].map(short)).toEqual(["1230", "0.0123", "12", "-"]);
  expect(short(quantile([], 0.5))).toBe("-");
});
